"""How the panels are laid out: forms, buttons of equal width, one column that scrolls."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

__all__ = ["action_button", "emphasise", "form", "scrolled_column"]

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
