from __future__ import annotations

import numpy as np
import pytest

from napari_segmate.core.errors import PromptError
from napari_segmate.sessions.prompt_set import DrawnShape, from_prompts, to_prompts

SQUARE = np.array([[2, 3], [2, 9], [8, 9], [8, 3]], float)


def turned(vertices, degrees):
    angle = np.radians(degrees)
    centre = vertices.mean(axis=0)
    matrix = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return (vertices - centre) @ np.array(matrix).T + centre


def test_each_kind_becomes_its_prompt() -> None:
    drawn = [
        DrawnShape("rectangle", SQUARE),
        DrawnShape("ellipse", SQUARE),
        DrawnShape("polygon", SQUARE[:3]),
        DrawnShape("path", SQUARE[:2]),
        DrawnShape("line", SQUARE[1:3], positive=False),
    ]
    prompts = to_prompts([[1, 2]], [False], drawn)
    assert prompts.boxes[0].box_yx == (2, 3, 8, 9)
    assert prompts.ellipses == ((2, 3, 8, 9),)
    assert len(prompts.polygons) == 1
    assert [one.positive for one in prompts.scribbles] == [True, False]
    assert prompts.points is not None
    assert prompts.points.positive.tolist() == [False]


def test_nothing_drawn_is_empty() -> None:
    assert to_prompts(np.zeros((0, 2)), [], []).empty


def test_turned_rectangle_becomes_a_polygon() -> None:
    prompts = to_prompts(np.zeros((0, 2)), [], [DrawnShape("rectangle", turned(SQUARE, 20))])
    assert not prompts.boxes
    np.testing.assert_allclose(prompts.polygons[0], turned(SQUARE, 20))


def test_turned_ellipse_becomes_its_outline() -> None:
    flat = SQUARE * [0.5, 1]
    prompts = to_prompts(np.zeros((0, 2)), [], [DrawnShape("ellipse", turned(flat, 90))])
    assert prompts.ellipses
    prompts = to_prompts(np.zeros((0, 2)), [], [DrawnShape("ellipse", turned(flat, 45))])
    outline = prompts.polygons[0]
    distances = np.hypot(*(outline - outline.mean(axis=0)).T)
    assert distances.max() == pytest.approx(3, abs=0.02)
    assert distances.min() == pytest.approx(1.5, abs=0.02)


def test_rectangle_without_area_is_refused() -> None:
    with pytest.raises(PromptError, match="at least 1 x 1"):
        to_prompts(np.zeros((0, 2)), [], [DrawnShape("rectangle", np.full((4, 2), 5.0))])


def test_prompts_can_be_drawn_again() -> None:
    drawn = [
        DrawnShape("rectangle", SQUARE),
        DrawnShape("ellipse", SQUARE),
        DrawnShape("path", SQUARE[:2], False),
    ]
    prompts = to_prompts([[1, 2]], [True], drawn)
    again = to_prompts([[1, 2]], [True], from_prompts(prompts))
    assert again.same_as(prompts)
