"""Pictures of the text dock.

The weights of detectors are not part of this repository: boxes come from known positions, moved and
scored at random, so that the pictures show the dock and not how well a detector works.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import napari
import numpy as np
from qtpy.QtWidgets import QApplication
from scipy import ndimage

from napari_segmate.core import synthetic
from napari_segmate.core.files.weights import cache_folder
from napari_segmate.plugin.text.detector_engine import Found, PackageDetectors
from napari_segmate.plugin.text.dock import TextDock
from napari_segmate.widgets.actions import TextAction

CACHE = "~/.cache/napari-segmate"
SIZE = (1280, 960)
PATIENCE_S = 120.0
LARGE_PX = 26.0
JUNK = 200


def wait(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.005)


class MovedTruth(PackageDetectors):
    """Known boxes, moved and scored at random, among many of low score."""

    def __init__(self, labels: np.ndarray) -> None:
        super().__init__()
        self._labels = labels
        self.ready = False

    def offer(self, detector):
        found = None if self.ready else super().offer(detector)
        if found is None:
            return None
        folder = str(cache_folder())
        return replace(
            found,
            text=found.text.replace(folder, CACHE),
            folder=found.folder.replace(folder, CACHE),
        )

    def detect(self, query, context):
        rng = np.random.default_rng(1)
        slices = ndimage.find_objects(self._labels)
        true = np.array([(y.start, x.start, y.stop - 1, x.stop - 1) for y, x in slices], float)
        boxes = true + rng.normal(0, 1, true.shape)
        junk = np.repeat(true, JUNK // len(true) + 1, axis=0)[:JUNK]
        junk = junk + rng.normal(0, 5, junk.shape)
        junk[:, 2:] = np.maximum(junk[:, 2:], junk[:, :2] + 3)
        height, width = self._labels.shape
        count = len(query.phrases)
        scores = np.zeros((len(boxes) + JUNK + 1, count), np.float32)
        small = np.sqrt((true[:, 2:] - true[:, :2]).prod(axis=1)) < LARGE_PX
        likely = np.clip(rng.normal(0.55, 0.12, len(boxes)), 0.05, 0.95)
        scores[np.arange(len(boxes)), small % count] = likely
        scores[len(boxes) : -1] = rng.beta(1, 12, (JUNK, count))
        scores[-1, 0] = 0.5
        everything = [[0, 0, height - 1, width - 1]]
        found = np.concatenate([boxes, junk, everything])
        return Found(query.phrases, found, scores, (height, width))


class TextStudio:
    """A window with the text dock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        image, labels = synthetic.nuclei()
        self.detector_engine = MovedTruth(labels)
        self.viewer = napari.Viewer(show=True)
        self.viewer.window._qt_window.resize(*SIZE)
        self.viewer.add_image(image, name="nuclei")
        history = Path(tempfile.mkdtemp()) / "prompts.json"
        self.dock = TextDock(self.viewer, detector_engine=self.detector_engine, history=history)
        self.viewer.window.add_dock_widget(self.dock, name="Find by text (SegMate)", area="right")
        wait(0.5)
        self.viewer.reset_view()

    def do(self, action: TextAction) -> None:
        self.dock.trigger(action)
        self.settle()

    def settle(self) -> None:
        controller, end = self.dock.controller, time.monotonic() + PATIENCE_S
        wait(0.3)
        while time.monotonic() < end:
            wait(0.1)
            busy = controller.state.status.phase.busy or not controller.boxes.shapes.complete
            if controller.runner.idle and not busy:
                break
        wait(0.5)

    def shoot(self, name: str) -> None:
        wait(0.3)
        self.viewer.window._qt_window.grab().save(str(self.folder / f"{name}.png"))


def text(folder: Path) -> None:
    """From words to objects."""
    studio = TextStudio(folder)
    studio.dock.panel.phrases.show_text("large nucleus, small nucleus")
    studio.do(TextAction.FIND)
    studio.shoot("text_download")
    studio.dock.panel.offer._by_hand.click()
    studio.shoot("text_by_hand")
    studio.detector_engine.ready = True
    studio.do(TextAction.DECLINE_DOWNLOAD)
    studio.do(TextAction.FIND)
    studio.shoot("text_boxes")
    studio.do(TextAction.SEGMENT)
    studio.shoot("text_objects")
    studio.viewer.close()
    wait(0.2)
