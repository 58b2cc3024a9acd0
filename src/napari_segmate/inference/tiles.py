"""A plane cut into tiles that overlap, those in view first."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np

from napari_segmate.core.errors import ImageError, ParameterError
from napari_segmate.core.masks import intersection
from napari_segmate.core.types import Frame, IntBoxYX, Shape2D

__all__ = ["Tile", "tile_grid"]

UNIT = 16
"""Tiles start at multiples of this many pixels, so that at every zoom in steps of an eighth the
cells of neighbouring tiles lie on one grid; at smaller zooms, at multiples of two shown pixels."""

HALO = 64
"""Pixels, as the model sees them, by which tiles overlap their neighbours: larger than the objects
that it knows best, and than what the border of a tile disturbs."""

SLACK = 1.125
"""Unless told otherwise a tile may be this much larger than the model's input: 1024 pixels are two
tiles then, and not three."""


@dataclass(frozen=True)
class Tile:
    """A part of a plane that a model looks at.

    Parameters
    ----------
    frame : Frame
        What the model sees, halo included.
    inner_box_yx : (y0, x0, y1, x1)
        The part without the halo: the inner boxes of all tiles cover the plane once.
    """

    frame: Frame
    inner_box_yx: IntBoxYX


def tile_grid(
    shape: Shape2D,
    input_size: int,
    *,
    zoom: float = 1.0,
    tile: int | None = None,
    halo: int | None = None,
    visible_yx: IntBoxYX | None = None,
    region: IntBoxYX | None = None,
) -> tuple[Tile, ...]:
    """Return the tiles of a plane.

    Parameters
    ----------
    shape : (height, width)
        Size of the plane.
    input_size : int
        Side in pixels of the largest square that the model sees without shrinking it.
    zoom : float
        Pixels that the model sees per pixel of the plane.
    tile : int, optional
        Side of a tile with its halo, in pixels of the plane. Default: about the
        input of the model.
    halo : int, optional
        Pixels of the plane by which a tile reaches into its neighbours. Default: 64 as the model
        sees them.
    visible_yx : (y0, x0, y1, x1), optional
        Part on the screen: its tiles come first, then those nearest to it.
    region : (y0, x0, y1, x1), optional
        Only tiles whose inner part touches it.

    Raises
    ------
    ImageError
        The plane is empty.
    ParameterError
        A halo that leaves nothing of a tile, or sizes below zero.

    Examples
    --------
    >>> [tile.inner_box_yx for tile in tile_grid((512, 900), 512)]
    [(0, 0, 512, 448), (0, 448, 512, 900)]
    >>> tile_grid((512, 900), 512)[1].frame
    Frame(box_yx=(0, 384, 512, 900), shape=(512, 516))
    """
    if min(shape) < 1:
        raise ImageError(f"the image is empty: {shape[0]} x {shape[1]} pixels")
    side, rim = _sides(input_size, zoom, tile, halo, whole=max(shape))
    rows, columns = (_spans(length, side, rim, _unit(zoom)) for length in shape)
    boxes = [(y0, x0, y1, x1) for (y0, y1), (x0, x1) in product(rows, columns)]
    if region is not None:
        boxes = [box for box in boxes if intersection(box, region)]
    if visible_yx is not None:
        boxes.sort(key=lambda box: _distance(box, visible_yx))
    return tuple(Tile(_frame(box, rim, shape, zoom), box) for box in boxes)


def _sides(
    input_size: int, zoom: float, tile: int | None, halo: int | None, whole: int
) -> tuple[int, int]:
    """Return side and halo of a tile in plane pixels, multiples of the unit."""
    side = SLACK * input_size / zoom if tile is None else tile
    if side < 1 or (halo is not None and halo < 0):
        raise ParameterError(
            f"a tile of {tile} with a halo of {halo} pixels: tiles have 1 pixel or more, "
            "halos 0 or more"
        )
    rim = min(HALO / zoom, side / 4) if halo is None else halo
    if halo is not None and side < whole and 2 * halo >= side:
        raise ParameterError(
            f"a halo of {halo} pixels on both sides leaves nothing of a tile of {side:.0f} pixels; "
            f"choose a halo below {side / 2:.0f} or larger tiles"
        )
    unit = _unit(zoom)
    side = max(unit * int(side // unit), unit) if side < whole else side
    rim = unit * int(np.ceil(rim / unit))
    return int(side), rim


def _unit(zoom: float) -> int:
    return max(UNIT, round(2 / zoom)) if zoom < 1 else UNIT


def _spans(length: int, side: int, rim: int, unit: int) -> list[tuple[int, int]]:
    """Return the inner parts of the tiles along one axis, all about as long."""
    if length <= side:
        return [(0, length)]
    inner = max(side - 2 * rim, unit)
    count = max(2, int(np.ceil((length - 2 * rim) / inner)))
    cuts = rim + np.arange(1, count) * (length - 2 * rim) / count
    aligned = np.unique(unit * np.rint(cuts / unit).astype(int)).tolist()
    return list(pairwise([0, *aligned, length]))


def _frame(inner: IntBoxYX, rim: int, shape: Shape2D, zoom: float) -> Frame:
    y0, x0 = max(inner[0] - rim, 0), max(inner[1] - rim, 0)
    y1, x1 = min(inner[2] + rim, shape[0]), min(inner[3] + rim, shape[1])
    size = (shown(y1 - y0, zoom), shown(x1 - x0, zoom))
    return Frame((y0, x0, y1, x1), size)


def shown(length: int, zoom: float) -> int:
    """Return how many pixels a model sees of so many pixels of a plane."""
    return max(1, int(np.ceil(length * zoom - 1e-9)))


def _distance(box: IntBoxYX, visible: IntBoxYX) -> tuple[bool, float]:
    """Return the order of a tile: those in view first, the nearest to the middle of it first."""
    gaps = [(box[axis] + box[axis + 2] - visible[axis] - visible[axis + 2]) / 2 for axis in (0, 1)]
    return intersection(box, visible) is None, math.hypot(*gaps)
