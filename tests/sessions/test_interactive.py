from dataclasses import asdict

import numpy as np
import pytest
from fakes import ArrayPlane

from napari_segmate.core.errors import Cancelled, ModelError
from napari_segmate.core.prompts import Box, MaskPrompt, Points
from napari_segmate.inference.prompts.request import MaskOptions
from napari_segmate.sessions.interactive import Session
from napari_segmate.sessions.prompt_set import PointMode, PromptSet
from napari_segmate.sessions.state import KeyNames, Phase, nothing_new_texts

A, B, C = (12, 12), (10, 40), (34, 30)
"""One position in each blob."""


def test_a_new_session_asks_for_an_image():
    state = Session().state
    assert state.phase is Phase.IDLE
    assert state.hint == "Open an image, or choose one above"


def test_without_a_model_it_asks_for_one(blobs):
    session = Session()
    session.set_plane(blobs, "a")
    assert (session.state.phase, session.state.hint) == (Phase.IDLE, "Choose a model")


def test_with_image_and_model_it_asks_for_a_click(desk):
    assert desk.state.phase is Phase.NEEDS_PROMPT
    assert desk.state.hint == "Left-click on an object; right-click to exclude"
    assert desk.requests == []


def test_click_to_preview(desk):
    desk.click(A)
    assert desk.state.phase is Phase.DECODING
    assert desk.answer()
    assert desk.state.phase is Phase.PREVIEW
    (instance,) = desk.session.preview
    assert desk.previews == [desk.session.preview]
    assert desk.state.score == pytest.approx(0.9)
    assert desk.state.object_area == instance.area
    assert (desk.state.n_objects, desk.state.candidate, desk.state.n_candidates) == (1, 0, 3)
    assert "Press K to commit the object" in desk.state.hint
    assert "press N for another mask (3)" in desk.state.hint


def test_the_same_prompts_again_ask_nothing(desk):
    desk.click_and_answer(A)
    desk.click((A[0] + 1e-9, A[1]))
    assert len(desk.requests) == 1
    assert desk.state.phase is Phase.PREVIEW


def test_a_second_click_feeds_the_first_answer_back(desk):
    desk.click_and_answer(A)
    desk.session.next_candidate()
    desk.click(A, B)
    (previous,) = desk.requests[-1].previous
    assert previous.steps[-1].candidate == 1
    desk.answer()
    assert desk.state.object_area > 300


def test_a_removed_point_does_not_feed_back(desk):
    desk.click_and_answer(A, B)
    desk.click_and_answer(A)
    assert desk.requests[-1].previous == (None,)


def test_the_preview_stays_while_the_next_answer_is_awaited(desk):
    desk.click_and_answer(A)
    before = desk.session.preview
    desk.click(A, B)
    assert desk.session.preview is before


def test_stale_answers_are_dropped(desk):
    desk.click(A)
    desk.click(A, B)
    assert not desk.session.is_current(desk.requests[0].generation)
    assert not desk.answer(0)
    assert desk.session.preview == ()
    assert desk.answer(1)
    assert not desk.answer(1)


def test_a_click_before_the_answer_goes_on_from_the_last_one_that_came(desk):
    desk.click_and_answer(A)
    desk.click(A, B)
    desk.click(A, B, C)
    (previous,) = desk.requests[-1].previous
    assert len(previous.steps) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda session: session.set_plane(None),
        lambda session: session.set_plane(ArrayPlane(np.zeros((9, 9), np.uint8)), "plane 1"),
        lambda session: session.set_plane(ArrayPlane(np.zeros((48, 60), np.uint8)), "plane 0"),
        lambda session: session.set_model_name("other"),
        lambda session: session.set_model_name(None),
        lambda session: session.invalidate(),
        lambda session: session.clear(),
        lambda session: session.undo(),
        lambda session: session.cancel(),
        lambda session: session.forget("plane 0"),
    ],
    ids=["image gone", "other plane", "new pixels", "model", "no model", "reload", "clear",
         "undo", "cancel", "forget"],
)  # fmt: skip
def test_a_change_while_the_answer_is_on_its_way_makes_it_stale(desk, change):
    desk.click(A)
    late = desk.predict()
    change(desk.session)
    assert not desk.session.accept(late)
    assert not desk.session.reject(late.generation, ModelError("late"))
    assert desk.session.preview == ()
    assert desk.state.error == ""


