"""Axes and pixel sizes go from images to their labels."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_segmate.core.errors import ImageError
from napari_segmate.io.images import read_image, reading_notes
from napari_segmate.io.input_state import check_unchanged, input_state
from napari_segmate.io.labels import write_labels
from napari_segmate.io.layout import Layout, label_layout
from napari_segmate.io.ome_zarr import create_labels, open_ome
from napari_segmate.io.pixel_size import sizes_um

PIXELS = {"z": 2.0, "y": 0.5, "x": 0.25}


def imagej(path, axes, shape):
    tifffile.imwrite(
        path,
        np.zeros(shape, np.uint16),
        imagej=True,
        resolution=(1 / PIXELS["x"], 1 / PIXELS["y"]),
        metadata={"axes": axes, "unit": "um", "spacing": PIXELS["z"]},
    )


def ome(path, axes, shape):
    sizes = {f"PhysicalSize{axis.upper()}": size for axis, size in PIXELS.items()}
    tifffile.imwrite(path, np.zeros(shape, np.uint16), ome=True, metadata={"axes": axes, **sizes})


SHAPES = {"TZCYX": (2, 3, 2, 8, 9), "TZYX": (2, 3, 8, 9), "TYX": (4, 8, 9), "ZYX": (4, 8, 9)}


@pytest.mark.parametrize("write", [imagej, ome])
@pytest.mark.parametrize("axes", SHAPES)
@pytest.mark.parametrize("ending", ["tif", "zarr"])
def test_axes_and_pixel_sizes_of_a_tiff_come_out_in_its_labels(tmp_path, write, axes, ending):
    source = tmp_path / "a.tif"
    write(source, axes, SHAPES[axes])
    layout = label_layout(source)
    kept = axes.replace("C", "")
    assert layout.axes == kept.lower()
    labels = np.ones([SHAPES[axes][axes.index(one)] for one in kept], int)
    target = write_labels(tmp_path / f"labels.{ending}", labels, layout)
    assert label_layout(target).axes == kept.lower()
    assert read_image(target)[0].shape == labels.shape
    expected = {axis: size for axis, size in PIXELS.items() if axis.upper() in axes}
    assert sizes_um(target) == pytest.approx(expected)
    assert label_layout(target).link_axis == (kept.index("Z") if "Z" in kept else 0)
    assert label_layout(target).depth == ("Z" in kept)


def test_an_ome_zarr_keeps_axes_scales_and_units_in_a_tiff(tmp_path):
    create_labels(
        tmp_path / "a.zarr", (2, 3, 8, 9), "u1", "tzyx", scale=(1, 2, 0.5, 0.25),
        units=dict.fromkeys("zyx", "micrometer"),
    )  # fmt: skip
    labels = np.ones((2, 3, 8, 9), int)
    target = write_labels(tmp_path / "b.tif", labels, label_layout(tmp_path / "a.zarr"))
    assert sizes_um(target) == pytest.approx(PIXELS)
    with tifffile.TiffFile(target) as file:
        assert file.series[0].axes == "TZYX"


@pytest.mark.parametrize(
    ("shape", "axes"), [((3, 8, 9), "ZYX"), ((2, 3, 8, 9), "TZYX"), ((8, 9), "YX")]
)
def test_labels_of_which_nothing_is_known_have_axes(tmp_path, shape, axes):
    target = write_labels(tmp_path / "a.tif", np.ones(shape, int))
    with tifffile.TiffFile(target) as file:
        assert file.series[0].axes == axes
        assert file.series[0].shape == shape
    assert open_ome(write_labels(tmp_path / "a.zarr", np.ones(shape, int))).axes == axes.lower()


def test_axes_that_a_file_does_not_name_get_names(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((2, 5, 40, 50), np.uint16))
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.series[0].axes == "QQYX"
    assert label_layout(tmp_path / "a.tif").axes == "tzyx"


def test_given_axes_win_and_keep_the_pixel_sizes(tmp_path):
    imagej(tmp_path / "a.tif", "ZYX", (4, 8, 9))
    layout = label_layout(tmp_path / "a.tif", "TYX")
    assert (layout.axes, layout.scale) == ("tyx", (1.0, 0.5, 0.25))
    assert layout.of_ndim(2) == Layout("yx", (0.5, 0.25), layout.units)


def thumbnail_first(path):
    with tifffile.TiffWriter(path) as writer:
        writer.write(np.zeros((64, 64), np.uint8), metadata=None)
        writer.write(np.ones((128, 160), np.uint16), metadata=None)
        writer.write(np.zeros((20, 20), np.uint8), metadata=None)


def test_the_largest_image_of_a_tiff_is_read_and_the_others_are_named(tmp_path):
    thumbnail_first(tmp_path / "a.tif")
    data, _ = read_image(tmp_path / "a.tif")
    assert data.shape == (128, 160)
    (note,) = reading_notes(tmp_path / "a.tif")
    assert "128x160" in note
    assert "64x64, 20x20" in note


def test_the_largest_image_is_also_read_lazily(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_segmate.io.images.LAZY_BYTES", 100)
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for side in (64, 128):
            image = np.full((side, side), side, np.uint8)
            writer.write(image, compression="zlib", metadata=None)
    data, _ = read_image(tmp_path / "a.tif")
    assert data.shape == (128, 128)
    assert int(data[5, 5]) == 128
    data.store.close()


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((512, 512, 2), "YXC"),
        ((512, 2, 512), "YCX"),
        ((3, 512, 512), "CYX"),
        ((2, 4, 64, 64), "ZCYX"),
        ((20, 512, 512), None),
        ((512, 512, 3), None),
        ((512, 512), None),
    ],
)
def test_unlikely_readings_are_questioned_with_the_axes_to_give(tmp_path, shape, axes):
    np.save(tmp_path / "a.npy", np.zeros(shape, np.uint8))
    notes = reading_notes(tmp_path / "a.npy")
    if axes is None:
        assert notes == ()
        return
    assert len(notes) == 1
    assert notes[0].endswith(f"--axes {axes}")
    assert read_image(tmp_path / "a.npy", axes)[1].channel == axes.index("C")
    assert reading_notes(tmp_path / "a.npy", axes) == ()


def test_axes_that_the_file_names_are_not_questioned(tmp_path):
    imagej(tmp_path / "a.tif", "ZYX", (3, 64, 64))
    assert reading_notes(tmp_path / "a.tif") == ()


def test_a_missing_part_of_an_ome_tiff_is_an_error_and_no_zeros(tmp_path):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, np.ones((3, 8, 9), np.uint16), metadata={"axes": "ZYX"})
    with tifffile.TiffFile(path) as file:
        text = file.ome_metadata
        offset = file.pages.first.tags["ImageDescription"].valueoffset
    changed = text.replace('SizeZ="3"', 'SizeZ="4"').encode()
    content = path.read_bytes()
    path.write_bytes(content[:offset] + changed + content[offset + len(changed) :])
    with pytest.raises(ImageError, match="lacks 1 of 4 planes"):
        read_image(path)


def test_an_image_that_changes_is_noticed(tmp_path):
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "0").write_bytes(b"1")
    (folder / "1").write_bytes(b"1")
    before = input_state(folder)
    check_unchanged(folder, before)
    (folder / "1").unlink()
    with pytest.raises(ImageError, match="lost files"):
        check_unchanged(folder, before)
    (folder / "0").unlink()
    with pytest.raises(ImageError, match="was removed"):
        check_unchanged(folder, before)
