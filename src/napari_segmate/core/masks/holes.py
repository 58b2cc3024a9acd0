"""Holes of objects in a label image."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

__all__ = ["fill_holes"]

Labels = npt.NDArray[np.int32]


def fill_holes(labels: Labels) -> Labels:
    """Return labels in which background that one object encloses belongs to that object.

    Background between several objects, or at the border of the image, stays background.

    Parameters
    ----------
    labels : (h, w) int32
        0 is background.

    Returns
    -------
    (h, w) int32
        The same array where there was nothing to fill.

    Examples
    --------
    >>> fill_holes(np.array([[0, 5, 5, 5], [0, 5, 0, 5], [0, 5, 5, 5]], np.int32))
    array([[0, 5, 5, 5],
           [0, 5, 5, 5],
           [0, 5, 5, 5]], dtype=int32)
    """
    found, count = ndimage.label(labels == 0)
    holes = np.asarray(found, dtype=np.int32)
    most = np.iinfo(np.int32).max
    lowest, highest = np.full(count + 1, most, np.int32), np.zeros(count + 1, np.int32)
    for edge in (holes[0], holes[-1], holes[:, 0], holes[:, -1]):
        lowest[edge] = 0
    for one, other in _neighbours(holes, labels):
        np.minimum.at(lowest, one, other)
        np.maximum.at(highest, one, other)
    owner = np.where(lowest == highest, lowest, 0)
    owner[0] = 0
    if not owner.any():
        return labels
    return np.where(labels > 0, labels, owner[holes]).astype(np.int32)


def _neighbours(holes: Labels, labels: Labels) -> list[tuple[Labels, Labels]]:
    """Return numbers of holes with the labels of objects next to them, for four directions."""
    found = []
    for hole, label in ((holes, labels), (holes.T, labels.T)):
        for before, after in ((hole[:-1], label[1:]), (hole[1:], label[:-1])):
            touching = (before > 0) & (after > 0)
            found.append((before[touching], after[touching]))
    return found
