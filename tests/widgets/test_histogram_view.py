from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QColor

from napari_segmate.widgets.histogram_view import GRABBED, HistogramView, Series, bins_of
from napari_segmate.widgets.plot_axes import log_ticks

pytestmark = pytest.mark.gui

RED = "#ff0000"


@pytest.fixture
def view(qtbot) -> HistogramView:
    made = HistogramView("score", (0, 1), high_cut=True, empty_text="Nothing yet")
    qtbot.addWidget(made)
    made.resize(260, 100)
    return made


def red_columns(view, least: int) -> set[int]:
    picture = view.grab().toImage()
    places = ((x, y) for x in range(picture.width()) for y in range(picture.height()))
    return {x for x, y in places if _is_red(picture.pixelColor(x, y), least)}


def _is_red(colour: QColor, least: int) -> bool:
    return colour.red() >= least and colour.red() - colour.green() > 40 and colour.blue() < 60


def test_bars_stand_where_the_values_are(view) -> None:
    view.show_series([Series("", RED, [0.1, 0.1, 0.9])])
    columns = red_columns(view, 200)
    assert min(columns) < 45 and max(columns) > 215
    assert not columns & set(range(60, 200))


def test_what_is_cut_off_is_pale(view) -> None:
    view.show_series([Series("", RED, [0.1, 0.9])])
    view.show_cut(0.5)
    bright = red_columns(view, 250)
    assert min(bright) > 200
    assert view.cut == (0.5, math.inf)


@pytest.mark.parametrize("values", [(1001, 1e6), (90, 1000), (1000, 2000), (3, 123_456)])
def test_labels_of_the_axis_lie_inside_and_beside_one_another(qtbot, values) -> None:
    view = HistogramView("size", logarithmic=True)
    qtbot.addWidget(view)
    view.resize(240, 80)
    view.show_series([Series("", RED, values)])
    labels = view._labels([values[0], 1000.0, 1001.0, 100_000.0, values[1]])
    assert labels
    for tick, place in labels:
        assert place.left() >= 0 and place.right() <= view.width()
        assert place.width() > view.fontMetrics().horizontalAdvance(f"{tick:,.0f}")
    places = [place for _, place in labels]
    assert all(a.right() <= b.left() for a, b in pairwise(places))


def test_every_series_has_a_row(view) -> None:
    one = view.sizeHint().height()
    view.show_series([Series("a", RED, [0.1]), Series("b", RED, [0.2])])
    assert view.height() > one
    assert [bins.counts.sum() for bins in view.bins] == [1, 1]


def test_cut_follows_the_mouse_and_cuts_do_not_cross(view, qtbot) -> None:
    view.show_series([Series("", RED, np.linspace(0, 1, 50))])
    view.show_cut(0.2, 0.6)
    seen = []
    view.cut_changed.connect(lambda low, high: seen.append((low, high)))
    qtbot.mousePress(view, Qt.MouseButton.LeftButton, pos=QPoint(60, 40))
    qtbot.mouseMove(view, QPoint(100, 40))
    qtbot.mouseMove(view, QPoint(250, 40))
    qtbot.mouseRelease(view, Qt.MouseButton.LeftButton, pos=QPoint(250, 40))
    assert seen[-1] == (0.6, 0.6)
    assert any(0.3 < low < 0.45 for low, _ in seen)
    before = len(seen)
    qtbot.mouseMove(view, QPoint(30, 40))
    assert len(seen) == before


def test_press_without_values_changes_nothing(view, qtbot) -> None:
    seen = []
    view.cut_changed.connect(lambda *cut: seen.append(cut))
    qtbot.mouseClick(view, Qt.MouseButton.LeftButton, pos=QPoint(60, 40))
    assert seen == []


def test_words_under_the_mouse_name_value_and_counts(view) -> None:
    view.show_series([Series("cell", RED, [0.01, 0.02, 0.9]), Series("speck", RED, [0.01])])
    assert view.value_text(8) == "0 to 0.025:  cell 2  ·  speck 1"


