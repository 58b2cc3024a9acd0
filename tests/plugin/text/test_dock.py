from __future__ import annotations

import gc
import json
import math

import numpy as np
import pytest
from blob_images import BOXES, blob_image, other_model
from fake_engine import FakeEngine
from fakes import FakeSegmenter
from napari.components import ViewerModel
from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QApplication

from napari_segmate.core.errors import OfflineError
from napari_segmate.core.labels.commit import CommitPolicy
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.io.provenance import METADATA_KEY, from_json
from napari_segmate.plugin.text.dock import TextDock
from napari_segmate.plugin.text.prompt_history import PromptHistory
from napari_segmate.plugin.worker.engine import ModelEngine
from napari_segmate.sessions.state import Phase
from napari_segmate.widgets.actions import TextAction
from napari_segmate.widgets.checkpoint_dialog import CheckpointDialog
from napari_segmate.widgets.filter_view import FilterValues

pytestmark = pytest.mark.gui


class TextBench:
    """A text dock and its viewer."""

    def __init__(self, qtbot, viewer, tmp_path) -> None:
        self.qtbot = qtbot
        self.viewer = viewer
        self.detector_engine = FakeEngine()
        self.model = FakeSegmenter()
        self.loaded: list[str] = []
        self.history = tmp_path / "prompts.json"
        self.dock = TextDock(
            viewer,
            detector_engine=self.detector_engine,
            engine=ModelEngine(EmbeddingStore(), self._load, lambda: ()),
            models=[self.model.info, other_model("b")],
            history=self.history,
        )
        self.panel = self.dock.panel
        self.controller = self.dock.controller

    def _load(self, choice, context):
        self.loaded.append(choice.name)
        return self.model

    @property
    def state(self):
        return self.controller.state

    @property
    def hint(self) -> str:
        return f"{self.panel.status._title.text()} {self.panel.status._text.text()}"

    @property
    def boxes(self):
        return self.controller.boxes.shapes.layer

    @property
    def labels(self):
        return self.controller.committer.output.layer

    def settle(self) -> None:
        """Wait until nothing is left to do."""
        self.qtbot.wait(20)
        self.qtbot.waitUntil(
            lambda: (
                self.controller.runner.idle
                and not self.state.status.phase.busy
                and self.controller.boxes.shapes.complete
                and not self.controller.committer.writer.busy
            ),
            timeout=20_000,
        )
        self.qtbot.wait(20)

    def find(self, text: str = "nucleus, cell") -> None:
        self.panel.phrases.show_text(text)
        self.press(TextAction.FIND)

    def press(self, action: TextAction) -> None:
        button = self.panel.button(action)
        assert button.isEnabled(), f"{action} cannot be pressed: {self.hint}"
        button.click()
        self.settle()

    def draw(self, y0, x0, y1, x1) -> None:
        """Add a rectangle as the mouse does."""
        self.controller.boxes.draw()
        at = self.viewer.dims.current_step[: self.boxes.ndim - 2]
        corners = [[*at, y, x] for y, x in ((y0, x0), (y0, x1), (y1, x1), (y1, x0))]
        self.boxes.add([np.array(corners, float)], shape_type="rectangle")
        self.settle()

    def filter(self, **values) -> None:
        self.panel.filter._set(**values)
        self.settle()


@pytest.fixture
def make_text(qtbot, tmp_path):
    made = []

    def make(*images, **options) -> TextBench:
        viewer = ViewerModel()
        for image in images:
            viewer.add_image(image, **options)
        bench = TextBench(qtbot, viewer, tmp_path)
        made.append(bench)
        bench.settle()
        return bench

    yield make
    for bench in made:
        bench.detector_engine.gate.set()
        bench.dock.shut_down()
        bench.dock.deleteLater()
        qtbot.wait(10)


@pytest.fixture
def bench(make_text) -> TextBench:
    return make_text(blob_image())


