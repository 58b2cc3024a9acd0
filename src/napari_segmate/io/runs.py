"""Small text for large arrays of few values: run lengths, compressed, base64."""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.errors import LabelsError
from napari_segmate.core.types import Shape2D

__all__ = ["decode_runs", "encode_runs"]


def encode_runs(values: npt.NDArray[Any]) -> str:
    """Return an (H, W) array of integers or bools as text, row by row.

    Examples
    --------
    >>> text = encode_runs(np.array([[0, 0, 7], [7, 7, 0]]))
    >>> decode_runs(text, (2, 3))
    array([[0, 0, 7],
           [7, 7, 0]])
    """
    flat = np.ravel(values)
    starts = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]]))[: flat.size]
    lengths = np.diff(np.append(starts, flat.size))
    table = np.stack([flat[starts].astype(np.int64), lengths.astype(np.int64)])
    return base64.b64encode(zlib.compress(table.astype("<i8").tobytes(), 1)).decode("ascii")


def decode_runs(text: str, shape: Shape2D) -> npt.NDArray[np.int64]:
    """Return the array that `encode_runs` wrote.

    Raises
    ------
    LabelsError
        The text is damaged or does not fill `shape`.
    """
    try:
        table = np.frombuffer(zlib.decompress(base64.b64decode(text)), "<i8").reshape(2, -1)
        return np.repeat(table[0], table[1]).astype(np.int64).reshape(shape)
    except (ValueError, zlib.error, binascii.Error) as error:
        raise LabelsError(f"a stored mask of shape {shape} is damaged: {error}") from error
