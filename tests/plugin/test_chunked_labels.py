from __future__ import annotations

import numpy as np
import pytest
import zarr
from napari.layers import Labels

from napari_segmate.plugin import chunked_labels
from napari_segmate.plugin.chunked_labels import ChunkedLabels

SHAPE = (3, 50, 70)


@pytest.fixture
def pair(monkeypatch) -> tuple[ChunkedLabels, np.ndarray]:
    """The same labels twice: in chunks of 16 pixels, and plain."""
    monkeypatch.setattr(chunked_labels, "CHUNK", 16)
    chunked, plain = ChunkedLabels(SHAPE, np.uint16), np.zeros(SHAPE, np.uint16)
    for labels in (chunked, plain):
        labels[1, 3:20, 40:70] = 5
        labels[np.array([0, 2, 1]), np.array([49, 0, -1]), np.array([69, 0, 3])] = [7, 8, 9]
        labels[2, 20:22, 20:22] = np.array([[1, 2], [3, 4]])
    return chunked, plain


@pytest.mark.parametrize(
    "index",
    [
        ...,
        1,
        (-1, slice(None), slice(None)),
        (slice(None), 4),
        (1, slice(2, 21), slice(30, 500)),
        (1, slice(0, 50, 3), slice(None)),
        (Ellipsis, 3),
        (slice(2, 1), slice(None)),
        (np.array([1, 0]), np.array([5, 49]), np.array([41, 69])),
    ],
)
def test_reads_as_a_plain_array_does(pair, index) -> None:
    chunked, plain = pair
    np.testing.assert_array_equal(chunked[index], plain[index])
    assert np.shape(chunked[index]) == plain[index].shape


def test_anything_may_be_written(pair) -> None:
    chunked, plain = pair
    for labels in (chunked, plain):
        labels[:, ::2, 5] = 11
    np.testing.assert_array_equal(np.asarray(chunked), plain)
    assert np.asarray(chunked, dtype=np.int64).dtype == np.int64


def test_a_copy_of_another_type_holds_the_same(pair) -> None:
    chunked, plain = pair
    larger = chunked.cast(np.uint32)
    assert larger.dtype == np.uint32
    assert larger.written == chunked.written
    np.testing.assert_array_equal(np.asarray(larger), plain)


def test_whole_planes_are_read_where_something_was_written_only(monkeypatch) -> None:
    labels = ChunkedLabels((20_000, 20_000), np.uint16)
    labels[np.array([9_000, 9_030]), np.array([300, 520])] = 4
    assert labels.written == {(17, 0), (17, 1)}
    read = []
    whole = zarr.Array.__getitem__
    monkeypatch.setattr(
        zarr.Array, "__getitem__", lambda self, index: read.append(index) or whole(self, index)
    )
    assert labels[:].shape == (20_000, 20_000)
    assert sorted(read) == sorted(labels.windows())


def test_brush_and_undo_of_napari_work() -> None:
    layer = Labels(ChunkedLabels((4, 600, 700), np.uint16))
    layer.paint((0, 510, 510), 3)
    layer.data_setitem((np.array([2]), np.array([5]), np.array([6])), 9)
    assert layer.data[0, 510, 510] == 3 and layer.data[2, 5, 6] == 9
    layer.undo()
    layer.undo()
    assert not np.asarray(layer.data).any()
    layer.redo()
    assert layer.data[0, 510, 510] == 3