def test_dock_ends_after_qt_has_deleted_its_timers(make_text) -> None:
    before = {id(one) for one in gc.get_objects() if isinstance(one, QTimer)}
    bench = make_text(blob_image())
    bench.find()
    bench.press(TextAction.SEGMENT)
    timers = [one for one in gc.get_objects() if isinstance(one, QTimer) and id(one) not in before]
    assert timers
    for timer in timers:
        timer.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    bench.dock.shut_down()
    # All ends were reached: the viewer calls nothing of the dock any more.
    bench.viewer.layers.clear()
    assert bench.controller.runner.close(5)


def test_words_become_boxes_with_concept_and_score(bench) -> None:
    bench.find("Nucleus, cell")
    features = bench.boxes.features
    assert features["concept"].tolist() == ["nucleus", "cell", "nucleus"]
    assert features["score"].round(6).tolist() == [0.9, 0.8, 0.7]
    corners = {tuple(data.min(axis=0)) for data in bench.boxes.data}
    assert corners == {(y0, x0) for y0, x0, _, _ in BOXES}
    assert "3 boxes: nucleus 2, cell 1" in bench.hint
    assert len({tuple(colour) for colour in bench.boxes.edge_color}) == 2


def test_every_state_says_what_to_do_next(make_text) -> None:
    bench = make_text()
    assert "Open an image" in bench.hint
    bench.viewer.add_image(blob_image())
    bench.settle()
    assert "Type what to look for" in bench.hint
    bench.panel.phrases.show_text("cell")
    assert "Press Find" in bench.hint
    assert bench.panel.button(TextAction.FIND).isEnabled()


def test_only_separators_are_no_prompt(bench) -> None:
    bench.panel.phrases.show_text(" , ;\n. ")
    assert not bench.panel.button(TextAction.FIND).isEnabled()
    bench.controller.find()
    assert "nothing to look for" in bench.hint.lower()


def test_sliders_filter_at_once_without_the_detector(bench) -> None:
    bench.find()
    bench.filter(score=0.75)
    assert bench.boxes.features["score"].round(6).tolist() == [0.9, 0.8]
    bench.filter(score=0.95)
    assert len(bench.boxes.data) == 0
    assert "best one has 0.90" in bench.hint
    bench.filter(score=0.3, smallest=13.5)
    assert len(bench.boxes.data) == 1
    bench.filter(smallest=0, largest=13.5)
    assert len(bench.boxes.data) == 2
    assert len(bench.detector_engine.queries) == 1


def test_edited_and_drawn_boxes_stay_when_sliders_move(bench) -> None:
    bench.find()
    bench.draw(40, 2, 46, 8)
    data = bench.boxes.data
    data[0] = data[0] + 1
    bench.boxes.data = data
    bench.controller.boxes.read()
    bench.filter(score=0.99)
    assert sorted(bench.boxes.features["origin"]) == ["drawn", "edited"]
    bench.filter(score=0.3)
    assert len(bench.boxes.data) == 4


def test_found_box_gives_way_to_one_drawn_over_it(bench) -> None:
    bench.find()
    bench.draw(30, 22, 40, 38)
    assert sorted(bench.boxes.features["origin"]) == ["drawn", "found", "found"]
    bench.draw(40, 2, 46, 8)
    assert sorted(bench.boxes.features["origin"]) == ["drawn", "drawn", "found", "found"]


def test_histograms_show_every_concept(bench) -> None:
    bench.find()
    scores = bench.panel.filter.scores
    assert [series.title for series in scores._series] == ["nucleus", "cell"]
    assert bench.panel.filter.isVisibleTo(bench.panel)
    bench.press(TextAction.CLEAR)
    assert not bench.panel.filter.isVisibleTo(bench.panel)
    assert len(bench.boxes.data) == 0


def test_segment_turns_boxes_into_objects_with_classes(bench) -> None:
    bench.find()
    bench.press(TextAction.SEGMENT)
    labels = bench.labels
    assert set(np.unique(labels.data)) == {0, 1, 2, 3}
    for y0, x0, y1, x1 in BOXES:
        assert len(np.unique(labels.data[y0 + 2 : y1 - 2, x0 + 2 : x1 - 2])) == 1
    assert labels.features["class"].tolist() == ["nucleus", "cell", "nucleus"]
    assert labels.features["index"].tolist() == [1, 2, 3]
    assert "3 objects written to 'SegMate labels'" in bench.hint
    assert sum(len(prompts) for prompts, _ in bench.model.decoded) == 3
    assert len(bench.model.encoded) == 1


