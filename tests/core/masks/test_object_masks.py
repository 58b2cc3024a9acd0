from __future__ import annotations

import numpy as np
import pytest

from napari_segmate.core.errors import PromptError
from napari_segmate.core.masks.object_masks import (
    binarize,
    box_of,
    clean,
    crop,
    decode_rle,
    ellipse_mask,
    encode_rle,
    instance_from_mask,
    intersection,
    iou,
    nms,
    outline,
    paste,
    polygon_mask,
    stability_score,
)
from napari_segmate.core.types import Instance


def square(y, x, side=4, score=1.0) -> Instance:
    return Instance((y, x, y + side, x + side), np.ones((side, side), bool), score)


@pytest.fixture
def random_mask() -> np.ndarray:
    return np.random.default_rng(0).random((23, 31)) > 0.7


def test_an_empty_mask_has_no_box_and_is_no_instance():
    assert box_of(np.zeros((4, 5), bool)) is None
    assert instance_from_mask(np.zeros((4, 5), bool)) is None


def test_an_instance_pasted_back_is_the_mask(random_mask):
    instance = instance_from_mask(random_mask, score=0.5, stability=0.25)
    np.testing.assert_array_equal(paste(instance, random_mask.shape), random_mask)
    assert instance.area == random_mask.sum()
    assert (instance.score, instance.stability) == (0.5, 0.25)


def test_an_instance_does_not_share_memory_with_the_mask(random_mask):
    instance = instance_from_mask(random_mask)
    before = instance.mask.copy()
    random_mask[:] = True
    np.testing.assert_array_equal(instance.mask, before)


def test_pasting_cuts_off_what_lies_beyond_the_plane():
    assert paste(square(-2, 3), (5, 5)).sum() == 4


def test_boxes_that_only_touch_share_nothing():
    assert intersection((0, 0, 4, 4), (4, 0, 8, 4)) is None


def test_a_crop_of_a_box_far_away_is_empty():
    assert not crop(np.ones((2, 2), bool), (0, 0, 2, 2), (10, 10, 12, 13)).any()


def test_the_threshold_itself_is_outside():
    assert binarize(np.array([0.5, 0.6]), 0.5).tolist() == [False, True]


def test_stability_is_the_iou_of_two_cuts():
    logits = np.random.default_rng(0).normal(size=(2, 3, 16, 16)) * 3
    inner, outer = logits > 1, logits > -1
    expected = (inner & outer).sum((-2, -1)) / (inner | outer).sum((-2, -1))
    np.testing.assert_allclose(stability_score(logits), expected, rtol=1e-6)


def test_stability_of_an_empty_mask_is_zero():
    assert stability_score(np.full((4, 4), -9.0)) == 0


def ring() -> np.ndarray:
    mask = np.zeros((9, 9), bool)
    mask[1:8, 1:8] = True
    mask[3:6, 3:6] = False
    return mask


def test_holes_are_filled_and_left_on_request():
    assert clean(ring(), fill_holes=True).sum() == 49
    assert clean(ring(), fill_holes=False).sum() == 40


def test_a_bay_at_the_border_is_no_hole():
    mask = np.ones((5, 5), bool)
    mask[0:2, 2] = False
    np.testing.assert_array_equal(clean(mask), mask)


def test_small_pieces_go_but_the_largest_stays():
    mask = np.zeros((12, 12), bool)
    mask[1:3, 1:3] = mask[6:9, 6:9] = True
    assert clean(mask, min_size=5).sum() == 9
    assert clean(mask, min_size=50).sum() == 9
    assert clean(mask, min_size=4).sum() == 13


def test_a_small_piece_under_a_seed_stays():
    mask = np.zeros((12, 12), bool)
    mask[1:3, 1:3] = mask[6:9, 6:9] = True
    assert clean(mask, min_size=5, seeds_yx=[[1, 2], [99, 99]]).sum() == 13


def test_pieces_that_touch_at_a_corner_are_one():
    assert clean(np.eye(6, dtype=bool), min_size=5).sum() == 6


