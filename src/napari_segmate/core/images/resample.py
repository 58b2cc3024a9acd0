"""Images larger or smaller: the mean of what a pixel covers, or linear in between."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Span", "resample", "source_rows"]

Span = tuple[float, float]
"""Start and end of a part along one axis, in pixel edges: pixel k covers k .. k + 1."""


def source_rows(span: Span, out: slice, count: int, length: int) -> slice:
    """Return the source pixels that a range of output pixels is computed from.

    Parameters
    ----------
    span : (start, end)
        What the whole output shows, in source pixel edges.
    out : slice
        Output pixels.
    count, length : int
        Number of output pixels and of source pixels in all.

    Examples
    --------
    >>> source_rows((0.0, 100.0), slice(0, 5), 10, 100)
    slice(0, 50, None)
    """
    step = (span[1] - span[0]) / count
    margin = 1 if step < 1 else 0
    # Rounding errors must not ask for a pixel more.
    first = int(np.floor(span[0] + out.start * step + 1e-6)) - margin
    last = int(np.ceil(span[0] + out.stop * step - 1e-6)) + margin
    first = min(max(first, 0), length - 1)
    return slice(first, max(min(last, length), first + 1))


def resample(
    values: npt.NDArray[np.uint8],
    shape: tuple[int, int],
    rows: Span | None = None,
    columns: Span | None = None,
) -> npt.NDArray[np.uint8]:
    """Return an (H, W) or (H, W, C) image at another size.

    Along an axis that shrinks, each pixel is the mean of what it covers; along one that grows,
    values in between are linear.

    Parameters
    ----------
    values : (H, W) or (H, W, C) uint8
        The image.
    shape : (height, width)
        Size of the result.
    rows, columns : (start, end), optional
        The part to show, in pixel edges; may end within a pixel. Default: everything.

    Examples
    --------
    >>> resample(np.array([[0, 100], [100, 200]], np.uint8), (1, 2))
    array([[ 50, 150]], dtype=uint8)
    """
    rows = rows or (0.0, float(values.shape[0]))
    columns = columns or (0.0, float(values.shape[1]))
    vertical = _weights(values.shape[0], shape[0], rows)
    horizontal = _weights(values.shape[1], shape[1], columns)
    depth = values.shape[2:]
    lines = values.reshape(values.shape[0], -1).astype(np.float32)
    lines = (vertical @ lines).reshape(shape[0], values.shape[1], -1)
    turned = np.ascontiguousarray(lines.transpose(1, 0, 2)).reshape(values.shape[1], -1)
    sized = (horizontal @ turned).reshape(shape[1], shape[0], -1).transpose(1, 0, 2)
    found: npt.NDArray[np.uint8] = np.rint(np.clip(sized, 0, 255)).astype(np.uint8)
    return np.ascontiguousarray(found).reshape(*shape, *depth)


@lru_cache(maxsize=32)
def _weights(length: int, count: int, span: Span) -> Any:
    """Return the (count, length) sparse matrix that resamples one axis."""
    from scipy.sparse import csr_array

    step = (span[1] - span[0]) / count
    starts = span[0] + np.arange(count, dtype=np.float64) * np.float64(step)
    found = _area(starts, step, length) if step > 1 else _linear(starts + step / 2, length)
    row, column, weight = found
    matrix = csr_array((weight.astype(np.float32), (row, column)), shape=(count, length))
    matrix.sum_duplicates()
    return matrix


Entries = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]


def _area(starts: npt.NDArray[np.float64], step: float, length: int) -> Entries:
    """Return how much of each source pixel every output pixel covers."""
    first = np.floor(starts).astype(np.int64)
    reach = np.arange(int(np.ceil(step)) + 1)
    pixels = first[:, None] + reach
    overlap = np.minimum(pixels + 1, (starts + step)[:, None]) - np.maximum(pixels, starts[:, None])
    overlap = np.where((pixels >= 0) & (pixels < length), np.maximum(overlap, 0), 0)
    weight = overlap / overlap.sum(axis=1, keepdims=True)
    rows = np.broadcast_to(np.arange(len(starts))[:, None], pixels.shape)
    used = weight > 0
    return rows[used], pixels[used], weight[used]


def _linear(centres: npt.NDArray[np.float64], length: int) -> Entries:
    """Return the two source pixels on either side of each output pixel, by nearness."""
    at = np.clip(centres - 0.5, 0, length - 1)
    before = np.minimum(at.astype(np.int64), max(length - 2, 0))
    after = np.minimum(before + 1, length - 1)
    along = at - before
    rows = np.arange(len(at))
    return (
        np.concatenate([rows, rows]),
        np.concatenate([before, after]),
        np.concatenate([1 - along, along]),
    )
