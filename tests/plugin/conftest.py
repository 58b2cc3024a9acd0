"""A dock with a model that needs no network, and hands to work it with."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import numpy as np
import pytest
from blob_images import SECOND_MODEL, blob_image, other_model
from fakes import FakeSegmenter
from napari.components import ViewerModel
from napari.layers import Labels
from qtpy.QtWidgets import QApplication
from vispy.util import keys as vispy_keys

from napari_segmate.core.errors import Cancelled
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.plugin.labels.layer_names import OUTPUT_NAME
from napari_segmate.plugin.segment.dock import SegmentDock
from napari_segmate.plugin.worker.engine import ModelEngine
from napari_segmate.sessions.state import Phase, SessionState

with suppress(ImportError):
    # Both triton and Mesa bring LLVM, and triton crashes unless it comes first.
    import triton  # noqa: F401


class SlowModel(FakeSegmenter):
    """Encodes only when it is let go; notices cancellation."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()

    def encode(self, image, context=None):
        while not self.gate.wait(0.005):
            if context is not None and context.cancelled():
                raise Cancelled("cancelled")
            if context is not None:
                context.report(1, 4, "encoding")
        return super().encode(image, context)


class Bench:
    """A dock and its viewer."""

    def __init__(self, qtbot, viewer: ViewerModel, tmp_path, model=None) -> None:
        self.qtbot = qtbot
        self.viewer = viewer
        self.model = model or SlowModel()
        self.loaded: list[str] = []
        self.notices: list[str] = []
        self.load_error: Exception | None = None
        infos = [
            self.model.info,
            other_model(SECOND_MODEL),
        ]
        self.dock = SegmentDock(
            viewer,
            engine=ModelEngine(EmbeddingStore(), self._load, lambda: ("cpu", "cuda")),
            models=infos,
            recovery_folder=tmp_path / "recovery",
        )
        self.controller = self.dock.controller
        self.session = self.dock.session
        self.panel = self.dock.panel

    def _load(self, choice, context):
        self.loaded.append(choice.name)
        if self.load_error is not None:
            raise self.load_error
        return self.model

    @property
    def state(self) -> SessionState:
        return self.session.state

    @property
    def prompts(self):
        return self.controller.prompts

    @property
    def output(self) -> Labels:
        return self.controller.committer.output.layer

    @property
    def hint(self) -> str:
        return f"{self.panel.status._title.text()} {self.panel.status._text.text()}"

    def until(self, condition: Callable[[], bool], timeout: int = 20_000) -> None:
        self.qtbot.waitUntil(condition, timeout=timeout)

    def settle(self) -> None:
        """Wait until nothing is left to do."""
        self.qtbot.wait(20)
        self.until(lambda: self.controller.runner.idle and not self.state.phase.busy)
        self.qtbot.wait(5)

    def point(self, *pixel: float) -> None:
        """Add a point in pixels of the prompt layer and wait for the answer."""
        self.prompts.points.add([pixel])
        self.settle()

    def preview(self) -> None:
        assert self.state.phase is Phase.PREVIEW, self.state


@pytest.fixture(autouse=True)
def no_leaks(request) -> Iterator[None]:
    """Fail a test that leaves a worker thread or a dock behind."""
    yield
    if _left_behind():
        gc.collect()
        for thread in threading.enumerate():
            if thread.name.startswith("napari-segmate"):
                thread.join(3)
    left = _left_behind()
    assert not left, f"left behind: {left}"


def _left_behind() -> list[str]:
    threads = [one.name for one in threading.enumerate() if one.name.startswith("napari-segmate")]
    application = QApplication.instance()
    if application is None:
        return threads
    application.processEvents()
    return threads + [str(one) for one in application.allWidgets() if isinstance(one, SegmentDock)]


@pytest.fixture
def make_bench(qtbot, tmp_path) -> Iterator[Callable[..., Bench]]:
    """Docks on viewers without a window: everything but mouse and pixels."""
    made: list[Bench] = []

    def make(*images, viewer: ViewerModel | None = None, model=None, **options) -> Bench:
        viewer = viewer or ViewerModel()
        for number, image in enumerate(images):
            viewer.add_image(image, name=f"image {number}", **options)
        bench = Bench(qtbot, viewer, tmp_path, model)
        made.append(bench)
        bench.settle()
        return bench

    yield make
    for bench in made:
        bench.model.gate.set()
        bench.dock.shut_down()
        bench.dock.deleteLater()
        qtbot.wait(10)


@pytest.fixture
def bench(make_bench) -> Bench:
    """A dock on one image of three bright objects."""
    return make_bench(blob_image())


class Hands(Bench):
    """A dock in a real window, with mouse and keyboard."""

    def canvas_position(self, layer, pixel) -> np.ndarray:
        """Return where a pixel of a layer is on the canvas, (x, y)."""
        world = np.asarray(layer.data_to_world(pixel))[list(self.viewer.dims.displayed)]
        camera = self.viewer.scene.camera
        size = np.asarray(self._canvas.size)[::-1]
        y, x = (world - np.asarray(camera.center)[-2:]) * camera.zoom + size / 2
        return np.array([x, y])

    @property
    def _canvas(self):
        return self.viewer.window._qt_viewer.canvas._scene_canvas

    def click(self, layer, pixel, button: int = 1, modifiers=()) -> None:
        self.drag(layer, [pixel], button, modifiers)

    def drag(self, layer, pixels, button: int = 1, modifiers=()) -> None:
        """Press at the first pixel, move over the others, release at the last."""
        events = self._canvas.events
        path = [self.canvas_position(layer, pixel) for pixel in pixels]
        events.mouse_move(pos=path[0], modifiers=modifiers)
        press = events.mouse_press(pos=path[0], button=button, modifiers=modifiers)
        for position in path[1:]:
            # napari looks at the mouse every 5 ms at most.
            self.qtbot.wait(10)
            events.mouse_move(
                pos=position,
                button=button,
                buttons=[button],
                press_event=press,
                modifiers=modifiers,
            )
        events.mouse_release(pos=path[-1], button=button, press_event=press, modifiers=modifiers)
        self.settle()

    def hover(self, layer, pixel) -> None:
        self._canvas.events.mouse_move(pos=self.canvas_position(layer, pixel), modifiers=())
        self.qtbot.wait(5)

    def key(self, name: str, modifiers=()) -> None:
        key = vispy_keys.Key(name)
        self._canvas.events.key_press(key=key, text=name, modifiers=modifiers)
        self._canvas.events.key_release(key=key, text=name, modifiers=modifiers)
        self.settle()


@pytest.fixture
def make_hands(make_napari_viewer, qtbot, tmp_path) -> Callable[..., Hands]:
    """Docks in windows on a real OpenGL canvas."""

    def make(*images, model=None, **options) -> Hands:
        viewer = make_napari_viewer(show=True)
        viewer.window._qt_window.resize(1000, 700)
        for number, image in enumerate(images):
            viewer.add_image(image, name=f"image {number}", **options)
        hands = Hands(qtbot, viewer, tmp_path, model)
        viewer.window.add_dock_widget(hands.dock, name="Segment", area="right")
        qtbot.wait(300)
        viewer.reset_view()
        hands.settle()
        return hands

    return make


@pytest.fixture
def output_name() -> str:
    return OUTPUT_NAME
