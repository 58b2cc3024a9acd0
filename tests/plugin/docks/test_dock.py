"""Panels beside one another in a real window."""

from __future__ import annotations

import numpy as np
import pytest
from npe2 import PluginManifest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QLabel, QTabBar

from napari_segmate.plugin.docks.dock import LEAST_HEIGHT_PX, Dock

pytestmark = pytest.mark.gui

PANELS = ("Segment", "Train", "Automask", "Find by text")


def panel(viewer, name: str, area: str = "right", tabify: bool = False) -> QDockWidget:
    """Dock a widget as napari's menu does."""
    widget = Dock(viewer, ())
    widget.fill(QLabel(name))
    return viewer.window.add_dock_widget(widget, name=f"{name} (Own)", area=area, tabify=tabify)


def tabs(viewer, place: QDockWidget) -> set[str]:
    return {one.windowTitle() for one in viewer.window._qt_window.tabifiedDockWidgets(place)}


@pytest.fixture
def viewer(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1280, 800)
    qtbot.wait(50)
    return viewer


def test_all_panels_opened_from_the_menu_are_tabs_of_full_height(
    viewer, qtbot, npe2pm, monkeypatch
) -> None:
    npe2pm.register(PluginManifest.from_distribution("napari-segmate"))
    monkeypatch.setattr("napari_segmate.plugin.docks.dock.all_models", tuple)
    for name in PANELS:
        place, _ = viewer.window.add_plugin_dock_widget("napari-segmate", name)
        # Docks slide to their places.
        qtbot.waitUntil(lambda: place.height() > 0.8 * viewer.window._qt_window.height())  # noqa: B023
        assert not place.visibleRegion().isEmpty(), "the panel opened last is in front"
    bars = viewer.window._qt_window.findChildren(QTabBar)
    assert {tuple(bar.tabText(at) for at in range(bar.count())) for bar in bars} == {PANELS}


def test_panels_of_others_are_left_where_they_are(viewer, qtbot) -> None:
    other = viewer.window.add_dock_widget(QLabel("theirs"), name="Other (Theirs)", area="right")
    first = panel(viewer, "First")
    qtbot.wait(50)
    assert tabs(viewer, first) == set()
    second = panel(viewer, "Second")
    qtbot.wait(50)
    assert tabs(viewer, second) == {"First"}
    assert other.windowTitle() == "Other (Theirs)"
    assert second.height() >= LEAST_HEIGHT_PX


def test_panels_on_other_sides_of_the_window_stay_apart(viewer, qtbot) -> None:
    panel(viewer, "First", area="left")
    second = panel(viewer, "Second")
    qtbot.wait(50)
    assert tabs(viewer, second) == set()


def test_tabs_that_napari_made_stay(viewer, qtbot) -> None:
    panel(viewer, "First")
    second = panel(viewer, "Second", tabify=True)
    qtbot.wait(50)
    assert tabs(viewer, second) == {"First"}


def test_a_panel_stays_where_the_user_has_moved_it(viewer, qtbot) -> None:
    panel(viewer, "First")
    second = panel(viewer, "Second")
    qtbot.wait(50)
    window = viewer.window._qt_window
    window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, second)
    second.hide()
    second.show()
    qtbot.wait(50)
    assert tabs(viewer, second) == set()


def test_a_dock_ends_once_in_the_order_it_was_told(viewer, qtbot) -> None:
    ended = []
    widget = Dock(viewer, ())
    widget.fill(QLabel("content"))
    seen = []
    widget.close_with(
        *widget.connect_dims(current_step=seen.append),
        lambda: ended.append("first"),
        lambda: ended.append("second"),
    )
    viewer.add_image(np.zeros((4, 8, 8)))
    viewer.dims.set_current_step(0, 1)
    assert seen
    place = viewer.window.add_dock_widget(widget, name="Own")
    assert ended == []
    viewer.window.remove_dock_widget(place)
    assert ended == ["first", "second"]
    seen.clear()
    viewer.dims.set_current_step(0, 2)
    assert not seen, "the sliders are not listened to any longer"
    widget.shut_down()
    assert ended == ["first", "second"]
