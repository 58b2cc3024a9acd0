"""A real napari window with the Segment panel, driven with the mouse; needs a screen or Xvfb."""

from __future__ import annotations

import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from time import monotonic, perf_counter, thread_time

import torch  # noqa: F401 - before Qt: on Windows the order matters

# isort: split
import napari
import numpy as np
from qtpy.QtCore import QPoint, Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_segmate.models.base import ModelInfo
from napari_segmate.plugin.segment.dock import SegmentDock
from napari_segmate.plugin.worker.engine import ModelEngine
from napari_segmate.sessions.state import Phase

__all__ = ["Driver", "Heartbeat"]

SIZE = (1280, 800)
HEARTBEAT_MS = 1


class Driver:
    """A user at a viewer.

    Parameters
    ----------
    engine : ModelEngine, optional
        Stands in for the worker's own.
    models : tuple of ModelInfo, optional
        Models on offer instead of those of the package.
    """

    def __init__(
        self, engine: ModelEngine | None = None, models: tuple[ModelInfo, ...] | None = None
    ) -> None:
        self.viewer = napari.Viewer(show=True)
        window = self.viewer.window
        window._qt_window.resize(*SIZE)
        self._recovery = tempfile.TemporaryDirectory()
        self.dock = SegmentDock(
            self.viewer,
            engine=engine,
            models=models,
            recovery_folder=Path(self._recovery.name),
        )
        window.add_dock_widget(self.dock, name="Segment", area="right")
        self._canvas = window._qt_viewer.canvas
        self.pump(0.5)

    def pump(self, seconds: float) -> None:
        """Let the event loop run."""
        end = monotonic() + seconds
        while monotonic() < end:
            QApplication.processEvents()
            QTest.qWait(1)

    def wait_until(self, reached: Callable[[], bool], timeout_s: float) -> None:
        end = monotonic() + timeout_s
        while not reached():
            if monotonic() > end:
                raise TimeoutError(f"not reached in {timeout_s} s; {self.dock.session.state}")
            self.pump(0.002)

    def wait_idle(self, timeout_s: float = 240) -> None:
        """Wait until the model is loaded and nothing is being computed."""
        runner = self.dock.controller.runner
        self.wait_until(lambda: runner.idle, timeout_s)

    def wait_preview(self, timeout_s: float = 240) -> None:
        """Wait until the mask of the last click is shown."""

        def shown() -> bool:
            return self.dock.session.state.phase in (Phase.PREVIEW, Phase.ERROR)

        self.wait_until(shown, timeout_s)
        state = self.dock.session.state
        if state.phase is Phase.ERROR:
            raise RuntimeError(state.error)

    def look_at(self, centre_yx: tuple[float, float], zoom: float) -> None:
        self.viewer.scene.camera.center = (0, *centre_yx)
        self.viewer.scene.camera.zoom = zoom
        self.pump(0.5)

    def click(self, at_yx: tuple[float, float], button: Qt.MouseButton | None = None) -> None:
        """Click on a position of the world."""
        native = self._canvas.native
        camera = self.viewer.scene.camera
        middle = np.array([native.height(), native.width()]) / 2
        y, x = (np.array(at_yx) - camera.center[-2:]) * camera.zoom + middle
        point = QPoint(round(x), round(y))
        QTest.mouseMove(native, point)
        QTest.mouseClick(native, button or Qt.MouseButton.LeftButton, pos=point)

    def take_tool(self, name: str = "point") -> None:
        """Take a tool in hand."""
        self.dock.controller.prompts.take_tool(name)
        self.pump(0.1)

    def clear(self) -> None:
        """Press the button that clears the prompts."""
        self.dock.session.clear()
        self.pump(0.02)

    def close(self) -> None:
        self.viewer.close()
        self.pump(0.2)
        self._recovery.cleanup()


class Heartbeat:
    """Times between the ticks of a timer in the event loop: a long one is a frozen window.

    `busy_s` is how much of each the GUI thread itself computed: what remains when other programs
    keep the processor from it.

    Parameters
    ----------
    late_s : float
        A tick later than this has its cause looked up: what the GUI thread was doing.
    """

    def __init__(self, late_s: float = 0.05) -> None:
        self.gaps_s: list[float] = []
        self.busy_s: list[float] = []
        self.causes: list[str] = []
        self._late_s = late_s
        self._last, self._used = perf_counter(), thread_time()
        self._done = threading.Event()
        self._gui_thread = threading.get_ident()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(HEARTBEAT_MS)
        self._timer.timeout.connect(self._tick)

    def _tick(self) -> None:
        now, used = perf_counter(), thread_time()
        self.gaps_s.append(now - self._last)
        self.busy_s.append(used - self._used)
        self._last, self._used = now, used

    def _watch(self) -> None:
        seen = 0.0
        while not self._done.wait(self._late_s / 5):
            last = self._last
            if last != seen and perf_counter() - last > self._late_s:
                seen = last
                stack = traceback.extract_stack(sys._current_frames()[self._gui_thread])
                self.causes.append(" < ".join(_place(frame) for frame in stack[:-7:-1]))

    def __enter__(self) -> Heartbeat:
        self._last, self._used = perf_counter(), thread_time()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        self._timer.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._timer.stop()
        self._tick()
        self._done.set()
        self._watcher.join()


def _place(frame: traceback.FrameSummary) -> str:
    return f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"
