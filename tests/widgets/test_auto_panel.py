from __future__ import annotations

import math

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QWidget

from napari_segmate.sessions.panel_state import PanelState
from napari_segmate.sessions.state import Phase, Progress, SessionState
from napari_segmate.widgets.actions import AutoAction
from napari_segmate.widgets.auto_panel import WIDTH_PX, AutoPanel, AutoValues

pytestmark = pytest.mark.gui


@pytest.fixture
def panel(qtbot) -> AutoPanel:
    panel = AutoPanel(QWidget(), QWidget(), QWidget())
    qtbot.addWidget(panel)
    panel.show_found((30, 40, 900), 1)
    panel.show()
    return panel


def test_a_slider_tells_all_values_once(panel, qtbot) -> None:
    with qtbot.waitSignal(panel.changed) as told:
        panel._sliders["seed"].setValue(0.8)
    assert told.args == [AutoValues(seed=0.8)]


def test_showing_values_tells_nothing(panel, qtbot) -> None:
    values = AutoValues("grid", 12.0, 0.4, 0.6, 0.8, 0.9, 30.0, 500.0, border=False)
    with qtbot.assertNotEmitted(panel.changed):
        panel.show_values(values)
    assert panel.values == values
    assert panel.sizes.cut == (30.0, 500.0)


def test_cuts_of_the_histogram_are_the_sizes(panel) -> None:
    panel.sizes.cut_changed.emit(35.4, math.inf)
    assert panel.values.smallest == 35
    assert math.isinf(panel.values.largest)
    assert panel._smallest.value() == 35


def test_only_sliders_that_mean_something_are_seen(panel) -> None:
    panel.show_mode("objects", {})
    assert panel._sliders["seed"].isVisible()
    assert not panel._sliders["stability"].isVisible()
    panel.show_mode("grid", {"stability": 0.7})
    assert not panel._sliders["seed"].isVisible()
    assert panel._sliders["stability"].isVisible()
    assert panel._sliders["stability"].minimum() == 0.7


def test_the_estimate_stands_where_a_size_can_be_typed(panel) -> None:
    panel.show_estimate(26.4)
    assert panel._diameter.text() == "estimated: 26 px"
    panel._diameter.setValue(40)
    assert panel.values.diameter == 40
    panel.show_estimate(26.4)
    assert panel._diameter.text() == "40 px"


def test_shapes_are_asked_for_only_when_they_count(panel) -> None:
    assert not panel._shapes.isVisible()
    panel._region.setCurrentIndex(3)
    assert panel.region == "shapes"
    assert panel._shapes.isVisible()


def test_what_cannot_be_done_is_grey(panel) -> None:
    panel.show_state(PanelState(actions=frozenset({"run"})))
    on = [action for action in AutoAction if action in panel._buttons]
    assert [action for action in on if panel.button(action).isEnabled()] == [AutoAction.RUN]


def test_keys_stand_on_the_buttons_and_go_again(panel) -> None:
    panel.show_keys({AutoAction.DELETE_ONE: "Shift-J"})
    assert panel.button(AutoAction.DELETE_ONE).text() == "Delete one (⇧J)"
    assert "Shift-J" in panel.button(AutoAction.DELETE_ONE).toolTip()
    panel.show_keys({})
    assert panel.button(AutoAction.DELETE_ONE).text() == "Delete one"


def test_cancel_in_the_status_is_told(panel, qtbot) -> None:
    status = SessionState(Phase.ENCODING, "Looking", progress=Progress(1, 4))
    panel.show_state(PanelState(status))
    with qtbot.waitSignal(panel.triggered) as told:
        panel.status._cancel.click()
    assert told.args == [AutoAction.CANCEL]


def test_the_content_fits_beside_a_scroll_bar(panel) -> None:
    panel.show_mode("refined", {})
    panel.show_planes(100)
    panel.planes._what.setCurrentIndex(1)
    assert panel.layout().itemAt(0).widget().widget().minimumSizeHint().width() <= 284


def test_counts_are_said(panel) -> None:
    assert panel._count.text() == "3 objects proposed"
    panel.show_found((7,), 4)
    assert panel._count.text() == "1 object proposed on 4 planes"
    panel.show_found((), 0)
    assert not panel._limits.isVisible()


def test_models_keep_the_choice(panel) -> None:
    panel.show_models({"a": "A", "b": "B"}, {})
    panel.show_model("b")
    panel.show_models({"c": "C", "b": "B"}, {})
    assert panel.model == "b"
    assert panel.models() == ["c", "b"]


def test_every_way_to_find_fits_the_dock_and_is_explained(panel) -> None:
    modes = panel._mode
    for at in range(modes.count()):
        assert len(modes.itemText(at)) <= 20, "more is cut off"
        assert modes.itemData(at, Qt.ItemDataRole.ToolTipRole)
        assert modes.itemText(at) in modes.toolTip()


def test_outlines_of_linked_objects_are_told_apart_from_objects(panel) -> None:
    panel.show_found((30, 40, 900), 3, linked=True, objects=2)
    assert panel._count.text() == "2 objects (3 outlines) proposed on 3 planes"
    panel.show_found((30, 40, 900), 3, linked=True)
    assert panel._count.text() == "3 outlines proposed on 3 planes"


def test_nothing_is_wider_than_the_dock_whatever_was_found(panel) -> None:
    panel.show_found(range(30, 12_000), 2400, linked=True, objects=1040)
    column = panel._count.parentWidget()
    assert column.minimumSizeHint().width() <= WIDTH_PX
