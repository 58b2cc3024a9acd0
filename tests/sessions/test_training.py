from __future__ import annotations

from dataclasses import replace

import pytest

from napari_segmate.core.training_events import (
    Failure,
    Message,
    Result,
    Start,
    Step,
    Validation,
    Work,
)
from napari_segmate.sessions.state import Phase, Progress
from napari_segmate.sessions.training import (
    MOST_POINTS,
    Stage,
    TrainingState,
    follow,
    is_better,
    measure_tips,
    measures,
    status,
    verdict,
)

STARTING = TrainingState(Stage.STARTING, model="mine")
RESULT = Result("mine", "m.safetensors", {"ap50": 0.5}, {"ap50": 0.7})


def after(*events, state: TrainingState = STARTING) -> TrainingState:
    for event in events:
        state = follow(state, event)
    return state


def test_training_is_followed_from_start_to_result() -> None:
    state = after(
        Start(40, 4, "cpu", 90),
        Step(10, 1, 0.9, 66),
        Validation(1, 0.8, 0.6, 0.4, True),
        Step(20, 2, 0.7, 44),
    )
    assert state.losses == ((1.0, 0.9), (2.0, 0.7))
    assert state.has_best
    shown = status(state)
    assert shown.phase is Phase.ENCODING
    assert "mine" in shown.hint
    assert (shown.progress.done, shown.progress.total) == (20, 40)
    assert shown.progress.text == "Epoch 2 of 4 · about 44 s left"
    done = after(RESULT, state=state)
    assert done.stage is Stage.DONE
    assert status(done).phase is Phase.PREVIEW
    assert done.losses == state.losses


def test_failure_is_said_in_its_own_words() -> None:
    shown = status(after(Failure("no labels in 'nuclei'")))
    assert shown.phase is Phase.ERROR
    assert shown.error == "no labels in 'nuclei'"


def test_message_of_the_training_is_shown_below_its_progress() -> None:
    state = after(Start(4, 1), Step(1, 1, 0.5, 3), Message("Batch halved: memory was full"))
    assert status(state).progress.text.splitlines()[1] == "Batch halved: memory was full"


def test_stage_that_the_user_asked_for_survives_late_events() -> None:
    cancelling = replace(STARTING, stage=Stage.CANCELLING)
    assert after(Start(4, 1), Step(1, 1, 0.5), state=cancelling).stage is Stage.CANCELLING


def test_long_trainings_keep_a_curve_of_bounded_length() -> None:
    state = after(Start(10 * MOST_POINTS, 10))
    for number in range(3 * MOST_POINTS):
        state = follow(state, Step(number, 1, float(number)))
    assert len(state.losses) <= MOST_POINTS
    assert state.losses[0][1] < 10
    assert state.losses[-1][1] > 3 * MOST_POINTS - 10


@pytest.mark.parametrize(
    ("after_values", "worse", "words"),
    [
        ({"ap50": 0.3}, True, "worse"),
        ({"ap50": 0.502}, False, "no better than the model it began with"),
        ({"ap50": 0.5}, False, "no better than the model it began with"),
        ({"ap50": 0.9}, False, "ready"),
    ],
)
def test_verdict_is_honest(after_values, worse, words) -> None:
    assert words in verdict(replace(RESULT, after=after_values, worse=worse))


def test_model_that_finds_next_to_nothing_is_not_praised() -> None:
    poor = Result("mine", "", {"ap50": 0.0, "box_iou": 0.5}, {"ap50": 0.01, "box_iou": 0.8})
    assert "hardly finds objects" in verdict(poor)
    assert "hardly" not in verdict(replace(poor, after={"ap50": 0.4, "box_iou": 0.8}))
    assert "hardly" not in verdict(replace(poor, before={}, after={"box_iou": 0.8}))


def test_work_is_shown_and_after_the_last_step_there_is_nothing_to_pause() -> None:
    state = follow(TrainingState(Stage.STARTING), Start(steps=2, epochs=1))
    state = follow(state, Work(1, 4, "looking at the images"))
    assert status(state).progress == Progress(1, 4, "Looking at the images")
    assert state.pausable
    state = follow(state, Step(step=2, epoch=1, loss=0.5))
    assert state.progress is None and state.pausable
    state = follow(state, Work(0, 2, "judging the model before"))
    assert not state.pausable


def test_measures_that_are_missing_or_no_numbers_are_shown_as_such() -> None:
    result = Result("m", "", {"box_iou": float("nan"), "clicks": 3}, {"box_iou": None, "ap50": 0.5})
    assert measures(result) == [
        ("IoU after a box", "–", "–"),
        ("Clicks to IoU 0.85", "3", "–"),
        ("AP50 of the planes", "–", "0.50"),
    ]
    assert len(measure_tips(result)) == 3 and all(measure_tips(result))


def test_gain_of_one_measure_that_another_one_pays_for_is_none() -> None:
    result = Result("m", "", {"ap50": 0.5, "box_iou": 0.8}, {"ap50": 0.55, "box_iou": 0.75})
    assert not is_better(result)
    assert is_better(replace(result, after={"ap50": 0.55, "box_iou": 0.8}))
    assert is_better(replace(result, after={"ap50": 0.55, "box_iou": float("nan")}))


@pytest.mark.parametrize("stage", list(Stage))
def test_every_stage_says_what_to_do(stage) -> None:
    assert status(TrainingState(stage, model="mine", error="" if stage != "failed" else "x")).hint
