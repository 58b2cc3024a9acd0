"""Where to look in a large image for a fair sample of its intensities."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_segmate.core.types import IntBoxYX, Shape2D

__all__ = ["sample_boxes", "spread"]

WHOLE = 4
"""A plane of up to this many times the budget is read whole, and thinned out."""


def spread(sizes: tuple[int, ...], count: int) -> list[tuple[int, ...]]:
    """Return up to `count` different indices, spread evenly over an array of planes.

    Examples
    --------
    >>> spread((10,), 3)
    [(1,), (5,), (8,)]
    >>> spread((), 3)
    [()]
    """
    total = int(np.prod(sizes, dtype=np.int64))
    number = min(count, total)
    flat = ((np.arange(number) + 0.5) * total / number).astype(np.int64)
    return [tuple(int(at) for at in np.unravel_index(one, sizes)) for one in flat]


def sample_boxes(
    shape: Shape2D, budget: int, data: Any, axes: tuple[int, int], side: int = 4
) -> list[IntBoxYX]:
    """Return the boxes to read: the whole plane, or a grid of blocks when it is large.

    Parameters
    ----------
    shape : (height, width)
        Size of the plane.
    budget : int
        Pixels wanted.
    data : array
        Where they are read from; blocks stay inside its chunks where it has any.
    axes : (y, x)
        Axes of rows and columns in `data`.
    side : int
        Rows and columns of the grid of blocks.

    Examples
    --------
    >>> sample_boxes((100, 80), 1 << 20, np.zeros((100, 80)), (0, 1))
    [(0, 0, 100, 80)]
    """
    if shape[0] * shape[1] <= WHOLE * budget:
        return [(0, 0, *shape)]
    block = max(1, int(np.sqrt(budget)) // side)
    rows, columns = (
        _starts(size, side, block, _chunk(data, axis))
        for size, axis in zip(shape, axes, strict=True)
    )
    return [
        (y, x, min(y + block, shape[0]), min(x + block, shape[1])) for y in rows for x in columns
    ]


def _starts(size: int, count: int, block: int, chunk: int | None) -> list[int]:
    if size <= block:
        return [0]
    centres = (np.arange(count) + 0.5) * size / count
    starts = np.clip(np.rint(centres - block / 2), 0, size - block).astype(int)
    if chunk is not None and chunk >= block:
        # A block across a border of chunks would read one chunk more.
        starts = np.minimum(starts, (starts // chunk + 1) * chunk - block)
    return sorted({max(int(start), 0) for start in starts})


def _chunk(data: Any, axis: int) -> int | None:
    """Return the length of an array's chunks along one axis: dask's, zarr's or h5py's."""
    chunks = getattr(data, "chunksize", None) or getattr(data, "chunks", None)
    if not chunks:
        return None
    return int(chunks[axis]) if isinstance(chunks[axis], int) else None
