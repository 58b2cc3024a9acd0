"""From what a session knows to what a panel shows."""

from __future__ import annotations

from dataclasses import dataclass

from napari_segmate.sessions import hints
from napari_segmate.sessions.history import Entry
from napari_segmate.sessions.prompt_set import PointMode
from napari_segmate.sessions.state import KeyNames, Phase, Progress, SessionState

__all__ = ["Situation", "Words", "snapshot"]


@dataclass(frozen=True)
class Words:
    """What there is to say besides what follows from the prompts; over with the next change.

    Parameters
    ----------
    progress : Progress, optional
        Of the request on its way.
    error : str
        What went wrong.
    notice : str
        JobStatus in place of the usual hint.
    note : str
        JobStatus below the hint.
    """

    progress: Progress | None = None
    error: str = ""
    notice: str = ""
    note: str = ""


@dataclass(frozen=True, eq=False)
class Situation:
    """Everything about a session that a panel may want to know.

    Parameters
    ----------
    has_plane, has_model : bool
        Whether there is an image, and someone to answer.
    in_hand : bool
        The user has a tool to click with.
    awaiting : bool
        A request is on its way.
    words : Words
        What else there is to say.
    mode : PointMode
        Whether the points of a plane belong together.
    keys : KeyNames
        How the hints name the keys.
    entry : Entry
        Prompts in force, and their answers.
    n_shown : int
        Masks in the preview.
    can_undo, can_redo : bool
        Whether there is something to undo or redo.
    generation : int
        Number of the latest request.
    """

    has_plane: bool
    has_model: bool
    in_hand: bool
    awaiting: bool
    words: Words
    mode: PointMode
    keys: KeyNames
    entry: Entry
    n_shown: int
    can_undo: bool
    can_redo: bool
    generation: int


def snapshot(now: Situation) -> SessionState:
    """Return what a panel shows of a session."""
    phase = _phase(now)
    results = now.entry.results or ()
    last = results[-1] if results else None
    instance = last.instance if last is not None else None
    return SessionState(
        phase=phase,
        hint=_hint(phase, now),
        note=now.words.note,
        error=now.words.error,
        progress=now.words.progress,
        n_objects=now.n_shown,
        candidate=last.chosen if last is not None else 0,
        n_candidates=len(last.candidates) if last is not None else 0,
        score=instance.score if instance is not None else None,
        stability=instance.stability if instance is not None else None,
        object_area=instance.area if instance is not None else None,
        can_commit=phase is Phase.PREVIEW,
        can_undo=now.can_undo,
        can_redo=now.can_redo,
        editing=now.entry.editing,
        generation=now.generation,
    )


def _phase(now: Situation) -> Phase:
    if not now.has_plane:
        return Phase.IDLE
    if now.words.error:
        return Phase.ERROR
    if now.awaiting:
        return Phase.DECODING if now.words.progress is None else Phase.ENCODING
    if not now.has_model:
        return Phase.IDLE
    return Phase.PREVIEW if now.entry.results and now.n_shown else Phase.NEEDS_PROMPT


def _hint(phase: Phase, now: Situation) -> str:
    match phase:
        case Phase.IDLE:
            return hints.NO_MODEL if now.has_plane else hints.NO_IMAGE
        case Phase.ERROR:
            can_retry = not now.entry.prompts.undrawn
            return hints.after_error(now.keys, can_undo=now.can_undo, can_retry=can_retry)
        case Phase.ENCODING:
            return hints.ENCODING
        case Phase.DECODING:
            return hints.DECODING
        case Phase.PREVIEW:
            if now.words.notice:
                return now.words.notice
            results = now.entry.results or ()
            count = len(results[-1].candidates)
            return hints.reviewing(now.n_shown, count, now.keys, in_hand=now.in_hand)
        case Phase.NEEDS_PROMPT:
            return _prompt_hint(now)


def _prompt_hint(now: Situation) -> str:
    if not now.in_hand:
        return hints.no_tool(now.keys)
    if now.words.notice:
        return now.words.notice
    if now.entry.prompts.only_negative:
        return hints.ONLY_NEGATIVE
    if now.entry.results:
        return hints.NOTHING_FOUND
    if now.entry.editing is not None:
        return hints.editing(now.entry.editing)
    return hints.awaiting_prompt(now.mode)