def test_sliders_say_what_is_left_after_segmenting(bench) -> None:
    bench.find()
    bench.press(TextAction.SEGMENT)
    assert "3 objects written" in bench.hint
    bench.filter(score=0.99)
    assert "No box scores above 0.99" in bench.hint


def test_story_of_every_object_is_kept(bench) -> None:
    bench.find()
    bench.draw(40, 2, 46, 8)
    bench.press(TextAction.SEGMENT)
    records = from_json(bench.labels.metadata[METADATA_KEY])
    story = records[-1].view["text"]
    assert (story["concept"], story["prompt"]) == ("nucleus", "nucleus, cell")
    assert {record.view["text"]["origin"] for record in records} <= {"found", "drawn"}
    assert records[0].steps[0].prompts.box is not None
    assert json.dumps(bench.labels.metadata[METADATA_KEY])


def test_segment_is_one_step_of_undo_and_can_be_taken_back(bench) -> None:
    bench.find()
    bench.press(TextAction.SEGMENT)
    bench.labels.undo()
    assert not bench.labels.data.any()
    bench.labels.redo()
    bench.press(TextAction.TAKE_BACK)
    assert not bench.labels.data.any()
    assert "Taken back" in bench.hint
    assert not bench.panel.button(TextAction.TAKE_BACK).isEnabled()


def test_second_segment_keeps_or_overwrites_as_the_options_say(bench) -> None:
    bench.find()
    bench.press(TextAction.SEGMENT)
    bench.press(TextAction.SEGMENT)
    assert "all objects lie on others" in bench.hint
    assert bench.labels.data.max() == 3
    options = bench.panel.options
    policies = list(CommitPolicy)
    options._policy.setCurrentIndex(policies.index(CommitPolicy.OVERWRITE))
    bench.press(TextAction.SEGMENT)
    assert bench.labels.data.max() > 3


def test_objects_that_are_there_already_are_left_out_and_counted(bench) -> None:
    bench.find()
    bench.press(TextAction.SEGMENT)
    bench.labels.data[bench.labels.data == 2] = 0
    bench.press(TextAction.SEGMENT)
    assert "1 object written" in bench.hint
    assert "2 left out" in bench.hint


def test_region_is_searched_alone(bench) -> None:
    bench.panel._region.setCurrentIndex(2)
    bench.panel.phrases.show_text("cell")
    assert "Drag a rectangle" in bench.hint
    assert not bench.panel.button(TextAction.FIND).isEnabled()
    region = bench.controller.region.layer
    region.add([[0, 0], [0, 30], [26, 30], [26, 0]], shape_type="rectangle")
    bench.settle()
    bench.press(TextAction.FIND)
    assert bench.detector_engine.queries[0].region == (0, 0, 26, 30)
    assert len(bench.boxes.data) == 1
    bench.panel._region.setCurrentIndex(0)
    assert region not in bench.viewer.layers


def test_progress_and_cancel(bench) -> None:
    bench.detector_engine.gate.clear()
    bench.panel.phrases.show_text("cell")
    bench.panel.button(TextAction.FIND).click()
    bench.qtbot.waitUntil(lambda: "tile 1 of 4" in bench.hint)
    assert "Looking for cell" in bench.hint
    assert not bench.panel.button(TextAction.FIND).isEnabled()
    bench.dock.trigger(TextAction.CANCEL)
    bench.settle()
    assert "Stopped" in bench.hint
    assert bench.panel.button(TextAction.FIND).isEnabled()
    bench.detector_engine.gate.set()
    bench.press(TextAction.FIND)
    assert len(bench.boxes.data) == 3


def test_download_is_explained_then_done_then_the_search_goes_on(bench) -> None:
    bench.detector_engine.missing = True
    bench.find("cell")
    assert bench.panel.offer.isVisibleTo(bench.panel)
    assert "12 MB" in bench.panel.offer._text.text()
    assert "Agree to the download" in bench.hint
    assert bench.detector_engine.queries == []
    bench.dock.trigger(TextAction.DOWNLOAD)
    bench.settle()
    assert bench.detector_engine.downloads == ["fake"]
    assert len(bench.boxes.data) == 3
    assert not bench.panel.offer.isVisibleTo(bench.panel)


