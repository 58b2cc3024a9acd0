"""What every panel shows: one frozen snapshot, made of a job's status and of what is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from napari_segmate.sessions.state import Phase, Progress, SessionState

__all__ = ["JobStatus", "PanelState", "available", "status_of"]


@dataclass(frozen=True)
class JobStatus:
    """What there is to say about the jobs of a dock.

    Parameters
    ----------
    progress : Progress, optional
        Of the job that runs; None when nothing does.
    activity : str
        What runs, in words.
    error, remedy : str
        What went wrong, and what helps.
    message : str
        What has just been done; comes before what to do next.
    next_step : str
        What to do next, if it is not the usual.
    """

    progress: Progress | None = None
    activity: str = ""
    error: str = ""
    remedy: str = ""
    message: str = ""
    next_step: str = ""

    @property
    def busy(self) -> bool:
        """True while a job runs."""
        return self.progress is not None


@dataclass(frozen=True)
class PanelState:
    """Snapshot of a panel.

    Parameters
    ----------
    status : SessionState
        Phase, hint, error and progress, for the status line.
    actions : frozenset of str
        Values of the actions that do something now.
    """

    status: SessionState = field(default_factory=SessionState)
    actions: frozenset[str] = frozenset()


def status_of(job: JobStatus, hint: str, phase: Phase, *, can_retry: bool = True) -> SessionState:
    """Return the status line: a job that runs comes before errors, errors before hints.

    Parameters
    ----------
    job : JobStatus
        What there is to say about jobs.
    hint : str
        What to do next.
    phase : Phase
        Of a dock in which nothing runs and nothing went wrong.
    can_retry : bool
        After an error, doing the same again may help.

    Examples
    --------
    >>> status_of(JobStatus(message="Taken back"), "Press Find", Phase.NEEDS_PROMPT).hint
    'Taken back. Press Find'
    """
    if job.progress is not None:
        return SessionState(Phase.ENCODING, job.activity, progress=job.progress)
    if job.error:
        return SessionState(Phase.ERROR, job.remedy or hint, job.error, can_retry=can_retry)
    said = f"{job.message}. {job.next_step or hint}" if job.message else hint
    return SessionState(phase, said)


def available(actions: Mapping[str, bool]) -> frozenset[str]:
    """Return the names of the actions that are possible.

    Examples
    --------
    >>> available({"find": True, "clear": False})
    frozenset({'find'})
    """
    return frozenset(name for name, possible in actions.items() if possible)
