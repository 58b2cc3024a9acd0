"""Calls that can wait: many triggers, one call."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from qtpy.QtCore import QTimer

__all__ = ["Deferred"]


class Deferred:
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
