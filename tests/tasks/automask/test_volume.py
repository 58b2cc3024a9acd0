from __future__ import annotations

import numpy as np
import pytest
from fakes import FakeSegmenter

from napari_segmate.core.context import Context
from napari_segmate.core.errors import Cancelled, ModelError, ParameterError
from napari_segmate.core.images.image_source import ImageSource, guess_axes
from napari_segmate.core.numbers.metrics import average_precision
from napari_segmate.core.synthetic import stack_3d
from napari_segmate.core.types import DenseMaps
from napari_segmate.models import load_model
from napari_segmate.tasks.automask.params import Mode, Params
from napari_segmate.tasks.automask.volume import (
    Field3D,
    PlaneField,
    Volume,
    VolumeParams,
    gathered,
    run_volume,
    run_volumes,
    volume_for,
)


@pytest.fixture(scope="module")
def tiny():
    return load_model("tiny", device="cpu")


def field_of(labels):
    """The field that a perfect model would see in planes of three directions."""
    found = Field3D(labels.shape)
    for axis in range(3):
        for at in range(labels.shape[axis]):
            found.add(axis, at, plane_field(np.take(labels, at, axis)), 1.0)
    return found


def plane_field(plane):
    distance, direction = np.zeros(plane.shape), np.zeros((2, *plane.shape))
    for number in np.unique(plane[plane > 0]):
        inside = plane == number
        at = np.argwhere(inside)
        off = at.mean(axis=0) - at
        length = np.maximum(np.hypot(*off.T), 1)
        direction[:, *at.T] = (off / length[:, None]).T
        distance[inside] = 1 - np.hypot(*off.T) / max(np.hypot(*off.T).max(), 1)
    arrays = (plane > 0, distance, direction)
    return PlaneField(*(np.asarray(one, np.float32) for one in arrays))


def two_balls():
    grid = np.mgrid[:24, :24, :40]
    labels = np.zeros((24, 24, 40), int)
    for number, x in ((1, 12), (2, 27)):
        square = (grid[0] - 12) ** 2 + (grid[1] - 12) ** 2 + (grid[2] - x) ** 2
        labels[(square < 64) & (labels == 0)] = number
    return labels


def test_a_perfect_field_gives_the_objects_back():
    truth = two_balls()
    found = gathered(field_of(truth), VolumeParams(min_volume=20))
    assert found.max() == 2 and average_precision(truth, found, (0.9,))[0] == 1


def test_an_empty_field_has_no_object():
    assert not gathered(Field3D((3, 4, 5))).any()


def test_small_objects_are_dropped():
    truth = two_balls()
    assert gathered(field_of(truth), VolumeParams(min_volume=5000)).max() == 0


def test_dense_maps_without_a_flow_point_up_the_distance():
    ramp = np.tile(np.linspace(0, 1, 10, dtype=np.float32), (8, 1))
    found = PlaneField.of_maps(DenseMaps(ramp, ramp, ramp, (16, 20)), (16, 20))
    assert found.foreground.shape == (16, 20) and found.direction_yx.shape == (2, 16, 20)
    middle = found.direction_yx[:, 8, 10]
    assert middle[1] > 0.9 and abs(middle[0]) < 0.1


def test_a_flow_of_the_maps_is_taken_as_it_is():
    class WithFlow:
        foreground = depth = centre = np.ones((4, 4), np.float32)
        image_shape = (8, 8)
        flow_yx = np.stack([np.full((4, 4), 127), np.full((4, 4), -127)]).astype(np.int8)

    found = PlaneField.of_maps(WithFlow(), (8, 8))
    assert np.allclose(found.direction_yx[0], 1) and np.allclose(found.direction_yx[1], -1)


def test_nuclei_of_a_stack_are_found_in_three_views(tiny):
    image, truth = stack_3d((12, 64, 64), count=5)
    source = ImageSource(image, guess_axes(image.shape))
    found = run_volume(source, tiny, Params(diameter=22), anisotropy=2.0)
    assert found.shape == image.shape
    assert average_precision(truth, found, (0.5,))[0] >= 0.6


def test_every_time_point_is_a_volume_of_its_own(tiny):
    image, _ = stack_3d((6, 48, 48), count=3)
    movie = np.stack([image, np.zeros_like(image), image])
    source = ImageSource(movie, guess_axes(movie.shape))
    quick = VolumeParams(cut_step=12)
    found = run_volumes(source, tiny, Params(diameter=22), quick, anisotropy=2.0)
    assert found.shape == movie.shape and not found[1].any()
    first, last = (set(np.unique(found[at]).tolist()) - {0} for at in (0, 2))
    assert first and last and not first & last


def test_a_model_without_instance_head_or_another_mode_is_refused(tiny):
    image = np.zeros((3, 16, 16), np.uint8)
    source = ImageSource(image, guess_axes(image.shape))
    with pytest.raises(ModelError, match="planes"):
        run_volume(source, FakeSegmenter())
    with pytest.raises(ModelError):
        run_volume(source, tiny, Params(mode=Mode.GRID))


def test_planes_and_anisotropies_that_are_not_there_are_refused(tiny):
    image = np.zeros((3, 16, 16), np.uint8)
    source = ImageSource(image, guess_axes(image.shape))
    with pytest.raises(ParameterError, match="axis"):
        run_volume(source, tiny, z_axis=2)
    with pytest.raises(ParameterError, match="anisotropy"):
        run_volume(source, tiny, anisotropy=0)
    with pytest.raises(ParameterError, match="axis"):
        run_volumes(ImageSource(image[0], guess_axes((16, 16))), tiny)


def test_it_can_be_cancelled(tiny):
    image, _ = stack_3d((6, 48, 48), count=3)
    source = ImageSource(image, guess_axes(image.shape))
    seen: list[str] = []
    context = Context(lambda done, total, text: seen.append(text), lambda: len(seen) > 8)
    with pytest.raises(Cancelled):
        run_volume(source, tiny, Params(diameter=22), context=context)


@pytest.mark.parametrize(
    ("anisotropy", "expected"),
    [(0.1, Volume.PLANES), (0.5, Volume.VIEWS), (1, Volume.VIEWS), (8, Volume.PLANES)],
)
def test_what_suits_depends_on_how_far_planes_lie_apart(anisotropy, expected):
    assert volume_for(anisotropy) is expected


@pytest.mark.parametrize(("name", "value"), [("foreground", 1.1), ("density", -1), ("denoise", -1)])
def test_parameters_out_of_range_are_refused(name, value):
    with pytest.raises(ParameterError, match=name):
        VolumeParams(**{name: value})
