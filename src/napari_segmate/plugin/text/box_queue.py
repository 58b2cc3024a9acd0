"""Boxes that wait to be put into a layer, or taken out of it, while the event loop is free."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from napari_segmate.plugin.worker.debounce import IdleLoop
from napari_segmate.sessions.text_boxes import TextBox

__all__ = ["BoxQueue"]

AT_ONCE = 10
"""Boxes put into the layer in one go: napari needs some 20 ms, and 0.5 ms for each."""
BUDGET_S = 0.01
"""How long the event loop is held up in one call."""


class BoxQueue:
    """Has boxes written and deleted little by little, so that the window stays responsive.

    Parameters
    ----------
    write : callable
        Called with some boxes to put into the layer; returns False when there is none any more.
    delete : callable
        Called with the numbers of the boxes to take out of it.
    finished : callable
        Called without arguments when the layer shows what was wanted.
    """

    def __init__(
        self,
        write: Callable[[Sequence[TextBox]], bool],
        delete: Callable[[set[int]], None],
        finished: Callable[[], None],
    ) -> None:
        self._write = write
        self._delete = delete
        self._finished = finished
        self._waiting: list[TextBox] = []
        self._wanted: set[int] = set()
        self._timer = IdleLoop(self._update)
        self.written: set[int] = set()
        self.paused = False
        """While the user draws, nothing comes and goes."""

    def request(self, boxes: Sequence[TextBox]) -> None:
        """Ask for these boxes in the layer and no others; those that are there stay untouched."""
        # Not at once: while a slider moves only the last of many calls counts.
        self._wanted = {box.number for box in boxes}
        self._waiting = [box for box in boxes if box.number not in self.written]
        if self._waiting or self._wanted != self.written:
            self._timer.start()

    @property
    def complete(self) -> bool:
        """True when the boxes to be shown are in the layer, and no others."""
        return not self._timer.running

    def stop(self) -> None:
        """Write nothing more."""
        self._timer.stop()
        self._waiting.clear()

    def forget(self) -> None:
        """Take note that the layer is gone."""
        self.stop()
        self.written.clear()

    def delete_now(self) -> None:
        """Take out of the layer what is about to go."""
        gone = self.written - self._wanted
        self.written &= self._wanted
        if gone:
            self._delete(gone)

    def set_written(self, boxes: Sequence[TextBox]) -> None:
        """Take note of what is in the layer now."""
        before, self.written = self.written, {box.number for box in boxes}
        self._wanted |= self.written - before

    def _update(self) -> None:
        end = time.monotonic() + BUDGET_S
        if self.written - self._wanted and not self.paused:
            # Nothing else in the same call, so that none is long.
            self.delete_now()
            return
        while self._waiting and time.monotonic() < end and not self.paused:
            some, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
            if not self._write(some):
                self.forget()
                return
            self.written |= {box.number for box in some}
        if not self._waiting:
            self._timer.stop()
            self._finished()
