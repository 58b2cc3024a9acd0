import numpy as np
import pytest

from napari_segmate.core.errors import LabelsError
from napari_segmate.core.numbers.metrics import (
    MSA_THRESHOLDS,
    average_precision,
    iou_matrix,
    mask_iou,
    segmentation_accuracy,
)


def _squares(*boxes, shape=(40, 40)):
    labels = np.zeros(shape, np.int32)
    for number, (y0, x0, y1, x1) in enumerate(boxes, start=1):
        labels[y0:y1, x0:x1] = number
    return labels


TRUTH = _squares((0, 0, 10, 10), (20, 20, 30, 30))


def test_a_perfect_answer_scores_one_whatever_its_numbers():
    renumbered = np.array([0, 900, 3])[TRUTH]
    assert average_precision(TRUTH, renumbered, (0.5, 0.95)).tolist() == [1, 1]
    assert segmentation_accuracy(TRUTH, renumbered) == 1


def test_missed_wrong_and_merged_objects_count_against_the_score():
    missed = _squares((0, 0, 10, 10))
    wrong = _squares((0, 0, 10, 10), (20, 20, 30, 30), (0, 30, 5, 35))
    merged = np.minimum(TRUTH, 1)
    assert average_precision(TRUTH, missed).tolist() == [1 / 2]
    assert average_precision(TRUTH, wrong).tolist() == [2 / 3]
    # The merged object has IoU 0.5 with either true one: it is found, its twin missed.
    assert average_precision(TRUTH, merged, (0.5, 0.55)).tolist() == [1 / 2, 0]


def test_objects_are_matched_one_to_one_for_the_most_pairs():
    truth = np.array([[1, 1, 1, 2, 2]])
    found = np.array([[1, 1, 2, 2, 2]])
    # Each overlaps both, and only one assignment pairs all.
    assert average_precision(truth, found, (0.2, 0.6)).tolist() == [1, 1]


def test_threshold_is_reached_not_exceeded():
    half = _squares((0, 0, 10, 5), (20, 20, 30, 30))
    assert average_precision(TRUTH, half, (0.5,)).tolist() == [1]


@pytest.mark.parametrize("first", [True, False])
def test_nothing_to_find(first):
    empty = np.zeros_like(TRUTH)
    assert average_precision(empty, empty).tolist() == [1]
    pair = (empty, TRUTH) if first else (TRUTH, empty)
    assert average_precision(*pair).tolist() == [0]


def test_small_objects_neither_help_nor_harm():
    truth = _squares((0, 0, 10, 10), (20, 20, 24, 24))
    missed = _squares((0, 0, 10, 10))
    on_it = _squares((0, 0, 10, 10), (18, 20, 25, 23))
    specks = _squares((0, 0, 10, 10), (30, 0, 32, 2))
    for answer in (missed, on_it, specks):
        assert average_precision(truth, answer, ignore_min_area=20).tolist() == [1]
        assert average_precision(truth, answer)[0] < 1


def test_msa_averages_ten_thresholds():
    assert MSA_THRESHOLDS == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
    rng = np.random.default_rng(0)
    answer = np.roll(TRUTH, rng.integers(1, 3), axis=1)
    expected = average_precision(TRUTH, answer, MSA_THRESHOLDS).mean()
    assert segmentation_accuracy(TRUTH, answer) == pytest.approx(expected)


def test_iou_matrix_agrees_with_mask_iou_in_three_dimensions():
    rng = np.random.default_rng(1)
    true = rng.integers(0, 4, (3, 8, 9))
    pred = rng.integers(-2, 3, (3, 8, 9))
    iou, ids_true, ids_pred = iou_matrix(true, pred)
    assert ids_true.tolist() == [1, 2, 3]
    assert ids_pred.tolist() == [-2, -1, 1, 2]
    for i, a in enumerate(ids_true):
        for j, b in enumerate(ids_pred):
            assert iou[i, j] == pytest.approx(mask_iou(true == a, pred == b))


def test_empty_masks_are_equal():
    assert mask_iou(np.zeros((3, 3)), np.zeros((3, 3))) == 1


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(LabelsError, match=r"\(40, 40\) and \(3, 3\)"):
        average_precision(TRUTH, TRUTH[:3, :3])
    with pytest.raises(LabelsError, match="float64"):
        iou_matrix(TRUTH, TRUTH * 1.0)
