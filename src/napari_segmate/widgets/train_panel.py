"""The panel of training: what to learn from, how, and how it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible
from superqt.utils import signals_blocked

from napari_segmate.core.training_events import Command
from napari_segmate.sessions.state import Phase, SessionState
from napari_segmate.sessions.training import Stage, TrainingState, status
from napari_segmate.training.data import Annotation
from napari_segmate.training.presets import Preset
from napari_segmate.widgets.layout import (
    choose,
    emphasise,
    form,
    narrow,
    offered,
    refill,
    scrolled_column,
)
from napari_segmate.widgets.pair_list import ERROR_COLOUR, PairList
from napari_segmate.widgets.recovery_banner import RecoveryBanner
from napari_segmate.widgets.status_view import StatusView
from napari_segmate.widgets.training_view import ResultView, RunView

__all__ = ["TrainPanel", "TrainValues"]

ANNOTATION_TITLES: Mapping[Annotation, str] = {
    Annotation.PLANES: "whole planes",
    Annotation.RECTANGLE: "all in a rectangle",
    Annotation.OBJECTS: "only the labelled objects",
}
ANNOTATION_TIPS: Mapping[Annotation, str] = {
    Annotation.PLANES: "Every object of the planes is labelled: what has no label is background",
    Annotation.RECTANGLE: "Every object in a rectangle is labelled; the rest is unknown",
    Annotation.OBJECTS: "Some objects are labelled; what has no label may be another object",
}
PRESET_TITLES: Mapping[Preset, str] = {
    Preset.QUICK: "Quick: not the encoder",
    Preset.BALANCED: "Balanced: encoder partly",
    Preset.FULL: "Full: everything",
}
PRESET_TIPS: Mapping[Preset, str] = {
    Preset.QUICK: "Minutes. All but the encoder learns, which looks once at each image",
    Preset.BALANCED: "Longer. A part of the encoder learns, too: for images of another kind",
    Preset.FULL: "Longest. Needs many labelled objects, best a graphics processor",
}
WIDTH_PX = 320
LINES = 2
"""Nothing to press lies below the status before a training runs."""
SETUP_TITLE = "Labels and settings"
NOT_READY = "Choose an image and its labels"
READY = "Press Train. It runs in the background: you can go on working"


@dataclass(frozen=True)
class TrainValues:
    """What the form says.

    Parameters
    ----------
    model : str
        The model to begin with.
    preset : Preset
        How much of it learns.
    name : str
        Name of the new model.
    annotation : Annotation
        What of the planes was annotated.
    device : str
        Where it is trained.
    polarity : bool
        Also learn from bright and dark exchanged.
    """

    model: str = ""
    preset: Preset = Preset.QUICK
    name: str = ""
    annotation: Annotation = Annotation.PLANES
    device: str = "auto"
    polarity: bool = False


class TrainPanel(QWidget):
    """Pairs, form, status, plots and result."""

    train_clicked = Signal()
    commanded = Signal(object)
    """A `Command` for the training."""
    changed = Signal(object)
    """The `TrainValues`."""
    measure_clicked = Signal()
    """Find out how long it would take."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.banner = RecoveryBanner("Go on")
        self.pairs = PairList()
        self.status = StatusView(LINES)
        self.run = RunView()
        self.result = ResultView()
        self._annotation = _combo(ANNOTATION_TITLES, ANNOTATION_TIPS)
        self._model = _combo({}, {})
        self._preset = _combo(PRESET_TITLES, PRESET_TIPS)
        self._device = _combo({"auto": "automatic"}, {})
        self._name = QLineEdit()
        self._name.setPlaceholderText("name of the new model")
        self._name_note = QLabel()
        self._name_note.setWordWrap(True)
        self._name_note.linkActivated.connect(self._take_proposal)
        self._estimate = QLabel()
        self._estimate.setWordWrap(True)
        self._estimate.linkActivated.connect(lambda _: self.measure_clicked.emit())
        self._polarity = QCheckBox("Learn inverted views, too")
        self._polarity.setToolTip(
            "Some views are shown with bright and dark exchanged. For a model that should also "
            "know the other kind of microscope, such as phase contrast after fluorescence"
        )
        self._advanced = QCollapsible("▶  Advanced")
        # Icons of superqt are black on napari's dark theme.
        self._advanced.setCollapsedIcon(QIcon())
        self._advanced.setExpandedIcon(QIcon())
        self._advanced.toggled.connect(
            lambda on: self._advanced.setText(f"{'▼' if on else '▶'}  Advanced")
        )
        self._train = QPushButton("Train")
        self._fold = QPushButton()
        self._can_train, self._why_not = False, ""
        self._state = TrainingState()
        self._lay_out()
        self._connect()
        self.show_name_problem("", "")
        self.show_estimate("")
        self.show_state(TrainingState())
        self.show_setup(True)

    def _connect(self) -> None:
        for combo in (self._annotation, self._model, self._preset, self._device):
            combo.currentIndexChanged.connect(self._emit)
        self._polarity.toggled.connect(self._emit)
        self._name.textChanged.connect(self._emit)
        self._train.clicked.connect(lambda: self.train_clicked.emit())
        self._fold.clicked.connect(lambda: self.show_setup(self._setup.isHidden()))
        self.run.commanded.connect(self.commanded)
        self.status.cancel_clicked.connect(lambda: self.commanded.emit(Command.CANCEL))
        self.status.retry_clicked.connect(self.train_clicked)

    def _lay_out(self) -> None:
        self._fold.setFlat(True)
        self._fold.setStyleSheet("text-align: left; font-weight: bold; padding: 3px;")
        self._setup = QWidget()
        setup = QVBoxLayout(self._setup)
        setup.setContentsMargins(0, 0, 0, 0)
        setup.setSpacing(6)
        setup.addWidget(self.pairs)
        setup.addLayout(self._form())
        emphasise(self._train)
        column = scrolled_column(self, WIDTH_PX)
        for widget in (
            self.banner, self._fold, self._setup, self._train, self.status, self.result, self.run,
        ):  # fmt: skip
            column.addWidget(widget)
        column.addStretch(1)

    def _form(self) -> QFormLayout:
        made = form(
            ("Labelled are", self._annotation),
            ("Start from", self._model),
            ("Preset", self._preset),
            ("Device", self._device),
        )
        made.addRow(self._estimate)
        made.addRow("New model", self._name)
        made.addRow(self._name_note)
        self._advanced.setDuration(0)
        self._advanced.addWidget(self._polarity)
        made.addRow(self._advanced)
        self._form_layout = made
        return made

    # Out

    @property
    def values(self) -> TrainValues:
        """What the form says."""
        return TrainValues(
            model=self._model.currentData() or "",
            preset=self._preset.currentData(),
            name=self._name.text().strip(),
            annotation=self._annotation.currentData(),
            device=self._device.currentData() or "auto",
            polarity=self._polarity.isChecked(),
        )

    @property
    def train(self) -> QPushButton:
        """The button that starts."""
        return self._train

    def _emit(self) -> None:
        self.changed.emit(self.values)

    def _take_proposal(self, name: str) -> None:
        self._name.setText(name)

    # In

    def show_state(self, state: TrainingState) -> None:
        """Show how far the training is."""
        changed = state.stage.busy is not self._state.stage.busy
        self._state = state
        self.status.show_state(status(state))
        self.run.show_state(state)
        if state.result is not self._shown_result:
            self._shown_result = state.result
            self.result.show_result(state.result)
        if changed:
            self.show_setup(not state.stage.busy and state.result is None)
        self._setup.setEnabled(not state.stage.busy)
        self._train.setVisible(not state.stage.busy)
        self._train.setText("Train again" if state.result is not None else "Train")
        font = self._train.font()
        font.setBold(state.result is None)
        self._train.setFont(font)
        self.show_can_train(self._can_train, self._why_not)

    _shown_result: Any = None

    def show_setup(self, on: bool) -> None:
        """Unfold or fold what to learn from and how."""
        self._setup.setVisible(on)
        self._fold.setText(f"{'▼' if on else '▶'}  {SETUP_TITLE}")

    def show_can_train(self, on: bool, why_not: str = "") -> None:
        """Show whether there is enough to begin."""
        why_not = why_not[:1].upper() + why_not[1:]
        self._can_train, self._why_not = on, why_not
        self._train.setEnabled(on and not self._state.stage.busy)
        if self._state.stage is Stage.SETUP:
            hint = READY if on else why_not or NOT_READY
            self.status.show_state(SessionState(Phase.NEEDS_PROMPT, hint))
        self._train.setToolTip(why_not or "Train a new model from these labels, in the background")

    def show_values(self, values: TrainValues) -> None:
        """Fill the form; emits nothing."""
        for combo, value in (
            (self._annotation, values.annotation),
            (self._preset, values.preset),
            (self._model, values.model),
            (self._device, values.device),
        ):
            choose(combo, value)
        with signals_blocked(self._polarity):
            self._polarity.setChecked(values.polarity)
        self.show_name(values.name)

    def show_name(self, name: str) -> None:
        """Show a name for the new model; emits nothing."""
        with signals_blocked(self._name):
            self._name.setText(name)

    def show_models(self, titles: Mapping[str, str], tips: Mapping[str, str]) -> None:
        """Offer models to begin with, by name; the choice stays if it can."""
        refill(self._model, titles, tips)

    def models(self) -> Sequence[str]:
        """Return the names of the models on offer."""
        return offered(self._model)

    def show_devices(self, titles: Mapping[str, str]) -> None:
        """Offer devices; with one only there is nothing to choose."""
        refill(self._device, titles, {})
        self._form_layout.setRowVisible(self._device, len(titles) > 2)

    def show_name_problem(self, text: str, proposal: str) -> None:
        """Say why a name cannot be taken, and offer another one to click on."""
        link = f' <a style="color: #4fa3e0;" href="{proposal}">Take “{proposal}”</a>'
        self._name_note.setText(f"{text}{link if proposal else ''}")
        self._name_note.setStyleSheet(f"color: {ERROR_COLOUR};")
        self._name_note.setVisible(bool(text))
        self._form_layout.setRowVisible(self._name_note, bool(text))

    def show_estimate(self, text: str, *, problem: bool = False) -> None:
        """Say how long it will take and how much memory it needs, or that there is too little."""
        self._estimate.setText(text)
        self._estimate.setStyleSheet(f"color: {ERROR_COLOUR};" if problem else "")
        self._form_layout.setRowVisible(self._estimate, bool(text))


def _combo(titles: Mapping[Any, str], tips: Mapping[Any, str]) -> QComboBox:
    # A long entry must not widen the whole dock.
    combo = narrow(QComboBox())
    refill(combo, titles, tips)
    return combo
