import numpy as np
import pytest

from napari_segmate.core.labels.instances import instances_from_maps
from napari_segmate.core.numbers.metrics import average_precision
from napari_segmate.core.synthetic import touching_cells
from napari_segmate.models._tiny_network import OFFSET_UNIT
from napari_segmate.training.targets import STRIDE, dense_targets, flow_targets


def test_maps_have_a_value_per_cell():
    targets = dense_targets(touching_cells((96, 128), radius=12)[1])
    assert targets.foreground.shape == targets.distance.shape == (24, 32)
    assert targets.offset_yx.shape == (2, 24, 32)


def test_offsets_point_from_the_middle_of_the_cell_to_the_centre():
    labels = np.zeros((64, 64), np.int32)
    labels[10:31, 20:41] = 3
    targets = dense_targets(labels)
    cells_yx = np.argwhere(targets.foreground)
    assert len(cells_yx) > 20
    for y, x in cells_yx:
        aimed = np.array([y, x]) * STRIDE + 1.5 + OFFSET_UNIT * targets.offset_yx[:, y, x]
        np.testing.assert_allclose(aimed, (20, 30), atol=0.6)


def test_centre_lies_inside_an_object_with_a_hollow_middle():
    labels = np.zeros((64, 64), np.int32)
    labels[8:56, 8:56] = 1
    labels[8:44, 20:44] = 0
    targets = dense_targets(labels)
    y, x = np.argwhere(targets.foreground)[0]
    aimed = np.array([y, x]) * STRIDE + 1.5 + OFFSET_UNIT * targets.offset_yx[:, y, x]
    assert labels[tuple(aimed.round().astype(int))] == 1


def test_distance_is_one_at_the_deepest_place_of_each_object_and_dips_between_neighbours():
    labels = np.zeros((64, 128), np.int32)
    labels[8:56, 8:64] = 1
    labels[8:56, 64:120] = 2
    distance = dense_targets(labels).distance
    assert distance[:, :16].max() == pytest.approx(1, abs=0.1)
    assert distance[:, 16:].max() == pytest.approx(1, abs=0.1)
    assert distance[8, 16] < 0.2
    assert distance[0, 0] == 0


def test_targets_describe_the_objects():
    _, labels = touching_cells((256, 256), radius=24)
    targets = dense_targets(labels)
    grown = [
        np.repeat(np.repeat(each, STRIDE, -2), STRIDE, -1)
        for each in (targets.foreground, targets.distance, targets.offset_yx * OFFSET_UNIT)
    ]
    assert average_precision(labels, instances_from_maps(*grown), ignore_min_area=50)[0] > 0.85


@pytest.mark.parametrize("labels", [np.zeros((32, 32), int), np.pad([[7]], (10, 21))])
def test_empty_and_nearly_empty_images_have_finite_targets(labels):
    targets = dense_targets(labels)
    for each in (targets.foreground, targets.distance, targets.offset_yx):
        assert np.isfinite(each).all()


def test_flow_leads_to_one_place_in_each_object():
    _, labels = touching_cells((96, 128), radius=12)
    targets = flow_targets(labels)
    length = np.hypot(*targets.flow_yx)
    cells = labels[1::2, 1::2] * (targets.foreground >= 0.5)
    assert (length[cells == 0] <= 1.001).all()
    for number in np.unique(cells[cells > 0]):
        own = length[cells == number]
        assert (own == 0).sum() == 1
        assert (own > 0.9).mean() > 0.5


def test_flow_goes_round_the_gap_of_a_hoof():
    labels = np.zeros((64, 64), int)
    labels[8:56, 8:56] = 1
    labels[8:44, 20:44] = 0
    flow_yx = flow_targets(labels).flow_yx
    # At the top of both legs the way to the centre leads down, not across the gap.
    for column in (6, 24):
        down, across = flow_yx[:, 5, column]
        assert down > 0.95
        assert abs(across) < 0.3


def test_foreground_of_a_flow_is_the_share_of_pixels():
    labels = np.zeros((8, 8), int)
    labels[1:5, 2:6] = 1
    assert flow_targets(labels).foreground[:, 1].tolist() == [0.5, 1, 0.5, 0]


def test_parts_that_touch_at_corners_flow_into_one():
    labels = np.zeros((24, 24), int)
    labels[2:12, 2:12] = labels[12:22, 12:22] = 1
    length = np.hypot(*flow_targets(labels).flow_yx)
    assert (length[labels[1::2, 1::2] > 0] == 0).sum() == 1


def test_no_objects_have_no_flow():
    targets = flow_targets(np.zeros((32, 16), int))
    assert targets.flow_yx.shape == (2, 16, 8)
    assert not targets.flow_yx.any()
    assert not targets.foreground.any()
