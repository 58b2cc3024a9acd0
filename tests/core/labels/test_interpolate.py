import numpy as np
import pytest

from napari_segmate.core.errors import LabelsError
from napari_segmate.core.labels.interpolate import fill_between, mix_masks, signed_distance
from napari_segmate.core.numbers.metrics import mask_iou
from napari_segmate.core.synthetic import stack_3d


def ball(depth: int = 25, side: int = 41, radius: float = 11.0) -> np.ndarray:
    z, y, x = np.ogrid[:depth, :side, :side]
    middle = side // 2
    inside = (z - depth // 2) ** 2 + (y - middle) ** 2 + (x - middle) ** 2 < radius**2
    return inside.astype(np.uint16)


def test_signed_distance_of_nothing_and_of_everything_is_far():
    assert (signed_distance(np.zeros((4, 5), bool)) <= -4).all()
    assert (signed_distance(np.ones((4, 5), bool)) >= 4).all()


def test_a_ball_known_on_every_third_plane_is_drawn_again():
    truth = ball()
    given = truth.copy()
    missing = [plane for plane in range(len(truth)) if plane % 3 and 3 < plane < 21]
    given[missing] = 0
    filled = fill_between(given)
    assert min(mask_iou(filled[at], truth[at]) for at in missing[3:-3]) > 0.85
    assert (filled[given > 0] == given[given > 0]).all()


def test_planes_outside_of_those_given_stay_empty():
    given = np.zeros((9, 8, 8), np.uint8)
    given[2, 2:5, 2:5] = given[5, 2:5, 2:5] = 4
    filled = fill_between(given)
    assert np.flatnonzero(filled.any(axis=(1, 2))).tolist() == [2, 3, 4, 5]


def test_gaps_longer_than_allowed_stay():
    given = np.zeros((9, 8, 8), np.uint8)
    given[[0, 2, 7], 2:5, 2:5] = 1
    assert np.flatnonzero(fill_between(given, most_gap=2).any(axis=(1, 2))).tolist() == [0, 1, 2, 7]


def test_an_object_that_moves_by_more_than_its_width_stays_whole():
    before, after = np.zeros((2, 20, 60), bool)
    before[8:13, 2:8] = after[8:13, 50:56] = True
    middle = mix_masks(before, after, 0.5)
    assert 20 <= middle.sum() <= 40
    assert 26 <= np.argwhere(middle)[:, 1].mean() <= 31


def test_objects_do_not_take_pixels_of_each_other():
    given = np.zeros((3, 12, 12), np.uint8)
    given[[0, 2], 2:8, 2:8] = 1
    given[1, 4:10, 4:10] = 2
    filled = fill_between(given)
    assert (filled[1, 4:10, 4:10] == 2).all() and (filled[1] == 1).sum() > 0


def test_any_axis_can_be_followed():
    truth = ball()
    given = truth.copy()
    given[13] = 0
    across = np.moveaxis(fill_between(np.moveaxis(given, 0, 2), axis=2), 2, 0)
    assert (across == fill_between(given)).all()


def test_nuclei_given_on_every_third_plane_come_back():
    _, truth = stack_3d((24, 96, 96), count=8)
    given = truth.copy()
    given[np.arange(24) % 3 != 0] = 0
    filled = fill_between(given)
    between = (filled > 0) & (given == 0)
    assert between.any()
    ious = []
    for number in np.unique(given[given > 0]):
        there = np.flatnonzero((given == number).any(axis=(1, 2)))
        for plane in range(there[0], there[-1]):
            if plane % 3:
                ious.append(mask_iou(filled[plane] == number, truth[plane] == number))
    assert np.mean(ious) >= 0.85


@pytest.mark.parametrize(
    "labels", [np.zeros((4, 4), int), np.zeros((2, 2, 2)), np.zeros((2,) * 4, int)]
)
def test_other_arrays_are_refused(labels):
    with pytest.raises(LabelsError):
        fill_between(labels)
    with pytest.raises(LabelsError, match="axis"):
        fill_between(np.zeros((2, 2, 2), int), axis=3)
