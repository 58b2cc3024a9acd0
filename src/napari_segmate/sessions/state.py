"""What a panel shows of a session: one frozen state, and the hints that say what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from napari_segmate.core.errors import Cancelled, SegmateError
from napari_segmate.sessions.history import Entry
from napari_segmate.sessions.prompt_set import PointMode

__all__ = [
    "HintText",
    "KeyNames",
    "ModelLoading",
    "Phase",
    "Progress",
    "SessionFacts",
    "SessionState",
    "editing_hint",
    "error_hint",
    "no_tool_hint",
    "nothing_new_texts",
    "prompt_hint",
    "review_hint",
    "snapshot",
    "written_note",
]


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


NO_IMAGE = "Open an image, or choose one above"
NO_MODEL = "Choose a model"
ENCODING = "Preparing this part of the image; clicks after that are fast"
DECODING = "Segmenting …"
ONLY_NEGATIVE = "Only places to exclude so far: left-click on the object as well"
NOTHING_FOUND = "Nothing found there: add another click, or draw a box round the object"
CANCELLED = "Cancelled. Click again to go on"


def prompt_hint(mode: PointMode) -> str:
    """Return the hint for an empty plane."""
    if mode is PointMode.EACH_POINT:
        return "Left-click on every object; right-click to exclude"
    return "Left-click on an object; right-click to exclude"


def editing_hint(label: int) -> str:
    """Return the hint for an object that was picked up and not yet changed."""
    return f"Editing object {label}: left-click what is missing, right-click what is too much"


def no_tool_hint(keys: KeyNames) -> str:
    """Return the hint for when clicks go to another layer, or move the view.

    Examples
    --------
    >>> no_tool_hint(KeyNames(tool="H"))
    'Press Point (or H) to go on: no tool is in hand, so clicks add nothing'
    """
    press = f"Press Point (or {keys.tool})" if keys.tool else "Press Point"
    return f"{press} to go on: no tool is in hand, so clicks add nothing"


def review_hint(
    n_objects: int, n_candidates: int, keys: KeyNames, *, tool_active: bool = True
) -> str:
    """Return the hint for a preview; clicks refine it while a tool is in hand.

    Examples
    --------
    >>> review_hint(1, 3, KeyNames(commit="K", next_candidate="N"))
    'Press K to commit the object, click to refine it, press N for another mask (3)'
    """
    what = "the object" if n_objects == 1 else f"{n_objects} objects"
    commit = f"Press {keys.commit} to commit {what}" if keys.commit else f"Commit {what}"
    take = f"press Point (or {keys.tool})" if keys.tool else "press Point"
    refine = "click to refine" if tool_active else f"{take} to refine"
    parts = [commit, f"{refine} it" if n_objects == 1 else f"{refine} them"]
    if n_candidates > 1 and keys.next_candidate:
        parts.append(f"press {keys.next_candidate} for another mask ({n_candidates})")
    return ", ".join(parts)


def error_hint(keys: KeyNames, *, can_undo: bool, can_retry: bool) -> str:
    """Return the hint that goes with an error; the error itself says what is wrong."""
    ways = ["change the prompts"]
    if can_undo and keys.undo:
        ways.append(f"press {keys.undo} to take the last one back")
    if can_retry:
        ways.append(f"press {keys.retry} to try again" if keys.retry else "try again")
    return "Your prompts are kept: " + ", or ".join(ways)


def written_note(
    labels: Sequence[int],
    layer: str,
    keys: KeyNames,
    *,
    edited: int | None = None,
    left_out: int = 0,
) -> str:
    """Return the note that goes with a commit.

    Parameters
    ----------
    labels : sequence of int
        Label values that were written.
    layer : str
        Name of the labels.
    keys : KeyNames
        Names the key that takes it back.
    edited : int, optional
        Label value of the object that was corrected.
    left_out : int
        Objects that got no pixels.

    Examples
    --------
    >>> written_note([3], "cells", KeyNames(take_back="Q"))
    "Object 3 written to 'cells'. Q takes it back"
    >>> written_note([3, 4], "cells", KeyNames(), left_out=1)
    "2 objects written to 'cells'; 1 left out: there already, or on others"
    """
    one = f"Object {labels[0] if edited is None else edited}" if len(labels) == 1 else ""
    done = "corrected in" if one and edited is not None else "written to"
    text = f"{one or f'{len(labels)} objects'} {done} '{layer}'"
    if left_out:
        text += f"; {left_out} left out: there already, or on others"
    return (
        f"{text}. {keys.take_back} takes {'it' if one else 'them'} back" if keys.take_back else text
    )


def nothing_new_texts(
    labels: Sequence[int], keys: KeyNames, *, edited: int | None = None
) -> tuple[str, str]:
    """Return hint and note for a commit that would change nothing.

    Parameters
    ----------
    labels : sequence of int
        Label values of the objects that are there already; none when others cover the new one.
    keys : KeyNames
        Names the keys that help.
    edited : int, optional
        Label value of the object that is being corrected.

    Examples
    --------
    >>> hint, note = nothing_new_texts([3], KeyNames(edit="W", clear="J"))
    >>> hint
    'Object 3 is there already'
    >>> note
    'To correct it, point at it and press W (Edit object). To go on, press J (Clear)'
    """
    go_on = f"To go on, press {keys.clear} (Clear)" if keys.clear else "To go on, press Clear"
    if edited is not None:
        return f"Object {edited} is like this already", f"Click to change it. {go_on}"
    if not labels:
        cure = "Draw it where nothing is yet, or let Options > Commit overwrite others"
        return "Nothing is left of it: other objects lie there", f"{cure}. {go_on}"
    press = f"press {keys.edit} (Edit object)" if keys.edit else "take Edit object"
    if len(labels) == 1:
        what = f"Object {labels[0]} is there already"
        return what, f"To correct it, point at it and {press}. {go_on}"
    what = f"These {len(labels)} objects are there already"
    return what, f"To correct one, point at it and {press}. {go_on}"


@dataclass(frozen=True)
class HintText:
    """What there is to say besides what follows from the prompts; over with the next change.

    Parameters
    ----------
    progress : Progress, optional
        Of the request on its way.
    error : str
        What went wrong.
    notice : str
        Said in place of the usual hint.
    note : str
        Said below the hint.
    """

    progress: Progress | None = None
    error: str = ""
    notice: str = ""
    note: str = ""


@dataclass(frozen=True, eq=False)
class SessionFacts:
    """Input of `snapshot`: everything about a session that a panel shows.

    Parameters
    ----------
    has_plane, has_model : bool
        Whether there is an image, and a model.
    tool_active : bool
        The user has a tool to click with.
    awaiting : bool
        A request is on its way.
    hint_text : HintText
        Error, progress, and texts in place of the usual hint.
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
    tool_active: bool
    awaiting: bool
    hint_text: HintText
    mode: PointMode
    keys: KeyNames
    entry: Entry
    n_shown: int
    can_undo: bool
    can_redo: bool
    generation: int


