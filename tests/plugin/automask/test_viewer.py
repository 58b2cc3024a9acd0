"""Automask as a user works with it: a real window, mouse and keys."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from vispy.util import keys as vispy_keys

from napari_segmate.core.synthetic import nuclei
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.models import list_models, load_model
from napari_segmate.plugin.automask.dock import AutoDock
from napari_segmate.plugin.labels.layer_names import OUTPUT_NAME, PROPOSALS_NAME
from napari_segmate.plugin.segment.dock import SegmentDock
from napari_segmate.plugin.worker.engine import ModelEngine
from napari_segmate.widgets.actions import AutoAction

pytestmark = pytest.mark.gui


class Window:
    """A viewer with the dock in it, and hands."""

    def __init__(self, qtbot, viewer, image, tmp_path) -> None:
        self.qtbot = qtbot
        self.viewer = viewer
        viewer.window._qt_window.resize(1100, 800)
        self.image = viewer.add_image(image, name="cells")
        model = load_model("tiny", device="cpu")
        tiny = [info for info in list_models() if info.name == "tiny"]
        engine = ModelEngine(EmbeddingStore(), lambda choice, context: model)
        self.other = SegmentDock(
            viewer,
            engine=ModelEngine(EmbeddingStore(), lambda *_: model),
            models=tiny,
            recovery_folder=tmp_path,
        )
        self.dock = AutoDock(viewer, engine=engine, models=tiny)
        viewer.window.add_dock_widget(self.other, name="Segment", area="right", tabify=True)
        viewer.window.add_dock_widget(self.dock, name="Automask", area="right", tabify=True)
        qtbot.wait(300)
        viewer.reset_view()
        self.settle()

    @property
    def book(self):
        return self.dock.controller.proposals

    @property
    def hint(self) -> str:
        return self.dock.panel.status._title.text()

    def settle(self) -> None:
        controller = self.dock.controller

        def settled() -> bool:
            busy = (
                controller.jobs.busy or controller.updater.running or controller.plane_moved.waiting
            )
            return not busy and controller.runner.idle and self.other.controller.runner.idle

        self.qtbot.wait(30)
        self.qtbot.waitUntil(settled, timeout=60_000)
        self.qtbot.wait(30)

    def press(self, action: AutoAction) -> None:
        QTest.mouseClick(self.dock.panel.button(action), Qt.MouseButton.LeftButton)
        self.settle()

    @property
    def canvas(self):
        return self.viewer.window._qt_viewer.canvas._scene_canvas

    def position(self, pixel) -> np.ndarray:
        camera, size = self.viewer.scene.camera, np.asarray(self.canvas.size)[::-1]
        y, x = (np.asarray(pixel) - np.asarray(camera.center)[-2:]) * camera.zoom + size / 2
        return np.array([x, y])

    def hover(self, pixel) -> None:
        self.canvas.events.mouse_move(pos=self.position(pixel), modifiers=())
        self.qtbot.wait(10)

    def click(self, pixel) -> None:
        self.hover(pixel)
        events, at = self.canvas.events, self.position(pixel)
        press = events.mouse_press(pos=at, button=1, modifiers=())
        events.mouse_release(pos=at, button=1, press_event=press, modifiers=())
        self.settle()

    def key(self, name: str) -> None:
        key, shift = vispy_keys.Key(name), (vispy_keys.SHIFT,)
        self.canvas.events.key_press(key=key, text=name, modifiers=shift)
        self.canvas.events.key_release(key=key, text=name, modifiers=shift)
        self.settle()

    def slide(self, name: str, share: float) -> None:
        """Take the handle of a slider and drag it, in steps."""
        slider = self.dock.panel._sliders[name]._slider
        rect, value = slider.rect(), slider.value() / slider.maximum()
        start = QPoint(round(rect.width() * value), rect.height() // 2)
        QTest.mousePress(slider, Qt.MouseButton.LeftButton, pos=start)
        for step in np.linspace(value, share, 12):
            QTest.mouseMove(slider, QPoint(round(rect.width() * step), rect.height() // 2))
            self.qtbot.wait(15)
        QTest.mouseRelease(
            slider, Qt.MouseButton.LeftButton, pos=QPoint(round(rect.width() * share), 5)
        )
        self.settle()

    def middle(self, number: int) -> tuple[float, float]:
        plane = self.book.on(())
        ys, xs = np.nonzero(plane.labels == plane.kept[number])
        return float(ys[len(ys) // 2]), float(xs[len(ys) // 2])


@pytest.fixture
def window(make_napari_viewer, qtbot, tmp_path):
    found = Window(qtbot, make_napari_viewer(show=True), nuclei()[0][:256, :256], tmp_path)
    yield found
    found.dock.shut_down()
    found.other.shut_down()
    gc.collect()


def test_a_user_finds_tunes_deletes_accepts_and_takes_back(window) -> None:
    assert "Find all objects" in window.hint
    window.press(AutoAction.RUN)
    count = len(window.book.areas)
    assert count >= 12
    assert f"{count} objects proposed" in window.hint
    assert "estimated: " in window.dock.panel._diameter.text()

    before = int(window.book.areas.sum())
    window.slide("foreground", 0.75)
    assert window.dock.panel.values.foreground > 0.65
    assert window.book.areas.sum() < before
    shown = window.viewer.layers[PROPOSALS_NAME].data
    assert np.count_nonzero(shown) == window.book.areas.sum()

    window.hover(window.middle(0))
    count = len(window.book.areas)
    window.key("J")
    assert len(window.book.areas) == count - 1

    place = window.middle(1)
    window.press(AutoAction.ACCEPT_ONE)
    assert "Click on the object" in window.hint
    window.click(place)
    output = window.viewer.layers[OUTPUT_NAME]
    assert np.unique(output.data).tolist() == [0, 1]
    assert output.data[int(place[0]), int(place[1])] == 1

    window.key("G")
    assert len(np.unique(output.data)) - 1 == count - 1
    assert not window.viewer.layers[PROPOSALS_NAME].data.any()
    assert "Nothing is left" in window.hint
    assert len(output.metadata["napari_segmate"]) == count - 1

    window.press(AutoAction.TAKE_BACK)
    assert np.unique(output.data).tolist() == [0, 1]
    assert len(window.book.areas) == count - 2


def test_keys_of_the_other_dock_still_work(window) -> None:
    window.press(AutoAction.RUN)
    window.key("G")
    output = window.viewer.layers[OUTPUT_NAME]
    assert output.data.any()
    undone = output.data.copy()
    output.undo()
    assert not output.data.any()
    output.redo()
    assert np.array_equal(output.data, undone)
    bound = {str(key) for key in window.viewer.keymap}
    assert {"K", "W", "Shift+K", "Shift+J", "Shift+G"} <= bound


def test_closing_the_dock_leaves_the_proposals_to_the_user(window) -> None:
    window.press(AutoAction.RUN)
    window.viewer.window.remove_dock_widget(window.dock)
    window.qtbot.wait(50)
    layer = window.viewer.layers[PROPOSALS_NAME]
    assert layer.data.any()
    assert layer.editable
    assert "Shift+K" not in {str(key) for key in window.viewer.keymap}
