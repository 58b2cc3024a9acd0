"""Overlapping masks → label image: which of several masks a pixel belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from napari_segmate.core.masks.object_masks import intersection
from napari_segmate.core.types import Instance, IntBoxYX, Shape2D

__all__ = ["Nesting", "labels_of_masks"]

CONTAINED = 0.9
"""Share of a mask inside a larger one from which it counts as a part of that."""


class Nesting(StrEnum):
    """Which of several masks a pixel belongs to."""

    WHOLE = "whole"
    """Parts of a larger mask are dropped: a cell, not its nucleus."""
    PART = "part"
    """Masks that hold others are dropped: the nuclei, not the cell round them."""
    SMALLEST = "smallest"
    """All stay, smaller ones on top: a nucleus, and the cell round it."""


def labels_of_masks(
    instances: Sequence[Instance], shape: Shape2D, nesting: Nesting = Nesting.WHOLE
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.intp]]:
    """Return masks as a label image.

    Of masks that overlap without being nested, the one with the better score gets the pixels.

    Parameters
    ----------
    instances : sequence of Instance
        Masks, overlapping or not, inside the plane.
    shape : (height, width)
        Size of the plane.
    nesting : Nesting
        What becomes of a mask inside another one.

    Returns
    -------
    labels : (H, W) int32
        0 is background, objects are 1 .. n.
    kept : (n,) int
        Which instance each object is; those without a pixel of their own are left out.

    Examples
    --------
    >>> cell = Instance((0, 0, 4, 4), np.ones((4, 4), bool))
    >>> nucleus = Instance((1, 1, 3, 3), np.ones((2, 2), bool))
    >>> labels_of_masks([nucleus, cell], (4, 4), Nesting.SMALLEST)[0]
    array([[2, 2, 2, 2],
           [2, 1, 1, 2],
           [2, 1, 1, 2],
           [2, 2, 2, 2]], dtype=int32)
    """
    areas = np.array([one.area for one in instances], dtype=np.int64)
    chosen = np.flatnonzero(areas > 0)
    if nesting is not Nesting.SMALLEST:
        chosen = chosen[~_nested(instances, areas, outer=nesting is Nesting.PART)[chosen]]
    order = _painting_order(instances, areas, chosen, nesting)
    labels = np.zeros(shape, dtype=np.int32)
    for number in order:
        y0, x0, y1, x1 = instances[number].box_yx
        labels[y0:y1, x0:x1][instances[number].mask] = number + 1
    return _renumbered(labels, len(instances))


def _painting_order(
    instances: Sequence[Instance],
    areas: npt.NDArray[np.int64],
    chosen: npt.NDArray[np.intp],
    nesting: Nesting,
) -> list[int]:
    scores = np.array([one.score for one in instances], dtype=np.float64)
    if nesting is Nesting.SMALLEST:
        return [int(n) for n in chosen[np.lexsort((scores[chosen], -areas[chosen]))]]
    return [int(n) for n in chosen[np.argsort(scores[chosen], kind="stable")]]


def _renumbered(
    labels: npt.NDArray[np.int32], count: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.intp]]:
    seen = np.zeros(count + 1, dtype=bool)
    seen[labels.ravel()] = True
    seen[0] = False
    numbers = (np.cumsum(seen) * seen).astype(np.int32)
    return numbers[labels], np.flatnonzero(seen) - 1


def _nested(
    instances: Sequence[Instance], areas: npt.NDArray[np.int64], *, outer: bool
) -> npt.NDArray[np.bool_]:
    """Return which masks lie in a larger one, or which hold a smaller one (`outer`)."""
    found = np.zeros(len(instances), dtype=bool)
    # From the largest on: parts of what was dropped count as parts of the mask that dropped it.
    order = np.argsort(-areas, kind="stable")
    boxes = np.array([one.box_yx for one in instances], dtype=np.int64).reshape(-1, 4)
    for at, number in enumerate(order):
        inner = order[at + 1 :]
        inner = inner[_boxes_may_nest(boxes[number], boxes[inner])]
        for other in inner:
            if found[number if outer else other]:
                continue
            common = _common(instances[number], instances[other])
            if common >= CONTAINED * areas[other] > 0:
                found[number if outer else other] = True
    return found


def _boxes_may_nest(
    box: npt.NDArray[np.int64], boxes: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    return np.asarray((sides > 0).all(axis=1))


def _common(a: Instance, b: Instance) -> int:
    shared = intersection(a.box_yx, b.box_yx)
    if shared is None:
        return 0
    return int(np.count_nonzero(_part(a, shared) & _part(b, shared)))


def _part(one: Instance, box: IntBoxYX) -> npt.NDArray[np.bool_]:
    y, x = one.box_yx[:2]
    part: npt.NDArray[np.bool_] = one.mask[box[0] - y : box[2] - y, box[1] - x : box[3] - x]
    return part
