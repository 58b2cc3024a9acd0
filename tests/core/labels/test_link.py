import numpy as np
import pytest

from napari_segmate.core.errors import LabelsError
from napari_segmate.core.labels.link import Linker, link_planes
from napari_segmate.core.numbers.metrics import average_precision
from napari_segmate.core.synthetic import stack_3d


def each_plane_alone(stack):
    """Number the objects of every plane 1 .. n, in a shuffled order."""
    rng = np.random.default_rng(0)
    planes = []
    for plane in stack:
        ids = np.setdiff1d(plane, [0])
        number = np.zeros(stack.max() + 1, int)
        number[ids] = rng.permutation(len(ids)) + 1
        planes.append(number[plane])
    return np.stack(planes)


def test_a_stack_cut_into_planes_is_put_together_again():
    _, labels = stack_3d((16, 128, 128), count=20)
    linked = link_planes(each_plane_alone(labels), anisotropy=2)
    assert average_precision(labels, linked)[0] > 0.95
    assert ((linked > 0) == (labels > 0)).all()


def test_an_object_missing_from_a_plane_goes_on_after_it():
    stack = np.zeros((5, 20, 20), int)
    stack[[0, 1, 3, 4], 4:12, 4:12] = 1
    assert np.unique(link_planes(stack, gap=1)).tolist() == [0, 1]
    assert np.unique(link_planes(stack, gap=0)).tolist() == [0, 1, 2]


def test_a_longer_gap_ends_an_object():
    stack = np.zeros((6, 10, 10), int)
    stack[[0, 5], 2:8, 2:8] = 1
    assert np.unique(link_planes(stack, gap=2)).tolist() == [0, 1, 2]


def test_of_two_that_overlap_one_object_the_better_goes_on():
    stack = np.zeros((2, 10, 30), int)
    stack[0, 2:8, 2:20] = 1
    stack[1, 2:8, 2:6], stack[1, 2:8, 7:20] = 1, 2
    linked = link_planes(stack)
    assert linked[1, 4, 10] == linked[0, 4, 4]
    assert linked[1, 4, 3] not in (0, linked[0, 4, 4])


def test_planes_far_apart_need_less_overlap():
    stack = np.zeros((2, 20, 40), int)
    stack[0, 5:15, 5:15] = stack[1, 5:15, 11:21] = 1
    assert link_planes(stack, overlap=0.4, anisotropy=0.1).max() == 2
    assert link_planes(stack, overlap=0.4, anisotropy=20).max() == 1


def test_planes_without_objects_are_nothing_special():
    linker = Linker()
    assert not linker.add(np.zeros((4, 5), int)).any()
    assert linker.add(np.ones((4, 5), int)).max() == 1
    assert linker.count == 1


def test_wrong_input_is_refused():
    linker = Linker()
    linker.add(np.zeros((4, 5), int))
    with pytest.raises(LabelsError, match="one size"):
        linker.add(np.zeros((5, 5), int))
    with pytest.raises(LabelsError, match=r"\(Z, H, W\)"):
        link_planes(np.zeros((4, 5), int))
    with pytest.raises(LabelsError, match="anisotropy 0"):
        Linker(anisotropy=0)