def test_download_can_be_cancelled_and_is_offered_again(bench) -> None:
    bench.detector_engine.missing = True
    bench.find("cell")
    bench.detector_engine.gate.clear()
    card = bench.panel.offer
    card.accepted.emit()
    bench.qtbot.waitUntil(lambda: "12 MB" in card._so_far.text())
    assert card._cancel.isVisibleTo(card) and not card._accept.isVisibleTo(card)
    card.cancelled.emit()
    bench.settle()
    assert card._accept.isVisibleTo(card) and not card._cancel.isVisibleTo(card)
    assert bench.detector_engine.downloads == []


def test_download_that_fails_says_which_files_to_put_where(bench, monkeypatch) -> None:
    def unreachable(detector, context):
        raise OfflineError("no route to host; put fake.safetensors there", brief="no route to host")

    monkeypatch.setattr(bench.detector_engine, "download", unreachable)
    bench.detector_engine.missing = True
    bench.find("cell")
    card = bench.panel.offer
    card.accepted.emit()
    bench.settle()
    assert "No route to host" in bench.hint and "fake.safetensors" not in bench.hint
    assert not bench.panel.status._retry.isVisibleTo(bench.panel), "the card has one"
    assert card._manual.isVisibleTo(card)
    manual = card._manual.text().replace("\u200b", "")
    assert "/tmp/fake" in manual and "fake.safetensors" in manual
    bench.detector_engine.missing = False
    card.rechecked.emit()
    bench.settle()
    assert not card.isVisibleTo(bench.panel)
    assert len(bench.boxes.data) == 3


def test_download_can_be_declined(bench) -> None:
    bench.detector_engine.missing = True
    bench.find("cell")
    bench.dock.trigger(TextAction.DECLINE_DOWNLOAD)
    assert not bench.panel.offer.isVisibleTo(bench.panel)
    assert bench.detector_engine.downloads == [] and bench.detector_engine.queries == []
    assert "Press Find" in bench.hint


def test_error_is_said_and_tried_again(bench) -> None:
    bench.detector_engine.error = OfflineError("no connection; put model.pth into /cache")
    bench.find("cell")
    assert bench.state.status.phase is Phase.ERROR
    assert "put model.pth into /cache" in bench.hint
    bench.detector_engine.error = None
    bench.dock.trigger(TextAction.RETRY)
    bench.settle()
    assert len(bench.boxes.data) == 3


def test_more_like_a_box(bench) -> None:
    assert not bench.panel.button(TextAction.FIND_SIMILAR).isEnabled()
    bench.panel.phrases.show_text("cell")
    bench.draw(*BOXES[0])
    bench.press(TextAction.FIND_SIMILAR)
    assert bench.detector_engine.patterns == [tuple(map(float, BOXES[0]))]
    assert len(bench.boxes.data) == 3
    assert sorted(bench.boxes.features["origin"]) == ["drawn", "found", "found"]
    bench.panel._detector.setCurrentIndex(1)
    assert not bench.panel.button(TextAction.FIND_SIMILAR).isEnabled()
    assert "OWLv2" in bench.panel.button(TextAction.FIND_SIMILAR).toolTip()


def choose_own(bench, name):
    """Pick "Own checkpoint …" in the list, and give a name."""
    bench.panel._detector.setCurrentIndex(bench.panel._detector.count() - 1)
    dialog = bench.panel.findChild(CheckpointDialog)
    assert dialog.isVisible() or dialog.isVisibleTo(bench.panel)
    dialog.give(name)
    dialog._buttons.accepted.emit()
    return dialog


