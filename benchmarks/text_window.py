"""The longest time that the window does not answer while the text dock finds and segments.

``python -m benchmarks.text_window`` (without a screen under ``xvfb-run``): from typed words to
labels, and back with undo, in a real viewer. The weights of detectors are not part of this
repository: boxes are known positions, moved and scored at random, 900 boxes for 20 concepts, and
torch is kept busy meanwhile as a network would. Beside the time on the clock stands the time that
the GUI thread itself computes in a turn, which other programs on the machine change little.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from benchmarks._images import scene
from benchmarks._report import Table, report
from benchmarks._viewer import Driver, Heartbeat
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.plugin.text.detector_engine import Found, PackageDetectors
from napari_segmate.plugin.text.dock import TextDock
from napari_segmate.plugin.worker.engine import ModelEngine
from napari_segmate.widgets.actions import TextAction

SIDE = 1024
BOXES, CONCEPTS = 900, 20
OBJECTS = 200
RADIUS = 14.0
HALF = 512
PATIENCE_S = 300.0
LATE_MS = 50


class BusyTurns(Heartbeat):
    """Notes how long the GUI thread computes from tick to tick, too."""

    def __init__(self) -> None:
        super().__init__()
        self.busy_s: list[float] = []
        self._busy = time.thread_time()

    def _tick(self) -> None:
        now = time.thread_time()
        self.busy_s.append(now - self._busy)
        self._busy = now
        super()._tick()


def measure(act: Callable[[], None]) -> list[str]:
    with BusyTurns() as turns:
        act()
    busy, gaps = (np.sort(times) * 1000 for times in (turns.busy_s, turns.gaps_s))
    late = f"{int((busy > LATE_MS).sum())} of {len(busy)}"
    return [f"{busy[-1]:.0f} ms", f"{np.percentile(busy, 99):.1f} ms", late, f"{gaps[-1]:.0f} ms"]


class RandomBoxes(PackageDetectors):
    """Boxes round known objects, and many of low score; takes as long as it is told."""

    def __init__(self, centres_yx: np.ndarray, seconds: float) -> None:
        super().__init__()
        self._centres = centres_yx
        self._seconds = seconds

    def offer(self, detector):
        return None

    def detect(self, query, context):
        _compute(self._seconds)
        rng = np.random.default_rng(0)
        centres = rng.uniform(0, SIDE, (BOXES, 2))
        centres[: len(self._centres)] = self._centres
        half = rng.uniform(0.8, 1.2, (BOXES, 2)) * RADIUS
        scores = rng.beta(1, 12, (BOXES, len(query.phrases)))
        rows = np.arange(len(self._centres))
        scores[rows, rows % len(query.phrases)] = rng.uniform(0.4, 0.9, len(rows))
        boxes = np.concatenate([centres - half, centres + half], axis=1)
        return Found(query.phrases, boxes, scores, query.plane.shape)


def _compute(seconds: float) -> None:
    import torch

    end = time.monotonic() + seconds
    matrix = torch.rand(HALF, HALF)
    while time.monotonic() < end:
        matrix = torch.softmax(matrix @ matrix, dim=1)


def prepare(seconds: float, folder: Path) -> tuple[Driver, TextDock]:
    found = scene((SIDE, SIDE))
    driver = Driver(ModelEngine(EmbeddingStore()))
    driver.viewer.add_image(found.image, contrast_limits=(0, 3000))
    centres = found.centres_yx[:OBJECTS]
    dock = TextDock(
        driver.viewer,
        detector_engine=RandomBoxes(centres, seconds),
        engine=ModelEngine(EmbeddingStore()),
        history=folder / "prompts.json",
    )
    driver.viewer.window.add_dock_widget(dock, name="Find by text", area="right")
    driver.pump(2)
    return driver, dock


def settle(driver: Driver, dock: TextDock) -> None:
    controller = dock.controller
    driver.pump(0.1)
    driver.wait_until(
        lambda: (
            controller.runner.idle
            and not controller.state.status.phase.busy
            and controller.boxes.shapes.complete
            and not controller.committer.writer.busy
        ),
        PATIENCE_S,
    )
    driver.pump(0.3)


def steps(driver: Driver, dock: TextDock) -> dict[str, Callable[[], None]]:
    panel, controller = dock.panel, dock.controller
    words = ", ".join(f"object {number}" for number in range(CONCEPTS))

    def write() -> None:
        for letter in words:
            QTest.keyClicks(panel.phrases._editor, letter)
            driver.pump(0.01)

    def find() -> None:
        QTest.keyClick(panel.phrases._editor, Qt.Key.Key_Return)
        settle(driver, dock)

    def slide() -> None:
        for score in np.linspace(0.2, 0.7, 40):
            panel.filter._score.setValue(float(score))
            driver.pump(0.02)
        panel.filter._score.setValue(0.38)
        settle(driver, dock)

    def resize() -> None:
        for size in range(20, 36):
            panel.filter._largest.setValue(float(size))
            driver.pump(0.02)
        panel.filter._largest.setValue(0.0)
        settle(driver, dock)

    def segment() -> None:
        panel.button(TextAction.SEGMENT).click()
        settle(driver, dock)

    def undo() -> None:
        controller.committer.output.layer.undo()
        driver.pump(0.3)

    return {
        "typing 20 concepts": write,
        "finding: 900 boxes": find,
        "moving the score slider": slide,
        "moving the size limit": resize,
        "Segment: boxes to labels": segment,
        "one undo": undo,
    }


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="that the detector takes")
    parser.add_argument("--no-save", action="store_true", help="print, write no file")
    options = parser.parse_args(argv)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        driver, dock = prepare(options.seconds, Path(folder))
        try:
            for name, act in steps(driver, dock).items():
                start = time.perf_counter()
                cells = measure(act)
                rows.append([name, f"{time.perf_counter() - start:.1f} s", *cells])
                if name.startswith("Segment"):
                    labels = dock.controller.committer.output.layer
                    count = len(np.unique(labels.data)) - 1
        finally:
            dock.shut_down()
            driver.close()
    table = Table(
        f"Turns of the event loop, {SIDE} x {SIDE} image, {count} objects",
        ["while", "takes", "longest turn", "99th percentile", "over 50 ms", "longest on the clock"],
        rows,
        "Embedded model; includes what napari itself does to draw.",
    )
    report("text_window", "The text dock", [table], save=not options.no_save)


if __name__ == "__main__":
    main()
