"""Prompts: what is taken, what is refused, and where they lie in a frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_segmate.core.errors import PromptError
from napari_segmate.core.prompts import Box, MaskPrompt, ObjectPrompts, Points, Scribble
from napari_segmate.core.types import Frame

MASK = MaskPrompt((10, 20, 12, 23), np.ones((2, 3), bool))


def test_points_include_unless_said_otherwise() -> None:
    points = Points([[1, 2], [3, 4]])
    assert points.positive.all()
    assert len(points) == 2


def test_one_point_may_be_given_without_brackets() -> None:
    assert Points([1.5, 2]).points_yx.tolist() == [[1.5, 2.0]]


def test_points_cannot_be_changed_and_are_a_copy() -> None:
    given = np.array([[1.0, 2.0]])
    points = Points(given)
    given[:] = 9
    assert points.points_yx.tolist() == [[1.0, 2.0]]
    with pytest.raises(ValueError, match="read-only"):
        points.points_yx[0, 0] = 3


@pytest.mark.parametrize(
    ("points", "positive", "message"),
    [
        ([[1, 2, 3]], None, r"\(N, 2\) in \(y, x\)"),
        ([[1, np.nan]], None, "finite"),
        ([[1, np.inf]], None, "finite"),
        ([[1, 2]], [True, False], "1 points but 2"),
    ],
)
def test_points_that_make_no_sense_are_refused(points: Any, positive: Any, message: str) -> None:
    with pytest.raises(PromptError, match=message):
        Points(points, positive)


@pytest.mark.parametrize("corners", [(1, 2, 5, 9), (5, 9, 1, 2), (1, 9, 5, 2), (5, 2, 1, 9)])
def test_corners_of_a_box_come_in_any_order(corners: tuple[int, ...]) -> None:
    assert Box(corners).box_yx == (1.0, 2.0, 5.0, 9.0)


@pytest.mark.parametrize("box", [(3, 3, 3, 9), (3, 3, 9, 3.5), (1, 2, 3), (0, 0, np.nan, 5)])
def test_boxes_without_area_are_refused(box: Any) -> None:
    with pytest.raises(PromptError, match=r"1 x 1 pixel|four finite numbers"):
        Box(box)


def test_a_scribble_is_points_along_its_length() -> None:
    points = Scribble([[0, 0], [0, 4], [0, 80]], positive=False).to_points(4)
    np.testing.assert_allclose(points.points_yx, [[0, 10], [0, 30], [0, 50], [0, 70]])
    assert not points.positive.any()


@pytest.mark.parametrize("path", [[[3, 4]], [[3, 4], [3, 4]]])
def test_a_scribble_without_length_is_one_point(path: list[list[int]]) -> None:
    assert Scribble(path).to_points(8).points_yx.tolist() == [[3.0, 4.0]]


def test_an_empty_scribble_is_refused() -> None:
    with pytest.raises(PromptError, match="at least one vertex"):
        Scribble(np.zeros((0, 2)))


@pytest.mark.parametrize(
    ("mask", "message"),
    [(np.ones((3, 3), bool), "does not fill its box"), (np.zeros((2, 3), bool), "empty")],
)
def test_mask_prompts_that_say_nothing_are_refused(mask: np.ndarray, message: str) -> None:
    with pytest.raises(PromptError, match=message):
        MaskPrompt((0, 0, 2, 3), mask)


def test_an_object_needs_a_prompt_that_says_where_it_is() -> None:
    with pytest.raises(PromptError, match="click on an object"):
        ObjectPrompts(points=Points(np.zeros((0, 2))))
    with pytest.raises(PromptError, match="only negative points"):
        ObjectPrompts(points=Points([[1, 1]], [False]))


@pytest.mark.parametrize("where", [{"box": Box((0, 0, 5, 5))}, {"mask": MASK}])
def test_negative_points_alone_may_refine_a_box_or_a_mask(where: dict[str, Any]) -> None:
    prompts = ObjectPrompts(points=Points([[1, 1]], [False]), **where)
    assert prompts.points is not None


def test_the_extent_holds_all_prompts() -> None:
    prompts = ObjectPrompts(Points([[0, 30], [4, 2]]), Box((3, 5, 9, 8)), MASK)
    assert prompts.extent_yx == (0.0, 2.0, 11.0, 30.0)


@pytest.mark.parametrize(
    ("prompts", "ambiguous"),
    [
        (ObjectPrompts(Points([[1, 1]])), True),
        (ObjectPrompts(Points([[1, 1], [2, 2]])), False),
        (ObjectPrompts(Points([[1, 1]]), Box((0, 0, 5, 5))), False),
        (ObjectPrompts(Points([[1, 1]]), mask=MASK), False),
        (ObjectPrompts(Points([[1, 1]]), logits=np.zeros((4, 4), np.float32)), False),
        (ObjectPrompts(box=Box((0, 0, 5, 5))), False),
    ],
)
def test_only_a_single_click_is_ambiguous(prompts: ObjectPrompts, ambiguous: bool) -> None:
    assert prompts.ambiguous is ambiguous


def test_prompts_move_into_a_frame() -> None:
    frame = Frame((10, 20, 110, 220), (50, 100))
    framed = ObjectPrompts(Points([[10.5, 20.5]], [True]), Box((10, 20, 30, 40))).in_frame(frame)
    assert framed.points is not None and framed.box is not None
    np.testing.assert_allclose(framed.points.points_yx, [[0, 0]])
    np.testing.assert_allclose(framed.box.box_yx, (-0.25, -0.25, 9.75, 9.75))


def test_a_box_in_a_frame_shown_very_small_keeps_a_pixel() -> None:
    framed = ObjectPrompts(box=Box((500, 500, 502, 502))).in_frame(
        Frame((0, 0, 1000, 1000), (10, 10))
    )
    assert framed.box is not None
    y0, x0, y1, x1 = framed.box.box_yx
    assert y1 - y0 >= 1 and x1 - x0 >= 1
    np.testing.assert_allclose((y0 + y1) / 2, (501.5 / 100) - 0.5)