def snapshot(now: SessionFacts) -> SessionState:
    """Return the state that a panel shows, with phase and hint."""
    phase = _phase(now)
    results = now.entry.results or ()
    last = results[-1] if results else None
    instance = last.instance if last is not None else None
    return SessionState(
        phase=phase,
        hint=_hint(phase, now),
        note=now.hint_text.note,
        error=now.hint_text.error,
        progress=now.hint_text.progress,
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


def _phase(now: SessionFacts) -> Phase:
    if not now.has_plane:
        return Phase.IDLE
    if now.hint_text.error:
        return Phase.ERROR
    if now.awaiting:
        return Phase.DECODING if now.hint_text.progress is None else Phase.ENCODING
    if not now.has_model:
        return Phase.IDLE
    return Phase.PREVIEW if now.entry.results and now.n_shown else Phase.NEEDS_PROMPT


def _hint(phase: Phase, now: SessionFacts) -> str:
    match phase:
        case Phase.IDLE:
            return NO_MODEL if now.has_plane else NO_IMAGE
        case Phase.ERROR:
            can_retry = not now.entry.prompts.undrawn
            return error_hint(now.keys, can_undo=now.can_undo, can_retry=can_retry)
        case Phase.ENCODING:
            return ENCODING
        case Phase.DECODING:
            return DECODING
        case Phase.PREVIEW:
            if now.hint_text.notice:
                return now.hint_text.notice
            results = now.entry.results or ()
            count = len(results[-1].candidates)
            return review_hint(now.n_shown, count, now.keys, tool_active=now.tool_active)
        case Phase.NEEDS_PROMPT:
            return _prompt_hint(now)


def _prompt_hint(now: SessionFacts) -> str:
    if not now.tool_active:
        return no_tool_hint(now.keys)
    if now.hint_text.notice:
        return now.hint_text.notice
    if now.entry.prompts.only_negative:
        return ONLY_NEGATIVE
    if now.entry.results:
        return NOTHING_FOUND
    if now.entry.editing is not None:
        return editing_hint(now.entry.editing)
    return prompt_hint(now.mode)


LOADING_MODEL = "Loading the model …"
LOADING_FAILED = "Choose another model, or try again"
LOADING_CANCELLED = "The model was not loaded. Choose another one, or try again"


class ModelLoading:
    """How far the loading of a model is; replaces what the session says while it matters more.

    Examples
    --------
    >>> loading = ModelLoading()
    >>> loading.start()
    >>> loading.apply_to(SessionState()).hint
    'Loading the model …'
    >>> loading.finish(None)
    >>> loading.apply_to(SessionState()) == SessionState()
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

    def apply_to(self, state: SessionState) -> SessionState:
        """Return what to show: the session's state, unless the model matters more."""
        if self._progress is not None and not state.phase.busy:
            return replace(state, phase=Phase.ENCODING, hint=LOADING_MODEL, progress=self._progress)
        if self._error is None or state.phase is Phase.ERROR:
            return state
        if isinstance(self._error, Cancelled):
            return replace(state, phase=Phase.ERROR, hint=LOADING_CANCELLED, error="")
        known = isinstance(self._error, SegmateError)
        text = str(self._error) if known else f"{type(self._error).__name__}: {self._error}"
        return replace(state, phase=Phase.ERROR, hint=LOADING_FAILED, error=text)
