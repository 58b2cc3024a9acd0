"""Planes of a stack: in which order, and how their objects are numbered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_segmate.core.errors import ParameterError
from napari_segmate.core.labels.link import Linker
from napari_segmate.core.types import LabelArray

__all__ = ["Numbering", "planes_in_order"]

Index = tuple[int, ...]


def planes_in_order(
    sizes: tuple[int, ...], indices: Sequence[Index] | None, z_axis: int
) -> list[Index]:
    """Return the planes to look at: along z first, then along the other axes.

    Parameters
    ----------
    sizes : tuple of int
        Number of planes along each axis of the stack.
    indices : sequence of tuple of int, optional
        Only these.
    z_axis : int
        The axis along which neighbours follow each other.

    Raises
    ------
    ParameterError
        There is no such plane or axis.

    Examples
    --------
    >>> planes_in_order((2, 2), None, 0)
    [(0, 0), (1, 0), (0, 1), (1, 1)]
    """
    if sizes and not -len(sizes) <= z_axis < len(sizes):
        raise ParameterError(
            f"no axis {z_axis} to link planes along; the image has {len(sizes)} axes of planes, "
            "counted from 0"
        )
    every = [
        tuple(map(int, index)) for index in (np.ndindex(sizes) if indices is None else indices)
    ]
    for index in every:
        inside = [0 <= at < size for at, size in zip(index, sizes, strict=False)]
        if len(index) != len(sizes) or not all(inside):
            raise ParameterError(f"no plane {index}; the image has {sizes} planes, counted from 0")
    return sorted(set(every), key=lambda index: _split(index, z_axis))


def _split(index: Index, z_axis: int) -> tuple[Index, int]:
    """Return the position along the other axes, and along z."""
    if not index:
        return (), 0
    at = z_axis % len(index)
    return index[:at] + index[at + 1 :], index[at]


class Numbering:
    """Numbers the objects of the planes of a stack, given in the order of `planes_in_order`.

    Parameters
    ----------
    z_axis : int
        The axis along which objects are linked.
    anisotropy : float
        Distance of planes over that of pixels.
    link : bool
        Whether objects are linked; otherwise each has its own number.
    """

    def __init__(self, z_axis: int, anisotropy: float, *, link: bool) -> None:
        self._z_axis, self._anisotropy, self._link = z_axis, anisotropy, link
        self._column: Index | None = None
        self._z = 0
        self._first = 0
        self._linker = Linker(anisotropy=anisotropy)

    def add(self, index: Index, labels: LabelArray) -> LabelArray:
        """Return the labels of a plane with their numbers in the stack."""
        column, z = _split(index, self._z_axis)
        if not self._link or column != self._column:
            self._first += self._linker.count
            self._linker = Linker(anisotropy=self._anisotropy)
        else:
            # Planes that were left out count as planes without objects.
            for _ in range(min(z - self._z - 1, 2)):
                self._linker.add(np.zeros_like(labels))
        self._column, self._z = column, z
        linked = self._linker.add(labels)
        return np.where(linked > 0, linked + self._first, 0).astype(np.int32)
