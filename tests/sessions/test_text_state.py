from __future__ import annotations

import pytest

from napari_segmate.sessions.state import Phase, Progress
from napari_segmate.sessions.text_state import SearchFacts, state_of

READY = SearchFacts(image=True, prompt=True)


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        (SearchFacts(), "Open an image"),
        (SearchFacts(trouble="switch back to the 2-D display"), "2-D display"),
        (SearchFacts(image=True), "Type what to look for"),
        (READY, "Press Find"),
        (SearchFacts(image=True, drawing=True), "Drag a box round an object"),
        (SearchFacts(image=True, drawing=True, offered=True), "Or agree to the download"),
        (SearchFacts(image=True, prompt=True, region_missing=True), "Drag a rectangle"),
        (SearchFacts(image=True, prompt=True, searched=True), "Nothing found"),
        (SearchFacts(image=True, searched=True, hidden=5, best=0.9), "filtered out"),
        (
            SearchFacts(image=True, searched=True, hidden=5, best=0.12, score=0.3),
            "best one has 0.12",
        ),
        (SearchFacts(image=True, n_boxes=7, n_planes=2), "7 boxes on 2 other planes"),
    ],
)
def test_hint_says_what_to_do_next(facts, says) -> None:
    assert says in state_of(facts).status.hint


def test_limits_are_spoken_of_only_where_they_are_shown() -> None:
    drawn = SearchFacts(image=True, counts={"cell": 2}, n_boxes=2, n_planes=1, drawing=True)
    assert "limits" not in state_of(drawn).status.hint
    assert "then press Segment" in state_of(drawn).status.hint
    found = SearchFacts(image=True, counts={"cell": 2}, n_boxes=2, searched=True, hidden=4)
    assert "Move the limits" in state_of(found).status.hint


def test_boxes_are_counted_by_concept() -> None:
    facts = SearchFacts(image=True, counts={"cell": 2, "nucleus": 1}, n_boxes=9, n_planes=3)
    state = state_of(facts)
    assert state.status.hint.startswith("3 boxes: cell 2, nucleus 1 (9 on 3 planes)")
    assert state.status.phase is Phase.PREVIEW
    assert state.can_segment and state.can_clear


def test_nothing_can_be_pressed_while_a_job_runs() -> None:
    facts = SearchFacts(image=True, prompt=True, counts={"cell": 2}, n_boxes=2)
    state = state_of(facts, busy=Progress(1, 4, "tile 1 of 4"), doing="Looking for cell …")
    assert state.status.phase.busy
    assert state.status.hint == "Looking for cell …"
    assert not (state.can_find or state.can_segment or state.can_clear)


def test_error_comes_with_a_cure_and_leaves_the_buttons() -> None:
    state = state_of(READY, error="no connection", cure="put the file there")
    assert (state.status.error, state.status.hint) == ("no connection", "put the file there")
    assert state.status.phase is Phase.ERROR
    assert state.can_find


def test_notice_comes_before_what_to_do_next() -> None:
    assert (
        state_of(READY, notice="3 objects written").status.hint == "3 objects written. Press Find"
    )


def test_what_to_do_after_something_was_done_can_be_said() -> None:
    state = state_of(READY, notice="3 objects written", then="Clear the boxes")
    assert state.status.hint == "3 objects written. Clear the boxes"


def test_download_is_to_be_agreed_to_first() -> None:
    facts = SearchFacts(image=True, prompt=True, offered=True)
    assert "Agree to the download" in state_of(facts).status.hint


@pytest.mark.parametrize("facts", [SearchFacts(), SearchFacts(image=True)])
def test_find_needs_image_and_prompt(facts) -> None:
    assert not state_of(facts).can_find
    assert state_of(READY).can_find
