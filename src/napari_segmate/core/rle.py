"""Masks as run lengths, as COCO writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from napari_segmate.core.types import BoolArray

__all__ = ["RunLengths", "decode_rle", "encode_rle"]


class RunLengths(TypedDict):
    """A mask as COCO's uncompressed run lengths: column by column, zeros first."""

    size: list[int]
    counts: list[int]


def encode_rle(mask: npt.NDArray[Any]) -> RunLengths:
    """Return an (H, W) mask as COCO's uncompressed run lengths.

    Examples
    --------
    >>> encode_rle(np.array([[0, 1], [1, 1]]))
    {'size': [2, 2], 'counts': [1, 3]}
    """
    flat = np.asarray(mask, dtype=bool).ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    ends = [0, *changes.tolist(), flat.size] if flat.size else [0]
    counts = np.diff(ends).tolist()
    if flat.size and flat[0]:
        counts.insert(0, 0)
    return {"size": [int(side) for side in mask.shape], "counts": counts}


def decode_rle(runs: RunLengths | Mapping[str, Any]) -> BoolArray:
    """Return the (H, W) mask of COCO's uncompressed run lengths.

    Raises
    ------
    ValueError
        Runs that do not fill the mask.

    Examples
    --------
    >>> decode_rle({"size": [2, 2], "counts": [1, 3]}).astype(int)
    array([[0, 1],
           [1, 1]])
    """
    height, width = runs["size"]
    counts = np.asarray(runs["counts"], dtype=np.int64)
    if counts.sum() != height * width or (counts < 0).any():
        raise ValueError(
            f"run lengths of {int(counts.sum())} pixels cannot fill a mask of {height} x {width}"
        )
    flat = np.repeat(np.arange(counts.size) % 2 == 1, counts)
    return np.ascontiguousarray(flat.reshape(width, height).T)