def test_own_checkpoint_is_chosen_and_remembered(bench, tmp_path) -> None:
    dialog = choose_own(bench, "/nowhere")
    assert "No detector at /nowhere" in dialog._error.text()
    assert bench.panel.detector == "fake"
    dialog.give("me/colonies@1f2e")
    dialog._buttons.accepted.emit()
    bench.settle()
    assert bench.panel.detector == "me/colonies@1f2e"
    bench.find("cell")
    assert bench.detector_engine.queries[-1].detector == "me/colonies@1f2e"
    assert json.loads((tmp_path / "detectors.json").read_text()) == ["me/colonies@1f2e"]
    bench.qtbot.wait(20)
    again = TextBench(bench.qtbot, ViewerModel(), tmp_path)
    again.settle()
    assert again.panel._detector.findData("me/colonies@1f2e") > 0
    assert again.panel.detector == "fake"
    again.dock.shut_down()


def test_range_of_planes_is_searched_and_linked(make_text) -> None:
    stack = np.stack([blob_image()] * 4)
    bench = make_text(stack, scale=(3, 1, 1))
    bench.viewer.dims.set_current_step(0, 2)
    bench.settle()
    assert bench.panel.planes.isVisibleTo(bench.panel)
    bench.find("cell")
    assert [query.phrases for query in bench.detector_engine.queries] == [("cell",)]
    assert {data[0, 0] for data in bench.boxes.data} == {2}
    bench.panel.planes._what.setCurrentIndex(1)
    bench.panel.planes._first.setValue(1)
    bench.press(TextAction.FIND)
    assert len(bench.boxes.data) == 9
    assert "9 on 3 planes" in bench.hint
    bench.press(TextAction.SEGMENT)
    assert [np.unique(plane).tolist() for plane in bench.labels.data] == [[0], *[[0, 1, 2, 3]] * 3]
    for y0, x0, _, _ in BOXES:
        assert len(set(bench.labels.data[1:, y0 + 3, x0 + 3])) == 1
    bench.labels.undo()
    assert not bench.labels.data.any()


def test_objects_of_unlinked_planes_are_their_own(make_text) -> None:
    bench = make_text(np.stack([blob_image()] * 2))
    bench.panel.planes._what.setCurrentIndex(1)
    bench.panel.planes._linked.setChecked(False)
    bench.find("cell")
    bench.press(TextAction.SEGMENT)
    assert bench.labels.data.max() == 6


def test_sliders_filter_all_planes(make_text) -> None:
    bench = make_text(np.stack([blob_image()] * 3))
    bench.panel.planes._what.setCurrentIndex(1)
    bench.find("cell")
    bench.filter(score=0.85)
    assert sorted(data[0, 0] for data in bench.boxes.data) == [0, 1, 2]


def test_placed_image_has_its_boxes_and_labels_in_place(make_text) -> None:
    bench = make_text(blob_image(), scale=(0.5, 0.5), translate=(10, -4))
    bench.find("cell")
    np.testing.assert_allclose(bench.boxes.scale, (0.5, 0.5))
    np.testing.assert_allclose(bench.boxes.translate, (10, -4))
    bench.press(TextAction.SEGMENT)
    np.testing.assert_allclose(bench.labels.translate, (10, -4))


def test_removed_layers_are_survived(bench) -> None:
    bench.find()
    bench.press(TextAction.SEGMENT)
    bench.viewer.layers.remove(bench.boxes)
    bench.viewer.layers.remove(bench.labels)
    bench.settle()
    assert not bench.panel.button(TextAction.TAKE_BACK).isEnabled()
    bench.press(TextAction.FIND)
    assert len(bench.boxes.data) == 3
    bench.viewer.layers.remove(bench.viewer.layers[0])
    bench.settle()
    assert "Open an image" in bench.hint


def test_another_image_begins_anew(bench) -> None:
    bench.find()
    other = bench.viewer.add_image(np.zeros((30, 30), np.uint8))
    bench.dock._images.choose(other)
    bench.settle()
    assert len(bench.boxes.data) == 0
    bench.press(TextAction.FIND)
    assert bench.detector_engine.queries[-1].plane.shape == (30, 30)


def test_prompts_are_remembered(bench, tmp_path) -> None:
    bench.find("cell")
    bench.find("nucleus")
    bench.settle()
    assert json.loads(bench.history.read_text()) == ["nucleus", "cell"]
    menu = bench.panel.phrases._recent.menu()
    assert [one.text() for one in menu.actions()] == ["nucleus", "cell"]
    again = PromptHistory(bench.history)
    assert again.load() == ("nucleus", "cell")


