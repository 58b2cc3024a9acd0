from __future__ import annotations

import numpy as np
import pytest
import zarr

from napari_segmate.core.errors import LabelsError
from napari_segmate.core.files import atomic
from napari_segmate.io.images import read_image
from napari_segmate.io.labels import check_target, write_labels

LABELS = np.random.default_rng(0).integers(0, 300, (3, 20, 30))


@pytest.mark.parametrize("suffix", ["tif", "tiff", "npy", "zarr"])
def test_what_is_written_is_read_again(tmp_path, suffix):
    path = write_labels(tmp_path / f"a.{suffix}", LABELS)
    data = read_image(path)[0]
    assert data.dtype == np.uint16
    np.testing.assert_array_equal(data[:], LABELS)


def test_a_png_holds_one_plane(tmp_path):
    path = write_labels(tmp_path / "a.png", LABELS[0])
    np.testing.assert_array_equal(read_image(path)[0], LABELS[0])


def test_axes_are_kept_in_a_tiff(tmp_path):
    import tifffile

    path = write_labels(tmp_path / "a.tif", LABELS, axes="tyx")
    with tifffile.TiffFile(path) as file:
        assert file.series[0].axes == "TYX"


@pytest.mark.parametrize(
    ("largest", "dtype"), [(1, "u1"), (255, "u1"), (256, "u2"), (70000, "u4"), (2**40, "u8")]
)
def test_the_smallest_type_that_holds_all_ids_is_written(tmp_path, largest, dtype):
    labels = np.zeros((4, 5), np.int64)
    labels[1, 1] = largest
    data = read_image(write_labels(tmp_path / "a.tif", labels))[0]
    assert data.dtype == np.dtype(dtype)
    assert data.max() == largest


def test_bools_are_one_object(tmp_path):
    data = read_image(write_labels(tmp_path / "a.npy", np.eye(4, dtype=bool)))[0]
    np.testing.assert_array_equal(data, np.eye(4))


def test_no_objects_can_be_written(tmp_path):
    assert not read_image(write_labels(tmp_path / "a.tif", np.zeros((4, 5), int)))[0].any()


def test_a_png_refuses_ids_that_it_cannot_hold(tmp_path):
    labels = np.full((4, 5), 70000)
    with pytest.raises(LabelsError, match=r"write a \.tif"):
        write_labels(tmp_path / "a.png", labels)
    assert list(tmp_path.iterdir()) == []


def test_a_png_refuses_stacks(tmp_path):
    with pytest.raises(LabelsError, match="one plane"):
        write_labels(tmp_path / "a.png", LABELS)


@pytest.mark.parametrize("suffix", ["tif", "npy", "zarr"])
def test_an_older_file_is_replaced_and_nothing_else_is_left(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    write_labels(path, LABELS)
    write_labels(path, LABELS[:2] + 1)
    np.testing.assert_array_equal(read_image(path)[0][:], LABELS[:2] + 1)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", ["tif", "npy", "zarr", "png"])
def test_a_failed_write_leaves_the_older_file(tmp_path, monkeypatch, suffix):
    from napari_segmate.io import labels as module

    path = write_labels(tmp_path / f"a.{suffix}", LABELS[0])

    def full_disk(part, labels, axes):
        part.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(module.WRITERS, f".{suffix}", full_disk)
    with pytest.raises(LabelsError, match="No space left"):
        write_labels(path, LABELS[0] + 1)
    np.testing.assert_array_equal(read_image(path)[0][:], LABELS[0])
    assert list(tmp_path.iterdir()) == [path]


def test_a_zarr_that_cannot_be_replaced_stays(tmp_path, monkeypatch):
    from pathlib import Path

    path = write_labels(tmp_path / "a.zarr", LABELS)
    rename = Path.rename

    def refuse(self, target):
        if self.name.endswith(".part.zarr"):
            raise PermissionError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(atomic, "_exchange", lambda part, target: False)
    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(LabelsError, match="Permission denied"):
        write_labels(path, LABELS + 1)
    np.testing.assert_array_equal(read_image(path)[0][:], LABELS)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "labels", [np.zeros((4, 5)), np.zeros(4, int), np.array([[1, -1]])], ids=["float", "1-D", "< 0"]
)
def test_what_is_no_label_image_is_an_error(tmp_path, labels):
    with pytest.raises(LabelsError):
        write_labels(tmp_path / "a.tif", labels)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_ending_is_an_error_that_names_the_known_ones(tmp_path):
    with pytest.raises(LabelsError, match=r"\.npy"):
        check_target(tmp_path / "a.jpg")


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(LabelsError, match="no folder"):
        check_target(tmp_path / "nowhere" / "a.tif")


def test_a_tiff_is_compressed(tmp_path):
    path = write_labels(tmp_path / "a.tif", np.zeros((4, 200, 200), np.uint16))
    assert path.stat().st_size < 10_000


def test_zarr_chunks_are_planes(tmp_path):
    path = write_labels(tmp_path / "a.zarr", np.ones((3, 600, 20), np.uint8))
    assert zarr.open_group(path)["0"].chunks == (1, 512, 20)


def test_lazy_labels_are_written(tmp_path):
    array = zarr.create_array(zarr.storage.MemoryStore(), shape=(6, 7), dtype="uint8")
    array[2, 3] = 5
    found = read_image(write_labels(tmp_path / "a.npy", array))[0]
    assert found[2, 3] == found.sum() == 5
