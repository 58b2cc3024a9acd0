"""Objects of consecutive planes that are one object in three dimensions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_segmate.core.errors import LabelsError
from napari_segmate.core.types import LabelArray

__all__ = ["Linker", "link_planes"]

CAP_SHARE = 0.5
"""Likeness of an object that lies wholly inside a larger one."""

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Seen:
    """Objects of a plane: the number of each in the stack, and its labels there."""

    labels: LabelArray
    ids: Ids


class Linker:
    """Gives the objects of one plane after the other their numbers in the stack.

    Parameters
    ----------
    overlap : float
        Least likeness of two objects of neighbouring planes that are one, 0 to 1: their IoU, or
        half of the part of the smaller one that lies in the larger one.
    gap : int
        Planes that an object may be missing from.
    anisotropy : float
        Distance of planes over that of pixels. The farther planes lie apart, the less need objects
        overlap: the least likeness falls to a half when a step is as long as an object is wide.

    Examples
    --------
    >>> linker = Linker()
    >>> linker.add(np.array([[1, 1, 0, 2]])).tolist(), linker.add(np.array([[0, 0, 0, 1]])).tolist()
    ([[1, 1, 0, 2]], [[0, 0, 0, 2]])
    """

    def __init__(self, overlap: float = 0.25, gap: int = 1, anisotropy: float = 1.0) -> None:
        if not 0 <= overlap <= 1 or gap < 0 or not anisotropy > 0:
            raise LabelsError(
                f"overlap {overlap} must be 0 to 1, gap {gap} 0 or more, anisotropy {anisotropy} "
                "above 0"
            )
        self._overlap, self._gap, self._anisotropy = overlap, gap, anisotropy
        self._before: list[_Seen] = []
        self.count = 0

    def add(self, labels: npt.ArrayLike) -> LabelArray:
        """Return the labels of the next plane with their numbers in the stack.

        Parameters
        ----------
        labels : (H, W) array_like of int
            Objects 1 .. n of this plane; 0 is background.

        Raises
        ------
        LabelsError
            Another size than the planes before.
        """
        plane: LabelArray = np.asarray(labels)
        if self._before and plane.shape != self._before[0].labels.shape:
            raise LabelsError(
                f"planes of one stack have one size, not {self._before[0].labels.shape} and "
                f"{plane.shape}"
            )
        ids = np.zeros(int(plane.max(initial=0)) + 1, np.int64)
        taken = np.zeros(self.count + 1, bool)
        for distance, seen in enumerate(self._before, start=1):
            self._continue(plane, ids, seen, taken, distance)
        new = np.setdiff1d(np.unique(plane), np.append(0, np.flatnonzero(ids)))
        ids[new] = self.count + 1 + np.arange(len(new))
        self.count += len(new)
        self._before = [_Seen(plane, ids), *self._before[: self._gap]]
        return np.asarray(ids[plane], dtype=np.int32)

    def _continue(
        self, plane: LabelArray, ids: Ids, seen: _Seen, taken: npt.NDArray[np.bool_], distance: int
    ) -> None:
        """Give objects that are still without a number that of the one they overlap best."""
        for label, before, likeness, width in _overlaps(plane, seen.labels):
            number = seen.ids[before]
            apart = min(distance * self._anisotropy / max(width, 1e-9), 1.0)
            if likeness < self._overlap * (1 - apart / 2) or ids[label] or taken[number]:
                continue
            ids[label] = number
            taken[number] = True


def link_planes(
    labels: npt.ArrayLike, *, overlap: float = 0.25, gap: int = 1, anisotropy: float = 1.0
) -> LabelArray:
    """Return a stack in which objects have one number through all planes.

    Parameters
    ----------
    labels : (Z, H, W) array_like of int
        Each plane labelled on its own.
    overlap, gap, anisotropy
        See `Linker`.

    Returns
    -------
    (Z, H, W) int32

    Examples
    --------
    >>> stack = np.array([[[1, 0, 2]], [[2, 0, 1]], [[0, 0, 1]]])
    >>> link_planes(stack)[:, 0].tolist()
    [[1, 0, 2], [1, 0, 2], [0, 0, 2]]
    """
    stack = np.asarray(labels)
    if stack.ndim != 3:
        raise LabelsError(f"a stack of labels has shape (Z, H, W), not {stack.shape}")
    linker = Linker(overlap, gap, anisotropy)
    return np.stack([linker.add(plane) for plane in stack]) if len(stack) else stack


def _overlaps(a: LabelArray, b: LabelArray) -> list[tuple[int, int, float, float]]:
    """Return label in `a`, in `b`, likeness and mean width of pairs that overlap, best first."""
    both = (a > 0) & (b > 0)
    columns = int(b.max(initial=0)) + 1
    pairs, shared = np.unique(
        a[both].astype(np.int64) * columns + b[both].astype(np.int64), return_counts=True
    )
    first, second = np.divmod(pairs, columns)
    area_a, area_b = np.bincount(a.ravel())[first], np.bincount(b.ravel())[second]
    # The cap of a round object lies inside the next section, but covers little of it.
    inside = shared / np.minimum(area_a, area_b)
    likeness = np.maximum(shared / (area_a + area_b - shared), CAP_SHARE * inside)
    width = np.sqrt(area_a) + np.sqrt(area_b)
    width /= np.sqrt(np.pi)
    order = np.argsort(-likeness, kind="stable")
    return list(
        zip(
            first[order].tolist(),
            second[order].tolist(),
            likeness[order].tolist(),
            width[order].tolist(),
            strict=True,
        )
    )
