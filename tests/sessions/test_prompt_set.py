import numpy as np
import pytest

from napari_segmate.core.prompts import Box, MaskPrompt, Points, Scribble
from napari_segmate.sessions.prompt_set import PromptSet


def points(*yx, positive=None):
    return Points(yx, positive)


def mask(box):
    y0, x0, y1, x1 = box
    return MaskPrompt(box, np.ones((y1 - y0, x1 - x0), bool))


def test_sets_are_the_same_up_to_rounding():
    prompts = PromptSet(points=points((1, 2)), boxes=(Box((0, 0, 5, 5)),))
    moved = PromptSet(points=points((1 + 1e-9, 2)), boxes=(Box((0, 0, 5, 5)),))
    assert prompts.same_as(moved)


@pytest.mark.parametrize(
    "other",
    [
        PromptSet(),
        PromptSet(points=points((1, 2.1))),
        PromptSet(points=points((1, 2), positive=[False])),
        PromptSet(points=points((1, 2), (1, 2))),
        PromptSet(points=points((1, 2)), boxes=(Box((0, 0, 5, 5)),)),
        PromptSet(points=points((1, 2)), scribbles=(Scribble(np.array([(1.0, 1.0)])),)),
        PromptSet(points=points((1, 2)), mask=mask((0, 0, 2, 2))),
    ],
    ids=["empty", "moved", "polarity", "more", "box", "scribble", "mask"],
)
def test_sets_that_differ_are_not_the_same(other):
    assert not PromptSet(points=points((1, 2))).same_as(other)


def test_a_box_is_not_an_ellipse():
    assert not PromptSet(boxes=(Box((0, 0, 5, 5)),)).same_as(PromptSet(ellipses=((0, 0, 5, 5),)))


@pytest.mark.parametrize(
    ("prompts", "answerable"),
    [
        (PromptSet(), False),
        (PromptSet(mask=mask((0, 0, 2, 2))), False),
        (PromptSet(points=points((1, 2), positive=[False])), False),
        (PromptSet(points=points((1, 2), positive=[False]), mask=mask((0, 0, 2, 2))), True),
        (PromptSet(points=points((1, 2))), True),
    ],
    ids=["empty", "mask alone", "only excluded", "excluded from a mask", "point"],
)
def test_prompts_are_answered_when_something_drawn_says_what_an_object_is(prompts, answerable):
    assert prompts.answerable is answerable
