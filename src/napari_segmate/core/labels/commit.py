"""Masks into a label image: which pixels change, what is there already, which ids are free."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from napari_segmate.core.errors import LabelsError
from napari_segmate.core.masks.object_masks import box_of, intersection
from napari_segmate.core.types import BoolArray, Instance, IntBoxYX, LabelArray

__all__ = [
    "MOST_COVERED",
    "MOST_OVERLAP",
    "SAME_IOU",
    "Change",
    "CommitPolicy",
    "LabelPlane",
    "apply",
    "commit",
    "dtype_for",
    "find_duplicate",
    "next_id",
]

MOST_OVERLAP = 0.25
"""Part of an object that may lie on others before `CommitPolicy.ONLY_BACKGROUND` leaves it out."""
WHOLE_PLANE_PX = 1 << 22
"""Planes up to this size are searched whole for the pixels of an edited object."""
BLOCK_BYTES = 1 << 26
"""Memory for reading a label array piece by piece."""


class CommitPolicy(StrEnum):
    """What happens where a new object lies on others."""

    KEEP_OBJECTS = "keep"
    """Others keep their pixels; the new object gets the rest of its mask."""
    OVERWRITE = "overwrite"
    """The new object gets its whole mask."""
    ONLY_BACKGROUND = "background"
    """An object of which more than a quarter lies on others is left out; else as KEEP_OBJECTS."""


class LabelPlane(Protocol):
    """A (H, W) label image that is read piece by piece: numpy, zarr, dask, or a view of them."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Height and width."""
        ...

    def __getitem__(self, index: Any, /) -> Any:
        """Return the part inside two slices."""
        ...


@dataclass(frozen=True, eq=False)
class Change:
    """Pixels of one plane that get one value; every one of them had another value before.

    Parameters
    ----------
    box_yx : (y0, x0, y1, x1)
        Box round the pixels, half-open.
    index : (rows, columns)
        Two (N,) arrays of plane pixels, N ≥ 1.
    value : int
        What to write; 0 where an edited object gave pixels up.
    """

    box_yx: IntBoxYX
    index: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]
    value: int


@dataclass(eq=False)
class _Claim:
    """The pixels that one object gets, and what lies there now."""

    box: IntBoxYX
    mask: BoolArray
    current: LabelArray
    value: int

    def give_up(self, box: IntBoxYX, mask: BoolArray) -> None:
        """Leave pixels to another object."""
        shared = intersection(self.box, box)
        if shared is not None:
            self.mask[_slices(shared, self.box)] &= ~mask[_slices(shared, box)]

    def change(self) -> Change | None:
        """Return the pixels whose value is another one now."""
        rows, columns = np.nonzero(self.mask & (self.current != self.value))
        if rows.size == 0:
            return None
        rows, columns = rows + self.box[0], columns + self.box[1]
        box = (int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1)
        return Change(box, (rows, columns), self.value)


def _slices(box: IntBoxYX, outer: IntBoxYX = (0, 0, 0, 0)) -> tuple[slice, slice]:
    return (
        slice(box[0] - outer[0], box[2] - outer[0]),
        slice(box[1] - outer[1], box[3] - outer[1]),
    )


def commit(
    labels_plane: LabelPlane,
    instances: Sequence[Instance],
    *,
    first_id: int,
    policy: CommitPolicy = CommitPolicy.KEEP_OBJECTS,
    replace_id: int | None = None,
    replace_box_yx: IntBoxYX | None = None,
) -> tuple[Change, ...]:
    """Return what to write so that objects enter a label image.

    Objects get the ids `first_id`, ``first_id + 1``, ... in their order, also when one of them is
    left out or finds no free pixel. Where two of them overlap, the earlier one keeps the pixels;
    with `CommitPolicy.OVERWRITE` the later one.

    Only the bounding boxes of the objects are read, and the surroundings of an edited one.

    Parameters
    ----------
    labels_plane : (H, W) array of integers
        What is there now: anything that is sliced like an array.
    instances : sequence of Instance
        New objects, in plane pixels.
    first_id : int
        Id of the first new object.
    policy : CommitPolicy
        What happens to other objects.
    replace_id : int, optional
        The first object is an edited version of the object with this id: it keeps that id (the
        second one gets `first_id`), and pixels that it no longer has become background.
    replace_box_yx : (y0, x0, y1, x1), optional
        Box that holds the edited object, when the caller knows it. Otherwise it is looked for; in
        a large plane, pieces far from the new mask and from one another stay unseen.

    Returns
    -------
    tuple of Change
        Every pixel at most once, only pixels whose value really changes; nothing is written yet.

    Raises
    ------
    LabelsError
        Not a plane of integers, an object beyond it, or an id that its type cannot hold.

    Examples
    --------
    >>> labels = np.zeros((4, 4), np.uint8)
    >>> labels[0, :2] = 1
    >>> square = Instance((0, 0, 2, 2), np.ones((2, 2), bool))
    >>> apply(labels, commit(labels, [square], first_id=2))
    array([[1, 1, 0, 0],
           [2, 2, 0, 0],
           [0, 0, 0, 0],
           [0, 0, 0, 0]], dtype=uint8)
    """
    ids = _ids(len(instances), first_id, replace_id)
    _check_plane(labels_plane, ids)
    claims = [
        _claim(labels_plane, instance, value, policy, replace_id)
        for instance, value in zip(instances, ids, strict=True)
    ]
    _settle(claims, policy)
    changes = [claim.change() for claim in claims]
    if replace_id is not None and claims and claims[0].mask.any():
        changes.append(_given_up(labels_plane, claims, replace_id, replace_box_yx))
    return tuple(change for change in changes if change is not None)