def test_damaged_history_is_no_trouble(tmp_path) -> None:
    path = tmp_path / "prompts.json"
    path.write_text("{")
    history = PromptHistory(path)
    assert history.load() == ()
    assert history.add("cell") == ("cell",)
    assert history.add("  ") == ("cell",)
    history.save()
    assert PromptHistory(path).load() == ("cell",)


def test_boxes_are_edited_with_their_tool(bench) -> None:
    assert not bench.panel.button(TextAction.EDIT).isEnabled()
    bench.find()
    bench.press(TextAction.EDIT)
    assert bench.viewer.layers.selection.active is bench.boxes
    assert bench.boxes.mode == "select"


def test_drawn_boxes_need_no_detector(bench) -> None:
    bench.draw(*BOXES[0])
    assert bench.boxes.features["concept"].tolist() == ["object"]
    assert math.isnan(bench.boxes.features["score"].tolist()[0])
    bench.press(TextAction.SEGMENT)
    assert bench.labels.data.max() == 1
    assert bench.detector_engine.queries == []
    assert "1 object written" in bench.hint
    assert "Mend it with the brush or the Segment panel, take it back" in bench.hint


def test_draw_box_says_how_to_go_on(bench) -> None:
    bench.press(TextAction.DRAW)
    assert "Drag a box round an object" in bench.hint
    bench.boxes.mode = "pan_zoom"
    assert "Type what to look for" in bench.hint
    bench.draw(*BOXES[0])
    assert "1 box: object 1" in bench.hint
    assert "limits" not in bench.hint


def test_typed_concepts_are_offered_before_a_search(bench) -> None:
    bench.panel.phrases.show_text("nucleus, red blood cell")
    concepts = bench.panel.concepts
    assert [concepts._at(row) for row in range(concepts.count())] == ["nucleus", "red blood cell"]
    bench.draw(*BOXES[0])
    concepts.choose("red blood cell")
    concepts.chosen.emit("red blood cell")
    bench.boxes.selected_data = set()
    bench.draw(*BOXES[1])
    assert "red blood cell 2" not in bench.hint
    assert set(bench.boxes.features["concept"]) == {"nucleus", "red blood cell"}
    # In the colours of the list.
    assert len({tuple(colour) for colour in bench.boxes.edge_color}) == 2
    assert bench.detector_engine.queries == []


def test_nothing_to_filter_is_shown_without_an_image(make_text) -> None:
    bench = make_text()
    assert bench.panel.filter.isHidden()
    bench.viewer.add_image(blob_image())
    bench.settle()
    bench.find()
    assert not bench.panel.filter.isHidden()
    bench.viewer.layers.clear()
    bench.settle()
    assert bench.panel.filter.isHidden()


def test_boxes_outside_the_image_are_left_out(bench) -> None:
    bench.draw(100, 100, 120, 120)
    bench.press(TextAction.SEGMENT)
    assert "outside the image" in bench.hint


def test_concept_is_given_to_selected_boxes(bench) -> None:
    bench.find()
    bench.boxes.selected_data = {0}
    bench.panel.concepts.chosen.emit("cell")
    bench.settle()
    assert bench.boxes.features["concept"].tolist()[0] == "cell"
    assert "cell 2" in bench.hint


def test_values_of_the_filter_start_as_the_sliders_say(bench) -> None:
    assert bench.controller.boxes.detections.values == bench.panel.filter.values == FilterValues()


@pytest.fixture
def drawing(bench) -> TextBench:
    """A dock whose detector draws a stripe into each box."""
    bench.panel._detector.setCurrentIndex(bench.panel._detector.findData("draws"))
    return bench