def test_new_pixels_of_the_same_plane_ask_again_without_feeding_back(desk, blobs):
    desk.click_and_answer(A)
    desk.session.set_plane(ArrayPlane(blobs.values.copy()), "plane 0")
    assert len(desk.requests) == 2
    assert desk.requests[-1].previous == (None,)
    assert desk.session.prompts.points.points_yx.tolist() == [list(A)]


def test_another_model_asks_again_without_feeding_back(desk):
    desk.click_and_answer(A)
    desk.session.set_model_name("other")
    assert desk.requests[-1].previous == (None,)
    assert desk.state.phase is Phase.DECODING


def test_each_plane_keeps_its_prompts_and_preview(desk, blobs):
    desk.click_and_answer(A)
    shown = desk.session.preview
    desk.session.set_plane(ArrayPlane(blobs.values.copy()), "plane 1", index=(1,))
    assert desk.session.prompts.empty
    assert desk.session.preview == ()
    desk.session.set_plane(blobs, "plane 0")
    assert desk.session.prompts.points.points_yx.tolist() == [list(A)]
    assert desk.session.preview == shown
    assert len(desk.requests) == 1


def test_progress_is_shown_for_the_current_request_only(desk):
    desk.click(A)
    generation = desk.requests[-1].generation
    desk.session.report_progress(generation, 3, 10, "encoding")
    assert desk.state.phase is Phase.ENCODING
    assert (desk.state.progress.done, desk.state.progress.total) == (3, 10)
    desk.session.report_progress(generation - 1, 9, 10, "late")
    assert desk.state.progress.done == 3
    desk.answer()
    assert desk.state.progress is None


def test_candidates_are_cycled_both_ways(desk):
    desk.click_and_answer(A)
    areas = []
    for step in (1, 1, 1, -1):
        desk.session.next_candidate(step)
        areas.append((desk.state.candidate, desk.state.object_area))
    assert [number for number, _ in areas] == [1, 2, 0, 2]
    assert len({area for _, area in areas}) == 3
    assert desk.previews[-1] == desk.session.preview


def test_next_candidate_without_a_choice_changes_nothing(desk):
    desk.session.next_candidate()
    desk.click_and_answer(A, B)
    before = desk.state
    desk.session.next_candidate()
    assert desk.state == before


def test_undo_and_redo_walk_through_prompts_without_asking_again(desk):
    desk.click_and_answer(A)
    first = desk.session.preview
    desk.click_and_answer(A, B)
    second = desk.session.preview
    desk.session.undo()
    assert desk.restored[-1].points.points_yx.tolist() == [list(A)]
    assert desk.session.preview == first
    assert desk.state.can_redo
    desk.session.undo()
    assert desk.restored[-1].empty
    assert desk.session.preview == ()
    assert not desk.state.can_undo
    desk.session.undo()
    desk.session.redo()
    desk.session.redo()
    assert desk.session.preview == second
    desk.session.redo()
    assert len(desk.requests) == 2


def test_undo_keeps_the_candidate_that_was_chosen(desk):
    desk.click_and_answer(A)
    desk.session.next_candidate()
    desk.click_and_answer(A, B)
    desk.session.undo()
    assert desk.state.candidate == 1


def test_a_new_prompt_ends_redo(desk):
    desk.click_and_answer(A)
    desk.session.undo()
    desk.click(B)
    assert not desk.state.can_redo


def test_undo_of_an_entry_that_was_never_answered_asks(desk):
    desk.click(A)
    desk.click(A, B)
    desk.session.undo()
    assert len(desk.requests) == 3
    assert desk.answer()


def test_the_echo_of_restored_prompts_is_no_new_step(desk):
    desk.session.prompts_restored.connect(desk.session.set_prompts)
    desk.click_and_answer(A)
    desk.click_and_answer(A, B)
    desk.session.undo()
    desk.session.undo()
    assert desk.state.can_redo and not desk.state.can_undo


def test_a_dragged_point_is_one_undo_step(desk):
    desk.click_and_answer(A)
    for shift in range(1, 5):
        desk.session.set_prompts(
            PromptSet(points=Points([A, (B[0] + shift, B[1])])), merge=shift > 1
        )
    desk.session.undo()
    assert desk.restored[-1].points.points_yx.tolist() == [list(A)]


