from __future__ import annotations

import numpy as np
import pint
import pytest
from napari.layers import Image, Points
from transforms import TRANSFORMS, image_with

from napari_segmate.plugin.planes.geometry import Geometry, unit_factors


@pytest.fixture(params=list(TRANSFORMS))
def transform(request):
    return TRANSFORMS[request.param]


@pytest.mark.parametrize("ndim", [2, 3, 4])
def test_matrix_says_what_napari_says(transform, ndim) -> None:
    image = image_with(ndim, **transform)
    point = np.arange(1.0, ndim + 1)
    expected = image.data_to_world(point)
    found = Geometry.of(image).matrix @ np.append(point, 1)
    np.testing.assert_allclose(found[:-1], expected)


@pytest.mark.parametrize("ndim", [2, 3, 4])
def test_new_layer_with_the_geometry_lies_where_the_image_lies(transform, ndim) -> None:
    image = image_with(ndim, **transform)
    layer = Points(ndim=ndim, **Geometry.of(image).kwargs())
    point = np.arange(1.0, ndim + 1)
    np.testing.assert_allclose(layer.data_to_world(point), image.data_to_world(point))
    assert layer.units == image.units
    assert layer.axis_labels == image.axis_labels


def test_apply_moves_an_existing_layer(transform) -> None:
    image = image_with(**transform)
    layer = Points(ndim=2, scale=(9, 9), translate=(1, 1))
    Geometry.of(image).apply(layer)
    np.testing.assert_allclose(layer.data_to_world((3, 2)), image.data_to_world((3, 2)))


def test_shifted_begins_at_a_pixel(transform) -> None:
    image = image_with(**transform)
    part = Image(np.zeros((2, 2)), **Geometry.of(image).shifted((4, 7)).kwargs())
    np.testing.assert_allclose(part.data_to_world((1, 1)), image.data_to_world((5, 8)))


@pytest.mark.parametrize(("axis", "ndim"), [(0, 3), (0, 4), (1, 4)])
def test_without_channel_holds_for_every_channel(transform, axis, ndim) -> None:
    image = image_with(ndim, **transform)
    count = image.data.shape[axis]
    geometry = Geometry.of(image).without_channel(axis, count)
    shape = list(image.data.shape)
    shape[axis] = 1
    layer = Image(np.zeros(shape[-geometry.ndim :]), **geometry.kwargs())
    for channel in range(count):
        pixel = np.zeros(ndim)
        pixel[axis], pixel[-1] = channel, 1
        back = np.asarray(layer.world_to_data(image.data_to_world(pixel)))
        found = np.floor(back + 0.5)[-(ndim - 1) :] if axis == 0 else np.floor(back + 0.5)
        expected = pixel[1:] if axis == 0 else np.where(np.arange(ndim) == axis, 0, pixel)
        np.testing.assert_array_equal(found, expected)


def test_in_units_keeps_the_place() -> None:
    image = Image(np.zeros((4, 5)), scale=(0.5, 0.5), translate=(3, 4), units=("um", "um"))
    registry = pint.get_application_registry()
    geometry = Geometry.of(image).in_units((registry.s, registry.nm, registry.nm))
    layer = Points(ndim=2, **geometry.kwargs())
    assert [str(unit) for unit in layer.units] == ["nanometer", "nanometer"]
    world = np.asarray(image.data_to_world((2, 1))) * 1000
    np.testing.assert_allclose(layer.data_to_world((2, 1)), world)


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        (["um"], ["nm"], [1000]),
        (["mm", "um"], ["s", "um", "um"], [1000, 1]),
        (["pixel"], ["um"], [1]),
        (["um", "um"], ["um"], [1, 1]),
    ],
)
def test_unit_factors(source, target, expected) -> None:
    registry = pint.get_application_registry()
    units = [[getattr(registry, name) for name in names] for names in (source, target)]
    np.testing.assert_allclose(unit_factors(*units), expected)


def test_unit_factors_without_common_units_are_one() -> None:
    assert unit_factors([pint.get_application_registry().um], None).tolist() == [1]
