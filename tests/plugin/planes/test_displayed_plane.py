from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels
from transforms import TRANSFORMS, image_with

from napari_segmate.core.errors import ImageError, LabelsError
from napari_segmate.core.images.image_source import ImageAxes
from napari_segmate.plugin.planes.geometry import (
    DisplayedPlane,
    Geometry,
    convert,
    displayed_plane,
    plane_in_labels,
    to_pixels,
    to_world,
    visible_box,
)


@pytest.fixture(params=list(TRANSFORMS))
def transform(request):
    return TRANSFORMS[request.param]


def put_at(viewer: ViewerModel, layer, pixel) -> None:
    """Move the sliders to a pixel of a layer."""
    viewer.dims.point = to_world(layer, [pixel], viewer.dims)[0]


# Pixels, world, pixels


@pytest.mark.parametrize("ndim", [2, 3, 4])
def test_pixels_survive_the_way_through_the_world(transform, ndim) -> None:
    viewer = ViewerModel()
    image = viewer.add_layer(image_with(ndim, **transform))
    pixels = np.random.default_rng(0).uniform(-5, 50, (20, ndim))
    world = to_world(image, pixels, viewer.dims)
    np.testing.assert_allclose(to_pixels(image, world, viewer.dims), pixels, atol=1e-9)


def test_world_is_what_napari_calls_world(transform) -> None:
    viewer = ViewerModel()
    image = viewer.add_layer(image_with(3, **transform))
    np.testing.assert_allclose(
        to_world(image, [[1, 2, 3]], viewer.dims)[0], image.data_to_world((1, 2, 3))
    )


def test_layers_in_other_units_meet() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((50, 60)), scale=(0.5, 0.5), units=("um", "um"))
    points = viewer.add_points([[1000, 2000]], scale=(1, 1), units=("nm", "nm"))
    found = convert(points, image, points.data, viewer.dims)
    np.testing.assert_allclose(found, [[2, 4]])


def test_units_of_another_layer_do_not_move_the_plane() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((9, 5, 6)), scale=(2, 1, 1), units=("um",) * 3)
    viewer.add_image(np.zeros((4, 5, 6)), scale=(500, 1, 1), units=("nm",) * 3)
    assert str(viewer.dims.units[0]) == "nanometer"
    put_at(viewer, image, (7, 0, 0))
    assert displayed_plane(image, viewer.dims).index == (7,)


def test_points_without_a_plane_take_it_from_the_sliders() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((9, 50, 60)), scale=(3, 1, 1), translate=(1, 0, 0))
    flat = viewer.add_points([[4, 5]])
    put_at(viewer, image, (6, 0, 0))
    np.testing.assert_allclose(convert(flat, image, flat.data, viewer.dims), [[6, 4, 5]])


# The displayed plane


@pytest.mark.parametrize("number", range(5))
def test_plane_number_follows_the_slider_whatever_the_transform(transform, number) -> None:
    viewer = ViewerModel()
    image = viewer.add_layer(image_with(3, **transform))
    image.data = np.zeros((5, 6, 7))
    put_at(viewer, image, (number, 0, 0))
    plane = displayed_plane(image, viewer.dims)
    assert plane.index == (number,)
    assert plane.shape == (6, 7)
    assert plane.axes == ImageAxes(1, 2)


@pytest.mark.parametrize(
    ("order", "axes", "shape"),
    [
        ((0, 1, 2), (1, 2), (6, 7)),
        ((0, 2, 1), (1, 2), (6, 7)),
        ((1, 0, 2), (0, 2), (5, 7)),
        ((2, 1, 0), (0, 1), (5, 6)),
        ((1, 2, 0), (0, 2), (5, 7)),
    ],
)
def test_dims_order_chooses_the_axes(order, axes, shape) -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((5, 6, 7)), scale=(2, 3, 4))
    viewer.dims.order = order
    put_at(viewer, image, (3, 4, 5))
    plane = displayed_plane(image, viewer.dims)
    assert (plane.axes.y, plane.axes.x) == axes
    assert plane.shape == shape
    assert plane.index == ((3, 4, 5)[order[0]],)