def test_clear_can_be_undone(desk):
    desk.click_and_answer(A)
    desk.session.clear()
    assert desk.session.preview == () and desk.session.prompts.empty
    assert desk.state.phase is Phase.NEEDS_PROMPT
    desk.session.undo()
    assert len(desk.session.preview) == 1


def test_clearing_nothing_is_no_step(desk):
    desk.session.clear()
    assert not desk.state.can_undo


def test_many_boxes_are_many_objects(desk):
    boxes = [(7, 7, 21, 23), (5, 35, 19, 51), (27, 19, 43, 41)]
    desk.session.set_prompts(PromptSet(boxes=tuple(map(Box, boxes))))
    desk.answer()
    assert len(desk.requests[-1].prompts) == len(desk.session.preview) == desk.state.n_objects == 3
    assert "commit 3 objects" in desk.state.hint


def test_an_added_box_asks_for_that_object_only(desk):
    boxes = (Box((7, 7, 21, 23)), Box((5, 35, 19, 51)))
    desk.session.set_prompts(PromptSet(boxes=boxes[:1]))
    desk.answer()
    (first,) = desk.session.preview
    desk.session.set_prompts(PromptSet(boxes=boxes))
    assert len(desk.requests[-1].prompts) == 1
    desk.answer()
    assert desk.session.preview[0] is first
    assert len(desk.session.preview) == 2


def test_a_removed_box_needs_no_model(desk):
    boxes = (Box((7, 7, 21, 23)), Box((5, 35, 19, 51)))
    desk.session.set_prompts(PromptSet(boxes=boxes))
    desk.answer()
    second = desk.session.preview[1]
    desk.session.set_prompts(PromptSet(boxes=boxes[1:]))
    assert len(desk.requests) == 1
    assert desk.session.preview == (second,)


def test_each_point_mode_splits_the_points(desk):
    desk.click_and_answer(A, B)
    assert desk.state.n_objects == 1
    desk.session.set_mode(PointMode.EACH_POINT)
    desk.answer()
    assert desk.state.n_objects == 2
    desk.session.clear()
    assert desk.state.hint.startswith("Left-click on every object")


def test_options_recompute_the_same_dialogue(desk):
    desk.click_and_answer(A)
    desk.session.next_candidate()
    desk.click_and_answer(A, B)
    desk.session.set_options(MaskOptions(fill_holes=False))
    request = desk.requests[-1]
    assert request.options == MaskOptions(fill_holes=False)
    assert request.previous[0].steps[-1].candidate == 1
    assert desk.answer()


def test_options_keep_the_candidate(desk):
    desk.click_and_answer(A)
    desk.session.next_candidate(2)
    desk.session.set_options(MaskOptions(min_size=5))
    desk.answer()
    assert desk.state.candidate == 2


def test_only_negative_points_give_a_hint(desk):
    desk.click(A, positive=[False])
    assert desk.state.phase is Phase.NEEDS_PROMPT
    assert desk.state.error == ""
    assert "left-click on the object as well" in desk.state.hint
    assert desk.requests == []
    desk.click_and_answer(A, B, positive=[False, True])
    assert desk.state.phase is Phase.PREVIEW


def test_a_point_outside_the_image_is_an_error_state_that_keeps_the_prompts(desk):
    desk.click_and_answer(A)
    desk.click(A, (500, 5))
    assert desk.state.phase is Phase.ERROR
    assert "outside the image" in desk.state.error
    assert "press U to take the last one back" in desk.state.hint
    assert len(desk.session.prompts.points) == 2
    desk.session.undo()
    assert desk.state.phase is Phase.PREVIEW
    assert desk.state.error == ""


def test_an_error_of_the_model_keeps_the_prompts_and_can_be_retried(desk):
    desk.click(A)
    assert desk.session.reject(desk.requests[-1].generation, ModelError("no memory left"))
    assert (desk.state.phase, desk.state.error) == (Phase.ERROR, "no memory left")
    assert "press G to try again" in desk.state.hint
    desk.session.retry()
    assert len(desk.requests) == 2
    desk.answer()
    assert desk.state.phase is Phase.PREVIEW


def test_an_unexpected_error_names_its_type(desk):
    desk.click(A)
    desk.session.reject(desk.requests[-1].generation, ZeroDivisionError("x"))
    assert desk.state.error == "ZeroDivisionError: x"


