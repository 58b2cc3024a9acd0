import numpy as np
import pytest

from napari_segmate.core.errors import LabelsError
from napari_segmate.core.labels.edit import (
    apply_changes,
    cut_off_planes,
    delete_objects,
    fill_object_holes,
    keep_largest_piece,
    merge_objects,
    smooth_along,
    split_object,
)


def dumbbell(depth: int | None = None) -> np.ndarray:
    plane = np.zeros((11, 25), np.uint8)
    plane[2:9, 2:9] = plane[2:9, 16:23] = plane[5, 9:16] = 3
    return plane if depth is None else np.repeat(plane[None], depth, axis=0)


def test_merge_gives_all_objects_the_first_id_and_leaves_others_alone():
    labels = np.array([[[1, 2, 4]], [[0, 2, 1]]], np.uint8)
    changes = merge_objects(labels, [2, 1])
    assert {change.value for change in changes} == {2}
    assert apply_changes(labels, changes).tolist() == [[[2, 2, 4]], [[0, 2, 2]]]


@pytest.mark.parametrize("depth", [None, 4])
def test_split_cuts_at_the_neck(depth):
    labels = dumbbell(depth)
    before = (0,) * (labels.ndim - 2)
    clicks = [(*before, 5, 5), (*before, 5, 19)]
    changes = split_object(labels, 3, clicks)
    after = apply_changes(labels.copy(), changes)
    assert (after[..., 2:9, 2:9] == 3).all() and (after[..., 2:9, 16:23] == 4).all()
    assert ((after > 0) == (labels > 0)).all()


def test_split_into_three_uses_the_ids_that_are_given():
    labels = np.zeros((5, 30), np.uint16)
    labels[1:4, 1:29] = 1
    after = apply_changes(
        labels, split_object(labels, 1, [(2, 2), (2, 14), (2, 27)], new_ids=[8, 5])
    )
    assert (after[2, 2], after[2, 14], after[2, 27]) == (1, 8, 5)
    assert set(np.unique(after)) == {0, 1, 5, 8}


@pytest.mark.parametrize(
    "clicks", [[(5, 5)], [(0, 0), (5, 5)], [(5, 5), (5, 5)], [(5, 5), (99, 5)], [(5,), (6,)]]
)
def test_split_refuses_clicks_that_part_nothing(clicks):
    with pytest.raises(LabelsError):
        split_object(dumbbell(), 3, clicks)


def test_split_says_when_the_type_holds_no_more_ids():
    labels = dumbbell()
    labels[0, 0] = 255
    with pytest.raises(LabelsError, match="cannot hold"):
        split_object(labels, 3, [(5, 5), (5, 19)])


def test_cut_off_above_and_below_keep_the_plane_itself():
    labels = np.full((5, 2, 2), 7)
    labels[:, 0, 0] = 2
    above = apply_changes(labels.copy(), cut_off_planes(labels, 7, 2, "above"))
    assert [(plane == 7).sum() for plane in above] == [3, 3, 3, 0, 0]
    below = apply_changes(labels.copy(), cut_off_planes(labels, 7, 1, "below", axis=2))
    assert (below[..., 0] == 7).sum() == 0 and (below[:, 0, 0] == 2).all()


def test_cutting_off_where_the_object_is_not_changes_nothing():
    labels = np.zeros((5, 2, 2), int)
    labels[1] = 1
    assert cut_off_planes(labels, 1, 4, "above") == ()
    with pytest.raises(LabelsError, match="side"):
        cut_off_planes(labels, 1, 4, "left")


def test_delete_removes_only_the_objects_named():
    labels = dumbbell(3)
    labels[0, 0, 0] = 5
    after = apply_changes(labels, delete_objects(labels, [3]))
    assert np.unique(after).tolist() == [0, 5]


def test_holes_are_filled_in_three_dimensions_and_by_plane():
    labels = np.ones((3, 5, 5), int)
    labels[1, 2, 2] = 0
    assert apply_changes(labels.copy(), fill_object_holes(labels, 1)).all()
    labels[0, 2, 2] = 0
    assert fill_object_holes(labels, 1) == ()
    assert apply_changes(labels.copy(), fill_object_holes(labels, 1, by_plane=True)).all()


def test_holes_that_hold_another_object_keep_it():
    labels = np.ones((5, 5), int)
    labels[2, 2] = 9
    assert fill_object_holes(labels, 1) == ()


def test_only_the_largest_piece_stays():
    labels = np.zeros((4, 4, 9), int)
    labels[:, :, :3] = labels[0, 0, 8] = 1
    after = apply_changes(labels, keep_largest_piece(labels, 1))
    assert after[0, 0, 8] == 0 and after[..., :3].all()


def test_smoothing_evens_out_one_plane_that_differs():
    labels = np.zeros((7, 21, 21), int)
    labels[:, 5:16, 5:16] = 1
    labels[3] = 0
    labels[3, 9:12, 9:12] = 1
    labels[:, 3, 10] = 2
    after = apply_changes(labels.copy(), smooth_along(labels, 1, sigma=1.5))
    assert (after[3] == 1).sum() > 2 * (labels[3] == 1).sum()
    assert (after == 2).sum() == (labels == 2).sum()


def test_smoothing_adds_no_plane():
    labels = np.zeros((5, 9, 9), int)
    labels[1:3, 2:7, 2:7] = 1
    after = apply_changes(labels, smooth_along(labels, 1))
    assert not after[0].any() and not after[3:].any()


@pytest.mark.parametrize("number", [0, 4])
def test_an_object_that_is_not_there_is_refused(number):
    with pytest.raises(LabelsError, match="object"):
        keep_largest_piece(dumbbell(), number)


def test_every_change_really_changes_its_pixels():
    labels = dumbbell(2)
    for changes in (
        split_object(labels, 3, [(0, 5, 5), (1, 5, 19)]),
        delete_objects(labels, [3]),
        cut_off_planes(labels, 3, 0, "above"),
    ):
        assert changes
        for change in changes:
            assert (labels[change.index] != change.value).all() and change.count > 0