def apply(labels: Any, changes: Sequence[Change]) -> Any:
    """Write changes into an (H, W) label image, and return it."""
    for change in changes:
        labels[change.index] = change.value
    return labels


def _ids(count: int, first_id: int, replace_id: int | None) -> list[int]:
    if first_id < 1 or (replace_id is not None and replace_id < 1):
        raise LabelsError(f"object ids start at 1, got {first_id} and {replace_id}")
    ids = list(range(first_id, first_id + count))
    return ids if replace_id is None else [replace_id, *ids[:-1]][:count]


def _check_plane(plane: LabelPlane, ids: Sequence[int]) -> None:
    if len(plane.shape) != 2:
        raise LabelsError(f"a plane of labels has two axes, this one has shape {plane.shape}")
    dtype = np.dtype(getattr(plane, "dtype", np.int64))
    if dtype_for(max(ids, default=0), dtype) != dtype:
        raise LabelsError(
            f"{dtype} labels cannot hold the id {max(ids)}; convert them to "
            f"{dtype_for(max(ids), dtype)} first"
        )


def _claim(
    plane: LabelPlane,
    instance: Instance,
    value: int,
    policy: CommitPolicy,
    replace_id: int | None,
) -> _Claim:
    current = _read(plane, instance.box_yx)
    mask = instance.mask.copy()
    if policy is not CommitPolicy.OVERWRITE:
        taken = mask & (current != 0)
        if replace_id is not None:
            taken &= current != replace_id
        too_much = np.count_nonzero(taken) > MOST_OVERLAP * instance.area
        left_out = policy is CommitPolicy.ONLY_BACKGROUND and too_much
        mask = np.zeros_like(mask) if left_out else mask & ~taken
    return _Claim(instance.box_yx, mask, current, value)


def _read(plane: LabelPlane, box: IntBoxYX) -> LabelArray:
    height, width = plane.shape
    if min(box) < 0 or box[2] > height or box[3] > width:
        raise LabelsError(f"an object at {box} lies beyond the labels of {height} x {width} pixels")
    current: LabelArray = np.asarray(plane[_slices(box)])
    return current


def _settle(claims: Sequence[_Claim], policy: CommitPolicy) -> None:
    """Leave every pixel to one object."""
    order = list(claims) if policy is not CommitPolicy.OVERWRITE else list(reversed(claims))
    for number, claim in enumerate(order):
        before = order[:number]
        if policy is CommitPolicy.ONLY_BACKGROUND and _is_covered(claim, before):
            claim.mask[:] = False
        for other in before:
            claim.give_up(other.box, other.mask)


def _is_covered(claim: _Claim, others: Sequence[_Claim]) -> bool:
    covered = np.zeros_like(claim.mask)
    for other in others:
        shared = intersection(claim.box, other.box)
        if shared is not None:
            covered[_slices(shared, claim.box)] |= other.mask[_slices(shared, other.box)]
    common = np.count_nonzero(covered & claim.mask)
    return bool(common > MOST_OVERLAP * np.count_nonzero(claim.mask))


def _given_up(
    plane: LabelPlane, claims: Sequence[_Claim], value: int, box: IntBoxYX | None
) -> Change | None:
    """Return the pixels of the edited object that no object has now."""
    if box is None:
        box = _search(plane, claims[0].box, value)
    current = _read(plane, box)
    freed = _Claim(box, current == value, current, 0)
    for claim in claims:
        freed.give_up(claim.box, claim.mask)
    return freed.change()


