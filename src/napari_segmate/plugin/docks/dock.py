"""What all docks have in common: how they are filled, share the window, and end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from napari.utils import notifications
from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QSizePolicy, QVBoxLayout, QWidget
from superqt.utils import ensure_main_thread

from napari_segmate.models.base import ModelInfo

__all__ = ["Dock", "all_models", "warn", "warn_from_any_thread"]

LEAST_HEIGHT_PX = 220
"""Less shows a few rows of a panel, which nobody can work with."""


class Dock(QWidget):
    """A widget for napari's window that holds one panel and ends once, when napari lets go of it.

    Where another panel of ours is docked on the same side already, it becomes a tab beside that one
    when it is shown first; where the user moves it then, it stays.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Given by napari.
    models : sequence of ModelInfo, optional
        Models on offer; by default all that are known.
    """

    _close: Callable[[], None]

    def __init__(self, viewer: Any, models: Sequence[ModelInfo] | None) -> None:
        super().__init__()
        # napari hands out a proxy whose layers are proxies too: those are never the same object.
        self.viewer = getattr(viewer, "__wrapped__", viewer)
        self.list_models = all_models if models is None else lambda: models

    def fill(self, panel: QWidget) -> None:
        """Show a panel, all of the content."""
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(panel)
        # Otherwise napari gives half of the dock to an empty stretch.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self.setMinimumHeight(LEAST_HEIGHT_PX)
        self.installEventFilter(_Joiner(self))

    def connect_dims(self, **callbacks: Callable[..., None]) -> list[Callable[[], None]]:
        """Have the viewer's sliders tell of their events; return what ends that."""
        events = self.viewer.dims.events
        for name, callback in callbacks.items():
            getattr(events, name).connect(callback)
        return [
            partial(getattr(events, name).disconnect, callback)
            for name, callback in callbacks.items()
        ]

    def close_with(self, *ends: Callable[[], object]) -> None:
        """Say what ends the dock, in this order; it must touch nothing that Qt has deleted."""
        done: list[bool] = []

        def close() -> None:
            if done:
                return
            done.append(True)
            for end in ends:
                end()

        self._close = close
        self.destroyed.connect(lambda: close())

    def changeEvent(self, a0: QEvent | None) -> None:  # noqa: N802 - Qt's name
        """Notice when napari takes the widget out of its dock for good."""
        if a0 is not None and a0.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.shut_down()
        super().changeEvent(a0)

    def shut_down(self) -> None:
        """End the workers and give keys and layers back to napari."""
        if hasattr(self, "_close"):
            self._close()


def warn(text: str) -> None:
    """Show a warning in the corner of the window."""
    notifications.show_warning(text)


def warn_from_any_thread(text: str) -> None:
    """Show a warning, as soon as the thread of the window comes to it."""
    ensure_main_thread(warn)(text)


def all_models() -> Sequence[ModelInfo]:
    """Return all models that are known."""
    from napari_segmate.models import list_models

    return list_models()


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
