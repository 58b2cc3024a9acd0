"""What runs for a dock, and what is said of it: progress, success, failure, how to go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict

from napari_segmate.core.context import Context
from napari_segmate.core.errors import Cancelled, SegmateError
from napari_segmate.plugin.worker.runner import Job, Runner
from napari_segmate.sessions.state import Progress

__all__ = ["JobStatus", "Jobs", "error_text"]

STOPPED = "Stopped; what was found so far stays"


class JobStatus(TypedDict):
    """What the states of the docks want to know of jobs."""

    busy: Progress | None
    doing: str
    error: str
    cure: str
    notice: str
    then: str


class Jobs:
    """Runs one thing after the other, and knows what to tell the user.

    Parameters
    ----------
    changed : callable
        Called without arguments when there is something else to tell.
    cure : str
        What usually helps when a job fails.
    """

    def __init__(self, changed: Callable[[], None], cure: str) -> None:
        self.runner = Runner()
        self._usual_cure = cure
        self.again: Callable[[], None] | None = None
        self._changed = changed
        self._closed = False
        self._busy: Progress | None = None
        self._doing = self._error = self._cure = self._notice = self._then = ""

    def close(self) -> None:
        """End the worker; nothing is told any more."""
        self._closed = True
        self.runner.close()

    @property
    def said(self) -> JobStatus:
        """What to tell."""
        return JobStatus(
            busy=self._busy,
            doing=self._doing,
            error=self._error,
            cure=self._cure,
            notice=self._notice,
            then=self._then,
        )

    @property
    def busy(self) -> Progress | None:
        """How far the job is that runs; None when nothing does."""
        return self._busy

    def run(
        self,
        work: Callable[[Context], Any],
        done: Callable[[Any], None],
        doing: str,
        *,
        place: str = "",
        cure: str | None = None,
        words: Callable[[BaseException], str] | None = None,
        look_in: Callable[[], None] = lambda: None,
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        """Let the worker do something.

        Parameters
        ----------
        work : callable
            ``work(context)``, called in the worker thread.
        done : callable
            Called with its result; it must call `rest` when nothing else follows.
        doing, place : str
            What is done, and which part of it, in words.
        cure : str, optional
            What helps if it fails; by default what usually does.
        words : callable, optional
            Puts a failure into words; by default `error_text`.
        look_in : callable
            Called now and then while it runs, and once more when it has failed.
        failed : callable
            Called before a failure, or that it was stopped, is told.
        """
        self.unsay()
        self._busy, self._doing = self._busy or Progress(0, 0, place), doing

        def progress(at: int, total: int, text: str) -> None:
            if self._closed:
                return
            said = "  ·  ".join(part for part in (place, text) if part)
            self._busy = Progress(at, total, said)
            look_in()
            self._changed()

        def finished(result: Any) -> None:
            if not self._closed:
                done(result)

        def broken(error: BaseException) -> None:
            if not self._closed and self._busy is not None:
                look_in()
                self.stop()
                failed()
                self.fail(error, self._usual_cure if cure is None else cure, words)

        self.runner.submit(Job(work, finished, broken, progress))
        self._changed()

    def begin(self, doing: str) -> None:
        """Tell that something runs that is not run by this; `rest` when it is done."""
        self.unsay()
        self._busy, self._doing = Progress(0, 0), doing
        self._changed()

    def cancel(self) -> None:
        """Stop what runs; what was found so far stays."""
        if self._busy is not None:
            self.stop()
            self.say(STOPPED)

    def retry(self) -> None:
        """Do again what has failed."""
        if self.again is not None:
            self.again()

    def stop(self) -> None:
        """Stop everything and say nothing of it."""
        self.runner.cancel_all()
        self.rest()

    def rest(self) -> None:
        """Take note that nothing runs any more."""
        self._busy, self._doing = None, ""

    def fail(
        self,
        error: BaseException,
        cure: str = "",
        words: Callable[[BaseException], str] | None = None,
    ) -> None:
        """Tell what went wrong, and what helps."""
        if isinstance(error, Cancelled):
            self.say(STOPPED)
            return
        self._error = (words or error_text)(error)
        self._cure, self._notice = cure, ""
        self._changed()

    def say(self, text: str, then: str = "") -> None:
        """Tell what has been done, and what to do next if it is not the usual."""
        self._notice, self._then, self._error = text, then, ""
        self._changed()

    def tell(self) -> None:
        """Have everything told anew."""
        self._changed()

    def forget_notice(self) -> None:
        """Tell success no more; the caller shows that."""
        self._notice = ""

    def unsay(self) -> None:
        """Tell neither success nor failure any more; the caller shows that."""
        self._error = self._notice = ""


def error_text(error: BaseException) -> str:
    """Return what went wrong in words; what nobody foresaw begins with its type."""
    return str(error) if isinstance(error, SegmateError) else f"{type(error).__name__}: {error}"
