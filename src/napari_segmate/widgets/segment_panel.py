"""The panel of interactive segmentation: it shows a state and tells what was clicked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_segmate.sessions.state import SessionState
from napari_segmate.widgets.actions import DEFAULT_KEYS, Action, with_key
from napari_segmate.widgets.options_view import OptionsView
from napari_segmate.widgets.recovery_banner import RecoveryBanner
from napari_segmate.widgets.status_view import StatusView
from napari_segmate.widgets.tool_row import ToolRow

__all__ = ["SegmentPanel"]

GRID = (
    (Action.UNDO, Action.REDO),
    (Action.CLEAR, Action.NEXT_MASK),
    (Action.EDIT_OBJECT, Action.TAKE_BACK),
)
WIDTH_PX = 300


class SegmentPanel(QWidget):
    """Choosers, tools, status, buttons and options.

    Parameters
    ----------
    image_chooser, output_chooser : QWidget
        Made by whoever knows the layers.
    """

    triggered = Signal(object)
    model_chosen = Signal(str)

    def __init__(
        self,
        image_chooser: QWidget,
        output_chooser: QWidget,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.banner = RecoveryBanner()
        self.tools = ToolRow()
        self.status = StatusView()
        self.options = OptionsView()
        self._model = _narrow(QComboBox())
        self._model.currentIndexChanged.connect(self._on_model)
        self._mask = QLabel()
        self._buttons: dict[Action, QPushButton] = {}
        self._keys: Mapping[Action, str] = DEFAULT_KEYS
        self.status.triggered.connect(self.triggered)
        self._lay_out(image_chooser, output_chooser)
        self.show_keys(DEFAULT_KEYS)
        self.show_state(SessionState())

    def _lay_out(self, image_chooser: QWidget, output_chooser: QWidget) -> None:
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(6, 6, 6, 6)
        column.setSpacing(6)
        column.addWidget(self.banner)
        column.addLayout(self._choosers(image_chooser, output_chooser))
        column.addWidget(self.tools)
        column.addWidget(self.status)
        column.addWidget(self._mask)
        column.addLayout(self._actions())
        column.addWidget(self.options)
        column.addStretch(1)
        area = QScrollArea()
        area.setWidget(content)
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        outer = QHBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(area)
        self.setMinimumWidth(WIDTH_PX)

    def _choosers(self, image_chooser: QWidget, output_chooser: QWidget) -> QFormLayout:
        form = QFormLayout()
        form.setVerticalSpacing(4)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Image", image_chooser)
        form.addRow("Labels", output_chooser)
        form.addRow("Model", self._model)
        return form

    def _actions(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setSpacing(4)
        commit = self._button(Action.COMMIT)
        font = commit.font()
        font.setBold(True)
        commit.setFont(font)
        commit.setMinimumHeight(34)
        grid.addWidget(commit, 0, 0, 1, 2)
        for row, actions in enumerate(GRID, start=1):
            for column, action in enumerate(actions):
                grid.addWidget(self._button(action), row, column)
        return grid

    def _button(self, action: Action) -> QPushButton:
        button = QPushButton()
        button.setToolTip(action.help)
        button.setMinimumWidth(10)
        button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        button.clicked.connect(lambda: self.triggered.emit(action))
        self._buttons[action] = button
        return button

    # Out

    def _on_model(self) -> None:
        self.model_chosen.emit(self._model.currentData())

    # In

    def show_state(self, state: SessionState) -> None:
        """Show what a session says."""
        self.status.show_state(state)
        self._mask.setText(_mask_text(state))
        enabled = {
            Action.COMMIT: state.can_commit,
            Action.UNDO: state.can_undo,
            Action.REDO: state.can_redo,
            Action.CLEAR: state.can_undo or state.n_objects > 0,
            Action.NEXT_MASK: state.n_candidates > 1,
        }
        for action, on in enabled.items():
            self._buttons[action].setEnabled(on)
        self._name_commit(state.n_objects)

    def _name_commit(self, count: int) -> None:
        title = Action.COMMIT.title if count < 2 else f"Commit {count} objects"
        self._buttons[Action.COMMIT].setText(with_key(title, self._keys.get(Action.COMMIT, "")))

    def show_can_take_back(self, on: bool) -> None:
        """Show whether there is a commit to take back."""
        self._buttons[Action.TAKE_BACK].setEnabled(on)

    def show_can_edit(self, on: bool) -> None:
        """Show whether there are objects to pick up."""
        self._buttons[Action.EDIT_OBJECT].setEnabled(on)

    def show_keys(self, keys: Mapping[Action, str]) -> None:
        """Name the keys on the buttons."""
        self._keys = keys
        for action, button in self._buttons.items():
            key = keys.get(action, "")
            button.setText(with_key(action.title, key))
            button.setToolTip(f"{action.help}. Key: {key}" if key else action.help)
        self.tools.show_keys(keys)

    def show_models(self, titles: Mapping[str, str], tips: Mapping[str, str]) -> None:
        """Offer models by name."""
        with signals_blocked(self._model):
            self._model.clear()
            for name, title in titles.items():
                self._model.addItem(title, name)
                tip = tips.get(name, "")
                self._model.setItemData(self._model.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)

    def show_model(self, name: str) -> None:
        """Show which model is chosen; emits nothing."""
        with signals_blocked(self._model):
            self._model.setCurrentIndex(max(self._model.findData(name), 0))

    @property
    def model(self) -> str:
        """Name of the model that is chosen, empty without one."""
        return self._model.currentData() or ""

    def models(self) -> Sequence[str]:
        """Return the names of the models on offer."""
        return [self._model.itemData(at) for at in range(self._model.count())]

    def button(self, action: Action) -> QPushButton:
        """Return the button of an action."""
        return self._buttons[action]


def _mask_text(state: SessionState) -> str:
    if state.score is None:
        return "No mask yet"
    parts = [f"Score {state.score:.2f}"]
    if state.object_area is not None:
        parts.append(f"{state.object_area:,} px")
    if state.n_candidates > 1:
        parts.insert(0, f"Mask {state.candidate + 1} of {state.n_candidates}")
    return "  ·  ".join(parts)


def _narrow(combo: QComboBox) -> QComboBox:
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(8)
    return combo
