"""Labels made block by block: cut where, and which labels of two blocks are one object."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
import numpy.typing as npt

from napari_segmate.core.errors import LabelsError
from napari_segmate.core.types import IntBoxYX, LabelArray, Shape2D

__all__ = ["blocks", "joined", "same_objects"]

Pairs = npt.NDArray[np.int64]


def blocks(shape: Shape2D, side: int, halo: int) -> Iterator[tuple[IntBoxYX, IntBoxYX]]:
    """Yield the blocks of an array: each with its halo, and the part that is its own.

    Parameters
    ----------
    shape : (height, width)
        Size of the array.
    side : int
        Side of the part that is a block's own.
    halo : int
        How far a block reaches into its neighbours.

    Examples
    --------
    >>> list(blocks((3, 8), 4, 1))
    [((0, 0, 3, 5), (0, 0, 3, 4)), ((0, 3, 3, 8), (0, 4, 3, 8))]
    """
    for y, x in product(range(0, shape[0], side), range(0, shape[1], side)):
        own = (y, x, min(y + side, shape[0]), min(x + side, shape[1]))
        outer = (
            max(own[0] - halo, 0),
            max(own[1] - halo, 0),
            min(own[2] + halo, shape[0]),
            min(own[3] + halo, shape[1]),
        )
        yield outer, own


def same_objects(before: LabelArray, after: LabelArray, overlap: float = 0.5) -> Pairs:
    """Return which labels of two blocks are one object, from the strip that both have seen.

    Parameters
    ----------
    before, after : (h, w) int
        What each block has in the strip; 0 is background.
    overlap : float
        Two labels are one object when they share at least this part of the smaller of the two
        and neither shares more with another.

    Returns
    -------
    (n, 2) int64
        Labels of `before` and `after`.

    Raises
    ------
    LabelsError
        The strips have different shapes.

    Examples
    --------
    >>> same_objects(np.array([[0, 3, 3, 5]]), np.array([[8, 8, 8, 0]])).tolist()
    [[3, 8]]
    """
    if before.shape != after.shape:
        raise LabelsError(f"strips of one seam have one shape, not {before.shape}, {after.shape}")
    both = (before > 0) & (after > 0)
    pairs, shared = np.unique(
        np.stack([before[both], after[both]], axis=1).astype(np.int64), axis=0, return_counts=True
    )
    if not len(pairs):
        return np.zeros((0, 2), np.int64)
    areas = [_areas(side, pairs[:, at]) for at, side in enumerate((before, after))]
    enough = shared >= overlap * np.minimum(*areas)
    best = [shared == _largest(pairs[:, at], shared) for at in (0, 1)]
    return np.asarray(pairs[enough & best[0] & best[1]], dtype=np.int64)


def joined(count: int, pairs: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return new numbers for labels 0 .. count, the same for labels that are one object.

    Parameters
    ----------
    count : int
        Largest label.
    pairs : (n, 2) array_like of int
        Labels that are one object; chains are followed.

    Returns
    -------
    (count + 1,) int64
        New number of each label: 0 stays 0, the others are 1 .. m without gaps, in their order.

    Examples
    --------
    >>> joined(5, [(1, 4), (4, 5)]).tolist()
    [0, 1, 2, 3, 1, 1]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = np.asarray(pairs, dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(links)), (links[:, 0], links[:, 1])), (count + 1, count + 1))
    _, group = connected_components(graph, directed=False)
    _, first, which = np.unique(group, return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(first))
    return np.asarray(order[which], dtype=np.int64)


def _areas(labels: LabelArray, wanted: Pairs) -> Pairs:
    values, counts = np.unique(labels, return_counts=True)
    return np.asarray(counts[np.searchsorted(values, wanted)], dtype=np.int64)


def _largest(labels: Pairs, shared: Pairs) -> Pairs:
    """Return, for each pair, the most that its label shares with any other."""
    _, which = np.unique(labels, return_inverse=True)
    most = np.zeros(which.max() + 1, np.int64)
    np.maximum.at(most, which, shared)
    return most[which]
