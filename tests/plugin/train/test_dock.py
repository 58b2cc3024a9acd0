"""The Train dock, with a program that speaks as a training."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from blob_images import BOXES, blob_image, blob_labels, own_model
from napari.components import ViewerModel
from napari.utils import notifications
from qtpy.QtCore import QCoreApplication, QEvent, QObject, Qt
from qtpy.QtWidgets import QMessageBox

from napari_segmate.core.training_events import Command, Result
from napari_segmate.plugin.docks.model_lists import announce_model
from napari_segmate.plugin.train.dock import TrainDock
from napari_segmate.plugin.train.pair_rows import LayerRow
from napari_segmate.plugin.train.run import TrainingRun, command_of, end_training, training_of
from napari_segmate.plugin.train.run_folder import TrainingFolder
from napari_segmate.sessions.training import Stage, duration
from napari_segmate.training.costs import COSTS
from napari_segmate.training.data import Annotation, Knowledge
from napari_segmate.training.presets import Preset
from napari_segmate.widgets.train_panel import TrainValues

pytestmark = pytest.mark.gui

FAKE = [sys.executable, str(Path(__file__).parents[2] / "fake_training.py")]
LONG = ("--steps", "100000")


def delete_at_once(thing: QObject) -> None:
    """Have Qt delete an object at once, as at the end of the program."""
    thing.deleteLater()
    QCoreApplication.sendPostedEvents(thing, QEvent.Type.DeferredDelete)


class Bench:
    """A Train dock, its viewer, and what was written for the training."""

    def __init__(self, qtbot, root: Path, viewer, options: tuple[str, ...] = ()) -> None:
        self.qtbot = qtbot
        self.root = root
        self.viewer = viewer
        self.options = options
        self.samples: list = []
        self.orders: list = []
        self.run = TrainingRun(root, viewer, self._command, self._write)
        self.models = [own_model("tiny"), own_model("vit_b")]
        self.open()

    def open(self) -> None:
        self.dock = TrainDock(self.viewer, run=self.run, models=self.models, folder=self.root)
        self.panel = self.dock.panel

    def offer(self, architecture: str) -> None:
        """Put the only model of an architecture on the list, and the processor."""
        self.dock.list_models = lambda: [own_model(architecture, architecture=architecture)]
        self.dock._show_models()
        self.panel.show_devices({"auto": "automatic", "cpu": "processor"})

    def _command(self, folder) -> list[str]:
        self.orders.append(folder.order)
        return [*FAKE, *self.options]

    def _write(self, folder: Path, samples) -> None:
        folder.mkdir()
        (folder / "manifest.json").write_text("{}")
        self.samples = list(samples)

    def until(self, condition: Callable[[], bool]) -> None:
        self.qtbot.waitUntil(condition, timeout=20_000)

    def settle(self) -> None:
        self.qtbot.wait(10)
        self.until(lambda: self.dock.runner.idle)
        self.qtbot.wait(10)

    @property
    def row(self) -> LayerRow:
        return self.dock.rows[0]

    @property
    def note(self) -> str:
        return self.row.view._note.text()

    def choose(self, **values) -> None:
        self.panel.show_values(TrainValues(**{**vars(self.panel.values), **values}))
        self.panel.changed.emit(self.panel.values)
        self.settle()

    def press_train(self) -> None:
        self.settle()
        assert self.panel.train.isEnabled(), self.panel.train.toolTip()
        self.qtbot.mouseClick(self.panel.train, Qt.MouseButton.LeftButton)

    def until_stage(self, stage: Stage) -> None:
        self.until(lambda: self.run.state.stage is stage)

    @property
    def hint(self) -> str:
        return f"{self.panel.status._title.text()} {self.panel.status._text.text()}"


@pytest.fixture
def make_bench(qtbot, tmp_path) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(*options: str, image=None, labels=None, viewer=None) -> Bench:
        viewer = viewer or ViewerModel()
        if image is not None:
            viewer.add_image(image, name="cells")
        if labels is not None:
            viewer.add_labels(labels, name="mine")
        made.append(Bench(qtbot, tmp_path / "trainings", viewer, options))
        made[-1].settle()
        return made[-1]

    yield make
    for one in made:
        one.dock.shut_down()
        one.run.leave()
        one.dock.deleteLater()
        one.run.deleteLater()
    qtbot.wait(20)


@pytest.fixture
def bench(make_bench) -> Bench:
    return make_bench(image=blob_image(), labels=blob_labels())


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# What is learnt from


def test_opening_pairs_the_layers_and_counts_what_is_labelled(bench) -> None:
    assert (bench.row.image.name, bench.row.labels.name) == ("cells", "mine")
    assert bench.note == "3 objects"
    assert bench.panel.values.name == "tiny-cells"
    assert bench.panel.train.isEnabled()
    assert not bench.row.view._form.isRowVisible(bench.row.view._planes)


def test_opening_without_layers_says_what_to_do(make_bench) -> None:
    bench = make_bench()
    assert bench.hint.strip() == "Choose an image to learn from"
    assert bench.row.view._note.isHidden()
    assert not bench.panel._form_layout.isRowVisible(bench.panel._estimate)
    assert not bench.panel.train.isEnabled()
    bench.viewer.add_image(blob_image(), name="late")
    bench.viewer.add_labels(blob_labels())
    bench.settle()
    assert bench.note == "3 objects"
    assert bench.panel._form_layout.isRowVisible(bench.panel._estimate)
    assert bench.panel.values.name == "tiny-late"
    assert bench.panel.train.isEnabled()


def test_an_image_without_labels_asks_for_these_once(make_bench) -> None:
    bench = make_bench()
    bench.viewer.add_image(blob_image(), name="cells")
    bench.settle()
    assert bench.hint.strip() == "Choose the labels of 'cells'; the Segment panel makes some"
    assert bench.row.view._note.isHidden()
    assert bench.panel._estimate.text() == ""


def test_painting_is_counted(bench) -> None:
    labels = bench.row.labels
    labels.data_setitem((np.array([1, 2]), np.array([1, 2])), 77)
    bench.until(lambda: bench.note == "4 objects")


def test_empty_labels_are_not_enough(make_bench) -> None:
    bench = make_bench(image=blob_image(), labels=np.zeros((48, 60), int))
    assert bench.note == "No object is labelled yet"
    assert not bench.panel.train.isEnabled()
    assert "Label some objects" in bench.panel.train.toolTip()


def test_labels_of_another_place_are_refused_with_the_sizes(bench) -> None:
    bench.row.labels.translate = (500, 500)
    bench.until(lambda: "48 x 60" in bench.note)
    assert not bench.panel.train.isEnabled()
    bench.row.labels.translate = (0, 0)
    bench.until(lambda: bench.note == "3 objects")
    assert bench.panel.train.isEnabled()


def test_labels_that_fit_are_found_among_others(make_bench) -> None:
    viewer = ViewerModel()
    viewer.add_image(blob_image(), name="cells")
    viewer.add_labels(blob_labels(), name="mine")
    viewer.add_labels(np.zeros((7, 48, 60), int), name="of a stack")
    bench = make_bench(viewer=viewer)
    assert bench.row.labels.name == "mine"


def test_planes_of_a_stack_are_chosen(make_bench) -> None:
    labels = np.zeros((5, 48, 60), np.uint16)
    labels[1], labels[3] = blob_labels(), blob_labels()
    bench = make_bench(image=np.stack([blob_image()] * 5), labels=labels)
    view = bench.row.view
    assert bench.note == "6 objects on planes 1, 3 of 5"
    assert view._form.isRowVisible(view._planes)
    view._planes.setText("3-4")
    view._planes.editingFinished.emit()
    bench.settle()
    assert bench.note == "3 objects on planes 3–4 of 5"
    bench.press_train()
    bench.until_stage(Stage.DONE)
    assert [sample.objects for sample in bench.samples] == [3, 0]
    view._planes.setText("9")
    view._planes.editingFinished.emit()
    bench.settle()
    assert "no plane 9" in bench.note
    assert not bench.panel.train.isEnabled()


def test_rows_are_added_and_removed(bench) -> None:
    bench.viewer.add_image(blob_image(), name="second")
    bench.panel.pairs.add_layers_clicked.emit()
    bench.settle()
    assert [row.name for row in bench.dock.rows] == ["cells", "second"]
    bench.row.view.remove_clicked.emit()
    bench.settle()
    assert [row.name for row in bench.dock.rows] == ["second"]
    bench.press_train()
    bench.until_stage(Stage.DONE)
    assert [sample.name for sample in bench.samples] == ["second"]


def test_rectangle_that_is_drawn_counts(bench) -> None:
    bench.choose(annotation=Annotation.RECTANGLE)
    view = bench.row.view
    assert view._form.isRowVisible(view._draw)
    bench.until(lambda: "Draw the rectangle" in bench.note)
    view.draw_clicked.emit()
    layer = bench.row._region.layer
    assert layer.mode == "add_rectangle"
    y0, x0, y1, x1 = BOXES[0]
    corners = [[y0 - 2, x0 - 2], [y0 - 2, x1 + 2], [y1 + 2, x1 + 2], [y1 + 2, x0 - 2]]
    layer.add([np.array(corners, float)], shape_type="rectangle")
    bench.until(lambda: f"{y1 - y0 + 4} x {x1 - x0 + 4} pixels" in bench.note)
    bench.press_train()
    bench.until_stage(Stage.DONE)
    (sample,) = bench.samples
    rows, columns = np.nonzero(sample.known == Knowledge.ALL)
    found = (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
    np.testing.assert_allclose(found, (y0 - 2, x0 - 2, y1 + 2, x1 + 2), atol=1)
    bench.choose(annotation=Annotation.PLANES)
    assert not layer.visible
    bench.row.view.remove_clicked.emit()
    assert layer not in bench.viewer.layers


def test_only_the_objects_are_known_when_the_user_says_so(bench) -> None:
    bench.choose(annotation=Annotation.OBJECTS)
    bench.press_train()
    bench.until_stage(Stage.DONE)
    assert (bench.samples[0].known == Knowledge.OBJECT).any()


def test_files_and_folders_are_added_by_name(make_bench, tmp_path) -> None:
    for folder, picture in (("images", blob_image()), ("labels", blob_labels())):
        (tmp_path / folder).mkdir()
        for name in "ab":
            tifffile.imwrite(tmp_path / folder / f"{name}.tif", picture)
    bench = make_bench()
    bench.dock.pairs.add_matching([str(tmp_path / "images")], [str(tmp_path / "labels")])
    bench.settle()
    assert [row.name for row in bench.dock.rows] == ["a", "b"]
    assert [row.count for row in bench.dock.rows] == [3, 3]
    bench.press_train()
    bench.until_stage(Stage.DONE)
    assert [sample.name for sample in bench.samples] == ["a.tif", "b.tif"]


# Name and model


def test_taken_name_is_refused_with_a_proposal(bench) -> None:
    bench.choose(name="vit_b")
    note = bench.panel._name_note
    assert "already" in note.text()
    assert not bench.panel.train.isEnabled()
    note.linkActivated.emit("vit_b-2")
    assert bench.panel.values.name == "vit_b-2"
    assert bench.panel.train.isEnabled()
    bench.choose(name="a/b")
    assert "cannot be the name" in note.text()


def test_name_of_the_user_is_kept(bench) -> None:
    bench.panel._name.setText("my own")
    bench.viewer.add_image(blob_image(), name="second")
    bench.panel.pairs.add_layers_clicked.emit()
    bench.panel._model.setCurrentIndex(1)
    bench.settle()
    assert bench.panel.values.name == "my own"


def test_order_says_what_the_form_says(bench) -> None:
    bench.choose(model="vit_b", preset=Preset.BALANCED, name="x")
    bench.press_train()
    bench.until_stage(Stage.DONE)
    (order,) = bench.orders
    assert (order.name, order.model, order.preset) == ("x", "vit_b", Preset.BALANCED)
    assert "on this computer" in bench.panel._estimate.text()


# The training


# What it costs


@pytest.fixture
def plenty(monkeypatch) -> None:
    monkeypatch.setattr("napari_segmate.plugin.train.cost.free_mb", lambda: 64_000.0)


def test_cost_is_said_before_it_begins_and_measured_on_demand(make_bench, plenty) -> None:
    bench = make_bench(image=blob_image(), labels=blob_labels())
    bench.offer("tiny")
    bench.choose(model="tiny", device="cpu")
    usual = COSTS["tiny"][Preset.QUICK]
    assert duration(usual.seconds) in bench.panel._estimate.text()
    assert "two processor cores" in bench.panel._estimate.text()
    bench.panel._estimate.linkActivated.emit("measure")
    bench.until_stage(Stage.MEASURING)
    assert bench.panel.run.isHidden()
    bench.until_stage(Stage.SETUP)
    assert "a second on this computer" in bench.panel._estimate.text()
    assert not list(bench.root.glob("*/order.json"))
    assert bench.panel.train.isEnabled()


def test_error_while_measuring_is_shown(make_bench) -> None:
    bench = make_bench("--fail", "it would not fit", image=blob_image(), labels=blob_labels())
    bench.panel._estimate.linkActivated.emit("measure")
    bench.until_stage(Stage.FAILED)
    assert "would not fit" in bench.hint
    assert not bench.run.can_go_on


def test_what_does_not_fit_is_refused_with_what_would(make_bench, monkeypatch) -> None:
    bench = make_bench(image=blob_image(), labels=blob_labels())
    bench.offer("vit_b")
    free = [1.2 * COSTS["vit_b"][Preset.QUICK].megabytes]
    monkeypatch.setattr("napari_segmate.plugin.train.cost.free_mb", lambda: free[0])
    bench.choose(model="vit_b", preset=Preset.FULL, device="cpu")
    assert not bench.panel.train.isEnabled()
    assert "Choose the preset quick" in bench.panel._estimate.text()
    assert "are free" in bench.panel.train.toolTip()
    bench.choose(preset=Preset.QUICK)
    assert bench.panel.train.isEnabled()
    free[0] = 100.0
    bench.dock.enterEvent(None)
    assert not bench.panel.train.isEnabled()


def test_inverted_views_are_asked_for(make_bench) -> None:
    bench = make_bench(image=blob_image(), labels=blob_labels())
    bench.choose(polarity=True)
    bench.press_train()
    bench.until_stage(Stage.DONE)
    (order,) = bench.orders
    assert order.polarity
    assert "--polarity" in command_of(TrainingFolder(Path("x"), order))
    assert "--polarity" not in command_of(TrainingFolder(Path("x"), replace(order, polarity=False)))


def test_training_is_shown_to_its_end_and_the_model_chosen(bench) -> None:
    bench.press_train()
    bench.until_stage(Stage.RUNNING)
    assert bench.panel.train.isHidden()
    assert not bench.panel._setup.isEnabled()
    bench.models.append(own_model("mine", "tiny"))
    bench.until_stage(Stage.DONE)
    assert len(bench.panel.run._scores.curves[0].points) == 4
    assert bench.panel.result.rows()[1] == ("AP50 of the planes", "0.40", "0.80")
    assert "ready" in bench.hint
    assert bench.panel.values.model == "mine"
    assert bench.panel.values.name == "mine-2"
    assert bench.panel.train.text() == "Train again"


def test_buttons_pause_resume_stop(make_bench) -> None:
    bench = make_bench(*LONG, image=blob_image(), labels=blob_labels())
    bench.press_train()
    bench.until_stage(Stage.RUNNING)
    pause = bench.panel.run._pause
    bench.until(pause.isEnabled)
    bench.qtbot.mouseClick(pause, Qt.MouseButton.LeftButton)
    assert bench.run.state.stage is Stage.PAUSED
    assert pause.text() == "Resume"
    bench.qtbot.mouseClick(pause, Qt.MouseButton.LeftButton)
    assert bench.run.state.stage is Stage.RUNNING
    bench.qtbot.mouseClick(bench.panel.run._stop, Qt.MouseButton.LeftButton)
    bench.until_stage(Stage.DONE)


def test_cancel_button_brings_the_form_back(make_bench) -> None:
    bench = make_bench(*LONG, image=blob_image(), labels=blob_labels())
    bench.press_train()
    bench.until_stage(Stage.RUNNING)
    bench.qtbot.mouseClick(bench.panel.status._cancel, Qt.MouseButton.LeftButton)
    bench.until_stage(Stage.SETUP)
    assert bench.panel.train.isEnabled()
    assert not bench.panel.train.isHidden()
    assert not bench.panel._setup.isHidden()


def test_labels_removed_while_training_do_not_matter(make_bench) -> None:
    bench = make_bench("--delay", "0.02", image=blob_image(), labels=blob_labels())
    bench.press_train()
    bench.until_stage(Stage.RUNNING)
    bench.viewer.layers.clear()
    bench.until_stage(Stage.DONE)
    assert bench.samples[0].objects == 3
    bench.settle()
    assert not bench.panel.train.isEnabled()


def test_crash_is_said_and_try_again_goes_on(make_bench) -> None:
    bench = make_bench("--crash", "7", image=blob_image(), labels=blob_labels())
    bench.press_train()
    bench.until_stage(Stage.FAILED)
    assert "ended unexpectedly" in bench.hint
    bench.options = ()
    bench.qtbot.mouseClick(bench.panel.status._retry, Qt.MouseButton.LeftButton)
    bench.until_stage(Stage.DONE)
    assert len(bench.orders) == 2


def test_worse_model_is_called_so_and_can_be_discarded(make_bench, tmp_path) -> None:
    bench = make_bench("--worse", image=blob_image(), labels=blob_labels())
    bench.press_train()
    bench.until_stage(Stage.DONE)
    assert "worse" in bench.hint
    assert bench.panel.result.discard.font().bold()
    assert not bench.panel.result.segment.font().bold()
    bench.panel.result.discard_clicked.emit()
    assert bench.run.state.stage is Stage.SETUP
    assert bench.panel.result.isHidden()


def test_better_model_is_discarded_only_when_that_is_meant(bench, monkeypatch) -> None:
    answers = [QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes]
    asked: list[str] = []

    def question(parent, title, text):
        asked.append(text)
        return answers.pop(0)

    monkeypatch.setattr(QMessageBox, "question", question)
    bench.press_train()
    bench.until_stage(Stage.DONE)
    bench.panel.result.discard_clicked.emit()
    assert bench.run.state.stage is Stage.DONE
    bench.panel.result.discard_clicked.emit()
    assert bench.run.state.stage is Stage.SETUP
    assert len(asked) == 2 and "mine" in asked[0]


def test_proposals_are_no_labels_and_those_of_the_panels_come_first(make_bench) -> None:
    viewer = ViewerModel()
    viewer.add_labels(blob_labels(), name="SegMate labels")
    viewer.add_labels(blob_labels(), name="cells (truth)")
    viewer.add_labels(blob_labels(), name="SegMate proposals")
    bench = make_bench(image=blob_image(), viewer=viewer)
    assert bench.row.labels is viewer.layers["SegMate labels"]
    viewer.layers.remove("SegMate labels")
    viewer.layers.remove("cells (truth)")
    assert bench.row.labels is None


def test_closed_dock_lets_the_training_go_on_and_the_next_one_shows_it(make_bench) -> None:
    bench = make_bench(*LONG, image=blob_image(), labels=blob_labels())
    bench.press_train()
    bench.until_stage(Stage.RUNNING)
    bench.dock.shut_down()
    bench.dock.deleteLater()
    bench.qtbot.wait(20)
    assert bench.run._process.running
    bench.open()
    bench.settle()
    assert bench.panel.train.isHidden()
    bench.panel.run.commanded.emit(Command.STOP)
    bench.until_stage(Stage.DONE)


def test_interrupted_training_is_offered_by_the_next_dock(make_bench) -> None:
    first = make_bench(*LONG, image=blob_image(), labels=blob_labels())
    first.press_train()
    first.until_stage(Stage.RUNNING)
    first.dock.shut_down()
    first.run.leave()
    second = make_bench(image=blob_image(), labels=blob_labels())
    second.until(lambda: not second.panel.banner.isHidden())
    assert "tiny-cells" in second.panel.banner._text.text()
    second.panel.banner.restore_clicked.emit()
    second.until_stage(Stage.DONE)
    assert second.orders[0].name == "tiny-cells"


@pytest.mark.parametrize(
    ("after", "worse", "kind", "says"),
    [
        (0.2, True, "warning", "made it worse"),
        (0.4, False, "info", "no better than"),
        (0.8, False, "info", "is trained"),
    ],
)
def test_end_of_a_training_is_told_as_it_is(
    qtbot, tmp_path, monkeypatch, after, worse, kind, says
) -> None:
    told: list[tuple[str, str]] = []
    for one in ("warning", "info"):
        monkeypatch.setattr(
            notifications, f"show_{one}", lambda text, one=one: told.append((one, text))
        )
    viewer = ViewerModel()
    result = Result("mine", "mine.safetensors", {"ap50": 0.4}, {"ap50": after}, worse)
    training_of(viewer, tmp_path).finished.emit(result)
    end_training(id(viewer))
    ((told_as, text),) = told
    assert told_as == kind and says in text


def test_training_of_a_viewer_is_one_and_ends_with_it(qtbot, tmp_path) -> None:
    viewer = ViewerModel()
    run = training_of(viewer, tmp_path)
    assert training_of(viewer, tmp_path) is run
    end_training(id(viewer))
    assert training_of(viewer, tmp_path) is not run
    end_training(id(viewer))
    gc.collect()


def test_training_that_qt_has_deleted_already_ends_quietly(qtbot, tmp_path) -> None:
    viewer = ViewerModel()
    delete_at_once(training_of(viewer, tmp_path))
    end_training(id(viewer))
    delete_at_once(training_of(viewer, tmp_path))
    del viewer
    gc.collect()


def test_model_trained_elsewhere_is_listed(bench) -> None:
    bench.models.append(own_model("other"))
    announce_model("other")
    assert list(bench.panel.models()) == ["tiny", "vit_b", "other"]
    assert bench.panel.values.model == "tiny"
