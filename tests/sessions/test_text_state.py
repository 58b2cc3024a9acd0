from __future__ import annotations

import pytest

from napari_segmate.sessions.panel_state import JobStatus
from napari_segmate.sessions.state import Phase, Progress
from napari_segmate.sessions.text_state import TextFacts, text_state

READY = TextFacts(image=True, prompt=True)


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        (TextFacts(), "Open an image"),
        (TextFacts(trouble="switch back to the 2-D display"), "2-D display"),
        (TextFacts(image=True), "Type what to look for"),
        (READY, "Press Find"),
        (TextFacts(image=True, drawing=True), "Drag a box round an object"),
        (TextFacts(image=True, drawing=True, offered=True), "Or agree to the download"),
        (TextFacts(image=True, prompt=True, region_missing=True), "Drag a rectangle"),
        (TextFacts(image=True, prompt=True, searched=True), "Nothing found"),
        (TextFacts(image=True, searched=True, hidden=5, best=0.9), "filtered out"),
        (
            TextFacts(image=True, searched=True, hidden=5, best=0.12, score=0.3),
            "best one has 0.12",
        ),
        (TextFacts(image=True, n_boxes=7, n_planes=2), "7 boxes on 2 other planes"),
    ],
)
def test_hint_says_what_to_do_next(facts, says) -> None:
    assert says in text_state(facts).status.hint


def test_limits_are_spoken_of_only_where_they_are_shown() -> None:
    drawn = TextFacts(image=True, counts={"cell": 2}, n_boxes=2, n_planes=1, drawing=True)
    assert "limits" not in text_state(drawn).status.hint
    assert "then press Segment" in text_state(drawn).status.hint
    found = TextFacts(image=True, counts={"cell": 2}, n_boxes=2, searched=True, hidden=4)
    assert "Move the limits" in text_state(found).status.hint


def test_boxes_are_counted_by_concept() -> None:
    facts = TextFacts(image=True, counts={"cell": 2, "nucleus": 1}, n_boxes=9, n_planes=3)
    state = text_state(facts)
    assert state.status.hint.startswith("3 boxes: cell 2, nucleus 1 (9 on 3 planes)")
    assert state.status.phase is Phase.PREVIEW
    assert {"segment", "clear"} <= state.actions


def test_nothing_can_be_pressed_while_a_job_runs() -> None:
    facts = TextFacts(image=True, prompt=True, counts={"cell": 2}, n_boxes=2)
    state = text_state(
        facts, JobStatus(progress=Progress(1, 4, "tile 1 of 4"), activity="Looking for cell …")
    )
    assert state.status.phase.busy
    assert state.status.hint == "Looking for cell …"
    assert not {"find", "segment", "clear"} & state.actions


def test_error_comes_with_a_cure_and_leaves_the_buttons() -> None:
    state = text_state(READY, JobStatus(error="no connection", remedy="put the file there"))
    assert (state.status.error, state.status.hint) == ("no connection", "put the file there")
    assert state.status.phase is Phase.ERROR
    assert "find" in state.actions


def test_notice_comes_before_what_to_do_next() -> None:
    assert (
        text_state(READY, JobStatus(message="3 objects written")).status.hint
        == "3 objects written. Press Find"
    )


def test_what_to_do_after_something_was_done_can_be_said() -> None:
    state = text_state(READY, JobStatus(message="3 objects written", next_step="Clear the boxes"))
    assert state.status.hint == "3 objects written. Clear the boxes"


def test_download_is_to_be_agreed_to_first() -> None:
    facts = TextFacts(image=True, prompt=True, offered=True)
    assert "Agree to the download" in text_state(facts).status.hint


@pytest.mark.parametrize("facts", [TextFacts(), TextFacts(image=True)])
def test_find_needs_image_and_prompt(facts) -> None:
    assert "find" not in text_state(facts).actions
    assert "find" in text_state(READY).actions
