"""The panel of interactive segmentation: it shows a state and tells what was clicked."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtWidgets import (
    QGridLayout,
    QLabel,
    QWidget,
)

from napari_segmate.sessions.state import SessionState
from napari_segmate.widgets.actions import SegmentAction, default_keys, with_key
from napari_segmate.widgets.layout import form, scrolled_column
from napari_segmate.widgets.options_view import OptionsView
from napari_segmate.widgets.panel import Panel
from napari_segmate.widgets.recovery_banner import RecoveryBanner
from napari_segmate.widgets.tool_row import ToolRow

__all__ = ["SegmentPanel"]

GRID = (
    (SegmentAction.UNDO, SegmentAction.REDO),
    (SegmentAction.CLEAR, SegmentAction.NEXT_MASK),
    (SegmentAction.EDIT_OBJECT, SegmentAction.TAKE_BACK),
)
WIDTH_PX = 300


class SegmentPanel(Panel[SessionState]):
    """Choosers, tools, status, buttons and options.

    Parameters
    ----------
    image_chooser, output_chooser : QWidget
        Choosers of layers, made by the dock.
    """

    def __init__(
        self,
        image_chooser: QWidget,
        output_chooser: QWidget,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(SegmentAction, OptionsView(), parent)
        self.banner = RecoveryBanner()
        self.tools = ToolRow()
        self._mask = QLabel()
        self._named_count = 1
        self._keys: Mapping[SegmentAction, str] = default_keys(SegmentAction)
        self._lay_out(image_chooser, output_chooser)
        self.show_keys(default_keys(SegmentAction))
        self.show_state(SessionState())

    def _lay_out(self, image_chooser: QWidget, output_chooser: QWidget) -> None:
        column = scrolled_column(self, WIDTH_PX)
        column.addWidget(self.banner)
        column.addLayout(
            form(("Image", image_chooser), ("Labels", output_chooser), ("Model", self._model))
        )
        column.addWidget(self.tools)
        column.addWidget(self.status)
        column.addWidget(self._mask)
        column.addLayout(self._actions())
        column.addWidget(self.options)
        column.addStretch(1)

    def _actions(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setSpacing(4)
        grid.addWidget(self.add_button(SegmentAction.COMMIT, main=True), 0, 0, 1, 2)
        for row, actions in enumerate(GRID, start=1):
            for column, action in enumerate(actions):
                grid.addWidget(self.add_button(action), row, column)
        return grid

    def show_state(self, state: SessionState) -> None:
        """Show what a session says."""
        self.status.show_state(state)
        self._mask.setText(_mask_text(state))
        enabled = {
            SegmentAction.COMMIT: state.can_commit,
            SegmentAction.UNDO: state.can_undo,
            SegmentAction.REDO: state.can_redo,
            SegmentAction.CLEAR: state.can_undo or state.n_objects > 0,
            SegmentAction.NEXT_MASK: state.n_candidates > 1,
        }
        for action, on in enabled.items():
            self._buttons[action].setEnabled(on)
        if max(state.n_objects, 1) != self._named_count:
            self._name_commit(max(state.n_objects, 1))

    def _name_commit(self, count: int) -> None:
        self._named_count = count
        title = SegmentAction.COMMIT.title if count < 2 else f"Commit {count} objects"
        self._buttons[SegmentAction.COMMIT].setText(
            with_key(title, self._keys.get(SegmentAction.COMMIT, ""))
        )

    def show_can_take_back(self, on: bool) -> None:
        """Show whether there is a commit to take back."""
        self._buttons[SegmentAction.TAKE_BACK].setEnabled(on)

    def show_can_edit(self, on: bool) -> None:
        """Show whether there are objects to pick up."""
        self._buttons[SegmentAction.EDIT_OBJECT].setEnabled(on)

    def show_keys(self, keys: Mapping[SegmentAction, str]) -> None:
        """Name the keys on the buttons."""
        self._keys, self._named_count = keys, 1
        super().show_keys(keys)
        self.tools.show_keys(keys)


def _mask_text(state: SessionState) -> str:
    if state.score is None:
        return "No mask yet"
    parts = [f"Score {state.score:.2f}"]
    if state.object_area is not None:
        parts.append(f"{state.object_area:,} px")
    if state.n_candidates > 1:
        parts.insert(0, f"Mask {state.candidate + 1} of {state.n_candidates}")
    return "  ·  ".join(parts)
