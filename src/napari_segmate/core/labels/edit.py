"""Objects of a label image as things to edit, in two or three dimensions.

Nothing is written here: each function says which pixels get which value, so that the caller can do
it in one step of undo.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_segmate.core.errors import LabelsError
from napari_segmate.core.labels.commit import dtype_for, next_id
from napari_segmate.core.labels.interpolate import signed_distance
from napari_segmate.core.types import BoolArray, LabelArray

__all__ = [
    "VolumeChange",
    "apply_changes",
    "cut_off_planes",
    "delete_objects",
    "fill_object_holes",
    "keep_largest_piece",
    "merge_objects",
    "smooth_along",
    "split_object",
]

Box = tuple[slice, ...]
Distances = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class VolumeChange:
    """Pixels that get one value; every one of them had another value before.

    Parameters
    ----------
    index : tuple of arrays
        One (N,) array of positions per axis, N of 1 or more: takes part in ``labels[index]`` and in
        ``Labels.data_setitem``.
    value : int
        What to write; 0 where an object gave pixels up.
    """

    index: tuple[npt.NDArray[np.intp], ...]
    value: int

    @property
    def count(self) -> int:
        """Number of pixels."""
        return len(self.index[0])


Changes = tuple[VolumeChange, ...]


def apply_changes(labels: Any, changes: Sequence[VolumeChange]) -> Any:
    """Write changes into a label image, and return it."""
    for change in changes:
        labels[change.index] = change.value
    return labels


def merge_objects(labels: LabelArray, numbers: Sequence[int]) -> Changes:
    """Return what makes several objects one: all get the first id.

    Raises
    ------
    LabelsError
        Fewer than two objects, or one that is not there.

    Examples
    --------
    >>> labels = np.array([[1, 2, 0, 3]])
    >>> apply_changes(labels, merge_objects(labels, [3, 1])).tolist()
    [[3, 2, 0, 3]]
    """
    wanted = list(dict.fromkeys(numbers))
    if len(wanted) < 2:
        raise LabelsError(f"merging needs two objects or more, got {wanted}; choose another one")
    first, *others = wanted
    _box_of(labels, first)
    changes = []
    for number in others:
        box = _box_of(labels, number)
        changes.append(_change(box, np.asarray(labels[box]) == number, first))
    return _real(changes)


def split_object(
    labels: LabelArray,
    number: int,
    points: npt.ArrayLike,
    *,
    new_ids: Sequence[int] | None = None,
    spacing: Sequence[float] | None = None,
) -> Changes:
    """Return what parts an object between clicks: each click gets the part round it.

    The part is cut where it is narrowest: a watershed of the distance to the border, from the
    clicks. The first click keeps the id.

    Parameters
    ----------
    labels : (...) array of integers
        Two or three axes.
    number : int
        The object.
    points : (P, ndim) array_like
        Pixels of the object, one for each part.
    new_ids : sequence of int, optional
        Ids of the other parts; the next free ones by default.
    spacing : sequence of float, optional
        Distance of pixels along each axis, as in ``(2, 1, 1)``.

    Raises
    ------
    LabelsError
        Fewer than two clicks, one that is not on the object, two on one pixel, or too few ids.

    Examples
    --------
    >>> labels = np.ones((1, 6), int)
    >>> apply_changes(labels, split_object(labels, 1, [[0, 0], [0, 5]])).tolist()
    [[1, 1, 1, 2, 2, 2]]
    """
    at = np.rint(np.atleast_2d(np.asarray(points, dtype=np.float64))).astype(np.intp)
    if at.shape[0] < 2 or at.shape[1] != labels.ndim:
        raise LabelsError(
            f"splitting needs two clicks or more with {labels.ndim} coordinates each, got an array "
            f"of shape {at.shape}"
        )
    box = _box_of(labels, number)
    mask = np.asarray(labels[box]) == number
    local = at - [side.start for side in box]
    for click, inner in zip(at.tolist(), local, strict=True):
        if (inner < 0).any() or (inner >= mask.shape).any() or not mask[tuple(inner)]:
            raise LabelsError(f"the click {click} is not on object {number}; click into it")
    if len({tuple(click) for click in local.tolist()}) < len(local):
        raise LabelsError("two clicks lie on one pixel; click on two parts of the object")
    ids = _ids_for(labels, len(local) - 1, new_ids)
    parts = _parted(mask, local, spacing)
    return _real([_change(box, parts == part, value) for part, value in enumerate(ids, start=2)])


def _ids_for(labels: LabelArray, count: int, given: Sequence[int] | None) -> list[int]:
    first = next_id(labels) if given is None else 0
    ids = list(range(first, first + count)) if given is None else list(given)
    if len(ids) != count or min(ids) < 1:
        raise LabelsError(f"{count} new ids of 1 or more are needed, got {ids}")
    dtype = np.dtype(labels.dtype)
    if dtype_for(max(ids), dtype) != dtype:
        raise LabelsError(
            f"{dtype} labels cannot hold the id {max(ids)}; convert them to "
            f"{dtype_for(max(ids), dtype)} first"
        )
    return ids


def _parted(
    mask: BoolArray, clicks: npt.NDArray[np.intp], spacing: Sequence[float] | None
) -> npt.NDArray[np.int32]:
    """Return the part of each pixel, from 1."""
    from skimage.segmentation import watershed

    markers = np.zeros(mask.shape, np.int32)
    markers[tuple(clicks.T)] = np.arange(1, len(clicks) + 1)
    sides = np.ones(mask.ndim) if spacing is None else np.asarray(spacing, float)
    padded = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=sides)
    depth = padded[(slice(1, -1),) * mask.ndim]
    if depth.max() <= sides.min():
        # A thin line has no neck: the nearest click decides.
        return _nearest(mask, clicks, sides)
    full = np.ones((3,) * mask.ndim, bool)
    found = watershed(-depth, markers, mask=mask, connectivity=full)  # type: ignore[no-untyped-call]
    # Pieces that hang together with no click go to the nearest one.
    return np.where(mask & (found == 0), _nearest(mask, clicks, sides), found).astype(np.int32)


def _nearest(
    mask: BoolArray, clicks: npt.NDArray[np.intp], sides: Distances
) -> npt.NDArray[np.int32]:
    at = np.argwhere(mask)
    squares = [(((at - click) * sides) ** 2).sum(axis=1) for click in clicks]
    found = np.zeros(mask.shape, np.int32)
    found[tuple(at.T)] = np.argmin(squares, axis=0) + 1
    return found


def delete_objects(labels: LabelArray, numbers: Sequence[int]) -> Changes:
    """Return what removes objects.

    Raises
    ------
    LabelsError
        An object that is not there.
    """
    changes = []
    for number in dict.fromkeys(numbers):
        box = _box_of(labels, number)
        changes.append(_change(box, np.asarray(labels[box]) == number, 0))
    return _real(changes)


def cut_off_planes(
    labels: LabelArray, number: int, plane: int, side: str, axis: int = 0
) -> Changes:
    """Return what ends an object at a plane.

    Parameters
    ----------
    labels : (...) array of integers
        Two or three axes.
    number : int
        The object.
    plane : int
        The last plane that it keeps.
    side : {"above", "below"}
        What goes: planes with higher or with lower numbers.
    axis : int
        The axis that planes follow each other along.

    Raises
    ------
    LabelsError
        No such object, axis or side.

    Examples
    --------
    >>> labels = np.array([[1], [1], [1]])
    >>> apply_changes(labels, cut_off_planes(labels, 1, 1, "above")).tolist()
    [[1], [1], [0]]
    """
    if side not in ("above", "below"):
        raise LabelsError(f"no side {side!r}; choose one of ['above', 'below']")
    axis = _checked_axis(labels, axis)
    box = _box_of(labels, number)
    mask = np.asarray(labels[box]) == number
    places = np.arange(box[axis].start, box[axis].stop)
    gone = places > plane if side == "above" else places < plane
    shape = [1] * labels.ndim
    shape[axis] = len(places)
    return _real([_change(box, mask & gone.reshape(shape), 0)])


def fill_object_holes(labels: LabelArray, number: int, *, by_plane: bool = False) -> Changes:
    """Return what fills the background that an object encloses.

    Parameters
    ----------
    labels : (...) array of integers
        Two or three axes; pixels of other objects are left alone.
    number : int
        The object.
    by_plane : bool
        Fill what is enclosed in a plane of the first axis, also where it is open across planes.

    Raises
    ------
    LabelsError
        No such object.
    """
    box = _box_of(labels, number)
    part = np.asarray(labels[box])
    mask = part == number
    if by_plane and labels.ndim == 3:
        filled = np.stack([ndimage.binary_fill_holes(plane) for plane in mask])
    else:
        filled = ndimage.binary_fill_holes(mask)
    return _real([_change(box, filled & (part == 0), number)])


def keep_largest_piece(labels: LabelArray, number: int) -> Changes:
    """Return what removes all pieces of an object but the largest.

    Raises
    ------
    LabelsError
        No such object.

    Examples
    --------
    >>> labels = np.array([[1, 0, 1, 1]])
    >>> apply_changes(labels, keep_largest_piece(labels, 1)).tolist()
    [[0, 0, 1, 1]]
    """
    box = _box_of(labels, number)
    mask = np.asarray(labels[box]) == number
    pieces, _ = ndimage.label(mask, np.ones((3,) * labels.ndim))
    largest = 1 + int(np.bincount(pieces[mask] - 1).argmax())
    return _real([_change(box, mask & (pieces != largest), 0)])


def smooth_along(labels: LabelArray, number: int, axis: int = 0, sigma: float = 1.0) -> Changes:
    """Return what makes the outline of an object even from plane to plane.

    The signed distances of its planes are blurred along the axis; planes that it did not have stay
    without it, and pixels of other objects are left alone.

    Parameters
    ----------
    labels : (...) array of integers
        Three axes, or two for lines.
    number : int
        The object.
    axis : int
        The axis to smooth along.
    sigma : float
        Of the blur, in planes; above 0.

    Raises
    ------
    LabelsError
        No such object or axis, or a blur that is not above 0.
    """
    if not 0 < sigma < float("inf"):
        raise LabelsError(f"the blur must be above 0 planes, got {sigma}")
    axis = _checked_axis(labels, axis)
    box = _grown(_box_of(labels, number), labels.shape, axis, 2)
    part = np.asarray(labels[box])
    inside = np.moveaxis(part == number, axis, 0)
    there = np.flatnonzero(inside.any(axis=tuple(range(1, inside.ndim))))
    smoothed = inside.copy()
    # Planes without the object part it: each run is smoothed on its own.
    for run in np.split(there, np.flatnonzero(np.diff(there) > 1) + 1):
        rows = slice(int(run[0]), int(run[-1]) + 1)
        distances = np.stack([signed_distance(plane) for plane in inside[rows]])
        blurred = ndimage.gaussian_filter1d(distances, sigma, axis=0, mode="nearest")
        smoothed[rows] = blurred >= 0
    wanted = np.moveaxis(smoothed, 0, axis)
    mask = part == number
    return _real([_change(box, wanted & (part == 0), number), _change(box, mask & ~wanted, 0)])


def _box_of(labels: LabelArray, number: int) -> Box:
    """Return the box round an object.

    Raises
    ------
    LabelsError
        There is no such object.
    """
    if number < 1:
        raise LabelsError(f"object ids start at 1, got {number}")
    mask = np.asarray(labels) == number
    box = []
    for axis in range(mask.ndim):
        other = tuple(one for one in range(mask.ndim) if one != axis)
        there = np.flatnonzero(mask.any(axis=other))
        if not len(there):
            raise LabelsError(f"there is no object {number} in the labels; choose another one")
        box.append(slice(int(there[0]), int(there[-1]) + 1))
    return tuple(box)


def _grown(box: Box, shape: tuple[int, ...], kept: int, room: int) -> Box:
    return tuple(
        side if axis == kept else slice(max(side.start - room, 0), min(side.stop + room, length))
        for axis, (side, length) in enumerate(zip(box, shape, strict=True))
    )


def _checked_axis(labels: LabelArray, axis: int) -> int:
    if not -labels.ndim <= axis < labels.ndim:
        raise LabelsError(f"no axis {axis}; the labels have {labels.ndim}, counted from 0")
    return axis % labels.ndim


def _change(box: Box, mask: BoolArray, value: int) -> VolumeChange | None:
    found = np.nonzero(mask)
    if not len(found[0]):
        return None
    index = tuple(at + side.start for at, side in zip(found, box, strict=True))
    return VolumeChange(index, value)


def _real(changes: Sequence[VolumeChange | None]) -> Changes:
    return tuple(change for change in changes if change is not None)
