import numpy as np
import pytest

from napari_segmate.core.errors import LabelsError
from napari_segmate.core.labels.seams import blocks, joined, same_objects


@pytest.mark.parametrize("shape", [(10, 23), (1, 40), (8, 8)])
def test_blocks_own_every_cell_once(shape):
    owned = np.zeros(shape, int)
    for outer, own in blocks(shape, 8, 3):
        assert outer[0] <= own[0] < own[2] <= outer[2]
        owned[own[0] : own[2], own[1] : own[3]] += 1
    assert (owned == 1).all()


def test_labels_are_one_object_when_they_share_most_pixels():
    before, after = np.zeros((2, 6, 12), int)
    before[1:4, 0:6], after[1:4, 2:6] = 4, 9
    before[:, 8:10], after[0, 8:10] = 5, 7
    assert same_objects(before, after).tolist() == [[4, 9], [5, 7]]
    after[0, 8:12] = 0
    after[4:6, 0:3] = 2
    assert same_objects(before, after).tolist() == [[4, 9]]


def test_a_label_is_joined_with_its_best_partner_only():
    before = np.array([[1, 1, 1, 1, 2, 2, 2, 2]])
    after = np.array([[3, 3, 3, 3, 3, 3, 3, 0]])
    assert same_objects(before, after, overlap=0.1).tolist() == [[1, 3]]


def test_an_empty_strip_joins_nothing():
    assert same_objects(np.zeros((3, 4), int), np.ones((3, 4), int)).shape == (0, 2)


def test_strips_of_different_shapes_are_refused():
    with pytest.raises(LabelsError, match="one shape"):
        same_objects(np.zeros((3, 4), int), np.zeros((3, 5), int))


def test_chains_of_pairs_get_one_number():
    number = joined(7, [(2, 5), (7, 5), (1, 3)])
    assert number[0] == 0
    assert number[2] == number[5] == number[7]
    assert number[1] == number[3]
    assert sorted(set(number.tolist())) == [0, 1, 2, 3, 4]


def test_without_pairs_all_labels_stay():
    assert joined(3, []).tolist() == [0, 1, 2, 3]
