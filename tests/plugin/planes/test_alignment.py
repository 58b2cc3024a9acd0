from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels
from transforms import TRANSFORMS

from napari_segmate.core.errors import LabelsError
from napari_segmate.core.images.image_source import ImageAxes
from napari_segmate.plugin.planes.alignment import align, aligned_arrays

pytestmark = pytest.mark.gui

RNG = np.random.default_rng(0)


def numbers(*shape: int) -> np.ndarray:
    return RNG.integers(0, 9, shape)


def aligned(image, labels, **options):
    viewer = ViewerModel()
    viewer.add_layer(image)
    viewer.add_layer(labels)
    for name, value in options.items():
        setattr(viewer.dims, name, value)
    return align(image, labels, viewer.dims)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_same_place_in_any_world_is_the_same_pixels(transform) -> None:
    data = numbers(20, 30)
    options = TRANSFORMS[transform]
    found = aligned(Image(np.zeros((20, 30)), **options), Labels(data, **options))
    np.testing.assert_array_equal(found.read(data, (0, 0)), data)
    assert found.box_yx == (0, 0, 20, 30)


def test_labels_of_a_part_lie_on_that_part() -> None:
    data = numbers(8, 10)
    image = Image(np.zeros((20, 30)), scale=(2, 2))
    labels = Labels(data, scale=(2, 2), translate=(10, 40))
    found = aligned(image, labels)
    assert found.box_yx == (5, 20, 13, 30)
    plane = found.read(data, (0, 0))
    np.testing.assert_array_equal(plane[5:13, 20:30], data)
    assert not np.delete(plane, range(5, 13), 0).any()
    assert not plane[:, :20].any()


def test_labels_that_begin_outside_the_image_are_cut() -> None:
    data = numbers(20, 30)
    found = aligned(Image(np.zeros((20, 30))), Labels(data, translate=(-5, 0)))
    assert found.box_yx == (0, 0, 15, 30)
    np.testing.assert_array_equal(found.read(data, (0, 0))[:15], data[5:])


def test_labels_of_another_pixel_size_are_resampled() -> None:
    data = numbers(10, 15)
    labels = Labels(data, scale=(2, 2), translate=(0.5, 0.5))
    found = aligned(Image(np.zeros((20, 30))), labels)
    expected = data.repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(found.read(data, (0, 0)), expected)


def test_stack_with_labels_for_some_of_its_planes() -> None:
    data = numbers(3, 20, 30)
    image = Image(np.zeros((9, 20, 30)), scale=(4, 1, 1))
    found = aligned(image, Labels(data, scale=(4, 1, 1), translate=(8, 0, 0)))
    assert found.read(data, (1, 0, 0)) is None
    np.testing.assert_array_equal(found.read(data, (2, 0, 0)), data[0])
    np.testing.assert_array_equal(found.read(data, (4, 0, 0)), data[2])
    assert found.read(data, (5, 0, 0)) is None


def test_stack_seen_from_the_side() -> None:
    data = numbers(9, 20, 30)
    found = aligned(Image(np.zeros((9, 20, 30))), Labels(data), order=(1, 0, 2))
    assert (found.axes.y, found.axes.x) == (0, 2)
    np.testing.assert_array_equal(found.read(data, (0, 7, 0)), data[:, 7])


def test_view_in_3d_changes_nothing() -> None:
    data = numbers(9, 20, 30)
    found = aligned(Image(np.zeros((9, 20, 30))), Labels(data), ndisplay=3)
    np.testing.assert_array_equal(found.read(data, (4, 0, 0)), data[4])


@pytest.mark.parametrize(
    ("image_shape", "labels_shape", "options", "channel"),
    [
        ((3, 20, 30), (20, 30), {}, 0),
        ((2, 3, 20, 30), (2, 1, 20, 30), {"scale": (1, 3, 1, 1), "translate": (0, 1, 0, 0)}, 1),
    ],
)
def test_labels_that_hold_for_all_channels(image_shape, labels_shape, options, channel) -> None:
    data = numbers(*labels_shape)
    found = aligned(Image(np.zeros(image_shape), rgb=False), Labels(data, **options))
    assert found.axes.channel == channel
    plane = found.read(data, (1,) + (0,) * (len(image_shape) - 1))
    np.testing.assert_array_equal(plane, data.reshape(-1, 20, 30)[-1])


def test_colour_image() -> None:
    data = numbers(20, 30)
    found = aligned(Image(np.zeros((20, 30, 3), np.uint8), rgb=True), Labels(data))
    assert found.axes == ImageAxes(y=0, x=1, rgb=True)
    np.testing.assert_array_equal(found.read(data, (0, 0)), data)


@pytest.mark.parametrize(
    ("image", "labels", "reason"),
    [
        ({}, {"rotate": 20}, "turned"),
        ({}, {"translate": (1000, 0)}, "different places"),
        ({"shape": (40, 20, 30)}, {}, "one plane for all 40 planes"),
        ({"shape": (5, 4, 20, 30)}, {}, "no planes of their own"),
        ({}, {"shape": (4, 20, 30)}, "more axes"),
    ],
)
def test_what_cannot_be_matched_is_refused_with_the_sizes(image, labels, reason) -> None:
    image_layer = Image(np.zeros(image.pop("shape", (20, 30))), name="cells", **image)
    labels_layer = Labels(numbers(*labels.pop("shape", (20, 30))), name="mine", **labels)
    with pytest.raises(LabelsError, match=reason) as caught:
        aligned(image_layer, labels_layer)
    assert "20 x 30" in str(caught.value)
    assert "'cells'" in str(caught.value)
    assert "'mine'" in str(caught.value)


def test_labels_of_another_shape_at_the_same_corner_cover_a_part() -> None:
    data = numbers(10, 10)
    assert aligned(Image(np.zeros((20, 30))), Labels(data)).box_yx == (0, 0, 10, 10)


def test_arrays_from_files_fit_by_shape() -> None:
    data = numbers(1, 20, 30)
    found = aligned_arrays(ImageAxes(y=0, x=1, rgb=True), (20, 30, 3), data)
    np.testing.assert_array_equal(found.read(data, (0, 0)), data[0])
    with pytest.raises(LabelsError, match="20 x 31"):
        aligned_arrays(ImageAxes(y=0, x=1), (20, 31), data)
