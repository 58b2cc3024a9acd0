"""How image files are read: axes, distances of planes, sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_segmate.cli._reading import Reading
from napari_segmate.core.numbers.lengths import parse_length
from napari_segmate.io.ome_zarr import create_labels


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    path = tmp_path / "stack.tif"
    metadata = {"unit": "um", "spacing": 1.5, "axes": "ZYX"}
    image = np.zeros((3, 8, 9), np.uint16)
    tifffile.imwrite(path, image, imagej=True, resolution=(2, 2), metadata=metadata)
    return path


def test_planes_are_as_far_apart_as_asked_for_or_as_the_file_says(stack, tmp_path):
    assert Reading(anisotropy=4.0).anisotropy_of(stack) == 4
    assert Reading().anisotropy_of(stack) == 3
    assert Reading().anisotropy_of(tmp_path / "other.tif") == 1
    create_labels(tmp_path / "a.zarr", (3, 8, 9), "u1", "zyx", scale=(6, 2, 2))
    assert Reading().anisotropy_of(tmp_path / "a.zarr") == 3


def test_what_is_given_goes_before_what_the_file_says(stack):
    size = parse_length("6um")
    assert Reading().pixels(stack, size) == 12
    assert Reading(pixel_size=0.1).pixels(stack, size) == pytest.approx(60)
    assert Reading(pixel_size=0.1).pixels(stack, parse_length("6")) == 6


def test_nothing_and_0_are_estimated(stack):
    assert Reading().pixels(stack, None) is None
    assert Reading().pixels(stack, parse_length("0")) is None
    assert Reading().size_facts(stack, parse_length("0um")) == {}