@pytest.mark.parametrize("values", [[], [np.nan], [3.0], [3.0, 3.0], [-np.inf, 1.0]])
@pytest.mark.parametrize("logarithmic", [False, True])
def test_any_values_can_be_drawn(qtbot, values, logarithmic) -> None:
    made = HistogramView("size", logarithmic=logarithmic)
    qtbot.addWidget(made)
    made.show_series([Series("a", RED, values)])
    assert not made.grab().isNull()
    assert made.bins[0].counts.sum() == np.isfinite(values).sum()


def test_logarithmic_axis_gives_ratios_the_same_room(qtbot) -> None:
    made = HistogramView("size", (1, 10_000), logarithmic=True)
    qtbot.addWidget(made)
    made.resize(260, 100)
    made.show_series([Series("a", RED, [100])])
    assert made.value_text(130).startswith("100 to")


def test_bins_and_ticks() -> None:
    assert bins_of([0, 1, 2, 3], (0, 4), 4).counts.tolist() == [1, 1, 1, 1]
    assert bins_of([1, 5, 1000], (1, 1000), 3, logarithmic=True).counts.tolist() == [2, 0, 1]
    assert log_ticks(1, 1000) == [1, 10, 100, 1000]


def grips(view, colour: str | None = None) -> set[int]:
    """Return the columns of the middle row, away from bars, that a grip covers."""
    wanted = QColor(colour) if colour else view.palette().windowText().color()
    picture, y = view.grab().toImage(), round(view._plot.center().y()) - 6
    found = [picture.pixelColor(x, y) for x in range(picture.width())]
    near = [max(abs(one.red() - wanted.red()), abs(one.blue() - wanted.blue())) for one in found]
    return {x for x, away in enumerate(near) if away < 40}


def test_every_cut_has_a_grip_that_is_wider_than_a_line(view) -> None:
    view.show_series([Series("", RED, [0.5])])
    view.show_cut(0.25, 0.75)
    columns = grips(view)
    for side in (0, 1):
        x = round(view._cut_x(side))
        assert {x - 3, x + 2} <= columns
    assert not columns & set(range(90, 170))


def test_open_cuts_have_grips_at_the_ends(view) -> None:
    view.show_series([Series("", RED, [0.5])])
    columns = grips(view)
    assert min(columns) < 12 and max(columns) > 248


def test_a_grip_lights_up_under_the_mouse_and_the_cursor_says_that_it_moves(view, qtbot) -> None:
    view.show_series([Series("", RED, [0.5])])
    view.show_cut(0.25, 0.75)
    with qtbot.waitExposed(view):
        view.show()
    x = round(view._cut_x(0))
    qtbot.mouseMove(view, QPoint(130, 40))
    assert view.cursor().shape() is Qt.CursorShape.ArrowCursor
    assert not grips(view, GRABBED)
    qtbot.mouseMove(view, QPoint(x + 5, 40))
    assert view.cursor().shape() is Qt.CursorShape.SplitHCursor
    assert x - 3 in grips(view, GRABBED)


def test_without_bars_nothing_can_be_taken_hold_of(view, qtbot) -> None:
    with qtbot.waitExposed(view):
        view.show()
    qtbot.mouseMove(view, QPoint(7, 40))
    assert view.cursor().shape() is Qt.CursorShape.ArrowCursor


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(True, True, "Drag the lines"), (True, False, "left of it"), (False, True, "right of it")],
)
def test_tips_say_what_dragging_does(qtbot, low, high, said) -> None:
    made = HistogramView("score", low_cut=low, high_cut=high)
    qtbot.addWidget(made)
    assert said in made.toolTip()


def test_a_view_without_cuts_has_no_tip(qtbot) -> None:
    made = HistogramView("score", low_cut=False)
    qtbot.addWidget(made)
    assert made.toolTip() == ""
