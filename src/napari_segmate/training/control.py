"""Pause, resume, stop and cancel a training from outside."""

from __future__ import annotations

import time
from collections.abc import Iterable
from threading import Event as Flag

from napari_segmate.core.context import Context
from napari_segmate.core.errors import Cancelled
from napari_segmate.core.training_events import Command

__all__ = ["Control"]

WAIT_S = 0.05


class Control:
    """What a training asks between steps; may be told from any thread.

    Parameters
    ----------
    context : Context, optional
        Its cancellation counts as well.

    Examples
    --------
    >>> control = Control()
    >>> control.tell(Command.STOP)
    >>> control.stopped
    True
    """

    def __init__(self, context: Context | None = None) -> None:
        self._context = context or Context()
        self._paused, self._stopped, self._cancelled = Flag(), Flag(), Flag()

    def tell(self, command: Command) -> None:
        """Take a command; the training follows before its next step."""
        if command is Command.PAUSE:
            self._paused.set()
        elif command is Command.RESUME:
            self._paused.clear()
        elif command is Command.STOP:
            self._stopped.set()
        else:
            self._cancelled.set()

    def listen(self, lines: Iterable[str]) -> None:
        """Take one command per line until there is no more; the end cancels, nobody is left."""
        for line in lines:
            word = line.strip().lower()
            if word in set(Command):
                self.tell(Command(word))
        self.tell(Command.CANCEL)

    @property
    def stopped(self) -> bool:
        """Whether the training should end with the best weights so far."""
        return self._stopped.is_set()

    @property
    def cancelled(self) -> bool:
        """Whether the training is not wanted any more."""
        return self._cancelled.is_set() or self._context.cancelled()

    def check(self) -> float:
        """Wait while paused; return the seconds that took.

        Raises
        ------
        Cancelled
            The training is not wanted any more.
        """
        began = time.monotonic()
        while True:
            if self.cancelled:
                raise Cancelled("cancelled")
            if self.stopped or not self._paused.is_set():
                return time.monotonic() - began
            time.sleep(WAIT_S)