def test_slider_counts_of_a_finer_layer_do_not_count() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((5, 6, 7)), scale=(4, 1, 1))
    viewer.add_image(np.zeros((20, 6, 7)), scale=(1, 1, 1))
    viewer.dims.point = (8, 0, 0)
    assert viewer.dims.current_step[0] == 8
    assert displayed_plane(image, viewer.dims).index == (2,)


def test_layer_with_fewer_axes_than_the_viewer() -> None:
    viewer = ViewerModel()
    viewer.add_image(np.zeros((3, 4, 5, 6)))
    image = viewer.add_image(np.zeros((4, 5, 6)))
    put_at(viewer, image, (2, 0, 0))
    assert displayed_plane(image, viewer.dims).index == (2,)


def test_rgb_colours_are_no_axis() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((3, 4, 5, 3), np.uint8), rgb=True)
    plane = displayed_plane(image, viewer.dims)
    assert plane.shape == (4, 5)
    assert plane.axes.rgb


def test_multiscale_plane_has_the_full_size() -> None:
    viewer = ViewerModel()
    image = viewer.add_image([np.zeros((64, 64)), np.zeros((32, 32))], multiscale=True)
    assert displayed_plane(image, viewer.dims).shape == (64, 64)


def test_channel_axis_is_no_plane() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(da.zeros((4, 3, 5, 6)))
    put_at(viewer, image, (2, 1, 0, 0))
    plane = displayed_plane(image, viewer.dims, channel=1)
    assert plane.index == (2,)
    assert plane.axes == ImageAxes(2, 3, channel=1)


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda viewer, image: setattr(viewer.dims, "ndisplay", 3), "2-D display"),
        (lambda viewer, image: setattr(viewer.dims, "order", (2, 0, 1)), "channel axis"),
    ],
)
def test_views_that_are_no_plane_say_what_to_do(prepare, words) -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((4, 5, 6)))
    prepare(viewer, image)
    with pytest.raises(ImageError, match=words):
        displayed_plane(image, viewer.dims, channel=0)


def test_position_beyond_the_image_is_an_error() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((4, 5, 6)))
    viewer.add_image(np.zeros((40, 5, 6)))
    viewer.dims.point = (20, 0, 0)
    with pytest.raises(ImageError, match="no plane"):
        displayed_plane(image, viewer.dims)


def test_flat_image_seen_from_the_side_is_an_error() -> None:
    viewer = ViewerModel()
    viewer.add_image(np.zeros((4, 5, 6)))
    image = viewer.add_image(np.zeros((5, 6)))
    viewer.dims.order = (2, 0, 1)
    with pytest.raises(ImageError, match="from the side"):
        displayed_plane(image, viewer.dims)


# Coordinates of a plane


def test_plane_picks_its_own_points() -> None:
    plane = DisplayedPlane(ImageAxes(1, 2), (4, 0, 0), (10, 10))
    pixels = [[4, 1, 2], [4.4, 3, 4], [5, 5, 6], [3.4, 7, 8]]
    assert plane.holds(pixels).tolist() == [True, True, False, False]
    np.testing.assert_array_equal(plane.to_plane(pixels)[0], [1, 2])


def test_plane_coordinates_survive_the_way_there_and_back() -> None:
    plane = DisplayedPlane(ImageAxes(0, 2, channel=1), (0, 0, 0, 5), (10, 10))
    points = np.array([[1.5, 2.5], [3, 4]])
    np.testing.assert_array_equal(plane.to_plane(plane.from_plane(points)), points)
    assert plane.holds(plane.from_plane(points)).all()
    assert plane.index == (5,)


def test_indices_reach_the_right_pixels() -> None:
    data = np.arange(3 * 4 * 5).reshape(3, 4, 5)
    plane = DisplayedPlane(ImageAxes(0, 2), (0, 2, 0), (3, 5))
    index = plane.indices(np.array([1, 2]), np.array([3, 4]))
    assert data[index].tolist() == [data[1, 2, 3], data[2, 2, 4]]
    np.testing.assert_array_equal(data[plane.slices((0, 1, 2, 3))], data[0:2, 2, 1:3])


