"""How a job tells its progress and learns that it was cancelled, whoever runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from napari_segmate.core.errors import Cancelled

__all__ = ["Context"]


def _ignore(done: int, total: int, text: str) -> None:
    """Drop a progress report."""


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Context:
    """Progress out, cancellation in: plain callables, so that no job knows its caller.

    Parameters
    ----------
    progress : callable
        Called as ``progress(done, total, text)``; ``total`` 0 means unknown. Called from the thread
        of the job.
    cancelled : callable
        Returns True once the user has asked to stop.

    Examples
    --------
    >>> seen = []
    >>> context = Context(progress=lambda done, total, text: seen.append((done, total, text)))
    >>> context.report(1, 2, "encoding")
    >>> seen
    [(1, 2, 'encoding')]
    """

    progress: Callable[[int, int, str], None] = _ignore
    cancelled: Callable[[], bool] = _never

    def report(self, done: int, total: int, text: str = "") -> None:
        """Report progress after checking for cancellation."""
        self.check()
        self.progress(done, total, text)

    def check(self) -> None:
        """Raise `Cancelled` when the user has asked to stop."""
        if self.cancelled():
            raise Cancelled("cancelled")
