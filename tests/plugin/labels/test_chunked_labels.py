from __future__ import annotations

import copy
import pickle
import threading

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels
from napari.layers._layer_actions import _duplicate_layer

from napari_segmate.io.images import read_image
from napari_segmate.plugin.labels import chunked_labels
from napari_segmate.plugin.labels.chunked_labels import ChunkedLabels
from napari_segmate.plugin.labels.writer import write_labels_and_records

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
        (1, np.array([[5], [49]]), np.array([41, 69])),
        (np.array([], int), np.array([], int), np.array([], int)),
        (slice(None), np.array([5, 49])),
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
        labels[1, 4:6, 7] = np.array([[21, 22]])
        labels[labels[...] == 8] = 23
        labels[..., 60] = np.arange(50)
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
    labels[0:5_000, :] = 0
    assert labels.written == {(17, 0), (17, 1)}
    looked = []
    look = ChunkedLabels._look
    monkeypatch.setattr(ChunkedLabels, "_look", lambda *args: looked.append(args[1]) or look(*args))
    assert labels[:].shape == (20_000, 20_000)
    assert set(looked) == labels.written


def test_chunks_written_long_ago_are_compressed(pair, monkeypatch) -> None:
    monkeypatch.setattr(chunked_labels, "PLAIN_BYTES", 16 * 16 * 2 * 3)
    rng = np.random.default_rng(0)
    for labels in pair:
        rng = np.random.default_rng(0)
        for _ in range(60):
            z, y, x = (int(rng.integers(size)) for size in SHAPE)
            labels[z, y : y + 9, x : x + 9] = int(rng.integers(0, 50))
            pixels = tuple(rng.integers(0, size, 5) for size in SHAPE)
            labels[pixels] = rng.integers(0, 9, 5)
    chunked, plain = pair
    np.testing.assert_array_equal(np.asarray(chunked), plain)
    np.testing.assert_array_equal(chunked[pixels], plain[pixels])
    assert 0 < chunked.nbytes_stored < plain.nbytes // 2


def test_chunks_that_were_emptied_are_let_go(monkeypatch) -> None:
    monkeypatch.setattr(chunked_labels, "PLAIN_BYTES", 0)
    labels = ChunkedLabels((2000, 2000), np.uint8)
    labels[0, 0] = 1
    labels[0, 0] = 0
    labels[1500, 1500] = 2
    assert labels.written == {(2, 2)}


def test_other_threads_read_while_one_writes(monkeypatch) -> None:
    monkeypatch.setattr(chunked_labels, "CHUNK", 16)
    monkeypatch.setattr(chunked_labels, "PLAIN_BYTES", 16 * 16 * 4)
    labels = ChunkedLabels((160, 160), np.uint8)
    torn: list[np.ndarray] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            part = labels[40:44, 40:44]
            if len(np.unique(part)) > 1:
                torn.append(part)

    reader = threading.Thread(target=read)
    reader.start()
    for value in range(300):
        labels[40:44, 40:44] = value % 250
        labels[value % 10 * 16, 3] = 1
    done.set()
    reader.join()
    assert not torn


def test_pixels_outside_are_refused() -> None:
    labels = ChunkedLabels((30, 40), np.uint8)
    with pytest.raises(IndexError, match="axis of 40"):
        labels[np.array([1]), np.array([40])] = 3


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


@pytest.mark.parametrize("make", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_copies_are_independent(pair, make) -> None:
    chunked, plain = pair
    other = make(chunked)
    np.testing.assert_array_equal(np.asarray(other), plain)
    other[0, 0, 0] = 30
    np.testing.assert_array_equal(np.asarray(chunked), plain)


def test_a_layer_is_duplicated_and_saved(tmp_path) -> None:
    labels = ChunkedLabels((3, 600, 700), np.uint16)
    labels[1, 500:590, 600:650] = 7
    viewer = ViewerModel()
    layer = viewer.add_layer(Labels(labels, name="large"))
    viewer.layers.selection = {layer}
    _duplicate_layer(viewer.layers)
    assert int(np.asarray(viewer.layers[-1].data).sum()) == 7 * 90 * 50
    for ending in ("tif", "npy", "zarr"):
        path = tmp_path / f"labels.{ending}"
        write_labels_and_records(str(path), labels, {})
        found, _ = read_image(path)
        full = found[0] if isinstance(found, list) else found
        np.testing.assert_array_equal(np.asarray(full), np.asarray(labels))
