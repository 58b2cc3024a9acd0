"""A small plot of how values are spread, with cuts that the mouse can move."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPalette, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_segmate.widgets.plot_axes import (
    Range,
    log_ticks,
    nice_ticks,
    pale,
    range_of_values,
)

__all__ = ["Bins", "HistogramView", "Series", "bins_of"]

N_BINS = 40
ROW_PX = 46
LEAST_ROW_PX = 20
MANY_ROWS = 4
MARGIN_PX = 6.0
GRAB_PX = 8.0
"""How near to a cut the mouse shows that it can be moved."""
GRABBED = "#4fa3e0"
"""Of a cut under the mouse, on dark and on light."""
GRIP_PX = (8.0, 18.0)
"""Width and height of what the mouse takes a cut by."""
TIP_BOTH = "Drag the lines: what lies outside them is left out"
TIP_LOW = "Drag the line: what lies left of it is left out"
TIP_HIGH = "Drag the line: what lies right of it is left out"
LABEL_GAP_PX = 4.0
"""Between two labels of the axis, at least."""
PALE = 70
"""Opacity (of 255) of what the cuts leave out."""


@dataclass(frozen=True, eq=False)
class Series:
    """Values of one kind, in one row of the plot.

    Parameters
    ----------
    title : str
        JobStatus at the left of the row; empty for none.
    colour : str
        ``"#rrggbb"``, to be seen on dark and light.
    values : (N,) array_like
        What is counted. What is not finite is left out.
    """

    title: str
    colour: str
    values: npt.ArrayLike


@dataclass(frozen=True, eq=False)
class Bins:
    """How many values lie between two edges: (B,) counts, (B + 1,) edges."""

    counts: npt.NDArray[np.int64]
    edges: npt.NDArray[np.float64]


def bins_of(
    values: npt.ArrayLike, value_range: Range, count: int = N_BINS, *, logarithmic: bool = False
) -> Bins:
    """Return how values are spread over a range; those beyond it count to the outermost bins.

    Parameters
    ----------
    values : (N,) array_like
        What is counted. What is not finite is left out.
    value_range : (low, high)
        Outermost edges; above 0 when `logarithmic`.
    count : int
        Number of bins.
    logarithmic : bool
        Edges at equal ratios instead of equal distances.

    Examples
    --------
    >>> bins_of([0.1, 0.2, 0.9, 7.0], (0, 1), 2).counts.tolist()
    [2, 2]
    >>> bins_of([1, 10, 100], (1, 100), 2, logarithmic=True).edges.round(6).tolist()
    [1.0, 10.0, 100.0]
    """
    low, high = value_range
    make = np.geomspace if logarithmic else np.linspace
    edges = np.asarray(make(low, high, count + 1), dtype=np.float64)
    found = np.asarray(values, dtype=np.float64).ravel()
    found = np.clip(found[np.isfinite(found)], edges[0], edges[-1])
    return Bins(np.histogram(found, edges)[0].astype(np.int64), edges)


class HistogramView(QWidget):
    """Bars of how often values occur, one row per series, and cuts across all rows.

    What lies outside the cuts is pale. A cut is dragged with the mouse, by its grip or beside it;
    the values and counts under the mouse are said above the plot.

    Parameters
    ----------
    x_title : str
        What the values are, with their unit.
    x_range : (low, high), optional
        What the plot shows; by default what the values need.
    logarithmic : bool
        Equal distances are equal ratios; for sizes.
    low_cut, high_cut : bool
        Which cuts there are.
    empty_text : str
        JobStatus until there is something to draw.
    """

    cut_changed = Signal(float, float)
    """Low and high, whenever the mouse has moved one; an open end is infinite."""

    def __init__(
        self,
        x_title: str = "",
        x_range: Range | None = None,
        *,
        logarithmic: bool = False,
        low_cut: bool = True,
        high_cut: bool = False,
        empty_text: str = "",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._x_title = x_title
        self._x_range = x_range
        self._logarithmic = logarithmic
        self._has_cut = (low_cut, high_cut)
        self._empty_text = empty_text
        self._cut: Range = (-math.inf, math.inf)
        self._held: int | None = None
        self._mouse: QPointF | None = None
        if low_cut or high_cut:
            self.setToolTip(TIP_BOTH if low_cut and high_cut else TIP_LOW if low_cut else TIP_HIGH)
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.show_series(())

    # In

    def show_series(self, series: Sequence[Series]) -> None:
        """Draw other values."""
        self._series = tuple(series)
        self._shown = self._x_range or range_of_values(
            (one.values for one in self._series), logarithmic=self._logarithmic
        )
        self._bins = [
            bins_of(one.values, self._shown, logarithmic=self._logarithmic) for one in self._series
        ]
        self.setFixedHeight(self.sizeHint().height())
        self.update()

    def show_cut(self, low: float = -math.inf, high: float = math.inf) -> None:
        """Put the cuts elsewhere; emits nothing."""
        self._cut = (low, high)
        self.update()

    @property
    def cut(self) -> Range:
        """Where the cuts are; an open end is infinite."""
        return self._cut

    @property
    def bins(self) -> Sequence[Bins]:
        """What is drawn, one per series."""
        return tuple(self._bins)

    def sizeHint(self) -> QSize:
        """Return a height with room for all rows."""
        rows = max(len(self._series), 1)
        row = ROW_PX if rows <= MANY_ROWS else max(LEAST_ROW_PX, MANY_ROWS * ROW_PX // rows)
        return QSize(240, rows * row + 2 * self.fontMetrics().height() + int(MARGIN_PX))

    # Mouse

    def mousePressEvent(self, a0: QMouseEvent | None) -> None:
        """Take hold of the nearest cut."""
        if a0 is not None and self._drawn and a0.button() == Qt.MouseButton.LeftButton:
            self._held = self._cut_at(a0.position().x())
            self._drag(a0.position().x())
            self.update()

    def mouseMoveEvent(self, a0: QMouseEvent | None) -> None:
        """Move the cut in hand, and show the values under the mouse."""
        if a0 is None:
            return
        self._mouse = a0.position()
        self._drag(self._mouse.x())
        movable = self._drawn and self._in_reach is not None
        self.setCursor(Qt.CursorShape.SplitHCursor if movable else Qt.CursorShape.ArrowCursor)
        self.update()

    def mouseReleaseEvent(self, a0: QMouseEvent | None) -> None:
        """Let go of the cut."""
        self._held = None
        self.update()

    def leaveEvent(self, a0: QEvent | None) -> None:
        """Show no values any more."""
        self._mouse = None
        self.update()

    def _drag(self, x: float) -> None:
        if self._held is None:
            return
        value = self._to_value(x)
        low, high = self._cut
        cut = (min(value, high), high) if self._held == 0 else (low, max(value, low))
        if cut != self._cut:
            self.show_cut(*cut)
            self.cut_changed.emit(*cut)

    def _cut_at(self, x: float) -> int | None:
        """Return which cut a press at `x` takes: the nearest one."""
        sides = [side for side in (0, 1) if self._has_cut[side]]
        return min(sides, key=lambda side: abs(self._cut_x(side) - x)) if sides else None

    @property
    def _in_reach(self) -> int | None:
        """The cut in hand, or else the one under the mouse."""
        if self._held is not None or self._mouse is None:
            return self._held
        side = self._cut_at(self._mouse.x())
        near = side is not None and abs(self._cut_x(side) - self._mouse.x()) <= GRAB_PX
        return side if near else None

    def value_text(self, x: float) -> str:
        """Return what lies under a place of the plot, in words."""
        if not self._bins:
            return ""
        value = self._to_value(x)
        edges = self._bins[0].edges
        at = int(np.clip(np.searchsorted(edges, value, side="right") - 1, 0, len(edges) - 2))
        parts = [f"{one.title} {bins.counts[at]}".strip() for one, bins in self._rows]
        return f"{_short(edges[at])} to {_short(edges[at + 1])}:  " + "  ·  ".join(parts)

    # Places

    @property
    def _drawn(self) -> bool:
        """True when there are bars."""
        return any(bins.counts.any() for bins in self._bins)

    @property
    def _rows(self) -> list[tuple[Series, Bins]]:
        return list(zip(self._series, self._bins, strict=True))

    @property
    def _plot(self) -> QRectF:
        line = self.fontMetrics().height()
        return QRectF(self.rect()).adjusted(MARGIN_PX, line + 2, -MARGIN_PX, -line - 2)

    def _share(self, value: float) -> float:
        low, high = self._shown
        if self._logarithmic:
            low, high, value = math.log(low), math.log(high), math.log(max(value, low / 10))
        return min(max((value - low) / (high - low), 0.0), 1.0)

    def _to_x(self, value: float) -> float:
        return self._plot.left() + self._share(value) * self._plot.width()

    def _to_value(self, x: float) -> float:
        share = min(max((x - self._plot.left()) / max(self._plot.width(), 1.0), 0.0), 1.0)
        low, high = self._shown
        if self._logarithmic:
            return float(low * (high / low) ** share)
        return low + share * (high - low)

    def _cut_x(self, side: int) -> float:
        value = self._cut[side]
        if math.isinf(value):
            return self._plot.right() if value > 0 else self._plot.left()
        return self._to_x(value)

    def _labels(self, ticks: Sequence[float]) -> list[tuple[float, QRectF]]:
        """Return which ticks get a label, and where: inside the widget, none over another."""
        plot, metrics = self._plot, self.fontMetrics()
        found: list[tuple[float, QRectF]] = []
        for tick in ticks:
            wide = metrics.horizontalAdvance(_short(tick)) + LABEL_GAP_PX
            left = min(self._to_x(tick) - wide / 2, self.width() - wide)
            place = QRectF(max(left, 0.0), plot.bottom() + 2, wide, metrics.height())
            if not found or place.left() >= found[-1][1].right():
                found.append((tick, place))
        return found

    # Drawing

    def paintEvent(self, a0: QPaintEvent | None) -> None:
        """Draw everything."""
        painter = QPainter(self)
        text = self.palette().color(QPalette.ColorRole.WindowText)
        if not self._drawn:
            painter.setPen(pale(text, 150))
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(self.rect(), flags, self._empty_text)
            return
        self._draw_axis(painter, text)
        plot = self._plot
        height = plot.height() / len(self._bins)
        for number, (one, bins) in enumerate(self._rows):
            row = QRectF(plot.left(), plot.top() + number * height, plot.width(), height)
            self._draw_row(painter, row, one, bins, text)
        self._draw_cuts(painter, text)
        self._draw_heading(painter, text)

    def _draw_row(
        self, painter: QPainter, row: QRectF, one: Series, bins: Bins, text: QColor
    ) -> None:
        colour = QColor(one.colour)
        most = max(int(bins.counts.max()), 1)
        room = row.height() - 4
        for count, left, right in zip(bins.counts, bins.edges, bins.edges[1:], strict=False):
            if count:
                kept = self._cut[0] <= right and left <= self._cut[1]
                x0, x1 = self._to_x(left), self._to_x(right)
                # A bar of a single value must stay visible beside one of thousands.
                tall = max(2.0, room * count / most)
                bar = QRectF(x0, row.bottom() - tall, max(x1 - x0 - 1, 1.0), tall)
                painter.fillRect(bar, colour if kept else pale(colour, PALE))
        painter.setPen(pale(text, 60))
        painter.drawLine(row.bottomLeft(), row.bottomRight())
        if one.title and row.height() >= LEAST_ROW_PX:
            painter.setPen(pale(text, 200))
            metrics = painter.fontMetrics()
            title = metrics.elidedText(one.title, Qt.TextElideMode.ElideRight, int(row.width() / 2))
            flags = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignTop
            painter.drawText(row, flags, title)

    def _draw_axis(self, painter: QPainter, text: QColor) -> None:
        ticks = log_ticks(*self._shown) if self._logarithmic else nice_ticks(*self._shown)
        painter.setPen(pale(text, 190))
        for tick, place in self._labels(ticks):
            painter.drawText(place, Qt.AlignmentFlag.AlignHCenter, _short(tick))

    def _draw_cuts(self, painter: QPainter, text: QColor) -> None:
        plot = self._plot
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for side in (0, 1):
            if self._has_cut[side]:
                x = self._cut_x(side)
                colour = QColor(GRABBED) if side == self._in_reach else text
                painter.setPen(QPen(colour, 2))
                painter.drawLine(QPointF(x, plot.top()), QPointF(x, plot.bottom()))
                self._draw_grip(painter, QPointF(x, plot.center().y()), colour)

    def _draw_grip(self, painter: QPainter, middle: QPointF, colour: QColor) -> None:
        width, height = GRIP_PX
        grip = QRectF(0, 0, width, min(height, self._plot.height()))
        grip.moveCenter(middle)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        painter.drawRoundedRect(grip, 3, 3)
        painter.setPen(QPen(self.palette().color(QPalette.ColorRole.Window), 1))
        for shift in (-1.5, 1.5):
            x = grip.center().x() + shift
            painter.drawLine(QPointF(x, grip.top() + 4), QPointF(x, grip.bottom() - 4))

    def _draw_heading(self, painter: QPainter, text: QColor) -> None:
        said = self._x_title
        if self._mouse is not None:
            said = self.value_text(self._mouse.x())
        painter.setPen(pale(text, 200))
        metrics = painter.fontMetrics()
        shown = metrics.elidedText(said, Qt.TextElideMode.ElideRight, int(self._plot.width()))
        painter.drawText(QPointF(self._plot.left(), metrics.ascent()), shown)


def _short(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
