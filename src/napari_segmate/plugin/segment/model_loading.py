"""The state of a session while its model is being loaded or downloaded."""

from __future__ import annotations

from dataclasses import replace

from napari_segmate.core.errors import Cancelled, SegmateError
from napari_segmate.sessions.state import Phase, Progress, SessionState

__all__ = ["Loading"]

LOADING = "Loading the model …"
FAILED = "Choose another model, or try again"
CANCELLED = "The model was not loaded. Choose another one, or try again"


class Loading:
    """How far the model is; laid over what the session says.

    Examples
    --------
    >>> loading = Loading()
    >>> loading.start()
    >>> loading.over(SessionState()).hint
    'Loading the model …'
    >>> loading.finish(None)
    >>> loading.over(SessionState()) == SessionState()
    True
    """

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._error: BaseException | None = None

    def start(self) -> None:
        """Say that a model is on its way."""
        self._progress, self._error = Progress(0, 0), None

    def report(self, done: int, total: int, text: str) -> None:
        """Say how far it is."""
        self._progress = Progress(done, total, text)

    def finish(self, error: BaseException | None) -> None:
        """Say that it is there, or why it is not."""
        self._progress, self._error = None, error

    @property
    def failed(self) -> bool:
        """True when there is no model because of an error, or because the user cancelled."""
        return self._error is not None

    def over(self, state: SessionState) -> SessionState:
        """Return what to show: the session's state, unless the model matters more."""
        if self._progress is not None and not state.phase.busy:
            return replace(state, phase=Phase.ENCODING, hint=LOADING, progress=self._progress)
        if self._error is None or state.phase is Phase.ERROR:
            return state
        if isinstance(self._error, Cancelled):
            return replace(state, phase=Phase.ERROR, hint=CANCELLED, error="")
        known = isinstance(self._error, SegmateError)
        text = str(self._error) if known else f"{type(self._error).__name__}: {self._error}"
        return replace(state, phase=Phase.ERROR, hint=FAILED, error=text)
