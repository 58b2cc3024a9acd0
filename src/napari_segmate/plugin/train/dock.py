"""The dock widget of training: correct, retrain, go on."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import napari
from napari.layers import Image
from qtpy.QtGui import QEnterEvent, QPixmap, QShowEvent
from qtpy.QtWidgets import QMessageBox

from napari_segmate.core.errors import SegmateError
from napari_segmate.core.files.weights import cache_folder
from napari_segmate.core.training_events import Result
from napari_segmate.models.base import ModelInfo
from napari_segmate.plugin.docks.dock import Dock, warn
from napari_segmate.plugin.docks.model_lists import announce_model, follow_models, model_tips
from napari_segmate.plugin.settings import read_general
from napari_segmate.plugin.train.cost import CostNote, cost_note
from napari_segmate.plugin.train.model_names import (
    delete_own,
    forget_unfinished,
    name_problem,
    propose_name,
)
from napari_segmate.plugin.train.pair_list import TrainingRows
from napari_segmate.plugin.train.pair_rows import LayerRow, Row
from napari_segmate.plugin.train.run import TrainingRun, end_training, training_of
from napari_segmate.plugin.train.run_folder import Order, TrainingFolder, interrupted_trainings
from napari_segmate.plugin.worker.runner import Job, Runner
from napari_segmate.sessions.training import Stage, TrainingState
from napari_segmate.widgets.train_panel import TrainPanel, TrainValues
from napari_segmate.widgets.training_view import show_picture

__all__ = ["TrainDock"]

PLUGIN_NAME, AUTOMASK = "napari-segmate", "Automask"


class TrainDock(Dock):
    """Plugins > SegMate > Train.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Given by napari.
    run : TrainingRun, optional
        What trains; by default that of the viewer, which goes on when the dock is closed.
    models : sequence of ModelInfo, optional
        Models to begin with; by default all that are known.
    """

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        *,
        run: TrainingRun | None = None,
        models: Sequence[ModelInfo] | None = None,
        folder: Path | None = None,
    ) -> None:
        super().__init__(viewer, models)
        self._root = folder or cache_folder() / "trainings"
        self.training = run or training_of(self.viewer, self._root)
        self.runner = Runner()
        self.panel = TrainPanel()
        self.pairs = TrainingRows(self.viewer, self.panel.pairs, self.runner, self._on_rows)
        self._named = ""
        self._models: dict[str, ModelInfo] = {}
        self._in_window = 0
        self._cost = CostNote("")
        self._interrupted: list[TrainingFolder] = []
        self.fill(self.panel)
        self._connect()
        self._start()

    # Start and end

    def _connect(self) -> None:
        panel, training = self.panel, self.training
        panel.train_clicked.connect(self._on_train)
        panel.commanded.connect(training.tell)
        panel.changed.connect(self._on_values)
        panel.measure_clicked.connect(self._on_measure)
        panel.result.discard_clicked.connect(self._discard_model)
        panel.result.segment_clicked.connect(self._on_segment_rest)
        panel.result.picture_clicked.connect(self._enlarge_picture)
        panel.banner.restore_clicked.connect(self._go_on)
        panel.banner.discard_clicked.connect(self._discard_interrupted)
        training.changed.connect(self._on_state)
        stop_models = follow_models(self.viewer, self._show_models, self._choose_model)
        self.close_with(stop_models, self.pairs.close, self.runner.close)
        viewer_id = id(self.viewer)
        # A closed dock comes by `event`, and the training goes on; it must not outlive the window.
        self._when_window_closes = lambda: end_training(viewer_id)

    def _start(self) -> None:
        self._show_models()
        self.panel.show_devices({"auto": "automatic"})
        general = read_general()
        names = self.panel.models()
        model = general.model if general.model in names else next(iter(names), "")
        self.panel.show_values(TrainValues(model=model, device=general.device))
        self.pairs.add_layers()
        self._fill_name()
        self._on_values(self.panel.values)
        self.panel.show_state(self.training.state)
        self.runner.submit(
            Job(lambda context: interrupted_trainings(self._root), self._on_interrupted)
        )

    def showEvent(self, a0: QShowEvent | None) -> None:  # noqa: N802 - Qt's name
        """Learn which window the dock is in."""
        super().showEvent(a0)
        window = self.window()
        if window is not None and window is not self and id(window) != self._in_window:
            self._in_window = id(window)
            window.destroyed.connect(self._when_window_closes)

    def enterEvent(self, a0: QEnterEvent | None) -> None:  # noqa: N802 - Qt's name
        """Look again how much memory is free."""
        super().enterEvent(a0)
        if not self.training.state.stage.busy:
            self._show_estimate()
            self._show_can_train()

    # Pairs

    @property
    def rows(self) -> list[Row]:
        """The pairs to learn from."""
        return self.pairs.rows

    def _on_rows(self) -> None:
        if not hasattr(self, "_close"):
            return
        self._fill_name()
        self._show_estimate()
        self._show_can_train()

    # Form

    def _on_values(self, values: TrainValues) -> None:
        self.pairs.set_annotation(values.annotation)
        self._fill_name()
        self._show_estimate()
        self._show_can_train()

    def _fill_name(self) -> None:
        """Fill in a name, unless the user has written one."""
        values = self.panel.values
        if values.name not in ("", self._named):
            return
        image = self.pairs.name
        info = self._models.get(values.model)
        if info is not None and info.base:
            # A model of the user's own is named after its images already: only count on.
            image = ""
        self._named = propose_name(values.model, image, self.panel.models())
        self.panel.show_name(self._named)

    def _show_estimate(self) -> None:
        self._cost = cost_note(self._root, self._order)
        # Without labels there is nothing yet that could take time.
        said = self._cost.text if self.pairs.count else ""
        self.panel.show_estimate(said, problem=bool(self._cost.problem))

    def _show_can_train(self) -> None:
        name = self.panel.values.name
        problem = name_problem(name, self.panel.models()) if name else ""
        proposal = propose_name(name, "", self.panel.models()) if problem else ""
        self.panel.show_name_problem(problem, proposal)
        self.panel.show_can_train(not self._why_not(problem), self._why_not(problem))

    def _why_not(self, name_problem: str) -> str:
        if self.pairs.error:
            return self.pairs.error
        if not self.pairs.count:
            return "Label some objects first, with the Segment panel or the brush"
        if not self.panel.values.name:
            return "Give the new model a name"
        return name_problem or self._cost.problem

    @property
    def _order(self) -> Order:
        values = self.panel.values
        info = self._models.get(values.model)
        architecture = info.architecture if info is not None else ""
        return Order(
            values.name,
            values.model,
            values.preset,
            values.device,
            architecture,
            values.polarity,
        )

    # Models

    def _show_models(self) -> None:
        models = self.list_models()
        titles = {info.name: info.title for info in models}
        self._models = {info.name: info for info in models}
        self.panel.show_models(titles, model_tips(models))
        if "torch" in sys.modules:
            from napari_segmate._torch import available_devices

            found = available_devices()
            titles = {"cpu": "processor (CPU)"}
            shown = {one: titles.get(one, one.upper()) for one in found}
            self.panel.show_devices({"auto": "automatic", **shown})
        self._show_can_train()

    def _choose_model(self, name: str) -> None:
        values = self.panel.values
        self.panel.show_values(replace(values, model=name, name=""))
        self._on_values(self.panel.values)

    # The training

    def _on_train(self) -> None:
        if self.training.state.stage is Stage.FAILED and self.training.can_go_on:
            self.training.again()
            return
        self._begin(measure=False)

    def _on_measure(self) -> None:
        if self.pairs.count:
            self._begin(measure=True)
        else:
            warn("label some objects first: the time is measured on them")

    def _begin(self, *, measure: bool) -> None:
        try:
            sources = self.pairs.sources()
        except SegmateError as error:
            warn(str(error))
            return
        self.panel.banner.offer("")
        self.training.begin(self._order, sources, measure=measure)

    def _on_state(self, state: TrainingState) -> None:
        self.panel.show_state(state)
        if not state.stage.busy:
            self._show_estimate()
            self._show_can_train()

    def _on_interrupted(self, folders: list[TrainingFolder]) -> None:
        self._interrupted = folders
        if folders and not self.training.state.stage.busy:
            name = folders[0].order.name
            self.panel.banner.offer(f"The training of '{name}' was interrupted.")

    def _go_on(self) -> None:
        self.panel.banner.offer("")
        if self._interrupted:
            self.training.again(self._interrupted.pop(0))

    def _discard_interrupted(self) -> None:
        self.panel.banner.offer("")
        for folder in self._interrupted:
            if folder.lock():
                folder.remove()
                forget_unfinished(folder.order.name)
        self._interrupted = []

    # The result

    @property
    def result(self) -> Result | None:
        """What came of the last training."""
        return self.training.state.result

    def _discard_model(self) -> None:
        result = self.result
        if result is None or not (result.worse or self._may_discard(result)):
            return
        try:
            delete_own(result)
        except SegmateError as error:
            warn(str(error))
            return
        self.training.forget_result()
        announce_model(result.model)
        self.panel.show_setup(True)

    def _may_discard(self, result: Result) -> bool:
        """Ask before a model is deleted that may be of use."""
        answer = QMessageBox.question(
            self, "Discard the new model", f"Delete '{result.model}'? It cannot be brought back."
        )
        return answer == QMessageBox.StandardButton.Yes

    def _on_segment_rest(self) -> None:
        row = next((one for one in self.rows if isinstance(one, LayerRow)), None)
        if self.result is not None:
            _segment_rest(self.viewer, row.image if row is not None else None, self.result.model)

    def _enlarge_picture(self) -> None:
        picture = QPixmap(self.result.picture if self.result is not None else "")
        if not picture.isNull():
            show_picture(self, picture, "Image, labelled by you, before, after")


def _segment_rest(viewer: Any, image: Image | None, model: str) -> None:
    """Open the Automask dock of a viewer, and let it find all objects of an image with a model.

    Parameters
    ----------
    viewer : Viewer
        The viewer.
    image : Image, optional
        What to segment; by default what is chosen there.
    model : str
        The model.
    """
    if image is not None and image in viewer.layers:
        # A dock that opens takes the active layer.
        viewer.layers.selection.active = image
    # Opens it, or finds it where it is open.
    place, dock = viewer.window.add_plugin_dock_widget(PLUGIN_NAME, AUTOMASK, tabify=True)
    place.show()
    place.raise_()
    announce_model(model, viewer)
    dock.controller.run()
