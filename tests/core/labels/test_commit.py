from __future__ import annotations

import numpy as np
import pytest

from napari_segmate.core.errors import LabelsError
from napari_segmate.core.labels.commit import CommitPolicy, apply, commit, dtype_for, next_id
from napari_segmate.core.types import Instance

KEEP, OVERWRITE, BACKGROUND = (
    CommitPolicy.KEEP_OBJECTS,
    CommitPolicy.OVERWRITE,
    CommitPolicy.ONLY_BACKGROUND,
)


def rectangle(y0, x0, y1, x1) -> Instance:
    return Instance((y0, x0, y1, x1), np.ones((y1 - y0, x1 - x0), bool))


def plane(*objects) -> np.ndarray:
    labels = np.zeros((20, 20), np.uint8)
    for value, (y0, x0, y1, x1) in enumerate(objects, start=1):
        labels[y0:y1, x0:x1] = value
    return labels


def committed(labels, instances, **kwargs) -> np.ndarray:
    before = labels.copy()
    changes = commit(labels, instances, **kwargs)
    np.testing.assert_array_equal(labels, before)
    written = np.zeros(labels.shape, int)
    for change in changes:
        assert len(change.index[0]) > 0
        assert (labels[change.index] != change.value).all()
        y0, x0, y1, x1 = change.box_yx
        assert (y0, y1 - 1) == (change.index[0].min(), change.index[0].max())
        assert (x0, x1 - 1) == (change.index[1].min(), change.index[1].max())
        np.add.at(written, change.index, 1)
    assert written.max(initial=0) <= 1
    return apply(before, changes)


def test_keep_objects_leaves_others_their_pixels():
    after = committed(plane((0, 0, 10, 10)), [rectangle(5, 5, 15, 15)], first_id=2, policy=KEEP)
    assert (after[:10, :10] == 1).all()
    assert np.count_nonzero(after == 2) == 100 - 25


def test_overwrite_gives_the_new_object_its_whole_mask():
    labels = plane((0, 0, 10, 10))
    after = committed(labels, [rectangle(5, 5, 15, 15)], first_id=2, policy=OVERWRITE)
    assert (after[5:15, 5:15] == 2).all()
    assert np.count_nonzero(after == 1) == 75


def test_only_background_leaves_out_what_lies_mostly_on_others():
    labels = plane((0, 0, 10, 10))
    instances = [rectangle(5, 5, 12, 12), rectangle(8, 8, 18, 18)]
    after = committed(labels, instances, first_id=2, policy=BACKGROUND)
    assert set(np.unique(after)) == {0, 1, 3}
    assert np.count_nonzero(after == 3) == 100 - 4


def test_only_background_counts_earlier_objects_of_the_batch():
    instances = [rectangle(0, 0, 10, 10), rectangle(1, 1, 11, 11), rectangle(9, 9, 19, 19)]
    after = committed(plane(), instances, first_id=1, policy=BACKGROUND)
    assert set(np.unique(after)) == {0, 1, 3}


@pytest.mark.parametrize(("policy", "winner"), [(KEEP, 1), (BACKGROUND, 1), (OVERWRITE, 2)])
def test_of_two_objects_of_a_batch_the_policy_says_who_wins(policy, winner):
    instances = [rectangle(0, 0, 10, 10), rectangle(9, 9, 19, 19)]
    assert committed(plane(), instances, first_id=1, policy=policy)[9, 9] == winner


def test_an_object_without_free_pixel_keeps_its_id_unused():
    labels = plane((0, 0, 10, 10))
    after = committed(labels, [rectangle(1, 1, 3, 3), rectangle(12, 12, 14, 14)], first_id=2)
    assert set(np.unique(after)) == {0, 1, 3}


def test_holes_of_a_mask_are_not_written():
    mask = np.ones((5, 5), bool)
    mask[2, 2] = False
    after = committed(plane(), [Instance((3, 3, 8, 8), mask)], first_id=4)
    assert after[5, 5] == 0
    assert np.count_nonzero(after == 4) == 24


@pytest.mark.parametrize("policy", list(CommitPolicy))
def test_an_edited_object_keeps_its_id_and_gives_up_the_rest(policy):
    labels = plane((0, 0, 10, 10), (15, 15, 18, 18))
    after = committed(labels, [rectangle(5, 5, 14, 14)], first_id=3, replace_id=1, policy=policy)
    expected = plane()
    expected[5:14, 5:14] = 1
    expected[15:18, 15:18] = 2
    np.testing.assert_array_equal(after, expected)


def test_an_unchanged_edit_changes_nothing():
    assert commit(plane((2, 2, 8, 8)), [rectangle(2, 2, 8, 8)], first_id=2, replace_id=1) == ()


def test_an_edit_that_is_left_out_leaves_the_object_as_it_was():
    labels = plane((0, 0, 3, 3), (5, 5, 15, 15))
    changes = commit(labels, [rectangle(6, 6, 12, 12)], first_id=3, replace_id=1, policy=BACKGROUND)
    assert changes == ()


def test_pieces_of_an_edited_object_are_given_up_wherever_they_lie():
    labels = plane((0, 0, 3, 3))
    labels[18:, 18:] = 1
    after = committed(labels, [rectangle(0, 0, 2, 2)], first_id=2, replace_id=1)
    assert np.count_nonzero(after) == 4


