from __future__ import annotations

import math

import pytest
from qtpy.QtCore import QPoint
from qtpy.QtGui import QColor

from napari_segmate.widgets.curve_view import Curve, CurveView, range_of_curves
from napari_segmate.widgets.plot_axes import nice_ticks

pytestmark = pytest.mark.gui

RED = "#ff0000"


@pytest.fixture
def view(qtbot) -> CurveView:
    made = CurveView(y_range=(0, 1), x_title="epoch", empty_text="Nothing yet")
    qtbot.addWidget(made)
    made.resize(260, 140)
    return made


def red_pixels(view) -> list[tuple[int, int]]:
    picture = view.grab().toImage()
    places = ((x, y) for x in range(picture.width()) for y in range(20, picture.height()))
    return [(x, y) for x, y in places if _is_red(picture.pixelColor(x, y))]


def _is_red(colour: QColor) -> bool:
    return colour.red() > 180 and colour.green() < 60 and colour.blue() < 60


def test_curve_rises_where_its_values_rise(view) -> None:
    view.show_curves([Curve("IoU", RED, (0, 10), (0.1, 0.9))])
    pixels = red_pixels(view)
    leftmost, rightmost = min(pixels), max(pixels)
    assert rightmost[0] - leftmost[0] > 150
    assert leftmost[1] - rightmost[1] > 50


def test_axis_leaves_room_for_what_is_to_come(view) -> None:
    view.show_curves([Curve("IoU", RED, (0, 10), (0.5, 0.5))], x_max=20)
    assert max(x for x, _ in red_pixels(view)) < view.width() * 0.7


def test_single_point_and_values_that_are_no_numbers_are_drawn_without_fuss(view) -> None:
    view.show_curves([Curve("loss", RED, (0, 1, 2), (math.nan, 0.5, math.inf))])
    assert red_pixels(view)


def test_empty_plot_says_what_it_waits_for(view) -> None:
    blank = view.grab().toImage()
    view.show_curves([Curve("IoU", RED)])
    assert view.grab().toImage() == blank
    assert not red_pixels(view)


def test_values_under_the_mouse_are_told(view, qtbot) -> None:
    view.show_curves([Curve("IoU", RED, (1, 2, 3), (0.1, 0.2, 0.3)), Curve("AP", RED)])
    assert view.value_text(2.2) == "epoch 2  ·  IoU 0.2"
    with qtbot.waitExposed(view):
        view.show()
    before = view.grab().toImage()
    qtbot.mouseMove(view, QPoint(150, 70))
    qtbot.waitUntil(lambda: view.grab().toImage() != before)


def test_range_ignores_the_first_steps_of_a_training_but_no_marked_point() -> None:
    losses = [1000.0, *([1.0] * 40), *([0.5] * 40)]
    noisy = Curve("loss", RED, range(len(losses)), losses, smooth=True)
    assert range_of_curves([noisy])[1] < 2
    assert range_of_curves([noisy, Curve("held out", RED, (0,), (7.0,), marked=True)])[1] > 7
    assert range_of_curves([]) == (0, 1)
    low, high = range_of_curves([Curve("one", RED, (0,), (3.0,))])
    assert low < 3 < high


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.2, 0.21), (-3, 4000), (1e-9, 2e-9), (5, 5)])
def test_ticks_are_few_and_inside(low, high) -> None:
    ticks = nice_ticks(low, high)
    assert 1 <= len(ticks) <= 6
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in ticks)
