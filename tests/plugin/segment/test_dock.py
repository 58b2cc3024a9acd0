"""The dock on a viewer without a window."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import zarr
from blob_images import BOXES, SECOND_MODEL, blob_image, centre
from napari.layers import Labels
from napari.settings import get_settings

from napari_segmate.core.errors import OfflineError
from napari_segmate.core.images.contrast import ContrastMode
from napari_segmate.io.provenance import METADATA_KEY
from napari_segmate.plugin.labels.layer_names import PREVIEW_NAME
from napari_segmate.sessions.state import Phase
from napari_segmate.widgets.actions import SegmentAction, default_keys

pytestmark = pytest.mark.gui


def objects(labels) -> dict[int, tuple[int, ...]]:
    """Return the box of each label."""
    found = {}
    for label in np.unique(labels)[1:]:
        rows, columns = np.nonzero(labels == label)
        found[int(label)] = (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
    return found


def assert_objects(labels, expected: dict[int, tuple[int, ...]]) -> None:
    """Compare boxes; the model sees the image at another size, so an edge may be a pixel off."""
    found = objects(labels)
    assert found.keys() == expected.keys()
    for label, box in expected.items():
        np.testing.assert_allclose(found[label], box, atol=1)


# Opening


def test_opening_chooses_the_image_and_is_ready_to_click(bench) -> None:
    names = [layer.name for layer in bench.viewer.layers]
    assert names == ["image 0", "SegMate shapes", "SegMate points"]
    assert bench.viewer.layers.selection.active is bench.prompts.points
    assert bench.prompts.points.mode == "add"
    assert bench.state.phase is Phase.NEEDS_PROMPT
    assert "Left-click on an object; right-click to exclude" in bench.hint


def test_opening_without_an_image_says_so_and_takes_the_first_one(make_bench) -> None:
    bench = make_bench()
    assert "Open an image, or choose one above" in bench.hint
    assert len(bench.viewer.layers) == 0
    bench.viewer.add_image(blob_image())
    bench.settle()
    assert bench.state.phase is Phase.NEEDS_PROMPT


def test_next_image_after_all_layers_were_removed_is_ready_to_click(bench) -> None:
    bench.viewer.layers.clear()
    bench.settle()
    bench.viewer.add_image(blob_image(), name="next")
    bench.until(lambda: bench.viewer.layers.selection.active is bench.prompts.points)
    assert bench.prompts.points.mode == "add"
    assert bench.controller.image is bench.viewer.layers["next"]


def test_model_is_loaded_and_the_plane_encoded_before_the_first_click(bench) -> None:
    bench.until(lambda: len(bench.model.encoded) == 1)
    assert bench.loaded == ["fake"]
    bench.point(*centre(0))
    assert len(bench.model.encoded) == 1


# Click, refine, commit


def test_a_point_shows_the_object_and_a_commit_labels_it(bench) -> None:
    bench.point(*centre(0))
    bench.preview()
    assert bench.viewer.layers[PREVIEW_NAME].visible
    bench.controller.trigger(SegmentAction.COMMIT)
    assert_objects(bench.output.data, {1: BOXES[0]})
    assert bench.output.name == "SegMate labels"
    assert not bench.viewer.layers[PREVIEW_NAME].visible
    assert len(bench.prompts.points.data) == 0
    assert bench.viewer.layers.selection.active is bench.prompts.points


def test_commit_straight_after_a_click_waits_for_the_answer(bench) -> None:
    bench.model.gate.clear()
    bench.session.invalidate()
    bench.prompts.points.add([centre(1)])
    bench.controller.trigger(SegmentAction.COMMIT)
    bench.model.gate.set()
    bench.settle()
    assert_objects(bench.output.data, {1: BOXES[1]})


def test_objects_get_consecutive_labels_and_records(bench) -> None:
    for number in range(3):
        bench.point(*centre(number))
        bench.controller.trigger(SegmentAction.COMMIT)
    assert_objects(bench.output.data, {n + 1: BOXES[n] for n in range(3)})
    records = bench.output.metadata[METADATA_KEY]
    assert [record["label"] for record in records] == [1, 2, 3]
    assert records[0]["model_key"] == "fake@1"


def test_several_boxes_are_several_objects_in_one_commit(bench) -> None:
    for y0, x0, y1, x1 in BOXES:
        corners = [[y0, x0], [y0, x1], [y1, x1], [y1, x0]]
        bench.prompts.shapes.add([np.array(corners, float)], shape_type="rectangle")
    bench.settle()
    assert bench.state.n_objects == 3
    bench.controller.trigger(SegmentAction.COMMIT)
    assert len(np.unique(bench.output.data)) == 4
    bench.output.undo()
    assert not bench.output.data.any()


def test_commit_is_one_step_of_napari_s_undo(bench) -> None:
    bench.point(*centre(0))
    bench.controller.trigger(SegmentAction.COMMIT)
    bench.output.undo()
    assert not bench.output.data.any()
    bench.output.redo()
    assert bench.output.data.any()


def test_take_back_removes_the_object_and_brings_its_prompts_back(bench) -> None:
    bench.point(*centre(0))
    bench.controller.trigger(SegmentAction.COMMIT)
    assert bench.panel.button(SegmentAction.TAKE_BACK).isEnabled()
    bench.controller.trigger(SegmentAction.TAKE_BACK)
    assert not bench.output.data.any()
    assert bench.output.metadata[METADATA_KEY] == []
    assert len(bench.prompts.points.data) == 1
    assert not bench.panel.button(SegmentAction.TAKE_BACK).isEnabled()


def test_take_back_after_undo_takes_the_commit_before(bench) -> None:
    for number in range(2):
        bench.point(*centre(number))
        bench.controller.trigger(SegmentAction.COMMIT)
    bench.output.undo()
    bench.controller.trigger(SegmentAction.TAKE_BACK)
    assert not bench.output.data.any()


def test_undo_and_redo_of_prompts(bench) -> None:
    bench.point(*centre(0))
    bench.point(*centre(1))
    bench.controller.trigger(SegmentAction.UNDO)
    assert len(bench.prompts.points.data) == 1
    bench.controller.trigger(SegmentAction.REDO)
    assert len(bench.prompts.points.data) == 2


def test_clear_removes_prompts_and_preview(bench) -> None:
    bench.point(*centre(0))
    bench.controller.trigger(SegmentAction.CLEAR)
    assert len(bench.prompts.points.data) == 0
    assert not bench.viewer.layers[PREVIEW_NAME].visible


def test_next_mask_shows_another_one(bench) -> None:
    bench.point(*centre(0))
    before = bench.viewer.layers[PREVIEW_NAME].data.shape
    bench.controller.trigger(SegmentAction.NEXT_MASK)
    assert bench.viewer.layers[PREVIEW_NAME].data.shape != before


def test_negative_point_only_is_explained(bench) -> None:
    bench.prompts.set_positive(False)
    bench.point(*centre(0))
    assert "Only places to exclude so far" in bench.hint
    assert bench.state.n_objects == 0


def test_point_outside_is_explained_and_undone(bench) -> None:
    bench.point(-10, 5)
    assert "outside the image" in bench.state.error
    bench.controller.trigger(SegmentAction.UNDO)
    assert bench.state.phase is Phase.NEEDS_PROMPT


def test_five_hundred_points_are_answered(bench) -> None:
    rng = np.random.default_rng(0)
    bench.prompts.points.add(rng.uniform([9, 9], [18, 20], (500, 2)))
    bench.settle()
    bench.preview()


def test_editing_picks_the_object_up_and_replaces_it(bench) -> None:
    labels = np.zeros((48, 60), np.uint8)
    labels[10:14, 10:14] = 7
    layer = bench.viewer.add_labels(labels)
    bench.viewer.cursor.position = (12, 12)
    bench.controller.trigger(SegmentAction.EDIT_OBJECT)
    assert bench.state.editing == 7
    assert bench.output is layer
    bench.point(*centre(0))
    bench.controller.trigger(SegmentAction.COMMIT)
    assert_objects(layer.data, {7: BOXES[0]})


def test_editing_where_nothing_is_says_so(bench) -> None:
    bench.viewer.cursor.position = (2, 2)
    bench.controller.trigger(SegmentAction.EDIT_OBJECT)
    assert "no labelled object" in bench.hint


def test_a_commit_says_what_was_written_where_until_the_next_click(bench) -> None:
    bench.point(*centre(0))
    bench.controller.trigger(SegmentAction.COMMIT)
    assert "Object 1 written to 'SegMate labels'. Q takes it back" in bench.hint
    assert bench.hint.startswith("Left-click on an object")
    bench.point(*centre(1))
    assert "written" not in bench.hint


def test_a_commit_that_is_taken_back_is_not_said_to_be_written(bench) -> None:
    bench.point(*centre(0))
    bench.controller.trigger(SegmentAction.COMMIT)
    bench.controller.trigger(SegmentAction.TAKE_BACK)
    assert "written" not in bench.hint


def test_with_another_layer_active_the_hint_says_how_to_take_a_tool(bench) -> None:
    bench.viewer.layers.selection.active = bench.viewer.layers["image 0"]
    assert bench.hint.startswith("Press Point (or H) to go on")
    bench.controller.trigger(SegmentAction.SWITCH_TOOL)
    assert bench.hint.startswith("Left-click on an object")
    bench.viewer.add_labels(np.zeros((48, 60), np.uint8))
    assert bench.hint.startswith("Press Point (or H) to go on")
    bench.prompts.take_tool("box")
    assert bench.hint.startswith("Left-click on an object")


def test_an_object_that_is_there_already_is_no_error_and_the_hint_names_the_keys(bench) -> None:
    for _ in range(2):
        bench.point(*centre(0))
        bench.controller.trigger(SegmentAction.COMMIT)
    bench.preview()
    assert "Object 1 is there already" in bench.hint
    assert f"press W ({SegmentAction.EDIT_OBJECT.title})" in bench.hint
    assert f"press J ({SegmentAction.CLEAR.title})" in bench.hint
    assert bench.panel.status._retry.isHidden()
    assert len(bench.prompts.points.data) == 1
    assert_objects(bench.output.data, {1: BOXES[0]})


def test_keys_of_that_hint_are_those_of_the_settings(bench, monkeypatch) -> None:
    keys = {SegmentAction.COMMIT: "K", SegmentAction.EDIT_OBJECT: "Shift-E"}
    monkeypatch.setattr("napari_segmate.plugin.docks.image_dock.read_keys", lambda actions: keys)
    bench.dock._bind_keys()
    for _ in range(2):
        bench.point(*centre(0))
        bench.controller.trigger(SegmentAction.COMMIT)
    assert "press Shift-E (Edit object). To go on, press Clear" in bench.hint


def test_an_object_that_is_there_already_can_be_corrected_as_the_hint_says(bench) -> None:
    for _ in range(2):
        bench.point(*centre(0))
        bench.controller.trigger(SegmentAction.COMMIT)
    bench.viewer.cursor.position = centre(0)
    bench.controller.trigger(SegmentAction.EDIT_OBJECT)
    assert bench.state.editing == 1
    bench.point(*centre(2))
    bench.controller.trigger(SegmentAction.COMMIT)
    assert "Object 1 corrected in 'SegMate labels'" in bench.hint


def test_a_correction_that_only_removes_is_said_and_taken_back(bench) -> None:
    y0, x0, y1, x1 = BOXES[0]
    labels = np.zeros((48, 60), np.uint8)
    labels[y0 - 3 : y1 + 3, x0 - 3 : x1 + 3] = 2
    layer = bench.viewer.add_labels(labels.copy(), name="mine")
    bench.viewer.cursor.position = centre(0)
    bench.controller.trigger(SegmentAction.EDIT_OBJECT)
    bench.point(*centre(0))
    bench.controller.trigger(SegmentAction.COMMIT)
    assert not layer.data[labels == 0].any()
    assert np.count_nonzero(layer.data) < np.count_nonzero(labels)
    assert "Object 2 corrected in 'mine'. Q takes it back" in bench.hint
    bench.controller.trigger(SegmentAction.TAKE_BACK)
    np.testing.assert_array_equal(layer.data, labels)
    assert "no commit" not in bench.hint
    assert bench.state.editing == 2


# Outputs of all kinds


def test_uint8_labels_with_300_objects_grow_and_keep_their_undo(bench) -> None:
    labels = np.zeros((48, 60), np.uint8)
    labels[45, :51] = np.arange(205, 256)
    layer = bench.viewer.add_labels(labels.copy(), name="mine")
    bench.dock._outputs.choose(layer)
    layer.data_setitem((np.array([44]), np.array([0])), 9)
    bench.point(*centre(0))
    bench.controller.trigger(SegmentAction.COMMIT)
    assert layer in bench.viewer.layers
    assert layer.data.dtype == np.uint16
    assert layer.data.max() == 256
    layer.undo()
    layer.undo()
    np.testing.assert_array_equal(layer.data, labels)


def test_zarr_labels_are_written_in_place(bench, tmp_path) -> None:
    array = zarr.create_array(
        store=str(tmp_path / "labels.zarr"), shape=(48, 60), chunks=(16, 16), dtype="uint16"
    )
    layer = bench.viewer.add_labels(array)
    bench.dock._outputs.choose(layer)
    bench.point(*centre(0))
    bench.controller.trigger(SegmentAction.COMMIT)
    # Which ids are taken is looked up in the background first.
    bench.until(lambda: array[:].any())
    assert_objects(array[:], {1: BOXES[0]})
    layer.undo()
    assert not array[:].any()


def test_dask_labels_are_copied_with_a_message(bench, monkeypatch) -> None:
    said = []
    monkeypatch.setattr(bench.controller.committer._preparer, "_notify", said.append)
    lazy = da.zeros((48, 60), dtype=np.uint16, chunks=16)
    layer = bench.viewer.add_labels(lazy)
    bench.dock._outputs.choose(layer)
    bench.point(*centre(0))
    bench.controller.trigger(SegmentAction.COMMIT)
    bench.until(lambda: isinstance(layer.data, np.ndarray) and layer.data.any())
    assert_objects(layer.data, {1: BOXES[0]})
    assert "copied into memory" in said[0]


def test_output_of_another_shape_is_refused_and_nothing_is_lost(bench) -> None:
    layer = bench.viewer.add_labels(np.zeros((10, 10), int), name="small")
    bench.dock._outputs.choose(layer)
    bench.point(*centre(0))
    bench.controller.trigger(SegmentAction.COMMIT)
    assert "'small'" in bench.state.error
    assert "do not coincide" in bench.state.error
    assert len(bench.prompts.points.data) == 1
    bench.dock._outputs.choose(None)
    bench.controller.trigger(SegmentAction.COMMIT)
    assert_objects(bench.output.data, {1: BOXES[0]})


def test_multiscale_output_is_refused_with_the_way_out(bench) -> None:
    levels = [np.zeros((48, 60), int), np.zeros((24, 30), int)]
    layer = bench.viewer.add_labels(levels, multiscale=True)
    bench.dock._outputs.choose(layer)
    bench.point(*centre(0))
    bench.controller.trigger(SegmentAction.COMMIT)
    assert "'new labels'" in bench.state.error


def test_output_deleted_between_click_and_commit_makes_a_new_one(bench) -> None:
    bench.point(*centre(0))
    bench.controller.trigger(SegmentAction.COMMIT)
    bench.point(*centre(1))
    bench.viewer.layers.remove(bench.output)
    bench.controller.trigger(SegmentAction.COMMIT)
    assert_objects(bench.output.data, {1: BOXES[1]})


def test_hidden_output_is_written_and_shown(bench) -> None:
    layer = bench.viewer.add_labels(np.zeros((48, 60), np.uint8), visible=False)
    bench.dock._outputs.choose(layer)
    bench.point(*centre(0))
    bench.controller.trigger(SegmentAction.COMMIT)
    assert layer.visible
    assert layer.data.any()


def test_other_objects_are_kept_or_overwritten_as_chosen(bench) -> None:
    labels = np.zeros((48, 60), np.uint16)
    labels[:, :12] = 5
    layer = bench.viewer.add_labels(labels)
    bench.dock._outputs.choose(layer)
    bench.point(*centre(0))
    bench.controller.trigger(SegmentAction.COMMIT)
    assert layer.data[10, 10] == 5
    layer.undo()
    combo = bench.panel.options._policy
    combo.setCurrentIndex(1)
    bench.point(*centre(0))
    bench.controller.trigger(SegmentAction.COMMIT)
    assert layer.data[10, 10] > 5


def test_renamed_output_stays_chosen(bench) -> None:
    bench.point(*centre(0))
    bench.controller.trigger(SegmentAction.COMMIT)
    layer = bench.output
    layer.name = "renamed"
    assert bench.output is layer
    assert bench.dock._outputs.layer is layer


def test_preview_and_prompts_are_not_offered_as_output(bench) -> None:
    bench.point(*centre(0))
    labels = [value for value in bench.dock._outputs._box.choices if isinstance(value, Labels)]
    assert labels == []


# Images of all kinds


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (2, 1, 0)])
def test_plane_of_a_stack_in_any_order(make_bench, order) -> None:
    stack = np.full((60, 60, 60), 20, np.uint8)
    stack[10:20, 24:38, 30:46] = 220
    bench = make_bench(stack, scale=(2, 1, 0.5))
    bench.viewer.dims.order = order
    middle = np.array([14, 30, 37])
    bench.viewer.dims.point = middle * [2, 1, 0.5]
    bench.settle()
    bench.point(*middle)
    bench.preview()
    bench.controller.trigger(SegmentAction.COMMIT)
    expected = np.zeros(stack.shape, bool)
    index = [slice(None)] * 3
    index[order[0]] = middle[order[0]]
    expected[tuple(index)] = stack[tuple(index)] > 127
    found = bench.output.data > 0
    assert np.count_nonzero(found & expected) / np.count_nonzero(found | expected) > 0.75


def test_points_of_other_planes_do_not_count(make_bench) -> None:
    bench = make_bench(np.stack([blob_image(), blob_image()]))
    bench.viewer.dims.point = (0, 0, 0)
    bench.settle()
    bench.point(0, *centre(0))
    bench.viewer.dims.point = (1, 0, 0)
    bench.settle()
    assert bench.state.n_objects == 0
    bench.point(1, *centre(1))
    bench.viewer.dims.point = (0, 0, 0)
    bench.settle()
    assert bench.state.n_objects == 1
    bench.controller.trigger(SegmentAction.COMMIT)
    assert_objects(bench.output.data[0], {1: BOXES[0]})
    assert not bench.output.data[1].any()


def test_all_that_is_on_the_screen_is_prepared_while_idle(make_bench) -> None:
    image = np.tile(blob_image(), (4, 3))
    bench = make_bench(image)
    bench.until(lambda: len(bench.model.encoded) >= 9, 8000)
    bench.settle()
    encoded = len(bench.model.encoded)
    bench.point(3 * 48 + centre(0)[0], 2 * 60 + centre(0)[1])
    assert bench.state.n_objects == 1
    assert len(bench.model.encoded) == encoded


def test_neighbouring_planes_are_prepared_while_idle(make_bench) -> None:
    bench = make_bench(np.stack([np.roll(blob_image(), n, axis=1) for n in range(5)]))
    bench.viewer.dims.point = (2, 0, 0)
    bench.until(lambda: len(bench.model.encoded) >= 3, 4000)
    bench.settle()
    encoded = len(bench.model.encoded)
    bench.viewer.dims.point = (3, 0, 0)
    bench.qtbot.wait(50)
    bench.point(3, *centre(0))
    assert len(bench.model.encoded) == encoded


def test_rgb_image(make_bench) -> None:
    rgb = np.stack([blob_image()] * 3, axis=-1)
    bench = make_bench(rgb, rgb=True)
    bench.point(*centre(0))
    bench.controller.trigger(SegmentAction.COMMIT)
    assert_objects(bench.output.data, {1: BOXES[0]})


def test_multiscale_image(make_bench) -> None:
    image = blob_image()
    bench = make_bench([image, image[::2, ::2]], multiscale=True)
    bench.point(*centre(0))
    bench.controller.trigger(SegmentAction.COMMIT)
    assert bench.output.data.shape == (48, 60)
    assert len(objects(bench.output.data)) == 1


def test_lazy_image_reads_the_plane_in_view_only(make_bench) -> None:
    read = []

    def plane(block_info=None):
        read.append(block_info[None]["chunk-location"][0])
        return blob_image()[None]

    lazy = da.map_blocks(plane, chunks=((1,) * 50, (48,), (60,)), dtype=np.uint8)
    bench = make_bench(lazy, contrast_limits=(0, 255))
    bench.viewer.dims.point = (25, 0, 0)
    bench.settle()
    bench.point(25, *centre(0))
    bench.preview()
    assert set(read) <= {0, 1, 23, 24, 25, 26, 27, 49}


@pytest.mark.parametrize("axis", [0, 1])
def test_channels_share_prompts_and_labels(make_bench, axis) -> None:
    planes = np.stack([np.stack([blob_image(), np.zeros((48, 60), np.uint8)])] * 3)
    data = planes if axis == 1 else planes.swapaxes(0, 1)
    bench = make_bench(data, scale=(2, 3, 1, 1))
    options = bench.panel.options
    options._channel_axis.setCurrentIndex(options._channel_axis.findData(axis))
    at = [2, 0] if axis == 1 else [0, 2]
    bench.viewer.dims.point = (at[0] * 2, at[1] * 3, 0, 0)
    bench.settle()
    place = [2, 0] if axis == 1 else [2]
    bench.point(*place, *centre(0))
    bench.preview()
    bench.controller.trigger(SegmentAction.COMMIT)
    assert bench.output.data.shape == ((3, 1, 48, 60) if axis == 1 else (3, 48, 60))
    assert_objects(np.squeeze(bench.output.data)[2], {1: BOXES[0]})


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((1, 1), np.uint8),
        np.full((20, 30), 7, np.uint16),
        np.full((20, 30), np.nan, np.float32),
        np.where(np.arange(600).reshape(20, 30) % 7, np.inf, 1.0),
    ],
    ids=["one pixel", "all equal", "all NaN", "inf"],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning:napari", "ignore::RuntimeWarning:numpy")
def test_degenerate_images_do_no_harm(make_bench, image) -> None:
    bench = make_bench(image, contrast_limits=(0, 1))
    bench.point(0, 0)
    assert bench.hint
    assert not bench.state.phase.busy


def test_three_d_display_gives_a_hint_and_coming_back_goes_on(make_bench) -> None:
    bench = make_bench(np.stack([blob_image()] * 3))
    bench.point(1, *centre(0))
    bench.viewer.dims.ndisplay = 3
    bench.settle()
    assert "2-D display" in bench.hint
    bench.controller.trigger(SegmentAction.COMMIT)
    bench.viewer.dims.ndisplay = 2
    bench.settle()
    bench.preview()


def test_what_is_said_in_three_d_is_why_nothing_can_be_done(make_bench) -> None:
    bench = make_bench(np.stack([blob_image()] * 3))
    bench.viewer.add_labels(np.ones((3, 48, 60), np.uint8))
    bench.viewer.dims.ndisplay = 3
    bench.settle()
    bench.controller.trigger(SegmentAction.TAKE_BACK)
    assert "no commit" in bench.hint
    bench.controller.trigger(SegmentAction.CLEAR)
    assert "2-D display" in bench.hint
    bench.panel.button(SegmentAction.EDIT_OBJECT).click()
    assert "2-D display" in bench.hint


def test_nothing_is_encoded_beforehand_while_the_display_turns_to_three_d(make_bench) -> None:
    bench = make_bench(np.stack([blob_image()] * 3))
    bench.until(lambda: bench.controller.runner.idle)
    encoded = len(bench.model.encoded)
    bench.viewer.dims.ndisplay = 3
    bench.controller._prefetch()
    bench.settle()
    assert len(bench.model.encoded) == encoded


def test_units_of_a_new_layer_do_not_move_the_prompts(make_bench) -> None:
    bench = make_bench(blob_image(), scale=(0.5, 0.5), units=("um", "um"))
    bench.viewer.add_image(np.zeros((9, 9)), scale=(10, 10), units=("nm", "nm"))
    bench.settle()
    assert [str(unit) for unit in bench.prompts.points.units] == ["nanometer"] * 2
    world = np.asarray(bench.viewer.layers[0].data_to_world(centre(0))) * 1000
    np.testing.assert_allclose(bench.prompts.points.world_to_data(world), centre(0))


# Things that change while the worker works


def test_image_removed_while_encoding(bench) -> None:
    bench.model.gate.clear()
    bench.session.invalidate()
    bench.prompts.points.add([centre(0)])
    bench.until(lambda: bench.state.phase.busy)
    bench.viewer.layers.remove(bench.controller.image)
    bench.model.gate.set()
    bench.settle()
    assert bench.state.phase is Phase.IDLE
    assert bench.hint


def test_image_renamed_while_encoding_goes_on(make_bench) -> None:
    bench = make_bench()
    bench.model.gate.clear()
    image = bench.viewer.add_image(blob_image())
    bench.qtbot.wait(50)
    bench.prompts.points.add([centre(0)])
    image.name = "renamed"
    bench.model.gate.set()
    bench.settle()
    bench.preview()


def test_image_data_replaced_while_encoding_answers_for_the_new_data(make_bench) -> None:
    bench = make_bench()
    bench.model.gate.clear()
    image = bench.viewer.add_image(blob_image())
    bench.qtbot.wait(50)
    bench.prompts.points.add([centre(0)])
    bench.qtbot.wait(50)
    new = np.full((48, 60), 20, np.uint8)
    new[4:30, 4:30] = 220
    image.data = new
    bench.model.gate.set()
    bench.settle()
    bench.preview()
    assert bench.session.preview[0].box_yx == (4, 4, 30, 30)


def test_model_switched_while_encoding_answers_with_the_new_one(make_bench) -> None:
    bench = make_bench()
    bench.model.gate.clear()
    bench.viewer.add_image(blob_image())
    bench.qtbot.wait(50)
    bench.prompts.points.add([centre(0)])
    bench.until(lambda: bench.state.phase.busy)
    bench.panel._model.setCurrentIndex(1)
    bench.model.gate.set()
    bench.settle()
    bench.preview()
    assert bench.loaded == ["fake", SECOND_MODEL]


def test_cancel_keeps_the_prompts(bench) -> None:
    bench.model.gate.clear()
    bench.viewer.layers[0].data = 255 - blob_image()
    bench.prompts.points.add([(1, 1)])
    bench.until(lambda: bench.state.phase.busy)
    bench.controller.trigger(SegmentAction.CANCEL)
    bench.settle()
    assert "Cancelled" in bench.hint
    assert len(bench.prompts.points.data) == 1
    bench.model.gate.set()
    bench.controller.trigger(SegmentAction.RETRY)
    bench.settle()
    bench.preview()


def test_dock_closed_while_encoding_ends_the_worker(bench) -> None:
    bench.model.gate.clear()
    bench.viewer.layers[0].data = 255 - blob_image()
    bench.prompts.points.add([(1, 1)])
    bench.until(lambda: bench.state.phase.busy)
    bench.dock.shut_down()
    bench.until(lambda: not bench.controller.runner._thread.is_alive())


def test_prompt_layer_deleted_by_the_user_comes_back(bench) -> None:
    bench.point(*centre(0))
    bench.viewer.layers.remove(bench.prompts.points)
    bench.settle()
    assert bench.state.n_objects == 0
    bench.panel.tools.tool_chosen.emit("point")
    bench.point(*centre(0))
    bench.preview()


def test_model_that_cannot_be_loaded_says_why_and_can_be_tried_again(make_bench) -> None:
    bench = make_bench()
    bench.viewer.add_image(blob_image())
    bench.load_error = OfflineError("put the file into /cache")
    bench.panel._model.setCurrentIndex(1)
    bench.settle()
    assert "Put the file into /cache" in bench.hint
    bench.load_error = None
    bench.controller.trigger(SegmentAction.RETRY)
    bench.settle()
    assert "Left-click" in bench.hint


# Two of everything


def test_two_images_keep_their_own_prompts(make_bench) -> None:
    bench = make_bench(blob_image(), 255 - blob_image())
    first, second = bench.viewer.layers[0], bench.viewer.layers[1]
    assert bench.controller.image is second
    bench.point(1, 1)
    bench.dock._images.choose(first)
    bench.settle()
    assert bench.state.n_objects == 0
    bench.point(*centre(0))
    bench.dock._images.choose(second)
    bench.settle()
    assert bench.prompts.points.data.tolist() == [[1, 1]]
    assert bench.state.n_objects == 1


def test_two_viewers_do_not_know_each_other(make_bench) -> None:
    first, second = make_bench(blob_image()), make_bench(blob_image())
    first.point(*centre(0))
    assert second.state.n_objects == 0
    second.point(*centre(1))
    first.controller.trigger(SegmentAction.COMMIT)
    assert_objects(first.output.data, {1: BOXES[0]})
    assert second.output is None


def test_chooser_follows_added_renamed_and_removed_images(bench) -> None:
    other = bench.viewer.add_image(np.zeros((20, 20)), name="late")
    texts = [bench.dock._images.native.itemText(n) for n in range(2)]
    assert texts == ["image 0", "late"]
    assert bench.controller.image is bench.viewer.layers["image 0"]
    other.name = "later"
    assert bench.dock._images.native.itemText(1) == "later"
    bench.viewer.layers.remove(bench.viewer.layers["image 0"])
    bench.settle()
    assert bench.controller.image is other


# Options and settings


def test_contrast_of_the_layer_follows_its_limits(bench) -> None:
    bench.point(*centre(0))
    combo = bench.panel.options._contrast
    combo.setCurrentIndex(combo.findData(ContrastMode.LAYER))
    bench.settle()
    bench.preview()
    bench.viewer.layers["image 0"].contrast_limits = (230, 255)
    small = bench.session.preview[0].area / 2
    bench.until(lambda: bool(bench.session.preview) and bench.session.preview[0].area < small)


def test_each_point_its_own_object(bench) -> None:
    bench.panel.options._points.setCurrentIndex(1)
    for number in range(3):
        bench.point(*centre(number))
    assert bench.state.n_objects == 3
    bench.controller.trigger(SegmentAction.COMMIT)
    assert_objects(bench.output.data, {n + 1: BOXES[n] for n in range(3)})


def test_keys_are_bound_and_given_back(bench) -> None:
    bound = {str(key) for key in bench.viewer.keymap}
    assert {"K", "J", "N", "U", "Shift+U", "W", "Q", "G", "H"} <= bound
    bench.dock.shut_down()
    assert not {str(key) for key in bench.viewer.keymap} & {"K", "J", "N", "W"}


def test_keys_clash_with_none_of_napari(bench) -> None:
    shortcuts = get_settings().shortcuts.shortcuts
    taken = {str(key).upper() for keys in shortcuts.values() for key in keys}
    assert "C" in taken
    assert not taken & {
        key.upper().replace("-", "+") for key in default_keys(SegmentAction).values()
    }


def test_output_carries_the_whole_transform_of_the_image(make_bench) -> None:
    transform = {
        "scale": (0.5, 0.25),
        "translate": (3, 4),
        "rotate": 15,
        "shear": [0.1],
        "units": ("um", "um"),
        "axis_labels": ("y", "x"),
    }
    bench = make_bench(blob_image(), **transform)
    bench.point(*centre(0))
    bench.controller.trigger(SegmentAction.COMMIT)
    image = bench.viewer.layers["image 0"]
    for name in ("scale", "translate", "rotate", "shear", "units", "axis_labels"):
        np.testing.assert_array_equal(getattr(bench.output, name), getattr(image, name))


def test_sizes_are_said_in_micrometres_too_where_the_image_has_a_pixel_size(make_bench) -> None:
    bench = make_bench(blob_image())
    image = bench.viewer.layers[0]
    image.units, image.scale = ("um", "um"), (0.5, 0.5)
    bench.settle()
    bench.dock.controller.session.invalidate()
    field = bench.panel.options._diameter
    field.setValue(20)
    assert field.text() == "20 px (10 µm)"
    assert bench.session.options.diameter == 20
