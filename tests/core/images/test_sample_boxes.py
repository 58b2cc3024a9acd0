from __future__ import annotations

import numpy as np
import pytest

from napari_segmate.core.images.sample_boxes import sample_boxes, spread


class Chunked:
    def __init__(self, **chunks) -> None:
        self.__dict__.update(chunks)


@pytest.mark.parametrize(
    "data",
    [Chunked(chunks=(1000, 1000)), Chunked(chunks=((1000,) * 9,) * 2, chunksize=(1000, 1000))],
    ids=["zarr", "dask"],
)
def test_blocks_stay_within_chunks(data):
    boxes = sample_boxes((9000, 9000), 1 << 20, data, (0, 1))
    assert len(boxes) == 16
    for y0, x0, y1, x1 in boxes:
        assert (y1 - y0, x1 - x0) == (256, 256)
        assert y0 // 1000 == (y1 - 1) // 1000
        assert x0 // 1000 == (x1 - 1) // 1000


@pytest.mark.parametrize("shape", [(100_000, 50), (50, 100_000), (2049, 2049), (1, 10**7)])
def test_blocks_lie_in_the_plane(shape):
    boxes = sample_boxes(shape, 1 << 18, np.empty(0), (0, 1))
    assert boxes
    for y0, x0, y1, x1 in boxes:
        assert 0 <= y0 < y1 <= shape[0]
        assert 0 <= x0 < x1 <= shape[1]


def test_blocks_do_not_cost_more_than_the_budget():
    boxes = sample_boxes((50_000, 50_000), 1 << 20, np.empty(0), (0, 1))
    assert sum((y1 - y0) * (x1 - x0) for y0, x0, y1, x1 in boxes) <= 1 << 20


def test_planes_are_spread_over_all_axes():
    planes = spread((4, 5), 8)
    assert len(set(planes)) == 8
    assert {t for t, _ in planes} == {0, 1, 2, 3}


def test_no_more_planes_than_there_are():
    assert spread((2, 1), 8) == [(0, 0), (1, 0)]
