"""The tools to point with, and whether they include or exclude."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QButtonGroup, QGridLayout, QPushButton, QWidget

from napari_segmate.widgets.actions import SegmentAction

__all__ = ["TOOL_HELP", "ToolRow"]

TOOL_HELP: Mapping[str, str] = {
    "point": "Click on the object; right-click or Shift+click excludes",
    "box": "Drag a box round each object",
    "outline": "Draw roughly round each object with the button held down",
    "scribble": "Draw a line over the object; with Shift it excludes",
}
POLARITY_HELP = {
    True: "Left-click includes; right-click or Shift+click excludes",
    False: "Left-click excludes; right-click or Shift+click includes",
}


class ToolRow(QWidget):
    """Four tools in a row, include and exclude below."""

    tool_chosen = Signal(str)
    polarity_chosen = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        self._tools = {name: _toggle(name.capitalize(), TOOL_HELP[name]) for name in TOOL_HELP}
        # Not exclusive for Qt: no tool is in hand while the user paints or pans.
        for column, (name, button) in enumerate(self._tools.items()):
            grid.addWidget(button, 0, column)
            button.clicked.connect(lambda _=False, name=name: self.tool_chosen.emit(name))
        self._group = QButtonGroup(self)
        self._polarity = {
            True: _toggle("+ Include", POLARITY_HELP[True]),
            False: _toggle("− Exclude", POLARITY_HELP[False]),
        }
        for column, (positive, button) in enumerate(self._polarity.items()):
            self._group.addButton(button)
            grid.addWidget(button, 1, 2 * column, 1, 2)
            button.clicked.connect(lambda _=False, yes=positive: self.polarity_chosen.emit(yes))
        self.show_polarity(True)

    def show_tool(self, name: str | None) -> None:
        """Show which tool is in hand; None for none of them."""
        for other, button in self._tools.items():
            button.setChecked(other == name)

    def show_polarity(self, positive: bool) -> None:
        """Show what a plain left click does."""
        self._polarity[positive].setChecked(True)

    def show_keys(self, keys: Mapping[SegmentAction, str]) -> None:
        """Name the keys in the tooltips."""
        for name, button in self._tools.items():
            button.setToolTip(_with_tip(TOOL_HELP[name], keys.get(SegmentAction.SWITCH_TOOL, "")))
        for positive, button in self._polarity.items():
            tip = _with_tip(POLARITY_HELP[positive], keys.get(SegmentAction.SWITCH_POLARITY, ""))
            button.setToolTip(tip)


def _with_tip(text: str, key: str) -> str:
    return f"{text}. Key: {key}" if key else text


def _toggle(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setCheckable(True)
    button.setToolTip(tip)
    button.setMinimumWidth(10)
    return button
