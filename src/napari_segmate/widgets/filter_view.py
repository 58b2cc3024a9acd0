"""Which of the boxes that were found count: by score, size and overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)
from superqt import QLabeledDoubleSlider
from superqt.utils import signals_blocked

from napari_segmate.widgets.histogram_view import HistogramView, Series

__all__ = ["FilterValues", "FilterView"]

W = TypeVar("W", bound=QWidget)
LARGEST_PX = 100_000.0
LEAST_OVERLAP = 0.05
SCORE_TIP = "Boxes that the detector is less sure of are hidden"
SIZE_TIP = "Boxes smaller or larger than this are hidden: the side of a square of the same area"
OVERLAP_TIP = (
    "Of two boxes that overlap more than this the better one stays (intersection over union); "
    "lower it when objects get two boxes, raise it when neighbours are missing"
)


@dataclass(frozen=True)
class FilterValues:
    """What the sliders say.

    Parameters
    ----------
    score : float
        Least score, 0 to 1.
    smallest, largest : float
        Side in pixels of a square of the same area; 0 and infinite for no limit.
    overlap : float
        Largest intersection over union of two boxes that both stay, 0 to 1.
    """

    score: float = 0.3
    smallest: float = 0.0
    largest: float = math.inf
    overlap: float = 0.5


class FilterView(QWidget):
    """Histograms of scores and sizes with cuts, and sliders that say the same in numbers."""

    changed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._values = FilterValues()
        self.scores = HistogramView(
            "Scores of the boxes", (0.0, 1.0), empty_text="Scores appear here"
        )
        self.sizes = HistogramView(
            "Sizes in pixels", logarithmic=True, high_cut=True, empty_text="Sizes appear here"
        )
        self._score = _slider(SCORE_TIP, 0.0, 1.0)
        self._overlap = _slider(OVERLAP_TIP, LEAST_OVERLAP, 1.0)
        self._smallest = _size_box("no limit")
        self._largest = _size_box("no limit")
        self._lay_out()
        self._connect()
        self.show_values(self._values)
        # Nothing was found yet.
        self.setVisible(False)

    def _lay_out(self) -> None:
        sizes = QHBoxLayout()
        sizes.setSpacing(4)
        sizes.addWidget(self._smallest, 1)
        sizes.addWidget(QLabel("to"))
        sizes.addWidget(self._largest, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.scores)
        column.addLayout(_row("Score above", self._score))
        column.addWidget(self.sizes)
        # Rows of their own: in one form the longest title would take room from all.
        column.addLayout(_row("Size", sizes))
        column.addLayout(_row("Overlap up to", self._overlap))

    def _connect(self) -> None:
        self.scores.cut_changed.connect(lambda low, high: self._set(score=_open(low, 0.0)))
        self.sizes.cut_changed.connect(self._on_size_cut)
        self._score.valueChanged.connect(lambda value: self._set(score=float(value)))
        self._overlap.valueChanged.connect(lambda value: self._set(overlap=float(value)))
        self._smallest.valueChanged.connect(lambda value: self._set(smallest=float(value)))
        self._largest.valueChanged.connect(lambda value: self._set(largest=value or math.inf))

    def _on_size_cut(self, low: float, high: float) -> None:
        self._set(smallest=round(_open(low, 0.0)), largest=_rounded(high))

    def _set(self, **changes: float) -> None:
        values = replace(self._values, **changes)
        if values != self._values:
            self.show_values(values)
            self.changed.emit(values)

    @property
    def values(self) -> FilterValues:
        """What the sliders say."""
        return self._values

    def show_values(self, values: FilterValues) -> None:
        """Move all sliders and cuts; emits nothing."""
        self._values = values
        finite = 0.0 if math.isinf(values.largest) else values.largest
        shown = (
            (self._score, values.score),
            (self._overlap, values.overlap),
            (self._smallest, values.smallest),
            (self._largest, finite),
        )
        for widget, value in shown:
            with signals_blocked(widget):
                widget.setValue(value)
        self.scores.show_cut(values.score)
        self.sizes.show_cut(values.smallest or -math.inf, values.largest)

    def show_found(self, scores: Sequence[Series], sizes: Sequence[Series]) -> None:
        """Show how scores and sizes (in pixels) are spread, one row per series."""
        self.scores.show_series(scores)
        self.sizes.show_series(sizes)
        self.setVisible(any(np.size(one.values) for one in scores))


def _open(value: float, instead: float) -> float:
    return instead if math.isinf(value) else value


def _rounded(value: float) -> float:
    return value if math.isinf(value) else float(math.ceil(value))


def _row(title: str, content: QWidget | QHBoxLayout) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(6)
    row.addWidget(QLabel(title))
    if isinstance(content, QWidget):
        row.addWidget(content, 1)
    else:
        row.addLayout(content, 1)
    return row


def _slider(tip: str, low: float, high: float) -> QLabeledDoubleSlider:
    slider = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
    slider.setRange(low, high)
    slider.setSingleStep(0.01)  # type: ignore[arg-type]
    slider.setDecimals(2)
    slider.setToolTip(tip)
    _narrow(slider)
    return slider


def _narrow(widget: W) -> W:
    """Let a widget be as narrow as the dock is."""
    widget.setMinimumWidth(40)
    widget.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return widget


def _size_box(unlimited: str) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setRange(0.0, LARGEST_PX)
    box.setDecimals(0)
    box.setSuffix(" px")
    # Shown in place of 0.
    box.setSpecialValueText(unlimited)
    box.setToolTip(SIZE_TIP)
    box.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
    return _narrow(box)
