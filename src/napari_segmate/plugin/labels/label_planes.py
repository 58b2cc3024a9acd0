"""One plane of a label array: read piece by piece, and the object under a pixel of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.errors import LabelsError
from napari_segmate.core.prompts import MaskPrompt
from napari_segmate.core.types import IntBoxYX, LabelArray
from napari_segmate.plugin.planes.displayed_plane import DisplayedPlane

__all__ = ["PlaneView", "object_mask"]

SMALL_PLANE_PIXELS = 1 << 22
"""Up to here a whole plane is compared at once (a few milliseconds)."""


class PlaneView:
    """One plane of a label array that is read piece by piece."""

    def __init__(self, data: Any, plane: DisplayedPlane) -> None:
        self._data = data
        self._plane = plane
        self.shape = plane.shape
        self.dtype = np.dtype(data.dtype)
        self.ndim = 2

    def __getitem__(self, index: tuple[slice, slice]) -> LabelArray:
        (y0, y1, _), (x0, x1, _) = (
            part.indices(size) for part, size in zip(index, self.shape, strict=True)
        )
        return np.asarray(self._data[self._plane.slices((y0, x0, y1, x1))])


def object_mask(data: Any, plane: DisplayedPlane, at_yx: tuple[int, int]) -> tuple[int, MaskPrompt]:
    """Return the label under a pixel and its mask.

    In a large plane only the part that is connected to the pixel, window by window, is looked for.

    Raises
    ------
    LabelsError
        There is no object under the pixel.
    """
    view = PlaneView(data, plane)
    y, x = at_yx
    inside = 0 <= y < plane.shape[0] and 0 <= x < plane.shape[1]
    label = int(view[y : y + 1, x : x + 1][0, 0]) if inside else 0
    if label == 0:
        raise LabelsError("There is no labelled object under the cursor; point at one")
    box = _window(plane, at_yx, 1 << 30 if _is_small(plane) else 256)
    while True:
        found = view[box[0] : box[2], box[1] : box[3]] == label
        larger = _window(plane, at_yx, 2 * max(box[2] - box[0], box[3] - box[1]))
        if larger == box or not _touches(found, box, plane):
            break
        box = larger
    rows, columns = np.flatnonzero(found.any(axis=1)), np.flatnonzero(found.any(axis=0))
    top, left, bottom, right = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
    place = (box[0] + top, box[1] + left, box[0] + bottom, box[1] + right)
    return label, MaskPrompt(
        (int(place[0]), int(place[1]), int(place[2]), int(place[3])),
        np.ascontiguousarray(found[top:bottom, left:right]),
    )


def _is_small(plane: DisplayedPlane) -> bool:
    return plane.shape[0] * plane.shape[1] <= SMALL_PLANE_PIXELS


def _window(plane: DisplayedPlane, at_yx: tuple[int, int], side: int) -> IntBoxYX:
    low = [max(0, at - side // 2) for at in at_yx]
    high = [min(size, at + side // 2) for at, size in zip(at_yx, plane.shape, strict=True)]
    return low[0], low[1], high[0], high[1]


def _touches(found: npt.NDArray[np.bool_], box: IntBoxYX, plane: DisplayedPlane) -> bool:
    """Tell whether the object goes on beyond the window."""
    return bool(
        (box[0] > 0 and found[0].any())
        or (box[1] > 0 and found[:, 0].any())
        or (box[2] < plane.shape[0] and found[-1].any())
        or (box[3] < plane.shape[1] and found[:, -1].any())
    )
