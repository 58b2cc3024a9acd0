"""Objects of neighbouring planes that are one object, concept by concept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from napari_segmate.core.labels.link import Linker
from napari_segmate.core.types import LabelArray
from napari_segmate.tasks.segment import Segmentation

__all__ = ["link_planes"]

GAP = 1
"""Planes that an object may be missing from, as in automask."""


class _Named(Protocol):
    @property
    def concept(self) -> str: ...


class _Plane(Protocol):
    @property
    def index(self) -> tuple[int, ...]: ...

    @property
    def boxes(self) -> Sequence[_Named]: ...

    @property
    def segmentation(self) -> Segmentation: ...


def link_planes(
    planes: Sequence[_Plane],
    *,
    linked: bool,
    anisotropy: float = 1.0,
    z_axis: int | None = None,
) -> tuple[tuple[int, ...], ...]:
    """Return the number of each object, from 1; the same for one object in several planes.

    Only objects of one concept are linked, as `napari_segmate.core.labels.link.Linker` does it.

    Parameters
    ----------
    planes : sequence
        What was segmented, in order along the stack.
    linked : bool
        False gives every object of every plane a number of its own.
    anisotropy : float
        Distance of planes over that of pixels.
    z_axis : int, optional
        Only planes that follow each other along this axis of their index are neighbours; along
        any one by default.

    Returns
    -------
    tuple of tuple of int
        Per plane, per box.
    """
    concepts = sorted({box.concept for plane in planes for box in plane.boxes}) if linked else []
    # What is not linked is named by its plane and place, what is by its concept and number.
    names: list[list[tuple[str | int, int]]] = [
        [(at, place) for place in range(len(plane.boxes))] for at, plane in enumerate(planes)
    ]
    for concept in concepts:
        for at, place, number in _linked(planes, concept, anisotropy, z_axis):
            names[at][place] = (concept, number)
    order = {name: at for at, name in enumerate(dict.fromkeys(n for row in names for n in row), 1)}
    return tuple(tuple(order[name] for name in row) for row in names)


def _linked(
    planes: Sequence[_Plane], concept: str, anisotropy: float, z_axis: int | None
) -> Iterator[tuple[int, int, int]]:
    """Yield plane, place in it, and number in the stack of the objects of one concept."""
    linker = Linker(gap=GAP, anisotropy=anisotropy)
    for at, plane in enumerate(planes):
        labels = plane.segmentation.labels()
        mine = np.array([False, *(box.concept == concept for box in plane.boxes)])
        for _ in range(_missing(planes, at, z_axis)):
            linker.add(np.zeros_like(labels))
        stacked = linker.add(np.where(mine[labels], labels, 0))
        for label, number in _numbers(labels, stacked):
            yield at, label - 1, number


def _missing(planes: Sequence[_Plane], at: int, z_axis: int | None) -> int:
    """Return how many planes without boxes lie before this one; more than the gap are the same."""
    if at == 0:
        return 0
    pairs = zip(planes[at - 1].index, planes[at].index, strict=True)
    steps = [abs(a - b) for a, b in pairs]
    along = max(steps, default=0) if z_axis is None else steps[z_axis]
    # A step along another axis leads to another stack.
    return min(along - 1, GAP + 1) if sum(steps) == along else GAP + 1


def _numbers(labels: LabelArray, stacked: LabelArray) -> list[tuple[int, int]]:
    """Return the label of a plane and its number in the stack."""
    inside = stacked > 0
    pairs = np.unique(np.stack([labels[inside], stacked[inside]]), axis=1)
    return [(int(label), int(number)) for label, number in pairs.T]