def test_a_cancelled_request_is_no_error(desk):
    desk.click(A)
    desk.session.reject(desk.requests[-1].generation, Cancelled("cancelled"))
    assert desk.state.phase is Phase.NEEDS_PROMPT
    assert desk.state.hint.startswith("Cancelled")
    desk.session.retry()
    assert desk.answer()


def test_a_refused_drawing_keeps_the_prompts(desk):
    desk.click_and_answer(A)
    desk.session.refuse(ValueError("the box is 0 x 3 pixels"))
    assert desk.state.phase is Phase.ERROR
    assert len(desk.session.prompts.points) == 1
    desk.click_and_answer(A, B)
    assert desk.state.error == ""


def test_an_empty_image_is_an_error_state(desk):
    desk.session.set_plane(ArrayPlane(np.zeros((0, 5), np.uint8)), "empty")
    desk.click((0, 0))
    assert desk.state.phase is Phase.ERROR
    assert "empty" in desk.state.error


def test_nothing_found_says_what_to_do(desk):
    desk.session.set_prompts(PromptSet(boxes=(Box((0, 0, 4, 4)),)))
    desk.answer()
    assert desk.state.phase is Phase.NEEDS_PROMPT
    assert "Nothing found" in desk.state.hint
    assert not desk.state.can_commit


def test_commit_hands_out_the_objects_and_gets_ready_for_the_next(desk):
    desk.click_and_answer(A)
    shown = desk.session.preview
    commit = desk.session.take_commit()
    assert desk.commits == [commit]
    assert commit.instances == shown
    assert (commit.plane_key, commit.replaced_id) == ("plane 0", None)
    assert desk.restored[-1].empty
    assert desk.session.preview == ()
    assert desk.state.phase is Phase.NEEDS_PROMPT
    assert not desk.state.can_undo


def test_records_tell_how_an_object_came_about(desk, blobs):
    desk.session.set_plane(blobs, "stack 3", index=(3,))
    desk.session.set_options(MaskOptions(min_size=4))
    desk.click_and_answer(A)
    desk.session.next_candidate()
    desk.click_and_answer(A, B)
    (record,) = desk.session.take_commit().labelled(7, {"limits": [[0, 1]]})
    assert record.view == {"limits": [[0, 1]]}
    assert (record.label, record.index) == (7, (3,))
    assert (record.model, record.model_key) == ("fake", "fake@1")
    assert [step.candidate for step in record.steps] == [1, 0]
    assert record.options == asdict(MaskOptions(min_size=4))
    assert record.score == pytest.approx(0.9)


def test_records_of_many_objects_are_numbered_in_order(desk):
    boxes = [(7, 7, 21, 23), (5, 35, 19, 51)]
    desk.session.set_prompts(PromptSet(boxes=tuple(map(Box, boxes))))
    desk.answer()
    commit = desk.session.take_commit()
    assert [record.label for record in commit.labelled(5)] == [5, 6]
    assert [record.box_yx for record in commit.records] == [
        instance.box_yx for instance in commit.instances
    ]


def test_nothing_to_commit_is_none(desk):
    assert desk.session.take_commit() is None
    desk.click(A)
    assert desk.session.take_commit() is None
    assert desk.commits == []


def test_a_commit_asked_for_too_early_comes_with_the_answer(desk):
    desk.click_and_answer(A)
    desk.click(A, B)
    desk.session.commit_when_ready()
    assert desk.commits == []
    desk.answer()
    (commit,) = desk.commits
    assert len(commit.records[0].steps) == 2


def test_a_commit_asked_for_too_early_is_dropped_with_its_request(desk):
    desk.click(A)
    desk.session.commit_when_ready()
    desk.session.reject(desk.requests[-1].generation, ModelError("x"))
    desk.session.retry()
    desk.answer()
    assert desk.commits == []


def test_a_commit_that_could_not_be_written_is_restored(desk):
    desk.click_and_answer(A)
    shown = desk.session.preview
    commit = desk.session.take_commit()
    desk.session.restore(commit)
    assert desk.session.preview == shown
    assert desk.restored[-1].points.points_yx.tolist() == [list(A)]
    assert desk.session.take_commit().instances == shown


def test_a_commit_is_restored_on_its_own_plane(desk, blobs):
    desk.click_and_answer(A)
    commit = desk.session.take_commit()
    desk.session.set_plane(ArrayPlane(blobs.values.copy()), "plane 1")
    desk.session.restore(commit)
    assert desk.session.preview == ()
    desk.session.set_plane(blobs, "plane 0")
    assert desk.session.preview == commit.instances


