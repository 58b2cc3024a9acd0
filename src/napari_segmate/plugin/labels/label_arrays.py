"""The arrays behind labels layers: made, copied, made larger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Labels

from napari_segmate.core.types import LabelArray
from napari_segmate.plugin.labels.chunked_labels import ChunkedLabels

__all__ = ["cast", "empty_labels", "in_memory", "is_writable"]

LARGEST_NUMPY_BYTES = 1 << 28
"""Larger label images live in compressed chunks: most of their pixels stay empty."""
ROWS = 1024
"""How many rows of an array that lives elsewhere are copied at a time."""


def empty_labels(shape: Sequence[int], dtype: npt.DTypeLike = np.uint16) -> Any:
    """Return an editable label array of zeros; in chunks when it would be large.

    Examples
    --------
    >>> empty_labels((2, 3)).dtype
    dtype('uint16')
    """
    if int(np.prod(shape, dtype=np.float64)) * np.dtype(dtype).itemsize <= LARGEST_NUMPY_BYTES:
        return np.zeros(shape, dtype)
    return ChunkedLabels(shape, dtype)


def in_memory(data: Any) -> LabelArray:
    """Return a numpy copy of a label array that cannot be written to."""
    array: LabelArray = np.array(data)
    return array


def is_writable(layer: Labels) -> bool:
    """Tell whether single pixels of a labels layer can be set."""
    data = layer.data
    if isinstance(data, np.ndarray):
        return bool(data.flags.writeable)
    # Dask arrays have __setitem__ but take no index arrays in more than one dimension.
    return hasattr(data, "__setitem__") and not hasattr(data, "dask")


def cast(data: Any, dtype: npt.DTypeLike) -> Any:
    """Return a copy of a label array of another type; in chunks unless it is a numpy array.

    Examples
    --------
    >>> cast(np.ones((2, 2), np.uint8), np.uint16).dtype
    dtype('uint16')
    """
    if isinstance(data, np.ndarray | ChunkedLabels):
        return data.astype(dtype) if isinstance(data, np.ndarray) else data.cast(dtype)
    larger = ChunkedLabels(data.shape, dtype)
    for number in np.ndindex(*data.shape[:-2]):
        for top in range(0, data.shape[-2], ROWS):
            index = (*number, slice(top, min(top + ROWS, data.shape[-2])), slice(None))
            part = np.asarray(data[index]).astype(dtype)
            if part.any():
                larger[index] = part
    return larger
