"""Which planes of a stack a job is for: the one on the screen, or a range."""

from __future__ import annotations

from dataclasses import dataclass

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QGridLayout, QLabel, QSpinBox, QVBoxLayout, QWidget
from superqt.utils import signals_blocked

__all__ = ["PlaneChoice", "PlanesView"]


@dataclass(frozen=True)
class PlaneChoice:
    """Planes to work on.

    Parameters
    ----------
    first, last : int, optional
        Ends of a range, both included; None for the plane on the screen.
    linked : bool
        Objects that go on from plane to plane become one.
    """

    first: int | None = None
    last: int | None = None
    linked: bool = True

    @property
    def is_range(self) -> bool:
        """True when there is more to it than the plane on the screen."""
        return self.first is not None and self.last is not None


class PlanesView(QWidget):
    """The plane on the screen, or planes from … to …, linked or not."""

    changed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._what = QComboBox()
        self._what.addItem("this plane", False)
        self._what.addItem("a range of planes", True)
        self._first, self._last = QSpinBox(), QSpinBox()
        self._linked = QCheckBox("link objects")
        self._linked.setChecked(True)
        self._linked.setToolTip(
            "Objects that lie on each other in neighbouring planes get one label"
        )
        self._range = QWidget()
        # One below the other: side by side they are wider than the dock.
        rows = QGridLayout(self._range)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setColumnStretch(1, 1)
        for row, (text, box) in enumerate((("from", self._first), ("to", self._last))):
            rows.addWidget(QLabel(text), row, 0)
            rows.addWidget(box, row, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        for widget in (self._what, self._range, self._linked):
            column.addWidget(widget)
        self._what.currentIndexChanged.connect(self._on_changed)
        self._first.valueChanged.connect(self._on_changed)
        self._last.valueChanged.connect(self._on_changed)
        self._linked.toggled.connect(self._on_changed)
        self._show_range()

    @property
    def choice(self) -> PlaneChoice:
        """What is chosen."""
        if not self._what.currentData():
            return PlaneChoice(linked=self._linked.isChecked())
        ends = sorted((self._first.value(), self._last.value()))
        return PlaneChoice(ends[0], ends[1], self._linked.isChecked())

    def show_count(self, count: int) -> None:
        """Offer planes 0 to `count` - 1; the whole stack is the range that is offered first."""
        same = self._last.maximum() == count - 1
        for box in (self._first, self._last):
            with signals_blocked(box):
                box.setRange(0, max(count - 1, 0))
        if not same:
            with signals_blocked(self._first), signals_blocked(self._last):
                self._first.setValue(0)
                self._last.setValue(count - 1)
        if count < 2:
            with signals_blocked(self._what):
                self._what.setCurrentIndex(0)
        self._show_range()

    def _on_changed(self) -> None:
        self._show_range()
        self.changed.emit(self.choice)

    def _show_range(self) -> None:
        whole = bool(self._what.currentData())
        self._range.setVisible(whole)
        self._linked.setVisible(whole)
