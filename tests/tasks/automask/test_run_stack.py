from __future__ import annotations

import numpy as np
import pytest

from napari_segmate.core.context import Context
from napari_segmate.core.errors import Cancelled, ParameterError
from napari_segmate.core.images.image_source import ImageSource, guess_axes
from napari_segmate.core.numbers.metrics import average_precision
from napari_segmate.core.synthetic import stack_3d
from napari_segmate.models import load_model
from napari_segmate.tasks.automask.run import run_stack
from napari_segmate.tasks.stack import Numbering, planes_in_order


@pytest.fixture(scope="module")
def tiny():
    return load_model("tiny", device="cpu")


@pytest.fixture(scope="module")
def stack():
    return stack_3d((8, 96, 96), count=8, seed=2)


def source_of(image):
    return ImageSource(image, guess_axes(image.shape))


def test_nuclei_of_a_stack_have_one_number_through_all_planes(tiny, stack):
    image, labels = stack
    found = run_stack(source_of(image), tiny, anisotropy=2.0)
    assert found.shape == labels.shape
    assert average_precision(labels, found, ignore_min_area=200)[0] > 0.6


def test_unlinked_planes_share_no_number(tiny, stack):
    found = run_stack(source_of(stack[0][:4]), tiny, link=False)
    numbers = [set(np.unique(plane)) - {0} for plane in found]
    assert sum(map(len, numbers)) == len(set.union(*numbers)) > 4


def test_planes_arrive_one_by_one_and_only_those_wanted(tiny, stack):
    seen = []
    found = run_stack(
        source_of(stack[0]),
        tiny,
        indices=[(4,), (3,)],
        on_plane=lambda index, labels: seen.append((index, labels.copy())),
    )
    assert [index for index, _ in seen] == [(3,), (4,)]
    assert (seen[1][1] == found[4]).all()
    assert np.flatnonzero(found.any(axis=(1, 2))).tolist() == [3, 4]


def test_one_plane_is_a_stack_of_one(tiny, stack):
    found = run_stack(source_of(stack[0][4]), tiny)
    assert found.shape == (96, 96)
    assert found.any()


def test_cancelling_stops_between_planes(tiny, stack):
    done = []
    context = Context(cancelled=lambda: len(done) == 2)
    with pytest.raises(Cancelled):
        run_stack(
            source_of(stack[0]), tiny, context=context, on_plane=lambda *one: done.append(one)
        )
    assert len(done) == 2


def test_planes_and_axes_that_do_not_exist_are_refused():
    with pytest.raises(ParameterError, match=r"no plane \(9,\)"):
        planes_in_order((3,), [(9,)], -1)
    with pytest.raises(ParameterError, match="no axis 2"):
        planes_in_order((3, 4), None, 2)


def test_every_time_point_has_its_own_numbers():
    numbering = Numbering(1, 1.0, link=True)
    plane = np.ones((3, 3), int)
    numbers = [numbering.add(index, plane).max() for index in planes_in_order((2, 2), None, 1)]
    assert numbers == [1, 1, 2, 2]


def test_planes_left_out_count_as_empty():
    numbering = Numbering(0, 1.0, link=True)
    plane = np.ones((3, 3), int)
    assert [numbering.add((z,), plane).max() for z in (0, 2, 9)] == [1, 1, 2]
