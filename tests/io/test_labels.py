"""Label images to files."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr

from napari_segmate.core.errors import LabelsError
from napari_segmate.io import labels as labels_module
from napari_segmate.io.images import read_image
from napari_segmate.io.labels import check_target, write_labels

PLANE = np.arange(300, dtype=np.int32).reshape(15, 20)


def read(path: Path) -> np.ndarray:
    return np.asarray(read_image(path)[0])


@pytest.mark.parametrize("name", ["a.tif", "a.tiff", "a.npy", "a.png", "a.zarr"])
def test_labels_come_back_in_the_smallest_type(tmp_path: Path, name: str) -> None:
    path = write_labels(tmp_path / name, PLANE)
    found = read(path)
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, PLANE)


@pytest.mark.parametrize("name", ["a.tif", "a.npy", "a.zarr"])
def test_stacks_and_large_ids_are_kept(tmp_path: Path, name: str) -> None:
    stack = np.zeros((3, 8, 9), np.int64)
    stack[1, 2, 3] = 70_000
    found = read(write_labels(tmp_path / name, stack))
    assert found.dtype == np.uint32
    np.testing.assert_array_equal(found, stack)


def test_tiff_is_compressed_and_keeps_its_axes(tmp_path: Path) -> None:
    path = write_labels(tmp_path / "a.tif", np.zeros((4, 200, 200), np.uint16), "TYX")
    assert path.stat().st_size < 10_000
    with tifffile.TiffFile(path) as file:
        assert file.series[0].axes == "TYX"


@pytest.mark.parametrize(
    "labels", [np.full((5, 5), 70_000, np.int32), np.zeros((2, 5, 5), np.uint8)]
)
def test_png_that_cannot_hold_the_labels_is_refused(tmp_path: Path, labels: np.ndarray) -> None:
    with pytest.raises(LabelsError, match=r"65535.*\.tif"):
        write_labels(tmp_path / "a.png", labels)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((5, 5)), "integers"),
        (np.zeros(5, np.uint8), "two axes"),
        (np.full((5, 5), -1), "negative"),
    ],
)
def test_what_is_no_label_image_is_refused(
    tmp_path: Path, labels: np.ndarray, message: str
) -> None:
    with pytest.raises(LabelsError, match=message):
        write_labels(tmp_path / "a.tif", labels)


def test_unknown_ending_and_missing_folder_are_told_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match=r"a\.jpg.*\.tif"):
        check_target(tmp_path / "a.jpg")
    with pytest.raises(LabelsError, match="no folder"):
        check_target(tmp_path / "nothing" / "a.tif")


@pytest.mark.parametrize("name", ["a.tif", "a.npy", "a.png", "a.zarr"])
def test_an_older_file_is_replaced(tmp_path: Path, name: str) -> None:
    write_labels(tmp_path / name, np.ones((30, 30), np.uint8))
    np.testing.assert_array_equal(read(write_labels(tmp_path / name, PLANE)), PLANE)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["a.tif", "a.npy", "a.png", "a.zarr"])
def test_a_full_disk_leaves_the_older_file(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_labels(tmp_path / name, PLANE)
    real = labels_module.WRITERS[path.suffix]

    def fails(part: Path, *arguments: Any) -> None:
        real(part, *arguments)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setitem(labels_module.WRITERS, path.suffix, fails)
    with pytest.raises(LabelsError, match=r"No space left.*free some space"):
        write_labels(path, np.zeros((9, 9), np.uint8))
    np.testing.assert_array_equal(read(path), PLANE)
    assert [left.name for left in tmp_path.iterdir()] == [name]


def test_zarr_chunks_are_planes(tmp_path: Path) -> None:
    path = write_labels(tmp_path / "a.zarr", np.ones((3, 600, 20), np.uint8))
    assert zarr.open_array(path).chunks == (1, 512, 20)


def test_lazy_labels_are_written(tmp_path: Path) -> None:
    array = zarr.create_array(zarr.storage.MemoryStore(), shape=(6, 7), dtype="uint8")
    array[2, 3] = 5
    found = read(write_labels(tmp_path / "a.npy", array))
    assert found[2, 3] == 5 and found.sum() == 5
