from __future__ import annotations

import math

import pytest
from qtpy.QtCore import QPoint, Qt

from napari_segmate.widgets.filter_view import FilterValues, FilterView
from napari_segmate.widgets.histogram_view import Series

pytestmark = pytest.mark.gui

SCORES = [Series("nucleus", "#00e5ff", [0.1, 0.4, 0.9])]
SIZES = [Series("nucleus", "#00e5ff", [10.0, 20.0, 1000.0])]


@pytest.fixture
def view(qtbot) -> FilterView:
    made = FilterView()
    qtbot.addWidget(made)
    made.show_found(SCORES, SIZES)
    made.resize(280, 400)
    made.show()
    qtbot.waitExposed(made)
    return made


def test_sliders_say_what_they_are_set_to(view) -> None:
    seen = []
    view.changed.connect(seen.append)
    view._score.setValue(0.5)
    view._overlap.setValue(0.25)
    view._smallest.setValue(7)
    view._largest.setValue(300)
    assert seen[-1] == FilterValues(0.5, 7, 300, 0.25)
    assert view.scores.cut == (0.5, math.inf)
    assert view.sizes.cut == (7, 300)


def test_no_limit_is_infinite(view) -> None:
    view._largest.setValue(300)
    view._largest.setValue(0)
    assert view.values.largest == math.inf
    assert view.sizes.cut == (-math.inf, math.inf)


def test_cut_of_the_scores_moves_the_slider(view, qtbot) -> None:
    middle = QPoint(view.scores.width() // 2, 30)
    with qtbot.waitSignal(view.changed):
        qtbot.mouseClick(view.scores, Qt.MouseButton.LeftButton, pos=middle)
    assert view.values.score == pytest.approx(0.5, abs=0.02)
    assert view._score.value() == pytest.approx(view.values.score, abs=0.006)


def test_cut_of_the_sizes_moves_the_nearer_limit_in_whole_pixels(view, qtbot) -> None:
    qtbot.mouseClick(view.sizes, Qt.MouseButton.LeftButton, pos=QPoint(view.sizes.width() - 60, 30))
    assert 100 < view.values.largest < 1000
    assert view.values.largest == round(view.values.largest)
    assert view.values.smallest == 0


def test_setting_values_from_outside_says_nothing(view, qtbot) -> None:
    with qtbot.assertNotEmitted(view.changed):
        view.show_values(FilterValues(0.7, 3, 90, 0.4))
    assert view._score.value() == 0.7
    assert view.values == FilterValues(0.7, 3, 90, 0.4)


def test_hidden_until_something_is_found(view) -> None:
    view.show_found([], [])
    assert not view.isVisible()
    view.show_found(SCORES, SIZES)
    assert view.isVisible()