@pytest.mark.parametrize(
    ("channel", "axes", "position"),
    [
        (None, ImageAxes(2, 3), (1, 2, 0, 0)),
        (0, ImageAxes(1, 2), (2, 0, 0)),
        (1, ImageAxes(2, 3), (1, 0, 0, 0)),
    ],
)
def test_without_channel_drops_or_flattens_the_axis(channel, axes, position) -> None:
    plane = DisplayedPlane(ImageAxes(2, 3, channel=channel), (1, 2, 0, 0), (5, 6))
    found = plane.without_channel()
    assert found.axes == axes
    assert found.position == position


# What is visible


def test_visible_box_of_an_unseen_layer_is_the_whole_plane() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((40, 60)))
    image.corner_pixels = np.array([[0, 0], [0, 0]])
    plane = displayed_plane(image, viewer.dims)
    assert visible_box(image, plane) in ((0, 0, 40, 60), (0, 0, 1, 1))


def test_visible_box_stays_inside_the_plane() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((40, 60)))
    image.corner_pixels = np.array([[-7, 5], [90, 20]])
    assert visible_box(image, displayed_plane(image, viewer.dims)) == (0, 5, 40, 21)


# Labels for an image


def labels_for(image, channel=None) -> Labels:
    count = 1 if channel is None else image.data.shape[channel]
    shape = list(image.data.shape)
    if channel == 0:
        del shape[0]
    elif channel is not None:
        shape[channel] = 1
    geometry = Geometry.of(image).without_channel(channel, count)
    return Labels(np.zeros(shape, np.uint16), **geometry.kwargs())


@pytest.mark.parametrize("ndim", [2, 3, 4])
def test_labels_like_the_image_take_its_planes(transform, ndim) -> None:
    viewer = ViewerModel()
    image = viewer.add_layer(image_with(ndim, **transform))
    labels = viewer.add_layer(labels_for(image))
    where = (1,) * (ndim - 2) + (0, 0)
    put_at(viewer, image, where)
    plane = displayed_plane(image, viewer.dims)
    found = plane_in_labels(labels, image, plane, viewer.dims)
    assert found.position == where
    assert found.shape == plane.shape


@pytest.mark.parametrize(("channel", "position"), [(0, (2, 0, 0)), (1, (3, 0, 0, 0))])
def test_labels_without_channels_take_the_planes_of_all_channels(channel, position) -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((4, 3, 5, 6)), scale=(2, 2, 0.5, 0.5))
    labels = viewer.add_layer(labels_for(image, channel))
    for number in range(image.data.shape[channel]):
        pixel = [3, 2, 0, 0]
        pixel[channel] = number
        put_at(viewer, image, pixel)
        plane = displayed_plane(image, viewer.dims, channel)
        assert plane_in_labels(labels, image, plane, viewer.dims).position == position


def test_labels_in_other_units_fit_when_they_coincide() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((5, 6)), scale=(0.5, 0.5), units=("um", "um"))
    labels = viewer.add_labels(np.zeros((5, 6), int), scale=(500, 500), units=("nm", "nm"))
    plane = displayed_plane(image, viewer.dims)
    assert plane_in_labels(labels, image, plane, viewer.dims).shape == (5, 6)


@pytest.mark.parametrize(
    ("shape", "transform"),
    [
        ((4, 5, 7), {}),
        ((4, 5, 6), {"scale": (1, 1, 2)}),
        ((4, 5, 6), {"translate": (0, 0.5, 0)}),
        ((4, 5, 6), {"translate": (10, 0, 0)}),
        ((5, 6), {}),
        ((2, 5, 6), {}),
    ],
)
def test_labels_that_do_not_coincide_are_refused(shape, transform) -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((4, 5, 6)), name="cells")
    labels = viewer.add_labels(np.zeros(shape, int), name="other", **transform)
    put_at(viewer, image, (3, 0, 0))
    plane = displayed_plane(image, viewer.dims)
    with pytest.raises(LabelsError, match=r"'other'.*do not coincide.*'cells'"):
        plane_in_labels(labels, image, plane, viewer.dims)
