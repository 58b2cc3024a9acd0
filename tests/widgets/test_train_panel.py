from __future__ import annotations

from dataclasses import replace

import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QPixmap
from qtpy.QtWidgets import QComboBox

from napari_segmate.core.training_events import Command, Result, Start, Step, Validation
from napari_segmate.sessions.training import Stage, TrainingState
from napari_segmate.training.data import Annotation
from napari_segmate.training.presets import Preset
from napari_segmate.widgets.pair_list import PairList, PairNote, PairRow
from napari_segmate.widgets.train_panel import TrainPanel, TrainValues
from napari_segmate.widgets.training_view import Picture

pytestmark = pytest.mark.gui

RUNNING = TrainingState(
    Stage.RUNNING,
    model="mine",
    start=Start(40, 4, "cpu", 90, 800),
    step=Step(10, 1, 0.9, 66),
    losses=((0.5, 1.2), (1.0, 0.9)),
    validations=(Validation(0, 1.1, 0.5, 0.3, True), Validation(1, 0.8, 0.6, 0.4, True)),
)
RESULT = Result("mine", "m.safetensors", {"ap50": 0.5, "clicks": 4.0}, {"ap50": 0.7, "clicks": 2.5})
DONE = replace(RUNNING, stage=Stage.DONE, result=RESULT)


@pytest.fixture
def panel(qtbot) -> TrainPanel:
    made = TrainPanel()
    qtbot.addWidget(made)
    made.show_models({"tiny": "Tiny", "vit_b": "SAM ViT-B"}, {"tiny": "fast"})
    return made


def test_form_returns_what_it_was_given(panel) -> None:
    panel.show_devices({"auto": "automatic", "cpu": "CPU", "cuda": "CUDA"})
    values = TrainValues("vit_b", Preset.FULL, "my cells", Annotation.OBJECTS, "cuda", True)
    panel.show_values(values)
    assert panel.values == values


def test_every_preset_and_annotation_is_offered(panel) -> None:
    for combo, kind in ((panel._preset, Preset), (panel._annotation, Annotation)):
        assert {combo.itemData(at) for at in range(combo.count())} == set(kind)


def test_change_is_told(panel, qtbot) -> None:
    with qtbot.waitSignal(panel.changed) as signal:
        panel._preset.setCurrentIndex(1)
    assert signal.args[0].preset is Preset.BALANCED


def test_status_says_why_there_is_no_training_and_then_to_press_the_button(panel) -> None:
    panel.show_can_train(False, "Label some objects first")
    assert panel.status._title.text() == "Label some objects first"
    assert not panel.train.isEnabled()
    panel.show_can_train(True)
    assert "Press Train" in panel.status._title.text()
    assert panel.train.isEnabled()


def test_running_training_shows_curves_and_buttons_only(panel, qtbot) -> None:
    panel.show_can_train(True)
    panel.show_state(RUNNING)
    assert panel.train.isHidden()
    assert panel._setup.isHidden()
    assert not panel._setup.isEnabled()
    losses, held_out = panel.run._losses.curves
    assert losses.points == [(0.5, 1.2), (1.0, 0.9)]
    assert held_out.points == [(0, 1.1), (1, 0.8)]
    assert panel.run._scores.curves[1].points == [(0, 0.3), (1, 0.4)]
    for button, command in ((panel.run._pause, Command.PAUSE), (panel.run._stop, Command.STOP)):
        with qtbot.waitSignal(panel.commanded) as signal:
            qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        assert signal.args == [command]
    with qtbot.waitSignal(panel.commanded) as signal:
        qtbot.mouseClick(panel.status._cancel, Qt.MouseButton.LeftButton)
    assert signal.args == [Command.CANCEL]
    panel.show_state(replace(RUNNING, stage=Stage.PAUSED))
    with qtbot.waitSignal(panel.commanded) as signal:
        qtbot.mouseClick(panel.run._pause, Qt.MouseButton.LeftButton)
    assert signal.args == [Command.RESUME]


def test_settings_can_be_looked_at_while_it_runs(panel, qtbot) -> None:
    panel.show_state(RUNNING)
    qtbot.mouseClick(panel._fold, Qt.MouseButton.LeftButton)
    assert not panel._setup.isHidden()
    panel.show_state(replace(RUNNING, step=Step(11, 1, 0.8)))
    assert not panel._setup.isHidden()


def test_result_is_a_table_and_stays_until_the_next(panel) -> None:
    panel.show_state(RUNNING)
    panel.show_state(DONE)
    assert panel.result.rows() == [
        ("On what was held out", "before", "after"),
        ("AP50 of the planes", "0.50", "0.70"),
        ("Clicks to IoU 0.85", "4.0", "2.5"),
    ]
    assert "held-out planes" in panel.result._label(1, 0).toolTip()
    assert "AP50 of views" in panel.run._scores.toolTip()
    assert [curve.title for curve in panel.run._scores.curves][1] == "AP50 of views"
    assert panel.result.segment.font().bold()
    assert panel.train.text() == "Train again"
    worse = replace(RESULT, worse=True, after={"ap50": 0.1})
    panel.show_state(replace(DONE, result=worse))
    assert len(panel.result.rows()) == 3
    assert panel.result.rows()[1][2] == "0.10"
    assert panel.result.discard.font().bold()
    panel.show_state(TrainingState())
    assert panel.result.isHidden()


def test_neither_button_strikes_the_eye_when_nothing_was_gained(panel) -> None:
    panel.show_state(replace(DONE, result=replace(RESULT, after=RESULT.before)))
    assert not panel.result.segment.font().bold()
    assert not panel.result.discard.font().bold()
    assert "no better" in panel.status._text.text() + panel.status._title.text()
    assert "worse" not in panel.status._text.text() + panel.status._title.text()


def test_name_that_is_taken_comes_with_another_one(panel, qtbot) -> None:
    panel.show_name_problem("There is one already.", "mine-2")
    assert "mine-2" in panel._name_note.text()
    panel._name_note.linkActivated.emit("mine-2")
    assert panel.values.name == "mine-2"
    panel.show_name_problem("", "")
    assert not panel._form_layout.isRowVisible(panel._name_note)


def test_row_says_what_is_wrong_and_offers_planes_of_stacks_only(qtbot) -> None:
    pairs = PairList()
    qtbot.addWidget(pairs)
    row = PairRow(QComboBox(), QComboBox())
    pairs.add(row)
    assert pairs._empty.isHidden()
    row.show_note(PairNote("9 objects", stack=True))
    assert row._form.isRowVisible(row._planes)
    row.show_note(PairNote("20 x 30 does not fit", error=True))
    assert not row._form.isRowVisible(row._planes)
    assert "color" in row._note.styleSheet()
    row._planes.setText(" 3, 5 ")
    with qtbot.waitSignal(row.planes_edited) as signal:
        row._planes.editingFinished.emit()
    assert signal.args == ["3, 5"]
    with qtbot.waitSignal(row.remove_clicked):
        qtbot.mouseClick(row._remove, Qt.MouseButton.LeftButton)
    pairs.remove(row)
    assert not pairs._empty.isHidden()


def test_picture_keeps_its_proportions_at_any_width(qtbot, tmp_path) -> None:
    path = tmp_path / "picture.png"
    picture = QPixmap(300, 100)
    picture.fill(QColor("red"))
    picture.save(str(path))
    view = Picture()
    qtbot.addWidget(view)
    view.resize(150, 10)
    view.show_file(str(path))
    assert view.height() == 50
    view.show_file(str(tmp_path / "none.png"))
    assert view.isHidden()