def _search(plane: LabelPlane, box: IntBoxYX, value: int) -> IntBoxYX:
    """Return a window that holds the object `value`, starting from where it should be."""
    height, width = plane.shape
    whole = (0, 0, height, width)
    if height * width <= WHOLE_PLANE_PX:
        return whole
    while True:
        margin = max(32, (box[2] - box[0]) // 4, (box[3] - box[1]) // 4)
        window = intersection(
            (box[0] - margin, box[1] - margin, box[2] + margin, box[3] + margin), whole
        )
        assert window is not None, "objects lie inside the plane"
        if window == box or not _goes_on(_read(plane, window) == value, window, whole):
            return window
        box = window


def _goes_on(found: BoolArray, window: IntBoxYX, whole: IntBoxYX) -> bool:
    """Tell whether an object reaches a border of the window that is not one of the plane."""
    inner = box_of(found)
    if inner is None:
        return False
    sides = (
        inner[0] == 0 and window[0] > whole[0],
        inner[1] == 0 and window[1] > whole[1],
        inner[2] == found.shape[0] and window[2] < whole[2],
        inner[3] == found.shape[1] and window[3] < whole[3],
    )
    return any(sides)


def dtype_for(max_id: int, dtype: npt.DTypeLike) -> np.dtype[Any]:
    """Return the type that labels need to hold `max_id`: the same, or a larger one of its kind.

    Parameters
    ----------
    max_id : int
        Largest id.
    dtype : dtype
        Type of the label image now; bool counts as uint8 (as an image of one object).

    Raises
    ------
    LabelsError
        Not an integer type, or no type is large enough.

    Examples
    --------
    >>> dtype_for(255, np.uint8), dtype_for(256, np.uint8), dtype_for(200, np.int8)
    (dtype('uint8'), dtype('uint16'), dtype('int16'))
    """
    current = np.dtype(dtype)
    if current.kind == "b":
        current = np.dtype(np.uint8)
    if current.kind not in "ui":
        raise LabelsError(f"labels must be integers, these are {current}; convert them first")
    for size in (1, 2, 4, 8):
        larger = np.dtype(f"{current.kind}{size}")
        if size >= current.itemsize and max_id <= np.iinfo(larger).max:
            return current if size == current.itemsize else larger
    raise LabelsError(f"no integer type holds the id {max_id}; relabel the objects from 1")


def next_id(labels: Any) -> int:
    """Return the id after the largest one of a whole label image, 1 for an empty one.

    Parameters
    ----------
    labels : (...) array of integers
        numpy, zarr or dask; lazy ones are read piece by piece.

    Examples
    --------
    >>> next_id(np.array([[0, 7], [3, 0]]))
    8
    """
    largest = 0
    for index in _blocks(labels):
        part = np.asarray(labels[index])
        if part.size:
            largest = max(largest, int(part.max()))
    return largest + 1


def _blocks(labels: Any) -> Iterator[tuple[slice, ...]]:
    """Yield slices that cover an array, whole chunks where it has them."""
    shape = tuple(int(size) for size in labels.shape)
    steps = _block_shape(shape, _chunk_shape(labels), np.dtype(labels.dtype).itemsize)
    starts = [range(0, size, step) for size, step in zip(shape, steps, strict=True)]
    for corner in product(*starts):
        yield tuple(slice(start, start + step) for start, step in zip(corner, steps, strict=True))


def _chunk_shape(labels: Any) -> tuple[int, ...]:
    chunks = getattr(labels, "chunksize", None) or getattr(labels, "chunks", None)
    if chunks and all(isinstance(size, int) for size in chunks):
        return tuple(chunks)
    return (1,) * len(labels.shape)


def _block_shape(shape: tuple[int, ...], chunks: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Return how much to read at a time: last axes first, in multiples of the chunks."""
    steps = list(chunks)
    for axis in reversed(range(len(shape))):
        others = int(np.prod(steps, dtype=np.float64)) // max(steps[axis], 1)
        room = max(1, BLOCK_BYTES // max(others * itemsize * steps[axis], 1))
        steps[axis] = max(1, min(steps[axis] * room, shape[axis]))
    return tuple(steps)


SAME_IOU = 0.7
"""Two clicks at one object give masks that agree better than this; neighbours never do."""
MOST_COVERED = 0.5
"""Of many objects at once, one that lies on others by more than this part is there already."""


def find_duplicate(
    labels_plane: LabelPlane, instance: Instance, least_iou: float = SAME_IOU
) -> int:
    """Return the label of the object that is the same as an instance; 0 when there is none.

    Only the surroundings of the instance are read.

    Parameters
    ----------
    labels_plane : (H, W) array of integers
        What is there.
    instance : Instance
        An object, in plane pixels.
    least_iou : float
        How well they have to agree, 0 to 1.

    Examples
    --------
    >>> labels = np.zeros((8, 8), np.uint8)
    >>> labels[1:5, 1:6] = 3
    >>> find_duplicate(labels, Instance((1, 1, 5, 5), np.ones((4, 4), bool)))
    3
    >>> find_duplicate(labels, Instance((3, 1, 7, 5), np.ones((4, 4), bool)))
    0
    """
    top, left, bottom, right = instance.box_yx
    # An object that goes on beyond this margin is much larger than the instance.
    y0, x0 = max(0, top - (bottom - top)), max(0, left - (right - left))
    y1, x1 = bottom + (bottom - top), right + (right - left)
    around = np.asarray(labels_plane[slice(y0, y1), slice(x0, x1)])
    under = around[top - y0 : bottom - y0, left - x0 : right - x0][instance.mask]
    values, counts = np.unique(under[under > 0], return_counts=True)
    if values.size == 0:
        return 0
    most = int(np.argmax(counts))
    label, common = int(values[most]), int(counts[most])
    union = np.count_nonzero(around == label) + instance.area - common
    return label if common >= least_iou * union else 0
