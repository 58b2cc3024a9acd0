from __future__ import annotations

import numpy as np
import pytest
import zarr

from napari_segmate.core.errors import ImageError, LabelsError
from napari_segmate.io.images import read_image
from napari_segmate.io.ome_zarr import add_pyramid, create_labels, open_ome


@pytest.fixture
def labels():
    values = np.zeros((2, 700, 530), np.uint16)
    values[:, 100:300, 50:400] = 7
    values[1, 699, 529] = 300
    return values


@pytest.mark.parametrize(("version", "zarr_format"), [("0.4", 2), ("0.5", 3)])
def test_labels_are_read_again_with_axes_scale_and_units(tmp_path, labels, version, zarr_format):
    path = tmp_path / "labels.zarr"
    first = create_labels(
        path,
        labels.shape,
        np.uint16,
        "zyx",
        scale=(2.0, 0.5, 0.5),
        units={"z": "micrometer"},
        version=version,
    )
    first[...] = labels
    add_pyramid(path)
    image = open_ome(path)
    assert image.axes == "zyx"
    assert image.scale == (2.0, 0.5, 0.5)
    assert image.units == {"z": "micrometer"}
    assert zarr.open_group(path, mode="r").metadata.zarr_format == zarr_format
    assert [level.shape for level in image.levels] == [(2, 700, 530), (2, 350, 265), (2, 175, 133)]
    np.testing.assert_array_equal(image.levels[0][...], labels)
    np.testing.assert_array_equal(image.levels[2][...], labels[:, ::4, ::4])


def test_metadata_say_that_it_is_a_label_image(tmp_path):
    create_labels(tmp_path / "a.zarr", (8, 8), np.uint8, "yx", version="0.5")
    ome = zarr.open_group(tmp_path / "a.zarr", mode="r").attrs["ome"]
    assert ome["version"] == "0.5"
    assert "image-label" in ome
    assert [axis["type"] for axis in ome["multiscales"][0]["axes"]] == ["space", "space"]
    create_labels(tmp_path / "b.zarr", (8, 8), np.uint8, "yx", version="0.4")
    attributes = dict(zarr.open_group(tmp_path / "b.zarr", mode="r").attrs)
    assert attributes["multiscales"][0]["version"] == "0.4"
    assert "image-label" in attributes


def test_an_image_converted_by_bioformats2raw_is_its_first_series(tmp_path):
    outer = zarr.open_group(tmp_path / "raw.zarr", mode="w")
    outer.attrs["ome"] = {"version": "0.5", "bioformats2raw.layout": 3}
    inner = outer.create_group("0")
    inner.create_array("0", shape=(3, 20, 30), dtype="u1", chunks=(1, 20, 30))
    inner.attrs["ome"] = {
        "multiscales": [{"axes": [{"name": n} for n in "cyx"], "datasets": [{"path": "0"}]}]
    }
    data, axes = read_image(tmp_path / "raw.zarr")
    assert (data.shape, axes.channel) == ((3, 20, 30), 0)


def test_scales_of_level_and_image_multiply(tmp_path):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    group.create_array("0", shape=(4, 4), dtype="u1")
    scale = [{"type": "scale", "scale": [2.0, 3.0]}]
    multiscale = {
        "axes": ["y", "x"],
        "datasets": [{"path": "0", "coordinateTransformations": scale}],
        "coordinateTransformations": scale,
    }
    group.attrs["multiscales"] = [multiscale]
    assert open_ome(tmp_path / "a.zarr").scale == (4.0, 9.0)


def test_a_plate_is_refused_with_what_to_give_instead(tmp_path):
    zarr.open_group(tmp_path / "plate.zarr", mode="w").attrs["ome"] = {"plate": {}}
    with pytest.raises(ImageError, match="A/1/0"):
        read_image(tmp_path / "plate.zarr")


def test_a_wrong_number_of_axes_is_told(tmp_path):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    group.create_array("0", shape=(4, 4), dtype="u1")
    group.attrs["multiscales"] = [{"axes": ["z", "y", "x"], "datasets": [{"path": "0"}]}]
    with pytest.raises(ImageError, match="3 axes"):
        open_ome(tmp_path / "a.zarr")


def test_a_folder_without_ome_metadata_is_none(tmp_path):
    zarr.create_array(str(tmp_path / "a.zarr"), shape=(4, 4), dtype="u1")
    assert open_ome(tmp_path / "a.zarr") is None
    assert open_ome(tmp_path) is None


@pytest.mark.parametrize(("axes", "version"), [("xy", "0.5"), ("zyx", "0.5"), ("yx", "0.3")])
def test_labels_that_cannot_be_described_are_refused(tmp_path, axes, version):
    with pytest.raises(LabelsError):
        create_labels(tmp_path / "a.zarr", (4, 4), np.uint8, axes, version=version)
    assert not (tmp_path / "a.zarr").exists()
