"""Where a grid of points looks for everything in an image, and which masks it keeps."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, fields
from itertools import product
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.errors import ParameterError
from napari_segmate.core.types import IntBoxYX, Shape2D

__all__ = ["Crop", "GridParams", "PointGrid", "crop_layers", "point_grid"]

MOST_LAYERS = 5
"""Layers of crops: the fifth has 1024 of them."""
PointGrid = tuple[tuple[float, float], ...]
"""Points as (x, y), each a share of the width or height, 0 to 1."""


def _help(text: str, *, prepare: bool = False) -> Mapping[str, Any]:
    return {"help": text, "prepare": prepare}


@dataclass(frozen=True)
class GridParams:
    """How a grid of points finds everything, under the names that Segment Anything gave.

    The metadata of each field has a ``"help"`` text, and ``"prepare"`` says whether a change
    needs the points to be decoded again.

    Parameters
    ----------
    points_per_side : int, optional
        Points along each side of the image; None when `point_grids` says where they are.
    points_per_batch : int
        Points decoded between two looks at progress and cancellation.
    pred_iou_thresh : float
        A mask stays when the model expects a higher IoU than this, 0 to 1.
    stability_score_thresh : float
        A mask stays when it is at least this stable, 0 to 1.
    stability_score_offset : float
        How far the threshold is moved to see how stable a mask is.
    box_nms_thresh : float
        Largest IoU of the boxes of two masks that stay.
    crop_n_layers : int
        The image is looked at again in ``4 ** n`` crops, for n from 1 to this.
    crop_nms_thresh : float
        Largest IoU of the boxes of two masks of different crops.
    crop_overlap_ratio : float
        Overlap of the crops of the first layer, as a share of the shorter side of the image.
    crop_n_points_downscale_factor : int
        Points along each side are divided by this to the power of the layer.
    point_grids : sequence of (n, 2) array_like, optional
        Own points for each layer, as (x, y), each a share of the width or height.
    min_mask_region_area : int
        Holes and pieces of fewer pixels are removed; 0 leaves masks as they are.
    exact : bool
        Judge every mask at full size and keep all candidates until the thresholds are known, as
        Segment Anything does. Otherwise large masks are judged at the model's own resolution
        first, and candidates in the same box as a better one are dropped at once.

    Raises
    ------
    ParameterError
        A value out of its range, or both or neither of `points_per_side` and `point_grids`.
    """

    points_per_side: int | None = field(
        default=32, metadata=_help("Points along each side of the image.", prepare=True)
    )
    points_per_batch: int = field(
        default=64, metadata=_help("Points decoded between two looks at progress.")
    )
    pred_iou_thresh: float = field(
        default=0.88, metadata=_help("Least IoU that the model expects of a mask, 0 to 1.")
    )
    stability_score_thresh: float = field(
        default=0.95, metadata=_help("Least stability of a mask, 0 to 1.")
    )
    stability_score_offset: float = field(
        default=1.0,
        metadata=_help("How far the threshold moves to see how stable a mask is.", prepare=True),
    )
    box_nms_thresh: float = field(
        default=0.7, metadata=_help("Largest overlap of the boxes of two masks, 0 to 1.")
    )
    crop_n_layers: int = field(
        default=0,
        metadata=_help("Look again at 4, 16 … crops: this many times.", prepare=True),
    )
    crop_nms_thresh: float = field(
        default=0.7, metadata=_help("Largest overlap of boxes from different crops, 0 to 1.")
    )
    crop_overlap_ratio: float = field(
        default=512 / 1500,
        metadata=_help("Overlap of crops, as a share of the shorter side.", prepare=True),
    )
    crop_n_points_downscale_factor: int = field(
        default=1,
        metadata=_help("Fewer points in deeper crops: divided by this each time.", prepare=True),
    )
    point_grids: tuple[PointGrid, ...] | None = field(
        default=None, metadata=_help("Own points for each layer of crops.", prepare=True)
    )
    min_mask_region_area: int = field(
        default=0, metadata=_help("Remove holes and pieces of fewer pixels.")
    )
    exact: bool = field(
        default=False, metadata=_help("Exactly as Segment Anything does; slower.", prepare=True)
    )

    def __post_init__(self) -> None:
        if (self.points_per_side is None) == (self.point_grids is None):
            raise ParameterError(
                "give either points_per_side or point_grids, and None for the other, not "
                f"{'neither' if self.point_grids is None else 'both'}"
            )
        for name in _SHARES:
            _check(name, getattr(self, name), 0, 1)
        for name in _COUNTS:
            _check(name, getattr(self, name), 1)
        _check("crop_n_layers", self.crop_n_layers, 0, MOST_LAYERS)
        for name in ("min_mask_region_area", "stability_score_offset"):
            _check(name, getattr(self, name), 0)
        if self.point_grids is not None:
            grids = tuple(map(_as_grid, self.point_grids))
            object.__setattr__(self, "point_grids", grids)
            if len(grids) <= self.crop_n_layers:
                raise ParameterError(
                    f"{len(grids)} point_grids for {self.crop_n_layers + 1} layers of crops; give "
                    "one for each"
                )

    def prepare_key(self) -> Hashable:
        """Return what the slow step depends on: equal keys can share what was prepared."""
        return tuple(getattr(self, one.name) for one in fields(self) if one.metadata.get("prepare"))

    def points_of(self, layer: int) -> npt.NDArray[np.float64]:
        """Return the points of a layer of crops, (n, 2) as (x, y), shares of width and height."""
        if self.point_grids is not None:
            return np.array(self.point_grids[layer], dtype=np.float64).reshape(-1, 2)
        assert self.points_per_side is not None
        return point_grid(int(self.points_per_side / self.crop_n_points_downscale_factor**layer))


_SHARES = (
    "pred_iou_thresh",
    "stability_score_thresh",
    "box_nms_thresh",
    "crop_nms_thresh",
    "crop_overlap_ratio",
)
_COUNTS = ("points_per_side", "points_per_batch", "crop_n_points_downscale_factor")


def point_grid(per_side: int) -> npt.NDArray[np.float64]:
    """Return points spread evenly over a unit square, (n, 2) as (x, y), row by row.

    Examples
    --------
    >>> point_grid(2).tolist()
    [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]
    """
    if per_side < 1:
        return np.empty((0, 2))
    at = np.linspace(1 / (2 * per_side), 1 - 1 / (2 * per_side), per_side)
    return np.stack(np.meshgrid(at, at), axis=-1).reshape(-1, 2)


def _as_grid(points: npt.ArrayLike) -> PointGrid:
    array = np.asarray(points, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != 2 or not ((array >= 0) & (array <= 1)).all():
        raise ParameterError(
            "each of point_grids has shape (n, 2) and holds x and y as shares of 0 to 1, got "
            f"{array.shape}"
        )
    return tuple((float(x), float(y)) for x, y in array)


def _check(name: str, value: float | None, low: float, high: float = float("inf")) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        raise ParameterError(f"{name} must be a number, got {str(value)[:80]!r}")
    if not low <= value <= high:
        allowed = f"{low} to {high}" if high < float("inf") else f"{low} or more"
        raise ParameterError(f"{name} must be {allowed}, got {value}")


@dataclass(frozen=True)
class Crop:
    """A part of a plane that the model looks at on its own.

    Parameters
    ----------
    box_yx : (y0, x0, y1, x1)
        Where it lies, half-open.
    layer : int
        0 is the whole image; layer n has ``4 ** n`` crops.
    """

    box_yx: IntBoxYX
    layer: int = 0

    @property
    def size(self) -> Shape2D:
        """Height and width."""
        y0, x0, y1, x1 = self.box_yx
        return y1 - y0, x1 - x0


def crop_layers(shape: Shape2D, layers: int, overlap_ratio: float) -> tuple[Crop, ...]:
    """Return the whole image and its crops, as ``segment_anything`` lays them.

    Parameters
    ----------
    shape : (height, width)
        Size of the image.
    layers : int
        How many layers of crops follow the whole image.
    overlap_ratio : float
        Overlap in the first layer, as a share of the shorter side.

    Examples
    --------
    >>> [crop.box_yx for crop in crop_layers((100, 60), 1, 0.5)]
    [(0, 0, 100, 60), (0, 0, 65, 45), (35, 0, 100, 45), (0, 15, 65, 60), (35, 15, 100, 60)]
    """
    crops = [Crop((0, 0, *shape))]
    for layer in range(1, layers + 1):
        per_side = 2**layer
        overlap = int(overlap_ratio * min(shape) * (2 / per_side))
        height, width = (ceil((overlap * (per_side - 1) + side) / per_side) for side in shape)
        for column, row in product(range(per_side), repeat=2):
            y, x = row * (height - overlap), column * (width - overlap)
            box = y, x, min(y + height, shape[0]), min(x + width, shape[1])
            if box[0] < box[2] and box[1] < box[3]:
                crops.append(Crop(box, layer))
    return tuple(crops)
