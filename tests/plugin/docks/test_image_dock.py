"""A dock in few lines: its actions, its request, its panel, its task. `docs/docks.md` shows it."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
import pytest
from blob_images import BOXES, blob_image, other_model
from napari.components import ViewerModel
from scipy import ndimage

from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.plugin.docks.controller import DockController, DockRequest
from napari_segmate.plugin.docks.image_dock import JobDock
from napari_segmate.plugin.labels.commit_many import ManyObjects, Patch
from napari_segmate.plugin.worker.engine import ModelEngine
from napari_segmate.sessions.panel_state import PanelState, available, status_of
from napari_segmate.sessions.state import Phase
from napari_segmate.widgets.actions import PanelAction
from napari_segmate.widgets.layout import form, scrolled_column
from napari_segmate.widgets.options_view import OptionsView
from napari_segmate.widgets.panel import SearchPanel

pytestmark = pytest.mark.gui


class BrightAction(PanelAction):
    FIND = ("find", "Find", "Label everything that is bright")
    TAKE_BACK = ("take_back", "Take back", "Remove it again")
    CANCEL = ("cancel",)
    RETRY = ("retry",)


@dataclass(frozen=True)
class BrightRequest(DockRequest):
    threshold: int = 127


def label_bright(plane, request, context):
    """The task: image and request in, labels out; it knows no viewer."""
    context.check()
    return ndimage.label(plane.read((0, 0, *plane.shape))[..., 0] > request.threshold)[0]


class BrightPanel(SearchPanel[PanelState]):
    def __init__(self, image_chooser, output_chooser) -> None:
        super().__init__(BrightAction, OptionsView())
        column = scrolled_column(self, 300)
        column.addLayout(form(("Image", image_chooser), ("Labels", output_chooser)))
        self.search.addRow("Planes", self.planes)
        column.addLayout(self.search)
        column.addWidget(self.add_button(BrightAction.FIND, main=True))
        column.addWidget(self.status)
        column.addWidget(self.add_button(BrightAction.TAKE_BACK))
        column.addWidget(self.options)

    def show_state(self, state: PanelState) -> None:
        self.show_status(state)


class BrightController(DockController[BrightRequest, PanelState, None]):
    def __init__(self, viewer, task, notify) -> None:
        super().__init__(viewer, BrightRequest(), "Try again", notify)
        self._task = task

    @property
    def state(self) -> PanelState:
        ready = self.shown_index is not None and not self.jobs.busy
        actions = {"find": ready, "take_back": self.committer.can_take_back}
        status = status_of(self.jobs.status, "Press Find", Phase.NEEDS_PROMPT)
        return PanelState(status, available(actions))

    def find(self) -> None:
        image, index, request = self.image, self.shown_index, self.request
        if image is None or index is None or not self.can("find"):
            return
        plane, places = self.view.at(index), {index: self.view.shown_at(index)}

        def write(labels) -> None:
            def make(targets, context):
                y, x = np.nonzero(labels)
                patch = Patch(targets[index], y, x, labels[y, x])
                return ManyObjects(int(labels.max()), [patch], []), None

            self.writer.write(image, places, make, lambda written, _: ("Written", ""))

        self.jobs.retry_with = self.find
        self.jobs.run(lambda context: self._task(plane, request, context), write, "Looking …")


class BrightDock(JobDock[BrightController, BrightPanel]):
    def __init__(self, viewer, task=label_bright) -> None:
        super().__init__(viewer, models=[other_model("b")])
        controller = BrightController(self.viewer, task, notify=lambda text: None)
        self.set_up(controller, BrightPanel, BrightAction)
        self.start()

    def read_request(self) -> BrightRequest:
        return BrightRequest(planes=self.panel.planes.choice, options=self.panel.options.values)

    def trigger(self, action) -> None:
        controller = self.controller
        {
            BrightAction.FIND: controller.find,
            BrightAction.TAKE_BACK: controller.writer.take_back,
            BrightAction.CANCEL: controller.jobs.cancel,
            BrightAction.RETRY: controller.jobs.retry,
        }[action]()


@pytest.fixture
def make_dock(qtbot):
    made = []

    def make(task=label_bright, viewer=None) -> BrightDock:
        viewer = viewer or ViewerModel()
        viewer.add_image(blob_image(), name="image")
        dock = BrightDock(viewer, task)
        made.append(dock)
        return dock

    yield make
    for dock in made:
        dock.shut_down()
        dock.deleteLater()
        qtbot.wait(10)


def settle(qtbot, dock) -> None:
    qtbot.wait(20)
    controller = dock.controller
    qtbot.waitUntil(lambda: controller.runner.idle and not controller.jobs.busy, timeout=20_000)
    qtbot.wait(20)


def test_a_result_is_written_told_and_taken_back(make_dock, qtbot) -> None:
    dock = make_dock()
    dock.panel.button(BrightAction.FIND).click()
    settle(qtbot, dock)
    layer = dock.controller.committer.output.layer
    assert layer.data.max() == len(BOXES)
    assert dock.controller.state.status.hint == "Written. Press Find"
    dock.panel.button(BrightAction.TAKE_BACK).click()
    settle(qtbot, dock)
    assert not layer.data.any()
    assert not dock.panel.button(BrightAction.TAKE_BACK).isEnabled()


def test_the_answer_of_a_job_that_was_cancelled_is_dropped(make_dock, qtbot) -> None:
    started, gate, left = threading.Event(), threading.Event(), threading.Event()

    def stubborn(plane, request, context):
        started.set()
        gate.wait(20)
        left.set()
        return np.ones(plane.shape, int)

    dock = make_dock(stubborn)
    dock.panel.button(BrightAction.FIND).click()
    assert not dock.panel.button(BrightAction.FIND).isEnabled()
    qtbot.waitUntil(started.is_set)
    dock.panel.status._cancel.click()
    gate.set()
    qtbot.waitUntil(left.is_set)
    settle(qtbot, dock)
    assert dock.controller.committer.output.layer is None
    assert "Stopped" in dock.controller.state.status.hint


def test_another_image_drops_what_runs(make_dock, qtbot) -> None:
    gate = threading.Event()

    def slow(plane, request, context):
        while not gate.wait(0.005):
            context.check()
        return label_bright(plane, request, context)

    dock = make_dock(slow)
    dock.controller.find()
    dock.controller.choose_image(dock.viewer.add_image(blob_image(), name="other"))
    gate.set()
    settle(qtbot, dock)
    assert dock.controller.committer.output.layer is None
    assert dock.controller.state.status.hint == "Press Find"


def test_a_failure_is_told_with_what_helps_and_can_be_tried_again(make_dock, qtbot) -> None:
    errors = [OSError("disk on fire")]

    def burning(plane, request, context):
        if errors:
            raise errors.pop()
        return label_bright(plane, request, context)

    dock = make_dock(burning)
    dock.controller.find()
    settle(qtbot, dock)
    status = dock.controller.state.status
    assert (status.error, status.hint) == ("OSError: disk on fire", "Try again")
    dock.panel.status._retry.click()
    settle(qtbot, dock)
    assert dock.controller.committer.output.layer.data.max() == len(BOXES)


def test_devices_are_offered_once_somebody_knows_them(make_dock, qtbot) -> None:
    dock = make_dock()
    dock.offer_devices(ModelEngine(EmbeddingStore(), devices=lambda: ("cpu", "cuda")))
    settle(qtbot, dock)
    device = dock.panel.options._device
    assert [device.itemData(at) for at in range(device.count())] == ["auto", "cpu", "cuda"]
