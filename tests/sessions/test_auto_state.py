from __future__ import annotations

from dataclasses import replace

from napari_segmate.sessions.auto_state import AutoFacts, auto_state_of
from napari_segmate.sessions.state import Phase, Progress


def test_without_an_image_the_trouble_is_said() -> None:
    state = auto_state_of(AutoFacts(trouble="the image is empty"))
    assert (state.phase, state.hint) == (Phase.IDLE, "the image is empty")


def test_a_grid_is_announced_as_slow() -> None:
    assert "minutes" in auto_state_of(AutoFacts(image=True, grid=True)).hint
    assert "minutes" not in auto_state_of(AutoFacts(image=True)).hint


def test_what_was_changed_needs_another_look() -> None:
    facts = AutoFacts(image=True, looked=True, outdated=True, count=3, total=3, planes=1)
    assert "look again" in auto_state_of(facts).hint


def test_nothing_found_and_all_dealt_with_are_told_apart() -> None:
    assert "Nothing to propose" in auto_state_of(AutoFacts(image=True, looked=True)).hint
    dealt = auto_state_of(AutoFacts(image=True, looked=True, dealt=True))
    assert "Nothing is left" in dealt.hint
    assert dealt.phase is Phase.NEEDS_PROMPT


def test_other_planes_are_counted() -> None:
    facts = AutoFacts(image=True, looked=True, count=3, total=8, planes=2, delete_key="Shift-J")
    state = auto_state_of(facts)
    assert "8 objects on 2 planes" in state.hint
    assert "Shift-J" in state.hint
    assert state.phase is Phase.PREVIEW


def test_linked_sections_are_counted_as_outlines_of_fewer_objects() -> None:
    facts = AutoFacts(image=True, looked=True, count=20, total=465, planes=24, linked=True)
    assert "20 objects proposed here, 465 outlines on 24 planes" in auto_state_of(facts).hint
    known = auto_state_of(replace(facts, objects=40)).hint
    assert "40 objects (465 outlines) on 24 planes" in known
    elsewhere = auto_state_of(replace(facts, count=0, objects=40)).hint
    assert "40 objects (465 outlines) on 24 planes" in elsewhere


def test_a_grid_that_found_nothing_is_no_advice_to_search_with_a_grid() -> None:
    facts = AutoFacts(image=True, looked=True)
    assert "grid of clicks" in auto_state_of(facts).hint
    of_grid = auto_state_of(replace(facts, grid=True)).hint
    assert "Nothing to propose" in of_grid
    assert "grid" not in of_grid


def test_a_job_comes_before_errors_and_errors_before_hints() -> None:
    facts = AutoFacts(image=True)
    busy = auto_state_of(facts, busy=Progress(1, 2), doing="Looking", error="broken")
    assert (busy.phase, busy.hint) == (Phase.ENCODING, "Looking")
    failed = auto_state_of(facts, error="broken", cure="mend it")
    assert (failed.phase, failed.error, failed.hint) == (Phase.ERROR, "broken", "mend it")


def test_what_was_done_is_said_first() -> None:
    hint = auto_state_of(AutoFacts(image=True), notice="Taken back").hint
    assert hint.startswith("Taken back. Press")


def test_where_nothing_was_found_it_says_what_was_looked_for() -> None:
    facts = AutoFacts(image=True, looked=True, assumed="Looked for objects about 30 pixels wide")
    hint = auto_state_of(facts).hint
    assert "about 30 pixels wide" in hint
    assert hint.startswith("Nothing to propose")
    assert "say how large objects are" in hint
    assert "30 pixels" not in auto_state_of(replace(facts, count=2, total=2)).hint
