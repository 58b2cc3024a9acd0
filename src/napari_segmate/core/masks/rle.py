"""Masks as run lengths, as COCO writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from napari_segmate.core.types import BoolArray, IntBoxYX, Shape2D

__all__ = ["RunLengths", "compress_rle", "decode_rle", "encode_instance", "encode_rle"]


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


def encode_instance(box_yx: IntBoxYX, mask: BoolArray, shape: Shape2D) -> RunLengths:
    """Return the run lengths of an object in its plane, without drawing the plane.

    Parameters
    ----------
    box_yx : (y0, x0, y1, x1)
        Where the mask lies; inside the plane.
    mask : (y1 - y0, x1 - x0) bool
        The object inside the box.
    shape : (height, width)
        Size of the plane.

    Examples
    --------
    >>> encode_instance((1, 0, 2, 2), np.array([[True, True]]), (3, 2))
    {'size': [3, 2], 'counts': [1, 1, 2, 1, 1]}
    """
    height, width = shape
    # A column above and below keeps runs of neighbouring columns apart.
    columns = np.zeros((mask.shape[1], mask.shape[0] + 2), dtype=np.int8)
    columns[:, 1:-1] = mask.T
    steps = np.diff(columns, axis=1)
    starts, ends = (
        (column + box_yx[1]) * height + row + box_yx[0]
        for column, row in (np.nonzero(steps == 1), np.nonzero(steps == -1))
    )
    joined = ends[:-1] == starts[1:]
    starts = starts[np.concatenate([np.ones(min(1, starts.size), bool), ~joined])]
    ends = ends[np.concatenate([~joined, np.ones(min(1, ends.size), bool)])]
    edges = np.concatenate([[0], np.stack([starts, ends], axis=1).ravel(), [height * width]])
    counts = np.diff(edges).tolist()
    if len(counts) > 1 and counts[-1] == 0:
        counts.pop()
    return {"size": [int(height), int(width)], "counts": counts}


def compress_rle(runs: RunLengths | Mapping[str, Any]) -> dict[str, Any]:
    """Return run lengths with COCO's compressed counts: text, as ``pycocotools`` writes it.

    Examples
    --------
    >>> compress_rle({"size": [2, 2], "counts": [1, 3]})
    {'size': [2, 2], 'counts': '13'}
    """
    counts = [int(count) for count in runs["counts"]]
    # From the fourth on, each count is stored as its difference to the one before the last.
    values = [count - (counts[at - 2] if at > 2 else 0) for at, count in enumerate(counts)]
    return {"size": list(runs["size"]), "counts": "".join(map(_base32, values))}


def _base32(value: int) -> str:
    """Return a number as groups of five bits, the lowest first; bit 6 says that more follow."""
    text = ""
    more = True
    while more:
        bits = value & 0x1F
        value >>= 5
        more = value != -1 if bits & 0x10 else value != 0
        text += chr(bits + (0x20 if more else 0) + 48)
    return text
