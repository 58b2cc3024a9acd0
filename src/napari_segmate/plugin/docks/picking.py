"""Lets the user point at one place: the next click goes to a function, not to a tool."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from napari.components import ViewerModel

__all__ = ["Picker"]


class Picker:
    """Waits for one click on the canvas of a viewer."""

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._picked: Callable[[Any], None] | None = None

    @property
    def waiting(self) -> bool:
        """True until the click has come."""
        return self._picked is not None

    def start(self, picked: Callable[[Any], None]) -> None:
        """Call `picked` with the world position of the next click."""
        self.stop()
        self._picked = picked
        self._viewer.mouse_drag_callbacks.append(self._on_press)

    def stop(self) -> None:
        """Wait no longer."""
        if self._picked is not None:
            self._picked = None
            self._viewer.mouse_drag_callbacks.remove(self._on_press)

    def _on_press(self, viewer: Any, event: Any) -> Iterator[None]:
        dragged = False
        yield
        while event.type == "mouse_move":
            dragged = True
            yield
        picked = self._picked
        if picked is not None and not dragged:
            self.stop()
            picked(event.position)
