"""What a panel shows of a session: one frozen snapshot, and the words that say what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["KeyNames", "Phase", "Progress", "SessionState"]


class Phase(StrEnum):
    """What a session is doing."""

    IDLE = "idle"
    NEEDS_PROMPT = "needs_prompt"
    ENCODING = "encoding"
    DECODING = "decoding"
    PREVIEW = "preview"
    ERROR = "error"

    @property
    def busy(self) -> bool:
        """True while an answer is awaited."""
        return self in (Phase.ENCODING, Phase.DECODING)


@dataclass(frozen=True)
class Progress:
    """How far a job is; `total` 0 means unknown."""

    done: int
    total: int
    text: str = ""


@dataclass(frozen=True)
class KeyNames:
    """Names of keys as the hints spell them; an empty name leaves the key out."""

    commit: str = ""
    next_candidate: str = ""
    undo: str = ""
    retry: str = ""
    clear: str = ""
    edit: str = ""
    take_back: str = ""
    tool: str = ""


@dataclass(frozen=True)
class SessionState:
    """Snapshot of a session; a new one is emitted whenever it changes.

    Parameters
    ----------
    phase : Phase
        What the session is doing.
    hint : str
        What to do next, in plain words; never empty.
    error : str
        What went wrong, empty when nothing did.
    progress : Progress, optional
        Of the answer that is awaited.
    n_objects : int
        Objects in the preview.
    candidate, n_candidates : int
        Number (from 0) of the mask shown for the last object, and how many there are.
    score, stability : float, optional
        Of the mask shown for the last object, 0 to 1.
    object_area : int, optional
        Pixels of that mask.
    can_commit, can_undo, can_redo : bool
        Which actions do something now.
    editing : int, optional
        Label value of the object that is being edited.
    can_retry : bool
        After an error, doing the same again may help.
    generation : int
        Number of the latest request.
    note : str
        What has just been done, or more about the hint; often empty.
    """

    phase: Phase = Phase.IDLE
    hint: str = "Open an image, or choose one above"
    error: str = ""
    progress: Progress | None = None
    n_objects: int = 0
    candidate: int = 0
    n_candidates: int = 0
    score: float | None = None
    stability: float | None = None
    object_area: int | None = None
    can_commit: bool = False
    can_undo: bool = False
    can_redo: bool = False
    editing: int | None = None
    can_retry: bool = True
    generation: int = 0
    note: str = ""
