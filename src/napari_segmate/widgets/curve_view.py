"""A small plot of a few curves that grow while one looks."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from qtpy.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPalette, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_segmate.widgets.plot_axes import Range, nice_ticks, pale

__all__ = ["Curve", "CurveView", "range_of_curves", "smoothed"]

HEIGHT_PX = 132
MARGIN_PX = 6
MARKER_PX = 3.0
MOST_MARKED = 100
"""More points would touch each other, and take long to draw."""


@dataclass(frozen=True)
class Curve:
    """One line of a plot.

    Parameters
    ----------
    title : str
        What the legend says.
    colour : str
        ``"#rrggbb"``, to be seen on dark and light.
    x, y : sequence of float
        Points in order of x. What is not finite is left out.
    marked : bool
        Draw the points, not only the line between them.
    smooth : bool
        Draw the running mean over the points, and these pale.
    """

    title: str
    colour: str
    x: Sequence[float] = ()
    y: Sequence[float] = ()
    marked: bool = False
    smooth: bool = False

    @property
    def points(self) -> list[tuple[float, float]]:
        """What can be drawn."""
        pairs = zip(self.x, self.y, strict=True)
        return [(x, y) for x, y in pairs if math.isfinite(x) and math.isfinite(y)]


def smoothed(values: Sequence[float], window: int) -> list[float]:
    """Return the mean of each value and the `window` - 1 before it.

    Examples
    --------
    >>> smoothed([4, 2, 0], 2)
    [4.0, 3.0, 1.0]
    """
    total, means = 0.0, []
    for number, value in enumerate(values):
        total += value
        if number >= window:
            total -= values[number - window]
        means.append(total / min(number + 1, window))
    return means


def range_of_curves(curves: Iterable[Curve]) -> Range:
    """Return what a plot should show of some curves, a little more than they need.

    The largest twentieth of a smoothed curve may lie outside: the first steps of a training dwarf
    all others.

    Examples
    --------
    >>> range_of_curves([Curve("loss", "#4fa3e0", range(100), [100.0] + [1.0] * 99, smooth=True)])
    (0.5, 1.5)
    >>> range_of_curves([Curve("IoU", "#4fa3e0", (0, 1), (1.0, 2.0))])
    (0.95, 2.05)
    """
    shown: list[float] = []
    for curve in curves:
        ordered = sorted(y for _, y in curve.points)
        shown += ordered[: max(1, int(0.95 * len(ordered)))] if curve.smooth else ordered
    if not shown:
        return 0.0, 1.0
    low, high = min(shown), max(shown)
    margin = 0.05 * (high - low) or 0.5 * abs(low) or 0.5
    return low - margin, high + margin


class CurveView(QWidget):
    """Curves over one axis, with a legend, and the values under the mouse.

    Parameters
    ----------
    y_range : (low, high), optional
        What the plot shows; by default what the curves need.
    x_title : str
        What the x axis counts.
    empty_text : str
        JobStatus until there is something to draw.
    """

    def __init__(
        self,
        y_range: Range | None = None,
        x_title: str = "",
        empty_text: str = "",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._y_range = y_range
        self._x_title = x_title
        self._empty_text = empty_text
        self._x_max = 0.0
        self._curves: tuple[Curve, ...] = ()
        self._mouse: QPointF | None = None
        self.setMouseTracking(True)
        self.setMinimumHeight(HEIGHT_PX)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    def show_curves(self, curves: Sequence[Curve], x_max: float = 0.0) -> None:
        """Draw other curves; the x axis reaches `x_max` or, if that is more, the last point."""
        self._curves, self._x_max = tuple(curves), x_max
        self.update()

    @property
    def curves(self) -> tuple[Curve, ...]:
        """What is drawn."""
        return self._curves

    def sizeHint(self) -> QSize:
        """Return the size without a layout's wishes."""
        return QSize(240, HEIGHT_PX)

    # Mouse

    def mouseMoveEvent(self, a0: QMouseEvent | None) -> None:
        """Show the values under the mouse."""
        if a0 is not None:
            self._mouse = a0.position()
            self.update()

    def leaveEvent(self, a0: QEvent | None) -> None:
        """Show no values any more."""
        self._mouse = None
        self.update()

    def value_text(self, x: float) -> str:
        """Return what the curves say nearest to `x`, in words."""
        parts = []
        for curve in self._curves:
            points = curve.points
            if points:
                parts.append(f"{curve.title} {_short(_nearest(points, x)[1])}")
        return "  ·  ".join([f"{self._x_title} {x:.0f}".strip(), *parts])

    # Drawing

    def paintEvent(self, a0: QPaintEvent | None) -> None:
        """Draw everything."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        text = self.palette().color(QPalette.ColorRole.WindowText)
        drawn = [point for curve in self._curves for point in curve.points]
        if not drawn:
            painter.setPen(pale(text, 150))
            painter.drawText(
                self.rect(),
                Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap,
                self._empty_text,
            )
            return
        x_range = (0.0, max(self._x_max, *(x for x, _ in drawn)) or 1.0)
        y_range = self._y_range or range_of_curves(self._curves)
        plot = self._plot_area(painter, y_range)
        to_pixel = _scale(plot, x_range, y_range)
        self._draw_axes(painter, plot, to_pixel, x_range, y_range, text)
        painter.setClipRect(plot.adjusted(-MARKER_PX, -MARKER_PX, MARKER_PX, MARKER_PX))
        for curve in self._curves:
            _draw_curve(painter, curve, to_pixel)
        self._draw_cursor(painter, plot, text)
        painter.setClipping(False)
        self._draw_heading(painter, plot, x_range, text)

    def _plot_area(self, painter: QPainter, y_range: Range) -> QRectF:
        metrics = painter.fontMetrics()
        widest = max(metrics.horizontalAdvance(_short(tick)) for tick in nice_ticks(*y_range))
        line = metrics.height()
        return QRectF(self.rect()).adjusted(
            widest + MARGIN_PX, line + MARGIN_PX, -MARGIN_PX, -line - MARGIN_PX
        )

    def _draw_axes(
        self,
        painter: QPainter,
        plot: QRectF,
        to_pixel: Callable[[float, float], QPointF],
        x_range: Range,
        y_range: Range,
        text: QColor,
    ) -> None:
        line = painter.fontMetrics().height()
        for tick in nice_ticks(*y_range):
            y = to_pixel(x_range[0], tick).y()
            painter.setPen(QPen(pale(text, 45)))
            painter.drawLine(QPointF(plot.left(), y), QPointF(plot.right(), y))
            painter.setPen(pale(text, 190))
            place = QRectF(0, y - line / 2, plot.left() - MARGIN_PX / 2, line)
            painter.drawText(place, Qt.AlignmentFlag.AlignRight, _short(tick))
        for tick in nice_ticks(*x_range):
            x = to_pixel(tick, y_range[0]).x()
            place = QRectF(x - 40, plot.bottom() + 2, 80, line)
            place.moveRight(min(place.right(), float(self.width()) + 30))
            painter.drawText(place, Qt.AlignmentFlag.AlignHCenter, _short(tick))

    def _draw_cursor(self, painter: QPainter, plot: QRectF, text: QColor) -> None:
        if self._mouse is not None and plot.left() <= self._mouse.x() <= plot.right():
            painter.setPen(QPen(pale(text, 120), 1, Qt.PenStyle.DashLine))
            x = self._mouse.x()
            painter.drawLine(QPointF(x, plot.top()), QPointF(x, plot.bottom()))

    def _draw_heading(self, painter: QPainter, plot: QRectF, x_range: Range, text: QColor) -> None:
        metrics = painter.fontMetrics()
        if self._mouse is not None and plot.left() <= self._mouse.x() <= plot.right():
            share = (self._mouse.x() - plot.left()) / plot.width()
            found = self.value_text(x_range[0] + share * (x_range[1] - x_range[0]))
            painter.setPen(text)
            shown = metrics.elidedText(found, Qt.TextElideMode.ElideRight, self.width())
            painter.drawText(QPointF(MARGIN_PX, metrics.ascent()), shown)
            return
        left = plot.left()
        for curve in self._curves:
            painter.setPen(QPen(QColor(curve.colour), 2))
            middle = metrics.height() / 2
            painter.drawLine(QPointF(left, middle), QPointF(left + 12, middle))
            painter.setPen(text)
            painter.drawText(QPointF(left + 16, metrics.ascent()), curve.title)
            left += 16 + metrics.horizontalAdvance(curve.title) + 14
        painter.setPen(pale(text, 150))
        place = QRectF(left, 0, self.width() - MARGIN_PX - left, metrics.height())
        painter.drawText(place, Qt.AlignmentFlag.AlignRight, self._x_title)


def _nearest(points: Sequence[tuple[float, float]], x: float) -> tuple[float, float]:
    at = bisect_left(points, (x, -math.inf))
    return min(points[max(at - 1, 0) : at + 1], key=lambda point: abs(point[0] - x))


def _short(value: float) -> str:
    return f"{value:g}" if value == 0 or 0.001 <= abs(value) < 1e5 else f"{value:.0e}"


def _scale(plot: QRectF, x_range: Range, y_range: Range) -> Callable[[float, float], QPointF]:
    x_scale = plot.width() / (x_range[1] - x_range[0])
    y_scale = plot.height() / (y_range[1] - y_range[0])

    def to_pixel(x: float, y: float) -> QPointF:
        return QPointF(
            plot.left() + (x - x_range[0]) * x_scale, plot.bottom() - (y - y_range[0]) * y_scale
        )

    return to_pixel


def _draw_curve(
    painter: QPainter, curve: Curve, to_pixel: Callable[[float, float], QPointF]
) -> None:
    points = curve.points
    colour = QColor(curve.colour)
    if curve.smooth and len(points) > 2:
        painter.setPen(QPen(pale(colour, 80), 1))
        painter.drawPolyline(QPolygonF([to_pixel(*point) for point in points]))
        means = smoothed([y for _, y in points], max(2, len(points) // 20))
        points = [(x, mean) for (x, _), mean in zip(points, means, strict=True)]
    pixels = [to_pixel(*point) for point in points]
    painter.setPen(QPen(colour, 2))
    painter.drawPolyline(QPolygonF(pixels))
    if (curve.marked and len(pixels) <= MOST_MARKED) or len(pixels) == 1:
        painter.setBrush(colour)
        for pixel in pixels:
            painter.drawEllipse(pixel, MARKER_PX, MARKER_PX)
        painter.setBrush(Qt.BrushStyle.NoBrush)
