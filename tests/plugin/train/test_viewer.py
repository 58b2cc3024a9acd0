"""The Train dock in a real window."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from blob_images import blob_image, blob_labels, own_model
from npe2 import PluginManifest
from qtpy.QtCore import Qt

from napari_segmate.plugin.train import run as trainings
from napari_segmate.plugin.train.dock import TrainDock
from napari_segmate.plugin.train.run import TrainingRun
from napari_segmate.sessions.training import Stage
from napari_segmate.training.data import Annotation
from napari_segmate.widgets.train_panel import TrainValues

pytestmark = [pytest.mark.gui, pytest.mark.viewer]

FAKE = [sys.executable, str(Path(__file__).parents[2] / "fake_training.py")]


def write(folder: Path, samples) -> None:
    folder.mkdir()
    (folder / "manifest.json").write_text("{}")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class Hands:
    """A Train dock in a window."""

    def __init__(self, qtbot, viewer, folder: Path) -> None:
        self.qtbot, self.viewer, self.folder = qtbot, viewer, folder
        viewer.window._qt_window.resize(1280, 800)
        viewer.add_image(blob_image(), name="cells")
        viewer.add_labels(blob_labels(), name="mine")
        self.open()

    def open(self) -> None:
        models = [own_model("tiny"), own_model("vit_b")]
        self.dock = TrainDock(self.viewer, models=models, folder=self.folder)
        self.viewer.window.add_dock_widget(self.dock, name="Train", area="right")
        self.qtbot.wait(200)

    def train(self) -> int:
        self.until(self.dock.panel.train.isEnabled)
        self.qtbot.mouseClick(self.dock.panel.train, Qt.MouseButton.LeftButton)
        self.until(lambda: self.dock.training.state.stage is Stage.RUNNING)
        return self.dock.training._process.pid

    def until(self, condition) -> None:
        self.qtbot.waitUntil(condition, timeout=20_000)


@pytest.fixture
def hands(make_napari_viewer, qtbot, tmp_path, monkeypatch) -> Hands:
    command = [*FAKE, "--steps", "100000"]
    fake = functools.partial(TrainingRun, command=lambda _: command, write=write)
    monkeypatch.setattr(trainings, "TrainingRun", fake)
    return Hands(qtbot, make_napari_viewer(show=True), tmp_path / "trainings")


def test_training_ends_with_its_window(hands) -> None:
    pid = hands.train()
    hands.viewer.close()
    hands.until(lambda: not alive(pid))
    assert not trainings._RUNS


def test_training_outlives_its_dock_but_not_the_window(hands) -> None:
    pid = hands.train()
    hands.viewer.window.remove_dock_widget(hands.dock)
    hands.dock.deleteLater()
    hands.qtbot.wait(50)
    assert alive(pid)
    hands.open()
    assert hands.dock.training.state.stage is Stage.RUNNING
    assert hands.dock.panel.train.isHidden()
    hands.viewer.window.remove_dock_widget(hands.dock)
    hands.dock.deleteLater()
    hands.viewer.close()
    hands.until(lambda: not alive(pid))


def test_rectangle_is_drawn_with_the_mouse(hands) -> None:
    panel = hands.dock.panel
    panel.show_values(TrainValues("tiny", name="x", annotation=Annotation.RECTANGLE))
    panel.changed.emit(panel.values)
    row = hands.dock.rows[0]
    hands.qtbot.mouseClick(row.view._draw, Qt.MouseButton.LeftButton)
    layer = row._region.layer
    assert hands.viewer.layers.selection.active is layer
    assert layer.mode == "add_rectangle"
    layer.add([np.array([[5, 5], [5, 30], [25, 30], [25, 5]], float)], shape_type="rectangle")
    np.testing.assert_allclose(row.source().rectangle, (5, 5, 25, 30), atol=1)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_nothing_is_cut_off_at_1280_by_800(hands, theme) -> None:
    hands.viewer.theme = theme
    hands.qtbot.wait(100)
    buttons = [
        hands.dock.panel.train,
        *hands.dock.panel.pairs.findChildren(type(hands.dock.panel.train)),
    ]
    for button in (one for one in buttons if one.isVisible()):
        needed = button.fontMetrics().horizontalAdvance(button.text())
        assert button.width() >= needed + 8, button.text()
        assert button.visibleRegion().boundingRect().height() == button.height(), button.text()


def test_napari_opens_the_dock_from_its_menu(
    make_napari_viewer, qtbot, npe2pm, monkeypatch, tmp_path
) -> None:
    npe2pm.register(PluginManifest.from_distribution("napari-segmate"))
    monkeypatch.setattr("napari_segmate.plugin.docks.dock.all_models", lambda: [own_model("tiny")])
    monkeypatch.setenv("NAPARI_SEGMATE_CACHE", str(tmp_path))
    viewer = make_napari_viewer(show=True)
    viewer.add_image(blob_image(), name="cells")
    viewer.add_labels(blob_labels())
    _, dock = viewer.window.add_plugin_dock_widget("napari-segmate", "Train")
    qtbot.waitUntil(dock.panel.train.isEnabled)
    assert dock.rows[0].image is viewer.layers["cells"]
