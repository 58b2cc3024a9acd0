"""The pieces of a panel: forms, lists to choose from, buttons, a column that scrolls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

__all__ = [
    "action_button",
    "choose",
    "emphasise",
    "form",
    "narrow",
    "offered",
    "refill",
    "scrolled_column",
]

MAIN_HEIGHT_PX = 34


def form(*rows: tuple[str, QWidget]) -> QFormLayout:
    """Return a form with a title and a widget in each row."""
    made = QFormLayout()
    made.setVerticalSpacing(4)
    made.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    for title, widget in rows:
        made.addRow(title, widget)
    return made


def emphasise(button: QPushButton) -> None:
    """Make a button the one to press."""
    font = button.font()
    font.setBold(True)
    button.setFont(font)
    button.setMinimumHeight(MAIN_HEIGHT_PX)


def action_button(
    title: str, tip: str, clicked: Callable[[], None], *, main: bool = False
) -> QPushButton:
    """Return a button that takes the width it is given; the `main` one of a panel stands out."""
    button = QPushButton(title)
    button.setToolTip(tip)
    button.setMinimumWidth(10)
    button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    if main:
        emphasise(button)
    button.clicked.connect(lambda: clicked())
    return button


def scrolled_column(panel: QWidget, width: int) -> QVBoxLayout:
    """Return the column of widgets of a panel, at least `width` pixels wide; it can scroll."""
    content = QWidget()
    column = QVBoxLayout(content)
    column.setContentsMargins(6, 6, 6, 6)
    column.setSpacing(6)
    area = QScrollArea()
    area.setWidget(content)
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    outer = QHBoxLayout(panel)
    outer.setContentsMargins(0, 0, 0, 0)
    outer.addWidget(area)
    panel.setMinimumWidth(width)
    return column


def choose(combo: QComboBox, value: object) -> None:
    """Show which value is chosen, the first one if it is not there; emits nothing."""
    with signals_blocked(combo):
        combo.setCurrentIndex(max(combo.findData(value), 0))


def refill(
    combo: QComboBox,
    titles: Mapping[Any, str],
    tips: Mapping[Any, str] | None = None,
    keep: Any = None,
) -> None:
    """Offer other values; the choice, or the value to `keep`, stays if it can. Emits nothing."""
    kept = combo.currentData() if keep is None else keep
    with signals_blocked(combo):
        combo.clear()
        for value, title in titles.items():
            combo.addItem(title, value)
            combo.setItemData(
                combo.count() - 1, (tips or {}).get(value, ""), Qt.ItemDataRole.ToolTipRole
            )
        combo.setCurrentIndex(max(combo.findData(kept), 0))


def narrow(combo: QComboBox) -> QComboBox:
    """Return a list that may be narrower than its longest title."""
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(8)
    return combo


def offered(combo: QComboBox) -> list[Any]:
    """Return the values on offer."""
    return [combo.itemData(at) for at in range(combo.count())]
