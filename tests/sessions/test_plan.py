import numpy as np
import pytest

from napari_segmate.core.prompts import Box, MaskPrompt, ObjectPrompts, Points
from napari_segmate.core.types import Frame, Instance
from napari_segmate.inference.prompts.request import ObjectResult
from napari_segmate.sessions.history import extends, make_plan, same_prompts

FRAME = Frame((0, 0, 8, 8), (8, 8))
BOX, OTHER = Box((0, 0, 5, 5)), Box((0, 0, 6, 6))
MASK = MaskPrompt((0, 0, 2, 2), np.ones((2, 2), bool))


def clicks(*yx, positive=None, **more):
    return ObjectPrompts(Points(yx, positive), **more)


def result(prompts, chosen=0):
    one = Instance((0, 0, 1, 1), np.ones((1, 1), bool))
    logits = np.zeros((2, 4, 4), np.float32)
    return ObjectResult(prompts, FRAME, (one, one), logits, (False, False), chosen=chosen)


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (clicks((1, 1), (2, 2)), clicks((1, 1))),
        (clicks((2, 2), (1, 1)), clicks((1, 1))),
        (clicks((1, 1), (2, 2), positive=[True, False]), clicks((1, 1))),
        (clicks((1, 1), box=BOX), clicks((1, 1))),
        (clicks((1, 1), box=BOX), ObjectPrompts(box=BOX)),
        (clicks((1, 1), mask=MASK), ObjectPrompts(mask=MASK)),
    ],
    ids=["point", "order", "negative", "box added", "point added to box", "point added to mask"],
)
def test_more_prompts_extend(new, old):
    assert extends(new, old)


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (clicks((1, 1)), clicks((1, 1))),
        (clicks((1, 1)), clicks((1, 1), (2, 2))),
        (clicks((1, 2), (2, 2)), clicks((1, 1))),
        (clicks((1, 1), (2, 2), positive=[False, True]), clicks((1, 1))),
        (clicks((1, 1), box=OTHER), ObjectPrompts(box=BOX)),
        (clicks((1, 1)), clicks((1, 1), box=BOX)),
        (clicks((1, 1), (2, 2)), clicks((1, 1), mask=MASK)),
    ],
    ids=["same", "removed", "moved", "polarity", "box changed", "box removed", "mask removed"],
)
def test_other_prompts_do_not_extend(new, old):
    assert not extends(new, old)


def test_same_prompts_are_recognised_by_value():
    assert same_prompts(clicks((1, 1), box=BOX), clicks((1, 1), box=Box((0, 0, 5, 5))))
    assert not same_prompts(clicks((1, 1)), clicks((1, 1), positive=[True], mask=MASK))


def test_unchanged_objects_keep_their_answer_and_their_candidate():
    kept = result(clicks((1, 1)), chosen=1)
    plan = make_plan([clicks((1, 1)), clicks((5, 5))], [kept], reuse=True)
    assert len(plan.questions) == 1
    fresh = result(clicks((5, 5)))
    first, second = plan.filled([fresh])
    assert first is kept
    assert second.prompts is fresh.prompts


def test_an_extended_object_goes_on_from_the_candidate_that_was_seen():
    before = result(clicks((1, 1)), chosen=1)
    plan = make_plan([clicks((1, 1), (2, 2))], [before], reuse=True)
    assert plan.slots[0].previous.steps[-1].candidate == 1


@pytest.mark.parametrize("new", [clicks((2, 2)), ObjectPrompts(box=BOX)])
def test_an_object_that_lost_a_prompt_starts_afresh(new):
    plan = make_plan([new], [result(clicks((1, 1), (2, 2), box=OTHER))], reuse=True)
    assert plan.slots[0].previous is None


def test_without_reuse_the_same_prompts_are_asked_again_from_the_same_start():
    first = result(clicks((1, 1)))
    second = result(clicks((1, 1), (2, 2)), chosen=1)
    second = ObjectResult(
        second.prompts,
        FRAME,
        second.candidates,
        second.logits,
        second.cut,
        previous=first.as_previous(),
        chosen=1,
    )
    plan = make_plan([clicks((1, 1), (2, 2))], [second], reuse=False)
    (question,) = plan.questions
    assert question.previous is second.previous
    assert plan.filled([result(question.prompts)])[0].chosen == 1
