from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from napari_segmate.core.errors import ParameterError
from napari_segmate.core.masks.coarse_masks import CoarseMask
from napari_segmate.core.text.detections import Detections, SelectParams, join, select

SHAPE = (200, 200)


def seen(boxes, scores, phrases=("cell",)) -> Detections:
    rows = np.asarray(scores, np.float32).reshape(len(boxes), len(phrases))
    return Detections(np.asarray(boxes, float).reshape(-1, 4), rows, phrases, SHAPE)


def grid(count: int, side: float = 8.0) -> list[tuple[float, float, float, float]]:
    return [(12.0 * n, 5, 12.0 * n + side, 5 + side) for n in range(count)]


def test_boxes_below_the_score_go() -> None:
    found = seen(grid(3), [0.9, 0.2, 0.5])
    assert select(found).rows.tolist() == [0, 2]
    assert select(found, SelectParams(score=0.6)).rows.tolist() == [0]
    assert select(found, SelectParams(score=0.1)).rows.tolist() == [0, 2, 1]


def test_every_box_gets_the_phrase_that_fits_best() -> None:
    found = seen(grid(2), [[0.4, 0.8], [0.7, 0.5]], ("cell", "nucleus"))
    chosen = select(found)
    assert chosen.phrase_index.tolist() == [1, 0]
    assert chosen.scores.tolist() == pytest.approx([0.8, 0.7])


def test_a_box_may_have_all_phrases_that_fit() -> None:
    found = seen(grid(1), [[0.4, 0.8, 0.1]], ("cell", "nucleus", "dust"))
    chosen = select(found, SelectParams(one_per_box=False))
    assert chosen.phrase_index.tolist() == [1, 0]
    assert chosen.rows.tolist() == [0, 0]


def test_size_limits_are_sides_of_squares() -> None:
    found = seen([(0, 0, 4, 4), (20, 0, 30, 10), (50, 50, 90, 90)], [0.9, 0.8, 0.7])
    assert select(found, SelectParams(min_size=5)).rows.tolist() == [1, 2]
    assert select(found, SelectParams(max_size=20)).rows.tolist() == [0, 1]


def test_box_round_everything_goes() -> None:
    found = seen([(0, 0, 199, 199), *grid(1)], [0.95, 0.5])
    assert select(found).rows.tolist() == [1]
    assert len(select(found, SelectParams(max_area_share=1))) == 2


def test_box_round_a_group_goes() -> None:
    group = [(0, 0, 60, 20), *grid(4)]
    assert select(seen(group, [0.9, *[0.5] * 4])).rows.tolist() == [1, 2, 3, 4]
    pair = [(0, 0, 30, 20), *grid(2)]
    assert select(seen(pair, [0.9, 0.5, 0.5])).rows.tolist() == [0, 1, 2]
    off = SelectParams(containment=1)
    assert len(select(seen(group, [0.9, *[0.5] * 4]), off)) == 5


def test_second_box_on_an_object_goes() -> None:
    found = seen([(0, 0, 10, 10), (1, 0, 10, 10), (40, 40, 50, 50)], [0.5, 0.8, 0.6])
    assert select(found).rows.tolist() == [1, 2]
    assert len(select(found, SelectParams(nms=0.95))) == 3


@pytest.mark.parametrize("phrases", [(), ("cell",)])
def test_nothing_seen_is_nothing_selected(phrases) -> None:
    found = Detections(np.zeros((0, 4)), np.zeros((0, len(phrases)), np.float32), phrases, SHAPE)
    assert len(select(found)) == 0


def test_box_without_area_goes() -> None:
    assert len(select(seen([(5, 5, 5, 9)], [0.9]))) == 0


def test_nine_hundred_boxes_are_filtered_in_no_time() -> None:
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 180, (900, 2))
    boxes = np.concatenate([low, low + rng.uniform(2, 20, (900, 2))], axis=1)
    phrases = tuple(map(str, range(20)))
    found = seen(boxes, rng.uniform(0, 1, (900, 20)), phrases)
    select(found)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        select(found)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.2, "30 ms on a computer of its own"


def test_passes_are_joined() -> None:
    one = seen(grid(2), [0.9, 0.8])
    other = seen(grid(1), [0.7], ("dust",))
    both = join([one, other], ("dust", "cell"), SHAPE)
    np.testing.assert_allclose(both.scores, [[0, 0.9], [0, 0.8], [0.7, 0]])
    assert len(join([], ("cell",), SHAPE)) == 0


@pytest.mark.parametrize(
    "values", [{"score": 2}, {"nms": -0.1}, {"min_size": -1}, {"min_size": 5, "max_size": 4}]
)
def test_values_beyond_their_range_are_refused(values) -> None:
    with pytest.raises(ParameterError):
        SelectParams(**values)


def test_arrays_must_belong_together() -> None:
    with pytest.raises(ValueError, match="must be"):
        Detections(np.zeros((2, 4)), np.zeros((1, 1), np.float32), ("cell",), SHAPE)


def with_masks(boxes, scores) -> Detections:
    """Boxes whose masks fill them, except the second one, which has none."""
    found = seen(boxes, scores)
    masks = [CoarseMask.of(np.ones((4, 4)), tuple(box)) for box in found.boxes_yx.tolist()]
    masks[1] = None
    return replace(found, masks=tuple(masks))


def test_masks_stay_with_their_boxes() -> None:
    found = with_masks([*grid(3), (0.5, 5, 8, 13)], [0.5, 0.9, 0.2, 0.8])
    chosen = select(found)
    assert chosen.rows.tolist() == [1, 3]
    assert chosen.masks == (None, found.masks[3])
    assert select(seen(grid(2), [0.9, 0.8])).masks == (None, None)


def test_passes_with_and_without_masks_are_joined() -> None:
    one, other = with_masks(grid(2), [0.9, 0.8]), seen(grid(1), [0.7])
    assert join([other, one], ("cell",), SHAPE).masks == (None, one.masks[0], None)
    assert join([other, other], ("cell",), SHAPE).masks is None


def test_part_of_a_plane_is_put_into_its_place() -> None:
    found = with_masks([(0, 5, 7.5, 12.5), *grid(1)], [0.9, 0.8])
    placed = found.placed(np.array([True, False]), (900, 900), (100, 200), (2, 4))
    assert placed.boxes_yx.tolist() == [[100.5, 221.5, 115.5, 251.5]]
    assert placed.scores.shape == (1, 1) and placed.shape == (900, 900)
    assert placed.masks[0].area_yx == (100.5, 221.5, 115.5, 251.5)


def test_every_box_has_a_mask_or_none_has() -> None:
    found = with_masks(grid(3), [0.9, 0.8, 0.7])
    with pytest.raises(ValueError, match="2 masks must be one for each of 3 boxes"):
        replace(found, masks=found.masks[:2])
