from __future__ import annotations

import math

import pytest

from napari_segmate.core.training_events import (
    Command,
    Failure,
    Message,
    Result,
    Start,
    Step,
    Validation,
    from_line,
    to_line,
)

EVENTS = (
    Start(100, 10, "cuda", 12.5, 900),
    Step(7, 1, 0.25, 3.0),
    Validation(2, 0.5, 0.8, 0.7, True),
    Message("Zellen größer als gewohnt"),
    Result("mine", "/models/mine.safetensors", {"iou": 0.5}, {"iou": 0.75}, False, "a.png"),
    Failure("no labels"),
)


@pytest.mark.parametrize("event", EVENTS, ids=lambda one: type(one).__name__)
def test_events_survive_the_way_through_a_line(event) -> None:
    line = to_line(event)
    assert "\n" not in line
    assert from_line(line) == event


def test_loss_that_is_no_number_stays_none() -> None:
    found = from_line(to_line(Step(1, 1, math.nan)))
    assert math.isnan(found.loss)


@pytest.mark.parametrize(
    "line", ["", "null", "[1]", '{"event": 3}', '{"event": "dance"}', '{"event": "step"}', "{"]
)
def test_lines_that_are_no_events_are_left_alone(line) -> None:
    assert from_line(line) is None


def test_commands_are_single_words() -> None:
    assert [str(one) for one in Command] == ["pause", "resume", "stop", "cancel"]
