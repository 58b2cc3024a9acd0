"""Objects that are known on some planes only, on the planes between them: by signed distances.

Raya and Udupa, "Shape-based interpolation of multidimensional objects" (1990): the signed distances
to two outlines are mixed in proportion to how near their planes are. The shapes are first put over
one another, so that an object that has moved by more than its width does not vanish half-way.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_segmate.core.errors import LabelsError
from napari_segmate.core.types import BoolArray, LabelArray

__all__ = ["fill_between", "mix_masks", "signed_distance"]

Distances = npt.NDArray[np.float64]
Region = tuple[slice, slice]


def signed_distance(mask: BoolArray) -> Distances:
    """Return how far each pixel lies from the outline of a mask, above 0 inside.

    Examples
    --------
    >>> signed_distance(np.array([[False, True, True, False, False]])).tolist()
    [[-0.5, 0.5, 0.5, -0.5, -1.5]]
    """
    inside = np.asarray(mask, dtype=bool)
    if inside.all():
        return np.full(inside.shape, float(max(inside.shape)))
    if not inside.any():
        return np.full(inside.shape, -float(max(inside.shape)))
    within = ndimage.distance_transform_edt(inside)
    beyond = ndimage.distance_transform_edt(~inside)
    return np.asarray(np.where(inside, within - 0.5, 0.5 - beyond), dtype=np.float64)


def mix_masks(before: BoolArray, after: BoolArray, share: float) -> BoolArray:
    """Return the mask that lies between two masks of one object.

    Parameters
    ----------
    before, after : (H, W) bool
        The object on two planes.
    share : float
        Where the plane lies: 0 is the plane of `before`, 1 that of `after`.

    Examples
    --------
    >>> small, large = np.zeros((1, 9), bool), np.zeros((1, 9), bool)
    >>> small[0, 4], large[0, 1:8] = True, True
    >>> mix_masks(small, large, 0.5).astype(int).tolist()
    [[0, 0, 1, 1, 1, 1, 1, 0, 0]]
    """
    if not before.any() or not after.any():
        nearer = before if share < 0.5 else after
        return nearer.copy()
    return np.asarray(mix_distances(before, after, share) >= 0, dtype=bool)


def mix_distances(before: BoolArray, after: BoolArray, share: float) -> Distances:
    """Return the signed distances between those of two masks that hold a pixel each."""
    first, last = _centre(before), _centre(after)
    way = last - first
    return (1 - share) * _moved(signed_distance(before), share * way) + share * _moved(
        signed_distance(after), (share - 1) * way
    )


def _centre(mask: BoolArray) -> Distances:
    return np.asarray(ndimage.center_of_mass(mask), dtype=np.float64)


def _moved(distances: Distances, way: Distances) -> Distances:
    if np.abs(way).max() < 0.5:
        return distances
    moved = ndimage.shift(distances, way, order=1, mode="nearest")
    return np.asarray(moved, dtype=np.float64)


def fill_between(
    labels: LabelArray, axis: int = 0, *, most_gap: int | None = None
) -> npt.NDArray[np.integer]:
    """Return labels in which objects that are missing from planes between two others are drawn.

    What is there stays as it is; where drawn objects overlap, a pixel is of the one that it lies
    deepest in.

    Parameters
    ----------
    labels : (...) array of integers
        Two or three axes: planes of lines, or of planes.
    axis : int
        The axis along which planes follow each other.
    most_gap : int, optional
        Planes that may lie between two given ones; any number by default.

    Raises
    ------
    LabelsError
        Not three axes, no such axis, or not integers.

    Examples
    --------
    >>> labels = np.zeros((3, 1, 7), int)
    >>> labels[0, 0, 1:4], labels[2, 0, 3:6] = 7, 7
    >>> fill_between(labels)[1, 0].tolist()
    [0, 0, 7, 7, 7, 0, 0]
    """
    volume = _checked(labels, axis)
    filled = volume.copy()
    deepest = np.zeros(volume.shape, np.float32)
    for value, box in enumerate(ndimage.find_objects(volume), start=1):
        if box is not None:
            _fill_object(volume, filled, deepest, value, box, most_gap)
    return np.moveaxis(filled, 0, axis)


def _checked(labels: LabelArray, axis: int) -> npt.NDArray[np.integer]:
    array = np.asarray(labels)
    if array.ndim != 3 or array.dtype.kind not in "iu":
        raise LabelsError(
            f"planes to fill between are integers with three axes, not {array.dtype} of shape "
            f"{array.shape}; choose one time point or channel"
        )
    if not -3 <= axis < 3:
        raise LabelsError(f"no axis {axis}; choose one of 0, 1, 2")
    return np.moveaxis(array, axis, 0)


def _fill_object(
    volume: LabelArray,
    filled: LabelArray,
    deepest: npt.NDArray[np.float32],
    value: int,
    box: tuple[slice, ...],
    most_gap: int | None,
) -> None:
    part = (slice(None), *_roomy(box, volume.shape))
    inside = volume[part] == value
    for plane, distances in _between(inside, most_gap):
        at = (plane, *part[1:])
        drawn = (distances >= 0) & (volume[at] == 0) & (distances + 1 > deepest[at])
        filled[at][drawn] = value
        deepest[at][drawn] = (distances + 1)[drawn]


def _roomy(box: tuple[slice, ...], shape: tuple[int, ...]) -> Region:
    """Return rows and columns of a box, with one to spare."""
    rows, columns = (
        slice(max(side.start - 1, 0), min(side.stop + 1, length))
        for side, length in zip(box[1:], shape[1:], strict=True)
    )
    return rows, columns


def _between(inside: BoolArray, most_gap: int | None) -> Iterator[tuple[int, Distances]]:
    """Yield planes without the object that lie between two with it, and its distances there."""
    given = np.flatnonzero(inside.any(axis=(1, 2))).tolist()
    for first, last in pairwise(given):
        missing = last - first - 1
        if missing and (most_gap is None or missing <= most_gap):
            for plane in range(first + 1, last):
                share = (plane - first) / (last - first)
                yield plane, mix_distances(inside[first], inside[last], share)
