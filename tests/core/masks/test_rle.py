from __future__ import annotations

import numpy as np
import pytest

from napari_segmate.core.masks.object_masks import instance_from_mask
from napari_segmate.core.masks.rle import compress_rle, decode_rle, encode_instance, encode_rle


def masks() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    found = [rng.random((9, 7)) < share for share in (0.2, 0.5, 0.9)]
    corner = np.zeros((9, 7), bool)
    corner[:2, :3] = True
    last = np.zeros((9, 7), bool)
    last[4:, 5:] = True
    columns = np.zeros((9, 7), bool)
    columns[:, 2:5] = True
    return [*found, corner, last, columns, np.ones((9, 7), bool)]


@pytest.mark.parametrize("mask", masks())
def test_an_object_has_the_runs_of_its_mask(mask: np.ndarray) -> None:
    instance = instance_from_mask(mask)
    assert instance is not None
    runs = encode_instance(instance.box_yx, instance.mask, (9, 7))
    assert runs == encode_rle(mask)
    assert np.array_equal(decode_rle(runs), mask)


def expanded(text: str) -> list[int]:
    """Decode compressed counts as COCO's C code does."""
    counts: list[int] = []
    at = 0
    while at < len(text):
        value = shift = 0
        more = True
        while more:
            bits = ord(text[at]) - 48
            value |= (bits & 0x1F) << 5 * shift
            more = bool(bits & 0x20)
            at, shift = at + 1, shift + 1
            if not more and bits & 0x10:
                value |= -1 << 5 * shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
    return counts


@pytest.mark.parametrize("mask", masks())
def test_compressed_counts_say_the_same(mask: np.ndarray) -> None:
    runs = encode_rle(mask)
    packed = compress_rle(runs)
    assert packed["size"] == [9, 7]
    assert expanded(packed["counts"]) == runs["counts"]


def test_large_counts_are_compressed_and_come_back() -> None:
    counts = [0, 100_000, 3, 40, 7, 2_000_000, 1, 5]
    assert expanded(compress_rle({"size": [1, sum(counts)], "counts": counts})["counts"]) == counts
