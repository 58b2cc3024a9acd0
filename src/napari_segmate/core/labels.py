"""Objects into a label image: what to write where; nothing is written here.

Only the bounding boxes of the objects are read, so that a commit costs as much as its objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.errors import LabelsError
from napari_segmate.core.types import BoolArray, Instance, IntBoxYX

__all__ = ["Change", "CommitPolicy", "commit", "dtype_for", "next_id"]

MAX_COVERED = 0.5
"""With `CommitPolicy.ONLY_BACKGROUND`: part of an object that may lie on others."""


class CommitPolicy(StrEnum):
    """What happens where a new object lies on labels that exist."""

    KEEP_OBJECTS = "keep objects"
    """Other objects stay whole; the new one takes the pixels that are free."""
    OVERWRITE = "overwrite"
    """The new object takes all its pixels."""
    ONLY_BACKGROUND = "only background"
    """As `KEEP_OBJECTS`, and objects that lie mostly on others are left out: they exist already."""


@dataclass(frozen=True, eq=False)
class Change:
    """Pixels that get another value.

    Parameters
    ----------
    index : (rows, columns)
        Two integer arrays, in plane pixels; only pixels that really change.
    value : int
        The new value.
    """

    index: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]
    value: int

    @property
    def box_yx(self) -> IntBoxYX:
        """Half-open box round the changed pixels; all zeros when there are none."""
        rows, columns = self.index
        if rows.size == 0:
            return 0, 0, 0, 0
        return int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1


@dataclass(frozen=True, eq=False)
class _Window:
    """The part of a label plane that a commit can touch."""

    origin: tuple[int, int]
    before: npt.NDArray[Any]
    after: npt.NDArray[Any]

    def part(self, instance: Instance) -> tuple[npt.NDArray[Any], BoolArray]:
        """Return the labels under an object, writable, and the object, both cut at the border."""
        y0, x0 = (a - b for a, b in zip(instance.box_yx[:2], self.origin, strict=True))
        height, width = instance.mask.shape
        rows = slice(max(y0, 0), max(y0 + height, 0))
        columns = slice(max(x0, 0), max(x0 + width, 0))
        labels = self.after[rows, columns]
        top, left = max(-y0, 0), max(-x0, 0)
        mask = instance.mask[top : top + labels.shape[0], left : left + labels.shape[1]]
        return labels, mask


def commit(
    labels: Any,
    instances: Sequence[Instance],
    *,
    first_id: int,
    policy: CommitPolicy = CommitPolicy.KEEP_OBJECTS,
    replace_id: int | None = None,
) -> tuple[Change, ...]:
    """Return what to write so that objects enter a label image.

    Parameters
    ----------
    labels : (H, W) array-like of int
        The plane of labels; sliced, not written.
    instances : sequence of Instance
        Objects in plane pixels. Where two overlap, the one with the better score keeps the pixel.
    first_id : int
        Value of the first object, the next ones follow.
    policy : CommitPolicy
        What happens to labels underneath.
    replace_id : int, optional
        The first object takes the place of this one: it gets its value, and old pixels outside the
        new mask become background.

    Returns
    -------
    tuple of Change
        In any order: no pixel is in two changes.

    Raises
    ------
    LabelsError
        Not two-dimensional integers, or a value below 1.

    Examples
    --------
    >>> plane = np.zeros((4, 4), int)
    >>> square = Instance((1, 1, 3, 3), np.ones((2, 2), bool))
    >>> [(change.value, change.box_yx) for change in commit(plane, [square], first_id=7)]
    [(7, (1, 1, 3, 3))]
    """
    _check(labels, first_id, replace_id)
    ids = list(range(first_id, first_id + len(instances)))
    if replace_id is not None and ids:
        ids = [replace_id, *ids[:-1]]
    window = _window(labels, instances, replace_id)
    if replace_id is not None and instances:
        window.after[window.after == replace_id] = 0
    taken = window.after != 0
    for number in np.argsort([one.score for one in instances], kind="stable"):
        _enter(window, instances[number], ids[number], policy, taken)
    return _changes(window)


def _check(labels: Any, first_id: int, replace_id: int | None) -> None:
    if len(labels.shape) != 2 or np.dtype(labels.dtype).kind not in "biu":
        raise LabelsError(
            f"labels must be a plane of integers, got shape {tuple(labels.shape)}, {labels.dtype}"
        )
    for value in (first_id, replace_id):
        if value is not None and value < 1:
            raise LabelsError(f"label values begin at 1, got {value}; 0 is background")


def _window(labels: Any, instances: Sequence[Instance], replace_id: int | None) -> _Window:
    height, width = labels.shape
    boxes = np.array([one.box_yx for one in instances] or [(0, 0, 0, 0)])
    if replace_id is not None and len(instances):
        # The old object can reach anywhere: its pixels outside the new mask must go.
        boxes = np.concatenate([boxes, [_box_of(labels, replace_id, instances[0])]])
    y0, x0 = np.clip(boxes[:, :2].min(axis=0), 0, (height, width))
    y1, x1 = np.clip(boxes[:, 2:].max(axis=0), 0, (height, width))
    before = np.asarray(labels[int(y0) : int(y1), int(x0) : int(x1)]).astype(np.int64)
    return _Window((int(y0), int(x0)), before, before.copy())


def _box_of(labels: Any, value: int, near: Instance) -> IntBoxYX:
    """Return the box round an object, read strip by strip so that memory stays small."""
    height, width = labels.shape
    boxes = [near.box_yx]
    strip = max(1, (1 << 24) // max(width, 1))
    for top in range(0, height, strip):
        found = np.asarray(labels[top : min(top + strip, height), 0:width]) == value
        rows = np.flatnonzero(found.any(axis=1))
        if rows.size:
            columns = np.flatnonzero(found.any(axis=0))
            box = (top + rows[0], columns[0], top + rows[-1] + 1, columns[-1] + 1)
            boxes.append((int(box[0]), int(box[1]), int(box[2]), int(box[3])))
    corners = np.array(boxes)
    (y0, x0), (y1, x1) = corners[:, :2].min(axis=0), corners[:, 2:].max(axis=0)
    return int(y0), int(x0), int(y1), int(x1)


def _enter(
    window: _Window, instance: Instance, value: int, policy: CommitPolicy, taken: BoolArray
) -> None:
    labels, mask = window.part(instance)
    if policy is CommitPolicy.OVERWRITE:
        labels[mask] = value
        return
    existing, _ = _Window(window.origin, taken, taken).part(instance)
    free = mask & ~existing
    covered = 1 - np.count_nonzero(free) / max(np.count_nonzero(mask), 1)
    if policy is CommitPolicy.KEEP_OBJECTS or covered <= MAX_COVERED:
        labels[free] = value


def _changes(window: _Window) -> tuple[Change, ...]:
    rows, columns = np.nonzero(window.before != window.after)
    values = window.after[rows, columns]
    y0, x0 = window.origin
    return tuple(
        Change((rows[values == value] + y0, columns[values == value] + x0), int(value))
        for value in np.unique(values)
    )


def next_id(labels: Any) -> int:
    """Return the largest value of a label image plus one.

    Parameters
    ----------
    labels : array-like of int
        Of any dimensions; read plane by plane and strip by strip.

    Examples
    --------
    >>> next_id(np.array([[0, 3], [1, 0]]))
    4
    """
    largest = 0
    for part in _parts(labels):
        largest = max(largest, int(np.max(part, initial=0)))
    return largest + 1


def _parts(labels: Any) -> Any:
    if isinstance(labels, np.ndarray):
        yield labels
        return
    shape: Sequence[int] = labels.shape
    strip = max(1, (1 << 24) // max(int(shape[-1]), 1))
    for index in np.ndindex(*shape[:-2]):
        for top in range(0, shape[-2], strip):
            yield np.asarray(labels[(*index, slice(top, top + strip))])


def dtype_for(largest: int, dtype: npt.DTypeLike) -> np.dtype[Any]:
    """Return the type itself when it can hold a value, otherwise the next larger one that can.

    Raises
    ------
    LabelsError
        No integer type is large enough.

    Examples
    --------
    >>> dtype_for(300, np.uint8)
    dtype('uint16')
    """
    own = np.dtype(dtype)
    ladder = [own] if own.kind in "iu" else []
    kinds = [np.int16, np.int32, np.int64] if own.kind == "i" else [np.uint8, np.uint16, np.uint32]
    ladder += [np.dtype(kind) for kind in (*kinds, np.uint64)]
    for candidate in ladder:
        if candidate.itemsize >= own.itemsize and largest <= np.iinfo(candidate).max:
            return candidate
    raise LabelsError(f"no integer type can hold the label value {largest}")
