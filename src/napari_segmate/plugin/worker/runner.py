"""One worker thread for everything slow; answers come back on the GUI thread.

One thread, because a model answers from one thread at a time, and because torch keeps its own pool
of threads per caller. Jobs wait in two lines: what the user waits for, and what may be done while
idle, which gives way at once.
"""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from qtpy.QtCore import QObject, Qt, Signal

from napari_segmate.core.context import Context

__all__ = ["Job", "Runner"]

EXIT_S = 15.0
"""Longest time that Python waits at its end for a computation that cannot be cancelled."""
PROGRESS_INTERVAL_S = 0.05
"""More reports than this would only load the GUI thread."""


def _ignore(*_: Any) -> None:
    """Ignore a result."""


@dataclass(eq=False)
class Job:
    """Work for the worker thread.

    Parameters
    ----------
    work : callable
        ``work(context)``, called in the worker thread.
    done, failed : callable
        Called on the GUI thread with the result, or with the exception.
    progress : callable
        Called on the GUI thread as ``progress(done, total, text)``.
    idle : bool
        May wait, and is dropped as soon as there is a job that may not.
    topic : hashable
        What the job is about. A running idle job is left to finish when the next job has the same
        topic: it is doing part of its work.
    """

    work: Callable[[Context], Any]
    done: Callable[[Any], None] = _ignore
    failed: Callable[[BaseException], None] = _ignore
    progress: Callable[[int, int, str], None] = _ignore
    idle: bool = False
    topic: Hashable = None
    _cancelled: threading.Event = field(default_factory=threading.Event, repr=False)

    def cancel(self) -> None:
        """Ask the job to stop; its answer is dropped when it ends nevertheless."""
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        """True once `cancel` was called."""
        return self._cancelled.is_set()


class Runner(QObject):
    """Runs jobs one after the other in a thread of its own.

    Must be made on the GUI thread; all methods are for the GUI thread.
    """

    busy_changed = Signal(bool)
    _deliver = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._waiting: deque[Job] = deque()
        self._current: Job | None = None
        self._wake = threading.Condition()
        self._closing = False
        self._deliver.connect(self._call, Qt.ConnectionType.QueuedConnection)
        # A daemon: a computation that ignores cancellation must not keep Python from exiting.
        self._thread = threading.Thread(target=self._loop, name="napari-segmate", daemon=True)
        self._thread.start()
        atexit.register(_close_at_exit, weakref.ref(self))

    def submit(self, job: Job) -> Job:
        """Put a job in line; one that is not idle sends idle ones away."""
        with self._wake:
            if self._closing:
                job.cancel()
                return job
            if not job.idle:
                self._drop(lambda other: other.idle and not self._helps(other, job))
            self._waiting.append(job)
            self._wake.notify()
        return job

    def _helps(self, other: Job, job: Job) -> bool:
        return other is self._current and other.topic is not None and other.topic == job.topic

    def forget(self, job: Job) -> None:
        """Take a job that waits out of the line; one that runs goes on."""
        with self._wake:
            if job in self._waiting:
                self._waiting.remove(job)

    def cancel_all(self) -> None:
        """Cancel the job that runs and all that wait."""
        with self._wake:
            self._drop(lambda _: True)

    def cancel_idle(self) -> None:
        """Cancel what was only done because there was time."""
        with self._wake:
            self._drop(lambda job: job.idle)

    @property
    def idle(self) -> bool:
        """True when nothing runs and nothing waits."""
        with self._wake:
            return self._current is None and not self._waiting

    def close(self, timeout_s: float = 0.0) -> bool:
        """Cancel everything and end the thread; True when it ended within the time."""
        with self._wake:
            self._closing = True
            self._drop(lambda _: True)
            self._wake.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _call(self, deliver: Callable[[], None]) -> None:
        # A method of a Qt object: both bindings call it on the thread of the object.
        # What was on its way when the runner was closed is for widgets that may be gone.
        if not self._closing:
            deliver()

    def _drop(self, which: Callable[[Job], bool]) -> None:
        for job in [*self._waiting, *([self._current] if self._current else [])]:
            if which(job):
                job.cancel()
        self._waiting = deque(job for job in self._waiting if not job.cancelled)

    def _loop(self) -> None:
        while (job := self._next()) is not None:
            self._run(job)
            with self._wake:
                self._current = None
            # Let go of the job now: it may hold an image, and the next one may be long in coming.
            del job

    def _next(self) -> Job | None:
        with self._wake:
            while not self._waiting and not self._closing:
                self._wake.wait()
            if self._closing:
                return None
            self._current = self._waiting.popleft()
            return self._current

    def _run(self, job: Job) -> None:
        context = Context(_throttled(job, self._send), lambda: job.cancelled)
        try:
            context.check()
            result = job.work(context)
        except BaseException as error:  # the user must learn of every failure, whatever it is
            self._send(job, job.failed, error, even_cancelled=True)
        else:
            self._send(job, job.done, result)

    def _send(
        self,
        job: Job,
        callback: Callable[..., None],
        *arguments: Any,
        even_cancelled: bool = False,
    ) -> None:
        def deliver() -> None:
            if even_cancelled or not job.cancelled:
                callback(*arguments)

        if self._closing:
            return
        try:
            self._deliver.emit(deliver)
        except RuntimeError:
            # The Qt object is gone: the viewer was closed while the job ran.
            self._closing = True


def _close_at_exit(found: weakref.ref[Runner]) -> None:
    """Wait for a computation: torch aborts a process that ends under its feet."""
    runner = found()
    if runner is not None:
        runner.close(EXIT_S)


def _throttled(job: Job, send: Callable[..., None]) -> Callable[[int, int, str], None]:
    last = [0.0]

    def report(done: int, total: int, text: str) -> None:
        now = time.monotonic()
        if now - last[0] >= PROGRESS_INTERVAL_S or (total and done >= total):
            last[0] = now
            send(job, job.progress, done, total, text)

    return report