def test_cleaning_does_not_change_the_mask_given():
    mask = ring()
    clean(mask, min_size=3)
    np.testing.assert_array_equal(mask, ring())


def test_cleaning_nothing_gives_nothing():
    assert not clean(np.zeros((3, 3), bool), min_size=3).any()


def test_iou_is_that_of_whole_masks(random_mask):
    a = instance_from_mask(random_mask)
    b = instance_from_mask(np.roll(random_mask, (3, 2), (0, 1)))
    whole_a, whole_b = paste(a, (23, 31)), paste(b, (23, 31))
    assert iou(a, b) == pytest.approx((whole_a & whole_b).sum() / (whole_a | whole_b).sum())
    assert iou(a, b) == iou(b, a)
    assert iou(a, a) == 1


def test_nms_keeps_the_best_of_those_that_overlap():
    candidates = [square(0, 0, score=0.5), square(0, 1, score=0.9), square(9, 9, score=0.1)]
    assert nms(candidates, 0.5) == (1, 2)
    assert nms(candidates, 0.9) == (1, 0, 2)
    assert nms([]) == ()


def test_an_outline_is_one_pixel_wide_and_part_of_the_mask(random_mask):
    edge = outline(random_mask)
    assert (edge <= random_mask).all()
    assert outline(np.ones((1, 1), bool)).all()
    assert outline(ring()).sum() == 40 - 4


@pytest.mark.parametrize("fill", [None, False, True])
def test_run_lengths_hold_any_mask(random_mask, fill):
    mask = random_mask if fill is None else np.full((3, 4), fill)
    runs = encode_rle(mask)
    np.testing.assert_array_equal(decode_rle(runs), mask)
    assert sum(runs["counts"]) == mask.size


def test_run_lengths_run_down_the_columns():
    assert encode_rle(np.array([[1, 0], [1, 0], [0, 1]]))["counts"] == [0, 2, 3, 1]


def test_run_lengths_of_an_empty_mask():
    assert decode_rle(encode_rle(np.zeros((0, 4), bool))).shape == (0, 4)


@pytest.mark.parametrize("counts", [[3], [3, 2], [5, -1]])
def test_run_lengths_that_do_not_fill_the_mask_are_an_error(counts):
    with pytest.raises(ValueError, match="cannot fill"):
        decode_rle({"size": [2, 2], "counts": counts})


def test_a_polygon_holds_the_pixels_inside():
    prompt = polygon_mask([[2, 2], [2, 9], [9, 9]], (20, 20))
    y, x = np.mgrid[:20, :20]
    expected = (x >= y) & (y >= 2) & (x <= 9)
    np.testing.assert_array_equal(paste(Instance(prompt.box_yx, prompt.mask), (20, 20)), expected)


def test_a_polygon_is_cut_at_the_border():
    assert polygon_mask([[-5, -5], [-5, 50], [50, 50], [50, -5]], (7, 9)).mask.shape == (7, 9)


@pytest.mark.parametrize(
    "vertices",
    [
        [[0, 0], [1, 1]],
        [[30, 30], [30, 40], [40, 40]],
        [[2.2, 2.2], [2.2, 2.4], [2.4, 2.4]],
        [[0, 0], [0, np.nan], [5, 5]],
        [0, 1, 2],
    ],
    ids=["two corners", "outside", "between pixels", "not finite", "no pairs"],
)
def test_a_polygon_without_pixels_is_an_error(vertices):
    with pytest.raises(PromptError):
        polygon_mask(vertices, (20, 20))


def test_an_ellipse_has_the_area_of_an_ellipse():
    prompt = ellipse_mask((10.5, 20.5, 50.5, 80.5), (100, 100))
    assert prompt.mask.sum() == pytest.approx(np.pi * 20 * 30, rel=0.01)
    assert prompt.box_yx == (11, 21, 51, 81)


@pytest.mark.parametrize("box", [(30, 30, 40, 40), (2.2, 2.2, 2.4, 2.4), (0, 0, np.inf, 5)])
def test_an_ellipse_without_pixels_is_an_error(box):
    with pytest.raises(PromptError):
        ellipse_mask(box, (20, 20))