def test_who_draws_is_asked_only_where_the_detector_can(bench) -> None:
    panel = bench.panel
    assert not panel._masks.isVisibleTo(panel)
    panel._detector.setCurrentIndex(panel._detector.findData("draws"))
    assert panel._masks.isVisibleTo(panel)
    assert panel._masks.currentText() == "from the detector"
    titles = [panel._masks.itemText(at) for at in range(panel._masks.count())]
    assert titles == ["from the detector", "from the model"]
    bench.find()
    panel._detector.setCurrentIndex(0)
    assert panel._masks.isVisibleTo(panel), "the boxes that are shown have masks"
    bench.press(TextAction.CLEAR)
    assert not panel._masks.isVisibleTo(panel)


def test_masks_of_the_detector_become_the_objects(drawing) -> None:
    drawing.find()
    drawing.press(TextAction.SEGMENT)
    assert drawing.loaded == [] and drawing.model.decoded == []
    labels = drawing.labels.data
    for number, (y0, x0, _, x1) in enumerate(BOXES, start=1):
        rows, columns = np.nonzero(labels == labels[y0, x0])
        assert labels[y0, x0] > 0, f"object {number}"
        assert (rows.min(), rows.max(), columns.min(), columns.max()) == (y0, y0 + 1, x0, x1 - 1)
    assert drawing.labels.features["class"].tolist() == ["nucleus", "cell", "nucleus"]
    records = from_json(drawing.labels.metadata[METADATA_KEY])
    assert {record.model_key for record in records} == {"draws@1f2e3d"}
    assert {record.view["text"]["revision"] for record in records} == {"1f2e3d"}


def test_moved_and_drawn_boxes_are_outlined_by_the_model(drawing) -> None:
    drawing.find()
    drawing.draw(30, 22, 40, 38)
    data = drawing.boxes.data
    moved = int(np.argmin([corners.min(axis=0).sum() for corners in data]))
    data[moved] = data[moved] + 0.5
    drawing.boxes.data = data
    drawing.controller.boxes.read()
    drawing.settle()
    drawing.press(TextAction.SEGMENT)
    asked = {prompt.box.box_yx for some, _ in drawing.model.decoded for prompt in some}
    assert asked == {(8.5, 8.5, 19.5, 21.5), (30, 22, 40, 38)}
    records = from_json(drawing.labels.metadata[METADATA_KEY])
    by = {(one.view["text"]["origin"], one.model) for one in records}
    assert by == {("found", "draws"), ("edited", "fake"), ("drawn", "fake")}


def test_renamed_boxes_keep_their_mask(drawing) -> None:
    drawing.find()
    drawing.boxes.selected_data = {0, 1, 2}
    drawing.panel.concepts.chosen.emit("cell")
    drawing.settle()
    assert set(drawing.boxes.features["origin"]) == {"found", "edited"}
    drawing.press(TextAction.SEGMENT)
    assert drawing.model.decoded == []
    assert drawing.labels.features["class"].tolist() == ["cell"] * 3


def test_model_draws_all_masks_when_it_is_chosen(drawing) -> None:
    drawing.find()
    drawing.panel._masks.setCurrentIndex(1)
    drawing.press(TextAction.SEGMENT)
    assert sum(len(prompts) for prompts, _ in drawing.model.decoded) == 3
    for _, x0, y1, x1 in BOXES:
        assert drawing.labels.data[y1 - 3, (x0 + x1) // 2] > 0


def test_masks_survive_sliders_and_more_like_this(drawing) -> None:
    drawing.find("cell")
    drawing.filter(score=0.85)
    drawing.filter(score=0.3)
    drawing.boxes.selected_data = {0}
    drawing.controller.refresh()
    drawing.press(TextAction.FIND_SIMILAR)
    drawing.press(TextAction.SEGMENT)
    assert drawing.model.decoded == []
    assert len(np.unique(drawing.labels.data)) == 4


def test_masks_of_several_planes_are_linked(make_text) -> None:
    bench = make_text(np.stack([blob_image()] * 3))
    bench.panel._detector.setCurrentIndex(bench.panel._detector.findData("draws"))
    bench.panel.planes._what.setCurrentIndex(1)
    bench.find("cell")
    bench.press(TextAction.SEGMENT)
    assert bench.model.decoded == []
    assert [np.unique(plane).tolist() for plane in bench.labels.data] == [[0, 1, 2, 3]] * 3
