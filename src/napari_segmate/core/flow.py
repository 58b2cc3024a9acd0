"""Flow maps → objects: cells belong together when the paths that they begin end in one place.

Sources: Stringer et al., "Cellpose" (2021), for objects as the places where flows end; Arsigny et
al., "A log-Euclidean framework for statistics on diffeomorphisms" (2006), for the composition of a
flow with itself, by which few steps make long paths.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from napari_segmate.core.enlarge import as_unit
from napari_segmate.core.seams import blocks
from napari_segmate.core.types import BoolArray, DenseMaps, FloatArray, IntBoxYX, SignedMapArray

__all__ = ["FlowParams", "as_signed", "label_flow"]

Labels = npt.NDArray[np.int32]
Ends = npt.NDArray[np.int32]
Means = npt.NDArray[np.float64]
Pairs = npt.NDArray[np.int64]

BLOCK = 2048
"""Side of the blocks in which large maps are worked on, in cells."""
DOUBLINGS = 8
"""How often paths are continued by the paths that begin where they end."""
REACH = 2**DOUBLINGS
"""Cells of the longest path: the overlap of blocks."""
SPREAD = 0.8
"""Standard deviation of the blur of the counted ends, in cells: paths end near each other."""
FAINT = 0.9
"""Share of the least foreground from which on paths are followed: thin parts keep together."""
STRAY = 2
"""Cells whose path ends nowhere join the object within so many cells."""
EVERY = np.ones((3, 3), bool)


@dataclass(frozen=True)
class FlowParams:
    """How flow maps become objects.

    Parameters
    ----------
    foreground : float
        Least probability of a pixel of an object, 0 to 1; paths go a little further.
    density : float
        Least number of paths that end in a cell, after a blur, where an object is.
    join : float
        Two objects are one where the cells between them are at least this deep, as a multiple of
        the mean depth of the shallower one.
    depth : float
        Least depth of the deepest cell of an object, 0 to 1.
    """

    foreground: float = 0.5
    density: float = 2.5
    join: float = 1.8
    depth: float = 0.4


def as_signed(values: SignedMapArray) -> FloatArray:
    """Return a map as float32 of -1 to 1; not-a-number becomes 0.

    Examples
    --------
    >>> as_signed(np.array([-127, 0, 127], np.int8)).tolist()
    [-1.0, 0.0, 1.0]
    """
    if values.dtype == np.int8:
        return values * np.float32(1 / 127)
    return np.nan_to_num(np.asarray(values, dtype=np.float32), posinf=0.0, neginf=0.0)


def label_flow(maps: DenseMaps, params: FlowParams | None = None) -> Labels:
    """Return the object of each cell of maps with a flow.

    Parameters
    ----------
    maps : DenseMaps
        With `flow_yx`.
    params : FlowParams, optional
        Thresholds.

    Returns
    -------
    (h, w) int32
        0 is background, objects are 1 .. n.

    Examples
    --------
    >>> inside = np.zeros((12, 20), np.float32)
    >>> inside[2:10, 2:18] = 1
    >>> flow = np.stack(np.broadcast_arrays(5.5 - np.arange(12)[:, None], np.zeros(20)))
    >>> flow[1] = np.where(np.arange(20) < 10, 5.5, 13.5) - np.arange(20)
    >>> flow /= np.hypot(*flow)
    >>> labels = label_flow(DenseMaps(inside, inside / 2, inside, (12, 20), flow.astype("f")))
    >>> np.unique(labels[inside > 0], return_counts=True)
    (array([1, 2], dtype=int32), array([64, 64]))
    """
    params = params or FlowParams()
    ends = _ends_of_paths(maps, FAINT * params.foreground)
    labels, count = _gathered(ends, params.density)
    labels, count = _with_strays(labels, ends >= 0, count)
    return _joined(labels, maps, count, params)


def _ends_of_paths(maps: DenseMaps, foreground: float) -> Ends:
    """Return the flat index of the cell in which the path of each cell ends, -1 outside."""
    height, width = maps.shape
    ends = np.full((height, width), -1, np.int32)
    for outer, own in blocks((height, width), BLOCK, REACH):
        rows, columns = slice(outer[0], outer[2]), slice(outer[1], outer[3])
        assert maps.flow_yx is not None
        inside = as_unit(maps.foreground[rows, columns]) > foreground
        start, y, x = _followed(as_signed(maps.flow_yx[:, rows, columns]), inside)
        found = np.full(inside.shape, -1, np.int32)
        found.ravel()[start] = (y + outer[0]) * width + x + outer[1]
        ends[own[0] : own[2], own[1] : own[3]] = found[_within(own, outer)]
    return ends


def _within(own: IntBoxYX, outer: IntBoxYX) -> tuple[slice, slice]:
    y, x = outer[:2]
    return slice(own[0] - y, own[2] - y), slice(own[1] - x, own[3] - x)


def _followed(flow_yx: FloatArray, inside: BoolArray) -> tuple[Ends, Ends, Ends]:
    """Return the flat indices of the cells inside, and row and column where their paths end."""
    height, width = inside.shape
    start = np.flatnonzero(inside).astype(np.int32)
    number = np.zeros(inside.size, np.int32)
    number[start] = here = np.arange(len(start), dtype=np.int32)
    row, column = np.divmod(start, np.int32(width))
    move_y, move_x = (component.ravel()[start] for component in flow_yx)

    def reached() -> tuple[Ends, Ends]:
        y = np.clip(np.rint(row + move_y), 0, height - 1).astype(np.int32)
        x = np.clip(np.rint(column + move_x), 0, width - 1).astype(np.int32)
        return y, x

    flat = inside.ravel()
    for _ in range(DOUBLINGS):
        y, x = reached()
        there = y * np.int32(width) + x
        # A path that leaves the foreground ends there.
        goes_on = flat[there]
        following = np.where(goes_on, number[there], here)
        move_y = move_y + goes_on * move_y[following]
        move_x = move_x + goes_on * move_x[following]
    return (start, *reached())


def _gathered(ends: Ends, density: float) -> tuple[Labels, int]:
    """Return the cells numbered by the place in which their paths end, 0 for nowhere."""
    inside = ends >= 0
    counts = np.bincount(ends[inside], minlength=ends.size).reshape(ends.shape)
    dense = ndimage.gaussian_filter(counts.astype(np.float32), SPREAD, truncate=3)
    places, count = ndimage.label(dense > density, EVERY)
    labels = np.zeros(ends.shape, np.int32)
    labels[inside] = places.ravel()[ends[inside]]
    return labels, int(count)


def _with_strays(labels: Labels, inside: BoolArray, count: int) -> tuple[Labels, int]:
    """Return labels that cover the foreground, and how many they are.

    Cells without an object join one nearby; a group of them that is left is an object.
    """
    for _ in range(STRAY):
        stray = inside & (labels == 0)
        if not stray.any():
            return labels, count
        labels = np.where(stray, ndimage.maximum_filter(labels, 3), labels)
    groups, more = ndimage.label(inside & (labels == 0))
    return np.where(groups > 0, groups + count, labels).astype(np.int32), count + int(more)


def _joined(labels: Labels, maps: DenseMaps, count: int, params: FlowParams) -> Labels:
    """Return labels 1 .. n in which objects are one that no shallow cells keep apart.

    Those that are shallow everywhere are left out.
    """
    areas, depths, deepest = np.zeros((3, count + 1))
    pairs, between = [], []
    for rows in _strips(labels.shape[0]):
        part = labels[rows.start : rows.stop + 1]
        depth = as_unit(maps.depth[rows.start : rows.stop + 1])
        own = part[: rows.stop - rows.start].ravel()
        areas += np.bincount(own, minlength=count + 1)
        depths += np.bincount(own, depth[: rows.stop - rows.start].ravel(), minlength=count + 1)
        np.maximum.at(deepest, own, depth[: rows.stop - rows.start].ravel())
        for pair, deep in _borders(part, depth):
            pairs.append(pair)
            between.append(deep)
    mean = depths / np.maximum(areas, 1)
    same = _same(np.concatenate(pairs, axis=1), np.concatenate(between), mean, params.join)
    deep = np.zeros(count + 1)
    np.maximum.at(deep, same, np.where(areas > 0, deepest, 0))
    keep = deep >= params.depth
    keep[0] = False
    number = (np.cumsum(keep) * keep).astype(np.int32)
    return np.asarray(number[same][labels])


def _strips(height: int) -> Iterator[slice]:
    for top in range(0, height, BLOCK):
        yield slice(top, min(top + BLOCK, height))


def _borders(labels: Labels, depth: FloatArray) -> Iterator[tuple[Pairs, Means]]:
    """Yield the pairs of labels of neighbouring cells (2, n), and how deep the cells lie (n,)."""
    for one, other in (
        ((slice(None, -1), slice(None)), (slice(1, None), slice(None))),
        ((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
    ):
        first, second = labels[one], labels[other]
        apart = (first != second) & (first > 0) & (second > 0)
        pair = np.sort([first[apart], second[apart]], axis=0).astype(np.int64)
        yield pair, (depth[one][apart] + depth[other][apart]) / 2.0


def _same(pairs: Pairs, between: Means, mean: Means, join: float) -> npt.NDArray[np.int32]:
    """Return the new number of each label: that of all the labels which are one object with it."""
    count = len(mean)
    codes, where = np.unique(pairs[0] * count + pairs[1], return_inverse=True)
    one, other = np.divmod(codes, count)
    deep = np.bincount(where, between) / np.maximum(np.bincount(where), 1)
    joined = deep > join * np.minimum(mean[one], mean[other])
    links = coo_matrix((np.ones(joined.sum()), (one[joined], other[joined])), (count, count))
    _, found = connected_components(links, directed=False)
    return np.asarray(found, dtype=np.int32)
