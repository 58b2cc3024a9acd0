"""Pixels of a labels layer: one plane read piece by piece, written as undo steps, drawn alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from weakref import ref

import numpy as np
import numpy.typing as npt
from napari.components import ViewerModel
from napari.layers import Labels

from napari_segmate.core.errors import LabelsError
from napari_segmate.core.prompts import MaskPrompt
from napari_segmate.core.types import IntBoxYX, LabelArray
from napari_segmate.plugin.planes.geometry import DisplayedPlane

__all__ = [
    "PlaneView",
    "UndoStep",
    "draw_changes_alone",
    "holds_steps",
    "object_mask",
    "restore_pixels",
    "thinned",
    "write_pixels",
]

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


Indices = tuple[npt.NDArray[Any], ...]


@dataclass(frozen=True, eq=False)
class UndoStep:
    """What was written, and what was there before.

    Parameters
    ----------
    indices : tuple of (N,) int
        The pixels, one array per axis of the layer.
    before, after : (N,) int
        Their values.
    """

    indices: Indices
    before: npt.NDArray[Any]
    after: npt.NDArray[Any]


def write_pixels(
    layer: Labels, indices: Indices, before: npt.NDArray[Any], values: Any
) -> UndoStep:
    """Write values, one or one per pixel, and return what was done."""
    after = np.broadcast_to(np.asarray(values).astype(layer.data.dtype), before.shape)
    layer.data_setitem(indices, after.copy())
    return UndoStep(indices, before, after)


def restore_pixels(layer: Labels, step: UndoStep) -> None:
    """Give the pixels back what they had before, unless somebody has painted there since."""
    ours = np.asarray(layer.data[step.indices]) == step.after
    if ours.any():
        layer.data_setitem(tuple(axis[ours] for axis in step.indices), step.before[ours])


def holds_steps(layer: Labels, steps: Iterable[UndoStep]) -> bool:
    """Tell whether steps have not been undone already, with Ctrl+Z for instance.

    Objects count; where none got pixels, the pixels that were emptied.
    """
    done = tuple(steps)
    filled = tuple(step for step in done if step.after.any())
    return any(_holds_step(layer, step, emptied=not filled) for step in filled or done)


def _holds_step(layer: Labels, step: UndoStep, *, emptied: bool) -> bool:
    ours = np.asarray(layer.data[step.indices]) == step.after
    return bool(ours.any() if emptied else ours[step.after != 0].any())


def thinned(
    data: npt.NDArray[Any], offset: tuple[int, int], step: tuple[int, int]
) -> tuple[npt.NDArray[Any], tuple[int, int]]:
    """Return the part of a region that a thinned-out plane shows, and where it lies there.

    Parameters
    ----------
    data : (H, W) array
        A region of the plane.
    offset : (y, x)
        Its first pixel.
    step : (y, x)
        The plane shows each pixel whose coordinates are multiples of these.

    Examples
    --------
    >>> thinned(np.arange(12).reshape(3, 4), (3, 4), (2, 3))
    (array([[6]]), (2, 2))
    """
    first = tuple(-(-at // by) for at, by in zip(offset, step, strict=True))
    skipped = [number * by - at for number, by, at in zip(first, step, offset, strict=True)]
    shown = data[skipped[0] :: step[0], skipped[1] :: step[1]]
    return np.ascontiguousarray(shown), (first[0], first[1])


def draw_changes_alone(layer: Labels, viewer: ViewerModel) -> None:
    """Draw changes to a layer of a viewer alone from now on; saying it twice changes nothing.

    The texture is not part of napari's public interface: where it is not found as expected, napari
    draws the whole plane, as it does otherwise.
    """
    update = layer.events.labels_update
    napari_draws = _napari_draws(layer)
    if napari_draws is None or update.blocked(napari_draws):
        return
    visual, name = ref(napari_draws.__self__), napari_draws.__name__

    def draw(event: Any) -> None:
        owner: Any = visual()
        if owner is not None and not _draw_thinned(
            owner.node, event, _plane_on_screen(layer, viewer)
        ):
            getattr(owner, name)(event)

    update.block(napari_draws)
    update.connect(draw)


def _napari_draws(layer: Labels) -> Any:
    """Return what napari calls for a change; None while no window shows the layer."""
    for callback in layer.events.labels_update.callbacks:
        owner = callback[0]() if isinstance(callback, tuple) else None
        if hasattr(owner, "node"):
            return getattr(owner, callback[1])
    return None


def _plane_on_screen(layer: Labels, viewer: ViewerModel) -> tuple[int, ...]:
    """Return the shape of the plane on the screen."""
    lacking = viewer.dims.ndim - layer.ndim
    axes = [axis - lacking for axis in viewer.dims.displayed]
    return tuple(int(layer.data.shape[axis]) for axis in axes if axis >= 0)


def _draw_thinned(node: Any, event: Any, plane: tuple[int, ...]) -> bool:
    """Replace a part of a texture that is smaller than its plane; False when it is not."""
    texture = getattr(node, "_texture", None)
    shown = tuple(getattr(texture, "shape", ()))[:2]
    if len(plane) != 2 or len(shown) != 2 or shown == plane or texture is None:
        return False
    step = tuple(-(-size // part) for size, part in zip(plane, shown, strict=True))
    if tuple(-(-size // by) for size, by in zip(plane, step, strict=True)) != shown:
        return False
    data, offset = thinned(event.data, (event.offset[0], event.offset[1]), (step[0], step[1]))
    if data.size:
        texture.scale_and_set_data(data, copy=False, offset=offset)
        node.update()
    return True
