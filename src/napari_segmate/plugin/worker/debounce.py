"""Timers: a call once triggers have stopped, and calls whenever the event loop is free."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from qtpy.QtCore import QTimer

__all__ = ["Debouncer", "IdleLoop"]


class Debouncer:
    """Calls a function once, some time after it was last triggered.

    Parameters
    ----------
    function : callable
        What to call, without arguments.
    delay_ms : int
        How long after the last trigger; 0 is as soon as the event loop is free.
    """

    def __init__(self, function: Callable[[], None], delay_ms: int = 0) -> None:
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(delay_ms)
        self._timer.timeout.connect(function)

    def __call__(self, event: Any = None) -> None:
        """Trigger; takes an event so that it can be connected to one."""
        self._timer.start()

    @property
    def waiting(self) -> bool:
        """True between a trigger and its call."""
        return self._timer.isActive()

    def stop(self) -> None:
        """Forget a trigger."""
        with suppress(RuntimeError):  # Qt is gone before Python at the end
            self._timer.stop()


class IdleLoop:
    """Calls a function whenever the event loop is free, from `start` to `stop`.

    Parameters
    ----------
    function : callable
        What to call, without arguments.
    """

    def __init__(self, function: Callable[[], None]) -> None:
        self._timer = QTimer()
        self._timer.setInterval(0)
        self._timer.timeout.connect(function)

    def start(self) -> None:
        """Call from now on."""
        self._timer.start()

    @property
    def running(self) -> bool:
        """True from start to stop."""
        return self._timer.isActive()

    def stop(self) -> None:
        """Call no more."""
        with suppress(RuntimeError):  # Qt is gone before Python at the end
            self._timer.stop()