def edited():
    return MaskPrompt((8, 8, 20, 22), np.ones((12, 14), bool))


def test_an_object_picked_up_is_shown_as_it_is(desk):
    desk.session.edit_object(4, edited())
    assert desk.requests == []
    assert desk.state.editing == 4
    (instance,) = desk.session.preview
    assert instance.box_yx == (8, 8, 20, 22)
    assert desk.state.hint.startswith("Editing object 4")
    assert not desk.state.can_commit


def test_clicks_change_the_object_that_is_edited(desk):
    desk.session.edit_object(4, edited())
    desk.click(B)
    (prompts,) = desk.requests[-1].prompts
    assert prompts.mask is not None
    desk.answer()
    assert desk.state.object_area > 12 * 14
    commit = desk.session.take_commit()
    assert commit.replaced_id == 4
    assert [record.label for record in commit.labelled(9)] == [4]
    assert desk.state.editing is None


def test_excluding_from_an_edited_object_is_enough(desk):
    desk.session.edit_object(4, edited())
    desk.click_and_answer((9, 9), positive=[False])
    assert 0 < desk.state.object_area < 12 * 14


def test_undo_puts_an_edited_object_back(desk):
    desk.session.edit_object(4, edited())
    desk.session.undo()
    assert desk.state.editing is None
    assert desk.session.preview == ()


def test_keys_of_the_hints_can_change(desk):
    desk.click_and_answer(A)
    desk.session.set_keys(KeyNames(commit="Enter"))
    assert "Press Enter to commit" in desk.state.hint


def test_what_is_said_stays_until_the_next_change(desk):
    desk.click_and_answer(A)
    desk.session.say("There already", "Press W")
    assert (desk.state.phase, desk.state.hint, desk.state.note) == (
        Phase.PREVIEW,
        "There already",
        "Press W",
    )
    desk.session.next_candidate()
    assert "Press K to commit" in desk.state.hint
    assert desk.state.note == ""


def test_without_a_tool_in_hand_the_hints_say_how_to_take_one(desk):
    desk.session.set_keys(KeyNames(commit="K", tool="H"))
    desk.session.set_tool_active(False)
    assert desk.state.hint.startswith("Press Point (or H) to go on")
    desk.click_and_answer(A)
    assert desk.state.hint == "Press K to commit the object, press Point (or H) to refine it"
    desk.session.set_tool_active(True)
    assert "click to refine it" in desk.state.hint


def test_a_note_leaves_the_hint_and_goes_with_the_next_click(desk):
    desk.session.say(note="Object 3 written")
    assert desk.state.note == "Object 3 written"
    assert "Left-click" in desk.state.hint
    desk.click(A)
    assert desk.state.note == ""


@pytest.mark.parametrize(
    ("labels", "edited", "said"),
    [
        ((), None, "other objects lie there"),
        ((3,), None, "Object 3 is there already"),
        ((3, 5), None, "These 2 objects are there already"),
        ((), 4, "Object 4 is like this already"),
    ],
)
@pytest.mark.parametrize("keys", [KeyNames(), KeyNames(clear="J", edit="W")])
def test_nothing_new_names_the_objects_and_how_to_go_on(labels, edited, said, keys):
    hint, note = nothing_new_texts(labels, keys, edited=edited)
    assert said in hint
    assert "To go on, press " + ("J (Clear)" if keys.clear else "Clear") in note


def test_every_state_has_a_hint_and_is_emitted_once(desk):
    desk.click_and_answer(A)
    desk.click(A, (500, 5))
    desk.session.undo()
    desk.session.take_commit()
    assert all(state.hint for state in desk.states)
    assert all(first != second for first, second in zip(desk.states, desk.states[1:], strict=False))
    assert desk.states[-1] == desk.state


def test_the_visible_part_goes_into_the_next_request(desk):
    desk.session.set_visible((0, 0, 10, 10))
    assert desk.requests == []
    desk.click(A)
    assert desk.requests[-1].visible_yx == (0, 0, 10, 10)


def test_two_sessions_do_not_share_anything(desk, blobs):
    other = Session(model_name="fake")
    other.set_plane(blobs, "plane 0")
    desk.click_and_answer(A)
    assert other.prompts.empty
    assert other.preview == ()
