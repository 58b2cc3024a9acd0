"""Make the pictures of the guide from the real window.

    python docs/make_screenshots.py [folder]

Needs a screen; on a server put ``xvfb-run -s "-screen 0 1280x800x24"`` before the command.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import napari
import numpy as np
from qtpy.QtWidgets import QApplication
from text_pictures import text

from napari_segmate.core import synthetic
from napari_segmate.plugin.automask.dock import AutoDock
from napari_segmate.plugin.segment.dock import SegmentDock
from napari_segmate.plugin.train.dock import TrainDock
from napari_segmate.widgets.actions import AutoAction, SegmentAction

SIZE = (1280, 800)
PATIENCE_S = 60.0
TRAINING_S = 900.0


def wait(seconds: float) -> None:
    """Let the window live for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.005)


class Studio:
    """A window with the dock, a camera, and a hand that draws."""

    def __init__(self, folder: Path, *layers, theme: str = "dark") -> None:
        self.folder = folder
        self.viewer = napari.Viewer(show=True)
        self.viewer.theme = theme
        self.viewer.window._qt_window.resize(*SIZE)
        for data, options, kind in layers:
            if kind == "image":
                self.viewer.add_image(data, **options)
        self.dock = SegmentDock(self.viewer, recovery_folder=Path(tempfile.mkdtemp()))
        self.viewer.window.add_dock_widget(self.dock, name="Segment (SegMate)", area="right")
        wait(0.5)
        self.viewer.reset_view()
        self.settle()

    @property
    def prompts(self):
        return self.dock.controller.prompts

    def settle(self) -> None:
        """Wait for the answer."""
        wait(0.3)
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            wait(0.1)
            if self.dock.controller.runner.idle and not self.dock.session.state.phase.busy:
                break
        wait(0.5)

    def point(self, *pixel: float, positive: bool = True) -> None:
        self.prompts.set_positive(positive)
        self.prompts.points.add([pixel])
        self.prompts.set_positive(True)
        self.settle()

    def box(self, y0: float, x0: float, y1: float, x1: float) -> None:
        corners = np.array([[y0, x0], [y0, x1], [y1, x1], [y1, x0]], float)
        self.prompts.take_tool("box")
        self.prompts.shapes.add([corners], shape_type="rectangle")
        self.settle()

    def do(self, action: SegmentAction) -> None:
        self.dock.controller.trigger(action)
        self.settle()

    def look_at(self, y: float, x: float, zoom: float) -> None:
        self.viewer.scene.camera.center = (0, y, x)
        self.viewer.scene.camera.zoom = zoom
        wait(0.5)

    def shoot(self, name: str) -> None:
        """Save a picture of the whole window."""
        wait(0.3)
        self.viewer.window._qt_window.grab().save(str(self.folder / f"{name}.png"))

    def close(self) -> None:
        self.viewer.close()
        wait(0.2)


def middles(labels: np.ndarray) -> list[tuple[float, float]]:
    """Return a pixel in the middle of each object, the largest object first."""
    values, counts = np.unique(labels[labels > 0], return_counts=True)
    found = []
    for value in values[np.argsort(counts)[::-1]]:
        pixels = np.argwhere(labels == value)
        middle = pixels.mean(axis=0)
        nearest = pixels[np.argmin(((pixels - middle) ** 2).sum(axis=1))]
        found.append((float(nearest[0]), float(nearest[1])))
    return found


def box_of(labels: np.ndarray, at: tuple[float, float]) -> tuple[int, int, int, int]:
    value = labels[int(at[0]), int(at[1])]
    rows, columns = np.nonzero(labels == value)
    return rows.min() - 2, columns.min() - 2, rows.max() + 2, columns.max() + 2


def empty(folder: Path) -> None:
    studio = Studio(folder)
    studio.shoot("empty")
    studio.close()


def first_object(folder: Path) -> None:
    image, labels = synthetic.nuclei()
    places = middles(labels)
    studio = Studio(folder, (image, {"name": "nuclei"}, "image"))
    studio.shoot("image_opened")
    studio.point(*places[0])
    studio.look_at(*places[0], zoom=4)
    studio.shoot("first_click")
    y0, x0, y1, _ = box_of(labels, places[0])
    studio.point((y0 + y1) / 2, x0 - 3, positive=False)
    studio.point(y0 + (y1 - y0) / 3, places[0][1])
    studio.shoot("several_prompts")
    studio.viewer.reset_view()
    studio.do(SegmentAction.COMMIT)
    for place in places[1:9]:
        studio.point(*place)
        studio.do(SegmentAction.COMMIT)
    studio.shoot("committed")
    for place in places[9:13]:
        studio.box(*box_of(labels, place))
    studio.shoot("boxes")
    studio.do(SegmentAction.COMMIT)
    studio.prompts.take_tool("point")
    studio.point(-20, 40)
    studio.shoot("error")
    studio.do(SegmentAction.UNDO)
    studio.dock.panel.options.expand()
    studio.shoot("options")
    studio.close()


def stack(folder: Path) -> None:
    volume, labels = synthetic.stack_3d()
    studio = Studio(folder, (volume, {"name": "stack"}, "image"))
    plane = len(volume) // 2
    studio.viewer.dims.set_current_step(0, plane)
    studio.settle()
    studio.point(plane, *middles(labels[plane])[0])
    studio.shoot("stack_plane")
    studio.viewer.dims.ndisplay = 3
    studio.settle()
    studio.shoot("stack_3d")
    studio.close()


