"""The jobs of a dock: run in the worker thread, applied on the GUI thread, told to the user.

A request is a frozen value that holds everything the worker needs. `Jobs.run` hands it over, shows
progress, and calls back on the GUI thread with the result; the result of a job that was cancelled
meanwhile is dropped by `Runner`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from napari_segmate.core.context import Context
from napari_segmate.core.errors import Cancelled, SegmateError
from napari_segmate.plugin.worker.runner import Job, Runner
from napari_segmate.sessions.panel_state import JobStatus
from napari_segmate.sessions.state import Progress

__all__ = ["Jobs", "error_text"]

STOPPED = "Stopped; what was found so far stays"


class Jobs:
    """Runs jobs one after the other, and keeps the status that the panel shows.

    Parameters
    ----------
    changed : callable
        Called without arguments when the status is another one.
    remedy : str
        What usually helps when a job fails.

    Attributes
    ----------
    runner : Runner
        The worker thread.
    status : JobStatus
        What there is to say.
    retry_with : callable, optional
        Repeats the last job that the user started.
    """

    def __init__(self, changed: Callable[[], None], remedy: str) -> None:
        self.runner = Runner()
        self.status = JobStatus()
        self.retry_with: Callable[[], None] | None = None
        self._usual_remedy = remedy
        self._changed = changed
        self._closed = False

    def close(self) -> None:
        """End the worker; nothing is told any more."""
        self._closed = True
        self.runner.close()

    @property
    def busy(self) -> bool:
        """True while a job runs."""
        return self.status.busy

    # Run

    def run(
        self,
        work: Callable[[Context], Any],
        apply: Callable[[Any], None],
        activity: str,
        *,
        place: str = "",
        remedy: str | None = None,
        describe: Callable[[BaseException], str] | None = None,
        on_progress: Callable[[], None] = lambda: None,
        on_failed: Callable[[], None] = lambda: None,
    ) -> None:
        """Let the worker do something.

        Parameters
        ----------
        work : callable
            ``work(context)``, called in the worker thread.
        apply : callable
            Called with its result on the GUI thread; it must call `finish` when nothing else
            follows.
        activity, place : str
            What is done, and which part of it, in words.
        remedy : str, optional
            What helps if it fails; by default what usually does.
        describe : callable, optional
            Returns the text for an error; by default `error_text`.
        on_progress : callable
            Called now and then while it runs, and once more when it has failed.
        on_failed : callable
            Called before a failure, or that it was stopped, is told.
        """
        self.clear_message()
        progress = self.status.progress or Progress(0, 0, place)
        self.status = replace(self.status, progress=progress, activity=activity)

        def report(done: int, total: int, text: str) -> None:
            if self._closed:
                return
            said = "  ·  ".join(part for part in (place, text) if part)
            self.status = replace(self.status, progress=Progress(done, total, said))
            on_progress()
            self._changed()

        def finished(result: Any) -> None:
            if not self._closed:
                apply(result)

        def failed(error: BaseException) -> None:
            if not self._closed and self.busy:
                on_progress()
                self.stop()
                on_failed()
                self.fail(error, self._usual_remedy if remedy is None else remedy, describe)

        self.runner.submit(Job(work, finished, failed, report))
        self._changed()

    def begin(self, activity: str) -> None:
        """Show that something runs that `run` has not started; `finish` when it is done."""
        self.clear_message()
        self.status = replace(self.status, progress=Progress(0, 0), activity=activity)
        self._changed()

    def finish(self) -> None:
        """Take note that nothing runs any more."""
        self.status = replace(self.status, progress=None, activity="")

    def cancel(self) -> None:
        """Stop what runs and say so; what was found so far stays."""
        if self.busy:
            self.stop()
            self.show_message(STOPPED)

    def stop(self) -> None:
        """Stop everything and say nothing of it."""
        self.runner.cancel_all()
        self.finish()

    def retry(self) -> None:
        """Do again what has failed."""
        if self.retry_with is not None:
            self.retry_with()

    # Say

    def fail(
        self,
        error: BaseException,
        remedy: str = "",
        describe: Callable[[BaseException], str] | None = None,
    ) -> None:
        """Show what went wrong, and what helps."""
        if isinstance(error, Cancelled):
            self.show_message(STOPPED)
            return
        text = (describe or error_text)(error)
        self.status = replace(self.status, error=text, remedy=remedy, message="")
        self._changed()

    def show_message(self, text: str, next_step: str = "") -> None:
        """Show what has been done, and what to do next if it is not the usual."""
        self.status = replace(self.status, message=text, next_step=next_step, error="")
        self._changed()

    def clear_success(self) -> None:
        """Forget what has been done, but not what went wrong; the caller shows that."""
        self.status = replace(self.status, message="")

    def clear_message(self) -> None:
        """Forget what has been done and what went wrong; the caller shows that."""
        self.status = replace(self.status, message="", error="")


def error_text(error: BaseException) -> str:
    """Return what went wrong in words; what nobody foresaw begins with its type."""
    return str(error) if isinstance(error, SegmateError) else f"{type(error).__name__}: {error}"
