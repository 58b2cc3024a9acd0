"""How panels share the window: filled docks, and tabs rather than a stack of slits."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QSizePolicy, QVBoxLayout, QWidget

__all__ = ["fill"]

LEAST_HEIGHT_PX = 220
"""Less shows a few rows of a panel, which nobody can work with."""


def fill(dock: QWidget, panel: QWidget) -> None:
    """Fill a widget that napari will dock with a panel.

    Where another panel of ours is docked on the same side already, it becomes a tab beside that one
    when it is shown first; where the user moves it then, it stays.

    Parameters
    ----------
    dock : QWidget
        Given to napari.
    panel : QWidget
        All of its content.
    """
    layout = QVBoxLayout(dock)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.addWidget(panel)
    # Otherwise napari gives half of the dock to an empty stretch.
    dock.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
    dock.setMinimumHeight(LEAST_HEIGHT_PX)
    dock.installEventFilter(_Joiner(dock))


class _Joiner(QObject):
    """Waits until a widget is shown in its place; a child of the widget, which marks it as ours."""

    def eventFilter(self, a0: QObject | None, a1: QEvent | None) -> bool:  # noqa: N802 - Qt's name
        if a0 is not None and a1 is not None and a1.type() == QEvent.Type.Show:
            a0.removeEventFilter(self)
            # napari goes on placing the dock after it has shown it.
            QTimer.singleShot(0, self._join)
        return False

    def _join(self) -> None:
        dock = self.parent()
        place = dock.parent() if dock is not None else None
        window = place.parent() if isinstance(place, QDockWidget) else None
        if isinstance(place, QDockWidget) and isinstance(window, QMainWindow):
            _join_tabs(window, place)


def _join_tabs(window: QMainWindow, place: QDockWidget) -> None:
    others = [one for one in window.findChildren(QDockWidget) if _beside(window, one, place)]
    if place.isFloating() or not others:
        return
    together = window.tabifiedDockWidgets(place)
    if not any(one in together for one in others):
        window.tabifyDockWidget(others[-1], place)
        place.raise_()
    for one in (*others, place):
        # The name of the plugin leaves no room for that of the panel on a tab.
        one.setWindowTitle(one.windowTitle().partition(" (")[0])


def _beside(window: QMainWindow, one: Any, place: QDockWidget) -> bool:
    """Tell whether a dock holds another panel of ours on the same side of the window."""
    content = one.widget()
    return (
        one is not place
        and content is not None
        and not one.isFloating()
        and not one.isHidden()
        and window.dockWidgetArea(one) == window.dockWidgetArea(place)
        and content.findChild(_Joiner) is not None
    )
