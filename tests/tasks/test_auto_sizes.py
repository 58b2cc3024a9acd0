"""From specks to objects larger than any look at full size, and images that are none."""

from __future__ import annotations

import numpy as np
import pytest

from napari_segmate.core.image import ContrastMode, ImageSource, guess_axes
from napari_segmate.models import load_model
from napari_segmate.tasks.auto import Params, prepare, run


@pytest.fixture(scope="module")
def tiny():
    return load_model("tiny", device="cpu")


def plane_of(image):
    source = ImageSource(image, guess_axes(image.shape))
    return source.plane((), source.estimate_contrast(ContrastMode.PLANE, ()))


def discs(side, centres, diameter, ground=40, bright=150):
    """Bright discs on a slightly noisy ground."""
    image = np.full((side, side), ground, np.float32)
    radius = diameter / 2
    for row, column in centres:
        y, x = (slice(max(int(at - radius - 1), 0), int(at + radius + 2)) for at in (row, column))
        rows, columns = np.ogrid[y.start : min(y.stop, side), x.start : min(x.stop, side)]
        inside = np.clip(radius - np.hypot(rows - row, columns - column) + 0.5, 0, 1)
        image[y, x] += (bright - ground) * inside
    image += np.random.default_rng(0).normal(0, 5, image.shape)
    return image.clip(0, 255).astype(np.uint8)


def grid(side, pitch):
    places = np.arange(pitch / 2, side, pitch)
    return [(y, x) for y in places for x in places]


def diameters(areas):
    return 2 * np.sqrt(areas / np.pi)


@pytest.mark.parametrize("diameter", [8, 16, 40, 120])
def test_objects_of_usual_sizes_are_found(tiny, diameter) -> None:
    side = 4 * 2 * diameter
    found = run(plane_of(discs(side, grid(side, 2 * diameter), diameter)), tiny)
    assert found.count == pytest.approx(16, abs=2)
    assert np.median(diameters(found.areas)) == pytest.approx(diameter, rel=0.2)


def test_one_object_larger_than_a_thousand_pixels_is_found(tiny) -> None:
    diameter = 1200
    side = int(1.3 * diameter)
    found = run(plane_of(discs(side, [(side / 2, side / 2)], diameter)), tiny)
    assert found.count == 1
    assert diameters(found.areas)[0] == pytest.approx(diameter, rel=0.2)


def test_a_few_objects_of_a_large_field_are_measured(tiny) -> None:
    places = [(100, 150), (500, 350), (250, 520), (450, 80)]
    prepared = prepare(plane_of(discs(600, places, 40)), tiny)
    assert prepared.diameter == pytest.approx(40, rel=0.2)


def test_hundreds_of_specks_are_found(tiny) -> None:
    found = run(plane_of(discs(240, grid(240, 12), 6)), tiny, Params(min_area=5))
    assert found.count > 0.8 * len(grid(240, 12))


def test_an_object_that_fills_the_image_does_not_break_anything(tiny) -> None:
    found = run(plane_of(discs(160, [(80, 80)], 152)), tiny)
    assert found.count <= 1


ODD = {
    "constant": np.full((90, 120), 7, np.uint8),
    "noise": np.random.default_rng(1).normal(100, 20, (300, 300)).clip(0, 255).astype(np.uint8),
    "one row": np.arange(200, dtype=np.uint8)[None],
    "one pixel": np.array([[3]], np.uint8),
    "not a number": np.full((64, 64), np.nan, np.float32),
}


@pytest.mark.parametrize("image", ODD.values(), ids=ODD)
def test_images_without_objects_give_none(tiny, image) -> None:
    found = run(plane_of(image), tiny)
    assert found.labels.shape == image.shape
    assert found.count == 0


def test_hot_pixels_and_missing_ones_do_not_hide_the_objects(tiny) -> None:
    clean = discs(200, grid(200, 50), 24).astype(np.float32)
    hot = (clean * 20).astype(np.uint16)
    hot[::61, ::67] = 65535
    missing = clean.copy()
    missing[:4, :4] = np.nan
    for image in (clean.astype(np.uint8), hot, missing):
        assert run(plane_of(image), tiny).count == pytest.approx(16, abs=2)


def test_dark_objects_on_a_bright_ground_are_found_like_bright_ones(tiny) -> None:
    found = run(plane_of(discs(200, grid(200, 50), 24, ground=170, bright=60)), tiny)
    assert found.count == pytest.approx(16, abs=2)