def light_theme(folder: Path) -> None:
    image, labels = synthetic.touching_cells()
    studio = Studio(folder, (image, {"name": "touching cells"}, "image"), theme="light")
    studio.dock.panel.options.expand()
    studio.point(*middles(labels)[0])
    studio.shoot("light_theme")
    studio.close()


class TrainStudio:
    """A window with the Train dock; what is trained goes to a folder of its own."""

    def __init__(self, folder: Path, theme: str = "dark") -> None:
        os.environ["NAPARI_SEGMATE_CACHE"] = tempfile.mkdtemp()
        self.folder = folder
        self.viewer = napari.Viewer(show=True)
        self.viewer.theme = theme
        self.viewer.window._qt_window.resize(*SIZE)
        image, labels = synthetic.touching_cells()
        self.viewer.add_image(image, name="touching cells")
        self.viewer.add_labels(labels, name="my labels", opacity=0.4)
        self.dock = TrainDock(self.viewer)
        self.viewer.window.add_dock_widget(self.dock, name="Train (SegMate)", area="right")
        wait(0.5)
        self.viewer.reset_view()
        self.until(self.dock.panel.train.isEnabled)

    def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + TRAINING_S
        while not condition() and time.monotonic() < end:
            wait(0.1)

    def shoot(self, name: str) -> None:
        wait(0.5)
        self.viewer.window._qt_window.grab().save(str(self.folder / f"{name}.png"))


def train(folder: Path) -> None:
    studio = TrainStudio(folder)
    studio.shoot("train_setup")
    panel, training = studio.dock.panel, studio.dock.training
    panel.train.click()
    studio.until(lambda: len(training.state.validations) > 5 or not training.state.stage.busy)
    studio.shoot("train_running")
    studio.until(lambda: not training.state.stage.busy)
    wait(6)  # until the notification is gone
    studio.shoot("train_result")
    panel.result.segment.click()
    wait(1)
    (automask,) = (one for one in QApplication.allWidgets() if isinstance(one, AutoDock))
    studio.until(lambda: automask.controller.runner.idle)
    studio.shoot("train_rest")
    studio.viewer.close()
    wait(0.2)


class AutoStudio:
    """A window with the Automask dock."""

    def __init__(self, folder: Path, image: np.ndarray, name: str, theme: str = "dark") -> None:
        self.folder = folder
        self.viewer = napari.Viewer(show=True)
        self.viewer.theme = theme
        self.viewer.window._qt_window.resize(*SIZE)
        self.viewer.add_image(image, name=name)
        self.dock = AutoDock(self.viewer)
        self.viewer.window.add_dock_widget(self.dock, name="Automask (SegMate)", area="right")
        wait(0.5)
        self.viewer.reset_view()

    def do(self, action: AutoAction) -> None:
        self.dock.trigger(action)
        self.settle()

    def settle(self) -> None:
        """Wait until nothing is left to do."""
        wait(0.5)
        end = time.monotonic() + TRAINING_S
        controller = self.dock.controller
        while controller.state.status.phase.busy or not controller.runner.idle:
            assert time.monotonic() < end, "automask takes too long"
            wait(0.2)
        wait(0.5)

    def shoot(self, name: str) -> None:
        wait(0.3)
        self.viewer.window._qt_window.grab().save(str(self.folder / f"{name}.png"))

    def close(self) -> None:
        self.viewer.close()
        wait(0.2)


def automask(folder: Path) -> None:
    studio = AutoStudio(folder, synthetic.nuclei()[0], "nuclei")
    values = studio.dock.panel.values
    studio.do(AutoAction.RUN)
    studio.shoot("automask_found")
    studio.dock.panel._set(smallest=float(np.quantile(studio.dock.controller.proposals.areas, 0.3)))
    studio.settle()
    studio.shoot("automask_sizes")
    studio.dock.panel._set(smallest=values.smallest)
    studio.settle()
    studio.do(AutoAction.ACCEPT)
    studio.shoot("automask_accepted")
    studio.close()


def automask_region(folder: Path) -> None:
    image = synthetic.nuclei()[0]
    studio = AutoStudio(folder, image, "nuclei", theme="light")
    height, width = image.shape
    polygon = np.array([[0.1, 0.1], [0.2, 0.8], [0.7, 0.9], [0.9, 0.4], [0.5, 0.2]])
    studio.viewer.add_shapes(
        [polygon * (height, width)],
        shape_type="polygon",
        name="colony",
        face_color="transparent",
        edge_color="#ff4081",
        edge_width=3,
    )
    region = studio.dock.panel._region
    region.setCurrentIndex(region.findData("shapes"))
    studio.do(AutoAction.RUN)
    studio.shoot("automask_region")
    studio.close()


def automask_stack(folder: Path) -> None:
    volume, _ = synthetic.stack_3d()
    studio = AutoStudio(folder, volume, "stack")
    studio.viewer.dims.set_current_step(0, len(volume) // 2)
    studio.settle()
    studio.dock.panel.planes._what.setCurrentIndex(1)
    studio.do(AutoAction.RUN)
    studio.shoot("automask_stack")
    studio.do(AutoAction.ACCEPT)
    studio.viewer.layers["stack"].visible = False
    studio.viewer.dims.ndisplay = 3
    studio.viewer.scene.camera.angles = (10, -35, 60)
    wait(0.5)
    studio.shoot("automask_stack_3d")
    studio.close()


def main() -> None:
    default = Path(__file__).parent / "images"
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    folder.mkdir(parents=True, exist_ok=True)
    for picture in (
        empty,
        first_object,
        stack,
        light_theme,
        automask,
        automask_region,
        automask_stack,
        train,
        text,
    ):
        picture(folder)


if __name__ == "__main__":
    main()