def test_only_the_first_of_several_objects_replaces():
    labels = plane((0, 0, 10, 10))
    after = committed(
        labels, [rectangle(0, 0, 4, 4), rectangle(5, 5, 8, 8)], first_id=7, replace_id=1
    )
    assert np.count_nonzero(after == 1) == 16
    assert np.count_nonzero(after == 7) == 9
    assert np.count_nonzero(after) == 25


class Large:
    """A label plane of 1e8 pixels with one object, of which only parts may be read."""

    shape, dtype = (10000, 10000), np.dtype(np.uint16)

    def __init__(self) -> None:
        self.pixels_read = 0

    def __getitem__(self, index):
        y, x = (np.arange(part.start, part.stop) for part in index)
        self.pixels_read += y.size * x.size
        inside = (abs(y - 5000) <= 300)[:, None] & (abs(x - 5000) <= 300)
        return np.where(inside, 9, 0).astype(self.dtype)


def test_only_the_box_of_an_object_is_read():
    large = Large()
    changes = commit(large, [rectangle(10, 20, 30, 50)], first_id=10)
    assert large.pixels_read == 20 * 30
    assert [len(change.index[0]) for change in changes] == [600]


def test_of_a_large_plane_only_the_surroundings_of_an_edited_object_are_read():
    large = Large()
    changes = commit(large, [rectangle(4990, 4990, 5010, 5010)], first_id=10, replace_id=9)
    assert [(change.value, len(change.index[0])) for change in changes] == [(0, 601**2 - 400)]
    assert large.pixels_read < 1e7


def test_the_box_of_an_edited_object_can_be_given():
    large = Large()
    box = (4600, 4600, 5400, 5400)
    (change,) = commit(
        large, [rectangle(4990, 4990, 5010, 5010)], first_id=10, replace_id=9, replace_box_yx=box
    )
    assert len(change.index[0]) == 601**2 - 400
    assert large.pixels_read == 400 + 800**2


def test_zarr_labels_are_read_like_arrays():
    zarr = pytest.importorskip("zarr")
    labels = zarr.create_array(
        store=zarr.storage.MemoryStore(), shape=(20, 20), chunks=(8, 8), dtype="u1"
    )
    labels[:] = plane((0, 0, 10, 10))
    (change,) = commit(labels, [rectangle(5, 5, 15, 15)], first_id=2)
    assert len(change.index[0]) == 75


def test_an_id_that_does_not_fit_is_an_error_with_a_cure():
    with pytest.raises(LabelsError, match="uint16"):
        commit(plane(), [rectangle(0, 0, 2, 2), rectangle(4, 4, 6, 6)], first_id=255)


def test_an_object_beyond_the_plane_is_an_error():
    with pytest.raises(LabelsError, match="beyond"):
        commit(plane(), [rectangle(15, 15, 25, 25)], first_id=1)


@pytest.mark.parametrize("shape", [(5,), (5, 5, 5)])
def test_labels_that_are_no_plane_are_an_error(shape):
    with pytest.raises(LabelsError, match="two axes"):
        commit(np.zeros(shape, int), [], first_id=1)


@pytest.mark.parametrize("ids", [{"first_id": 0}, {"first_id": 3, "replace_id": 0}])
def test_background_is_no_id(ids):
    with pytest.raises(LabelsError, match="start at 1"):
        commit(plane(), [rectangle(0, 0, 2, 2)], **ids)


def test_no_objects_change_nothing():
    assert commit(plane((0, 0, 3, 3)), [], first_id=2, replace_id=1) == ()


@pytest.mark.parametrize(
    ("largest", "dtype", "expected"),
    [
        (300, "u1", "u2"),
        (65536, "u2", "u4"),
        (2**32, "u1", "u8"),
        (128, "i1", "i2"),
        (2**31, "i4", "i8"),
        (1, "?", "u1"),
        (7, "i4", "i4"),
    ],
)
def test_types_grow_instead_of_overflowing(largest, dtype, expected):
    assert dtype_for(largest, dtype) == np.dtype(expected)


def test_a_type_with_room_stays_also_in_its_byte_order():
    assert dtype_for(9, ">u2") == np.dtype(">u2")


@pytest.mark.parametrize(("largest", "dtype"), [(1, "f4"), (1, "c8"), (2**64, "u8"), (2**63, "i8")])
def test_no_type_is_an_error(largest, dtype):
    with pytest.raises(LabelsError):
        dtype_for(largest, dtype)


@pytest.mark.parametrize("labels", [np.zeros((0, 4), int), np.zeros((4, 4), int), -np.ones(3, int)])
def test_the_first_id_is_one(labels):
    assert next_id(labels) == 1


def test_the_next_id_of_lazy_labels_is_found_piece_by_piece(monkeypatch):
    da = pytest.importorskip("dask.array")
    monkeypatch.setattr("napari_segmate.core.labels.commit.BLOCK_BYTES", 1 << 12)
    labels = np.zeros((7, 90, 110), np.uint16)
    labels[6, 89, 109] = 300
    assert next_id(labels) == 301
    assert next_id(da.from_array(labels, chunks=(2, 40, 50))) == 301


def test_the_next_id_after_the_largest_of_a_type_is_no_overflow():
    assert next_id(np.array([255], np.uint8)) == 256
