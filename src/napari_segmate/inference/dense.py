"""The maps of an instance head for a plane of any size, put together from tiles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from napari_segmate.core.context import Context
from napari_segmate.core.enlarge import as_unit
from napari_segmate.core.flow import as_signed
from napari_segmate.core.types import DenseMaps, FloatArray, Frame, Shape2D
from napari_segmate.inference.embeddings import EmbeddingStore
from napari_segmate.inference.request import PlaneLike
from napari_segmate.inference.tiles import Tile, shown
from napari_segmate.models.base import Segmenter

__all__ = ["KEPT_TILES", "STRIDE", "dense_maps", "maps_of_frame"]

STRIDE = 2
"""Pixels, as the model sees them, along the side of a cell of the maps."""

KEPT_TILES = 16
"""Of planes with more tiles the embeddings are not kept: they would push out all others."""

NAMES = ("foreground", "depth", "centre")

Region = tuple[slice, slice]


def dense_maps(
    plane: PlaneLike,
    tiles: Sequence[Tile],
    zoom: float,
    model: Segmenter,
    store: EmbeddingStore,
    context: Context | None = None,
    on_tile: Callable[[DenseMaps], None] | None = None,
) -> DenseMaps:
    """Return the maps of a plane.

    Where tiles overlap their maps fade into each other, so that no seam cuts an object. Memory
    grows with the plane by 5 bytes per cell, of 4 pixels at zoom 1, and 7 with a flow.

    Parameters
    ----------
    plane : Plane
        Where to read pixels; one tile is read at a time.
    tiles : sequence of Tile
        In the order in which to look at them; cells outside of all tiles are background.
    zoom : float
        Pixels that the model sees per pixel of the plane, as in the tiles.
    model : Segmenter
        Has an instance head.
    store : EmbeddingStore
        Keeps the embeddings of planes of few tiles.
    context : Context, optional
        Progress in tiles, and cancellation.
    on_tile : callable, optional
        Called after each tile with the maps as far as they are; they go on to change.

    Returns
    -------
    DenseMaps
        uint8, and int8 for the flow.
    """
    context = context or Context()
    canvas = _Canvas(plane.shape, zoom, whole=_is_one_look(plane.shape, tiles))
    for number, tile in enumerate(tiles):
        context.report(number, len(tiles), "looking")
        keep = len(tiles) <= KEPT_TILES
        canvas.add(tile, maps_of_frame(plane, tile.frame, model, store, context, keep=keep))
        if on_tile is not None:
            on_tile(canvas.maps)
    context.report(len(tiles), len(tiles), "looking")
    return canvas.maps


def maps_of_frame(
    plane: PlaneLike,
    frame: Frame,
    model: Segmenter,
    store: EmbeddingStore,
    context: Context,
    *,
    keep: bool = True,
) -> DenseMaps:
    """Return the maps of one frame; those of an even picture are empty.

    Parameters
    ----------
    keep : bool
        Take the embedding from the store, and leave it there.
    """
    if keep and store.holds(plane, frame, model):
        return model.instance_maps(store.of_plane(plane, frame, model, context))
    image = plane.read(frame.box_yx, frame.shape)
    if (image == image[0, 0]).all():
        empty = np.zeros(_cells(frame.shape), np.float32)
        return DenseMaps(empty, empty, empty, frame.shape)
    if keep:
        return model.instance_maps(store.of_plane(plane, frame, model, context))
    with store.exclusive(context):
        embedding = model.encode(image, context)
    return model.instance_maps(embedding)


def _cells(shape: Shape2D) -> Shape2D:
    return -(-shape[0] // STRIDE), -(-shape[1] // STRIDE)


def _is_one_look(shape: Shape2D, tiles: Sequence[Tile]) -> bool:
    return len(tiles) == 1 and tiles[0].frame.box_yx == (0, 0, *shape)


class _Canvas:
    """The maps of a plane while its tiles come in."""

    def __init__(self, shape: Shape2D, zoom: float, *, whole: bool) -> None:
        self._zoom = zoom
        size = shown(shape[0], zoom), shown(shape[1], zoom)
        cells = _cells(size)
        # One tile is shown a little larger than its zoom where a side comes out as a fraction.
        zooms = [size[axis] / shape[axis] if whole else zoom for axis in (0, 1)]
        arrays = [np.zeros(cells, np.uint8) for _ in NAMES]
        cell_yx = STRIDE / zooms[0], STRIDE / zooms[1]
        self.maps = DenseMaps(arrays[0], arrays[1], arrays[2], shape, None, cell_yx)
        self._weight = np.zeros(cells, np.float16)

    def add(self, tile: Tile, maps: DenseMaps) -> None:
        """Fade a tile into what is there."""
        place, size = self._place(tile.frame)
        faded = _fade(tile, size)
        before = self._weight[place].astype(np.float32)
        total = before + faded
        share = np.divide(faded, total, out=np.zeros_like(total), where=total > 0)
        for name in NAMES:
            kept: npt.NDArray[np.uint8] = getattr(self.maps, name)[place]
            new = 255 * _resized(as_unit(getattr(maps, name)), size)
            kept[...] = np.rint(kept + share * (new - kept)).astype(np.uint8)
        self._add_flow(maps, place, share)
        self._weight[place] = total

    def _add_flow(self, maps: DenseMaps, place: Region, share: FloatArray) -> None:
        if self.maps.flow_yx is None:
            if maps.flow_yx is None:
                return
            empty = np.zeros((2, *self.maps.shape), np.int8)
            self.maps = replace(self.maps, flow_yx=empty)
        assert self.maps.flow_yx is not None
        for axis in (0, 1):
            kept = self.maps.flow_yx[axis][place]
            # An even picture has no flow.
            new: FloatArray | int = 0
            if maps.flow_yx is not None:
                new = 127 * _resized(as_signed(maps.flow_yx[axis]), share.shape)
            kept[...] = np.rint(kept + share * (new - kept)).astype(np.int8)

    def _place(self, frame: Frame) -> tuple[Region, Shape2D]:
        """Return where the cells of a frame lie, and how many they are."""
        y, x = (round(start * self._zoom) // STRIDE for start in frame.box_yx[:2])
        height, width = _cells(frame.shape)
        return (slice(y, y + height), slice(x, x + width)), (height, width)


def _fade(tile: Tile, size: Shape2D) -> FloatArray:
    """Return the weight of each cell of a tile: 1 inside, falling to 0 in the middle of its halo.

    The outer half of the halo is what the border of the tile disturbs.
    """
    box, inner = tile.frame.box_yx, tile.inner_box_yx
    rows, columns = (
        _ramp(
            size[axis],
            (inner[axis] - box[axis]) / (box[axis + 2] - box[axis]),
            (box[axis + 2] - inner[axis + 2]) / (box[axis + 2] - box[axis]),
        )
        for axis in (0, 1)
    )
    return np.outer(rows, columns)


def _ramp(cells: int, before: float, after: float) -> FloatArray:
    """Return the weights along one axis; `before` and `after` are the shares of the halos."""
    at = (np.arange(cells) + 0.5) / cells
    weights = np.ones(cells)
    for share, from_border in ((before, at), (after, 1 - at)):
        if share > 0:
            weights = np.minimum(weights, np.clip(from_border / share - 0.5, 0, 1))
    return weights.astype(np.float32)


def _resized(values: FloatArray, size: tuple[int, ...]) -> FloatArray:
    """Return a map of a head of another stride with the cells of the canvas."""
    if values.shape == size:
        return values
    from skimage.transform import resize

    found = resize(values, size, order=1, anti_aliasing=True)  # type: ignore[no-untyped-call]
    return np.asarray(found, dtype=np.float32)
