from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_segmate.io.ome_zarr import create_labels
from napari_segmate.io.pixel_size import pixel_size_um, sizes_um

PLANE = np.zeros((8, 9), np.uint16)
STACK = np.zeros((3, 8, 9), np.uint16)


def imagej(path: Path, unit: str, spacing: float = 2.0) -> Path:
    metadata = {"unit": unit, "spacing": spacing, "axes": "ZYX"}
    tifffile.imwrite(path, STACK, imagej=True, resolution=(4, 4), metadata=metadata)
    return path


@pytest.mark.parametrize("unit", ["um", "micron", "\\u00B5m"])
def test_imagej_says_it_in_the_tags(tmp_path, unit):
    path = imagej(tmp_path / "a.tif", unit)
    assert sizes_um(path) == pytest.approx({"z": 2, "y": 0.25, "x": 0.25})
    assert pixel_size_um(path) == 0.25


def test_ome_xml_says_it_with_units(tmp_path):
    path = tmp_path / "a.ome.tif"
    sizes = {"PhysicalSizeX": 300, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.5}
    tifffile.imwrite(path, PLANE, metadata={"axes": "YX", **sizes})
    assert sizes_um(path) == pytest.approx({"y": 0.5, "x": 0.3})
    assert pixel_size_um(path) == pytest.approx(0.4)


def test_ome_zarr_says_it_as_scale_and_unit(tmp_path):
    units = {"y": "nanometer", "x": "nanometer", "z": "micrometer"}
    create_labels(tmp_path / "a.zarr", (3, 8, 9), "u1", "zyx", scale=(2, 320, 320), units=units)
    assert sizes_um(tmp_path / "a.zarr") == pytest.approx({"z": 2, "y": 0.32, "x": 0.32})
    create_labels(tmp_path / "b.zarr", (8, 9), "u1", "yx", scale=(0.5, 0.5))
    assert pixel_size_um(tmp_path / "b.zarr") is None


def test_dots_per_inch_and_pixels_are_no_sizes(tmp_path):
    plain = tmp_path / "plain.tif"
    tifffile.imwrite(plain, PLANE, resolution=(72, 72), resolutionunit="INCH")
    tifffile.imwrite(tmp_path / "ij.tif", STACK, imagej=True)
    assert sizes_um(plain) == sizes_um(tmp_path / "ij.tif") == {}
    assert sizes_um(imagej(tmp_path / "b.tif", "pixel")) == {}


def test_what_cannot_be_read_says_nothing(tmp_path):
    (tmp_path / "broken.tif").write_bytes(b"no image")
    (tmp_path / "folder").mkdir()
    for name in ("broken.tif", "folder", "missing.tif", "missing.npy"):
        assert pixel_size_um(tmp_path / name) is None
