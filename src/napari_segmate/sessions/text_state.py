"""What the panel of a text search shows: one frozen snapshot, and the words that say what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from napari_segmate.sessions.state import Phase, Progress, SessionState

__all__ = ["Offer", "Offered", "SearchFacts", "TextState", "state_of"]

DRAWING = "Drag a box round an object; Segment turns boxes into objects"
NOTHING_SHOWN = (
    "All boxes are filtered out: move the score or size limits until the right ones appear"
)
NOTHING_FOUND = (
    "Nothing found. Lower the score, try plainer words (round bright blob, dark spot), a smaller "
    "region, tiles (Options), or Automask for all objects of one kind"
)


@dataclass(frozen=True)
class Offer:
    """A download that the user must agree to.

    Parameters
    ----------
    title : str
        What it is.
    text : str
        Size, licence, where from and where to.
    addresses : tuple of str
        Of the files, for those who get them in another way.
    folder : str
        Where these belong.
    """

    title: str
    text: str
    addresses: tuple[str, ...] = ()
    folder: str = ""


@dataclass(frozen=True)
class Offered:
    """How far it is with an offer.

    Parameters
    ----------
    offer : Offer
        What is offered.
    running : bool
        The user has agreed, and it is being downloaded.
    failed : bool
        It did not work.
    """

    offer: Offer
    running: bool = False
    failed: bool = False


@dataclass(frozen=True)
class SearchFacts:
    """What is known; `state_of` puts it into words.

    Parameters
    ----------
    image : bool
        There is a plane of an image in view.
    drawing : bool
        The next drag draws a box.
    trouble : str
        Why there is none, in the words of whoever found out.
    prompt : bool
        Something is typed.
    region_missing : bool
        A rectangle is to be searched, but none is drawn.
    counts : mapping of str to int
        Boxes in view, by concept, on this plane.
    n_boxes, n_planes : int
        Boxes to be seen on all planes, and how many planes have some.
    searched : bool
        This plane was searched.
    hidden : int
        Boxes that were found on this plane, which the filters may hide.
    best : float, optional
        Best score of all boxes that were found on this plane.
    score : float
        Score below which boxes are hidden.
    offered : bool
        The detector must be downloaded, and the user is asked whether that is all right.
    """

    image: bool = False
    drawing: bool = False
    trouble: str = ""
    prompt: bool = False
    region_missing: bool = False
    counts: Mapping[str, int] = field(default_factory=dict)
    n_boxes: int = 0
    n_planes: int = 0
    searched: bool = False
    hidden: int = 0
    best: float | None = None
    score: float = 0.0
    offered: bool = False


@dataclass(frozen=True)
class TextState:
    """Snapshot of a search.

    Parameters
    ----------
    status : SessionState
        Phase, hint, error and progress, for the status line.
    counts : mapping of str to int
        Boxes in view, by concept.
    n_boxes : int
        Boxes on all planes that Segment would turn into objects.
    can_find, can_segment, can_clear, can_draw : bool
        Which actions do something now.
    """

    status: SessionState = field(default_factory=SessionState)
    counts: Mapping[str, int] = field(default_factory=dict)
    n_boxes: int = 0
    can_find: bool = False
    can_segment: bool = False
    can_clear: bool = False
    can_draw: bool = False


def state_of(
    facts: SearchFacts,
    *,
    busy: Progress | None = None,
    doing: str = "",
    error: str = "",
    cure: str = "",
    notice: str = "",
    then: str = "",
) -> TextState:
    """Return what the panel shows.

    Parameters
    ----------
    facts : SearchFacts
        What is known.
    busy : Progress, optional
        Of the job that runs.
    doing : str
        What runs, in words.
    error, cure : str
        What went wrong, and what helps.
    notice : str
        What has just been done; comes before what to do next.
    then : str
        What to do next after that, when it is not what the facts say.

    Examples
    --------
    >>> state_of(SearchFacts(image=True)).status.hint
    'Type what to look for, for example: nucleus. Then press Find'
    >>> facts = SearchFacts(image=True, prompt=True, counts={"cell": 2}, n_boxes=2, n_planes=1)
    >>> state_of(facts).status.hint.split(". ")[0]
    '2 boxes: cell 2'
    """
    state = TextState(
        SessionState(phase=Phase.NEEDS_PROMPT, hint=_hint(facts)),
        dict(facts.counts),
        facts.n_boxes,
        can_find=facts.image and facts.prompt and not facts.region_missing,
        can_segment=facts.image and facts.n_boxes > 0,
        can_clear=facts.n_boxes > 0 or facts.searched,
        can_draw=facts.image,
    )
    if busy is not None:
        status = SessionState(phase=Phase.ENCODING, hint=doing, progress=busy)
        return replace(state, status=status, can_find=False, can_segment=False, can_clear=False)
    if error:
        # The offer has a button of its own for that.
        status = SessionState(
            phase=Phase.ERROR,
            hint=cure or state.status.hint,
            error=error,
            can_retry=not facts.offered,
        )
        return replace(state, status=status)
    phase = Phase.PREVIEW if facts.n_boxes else Phase.NEEDS_PROMPT if facts.image else Phase.IDLE
    hint = f"{notice}. {then or state.status.hint}" if notice else state.status.hint
    return replace(state, status=SessionState(phase=phase, hint=hint))


def _hint(facts: SearchFacts) -> str:
    if not facts.image:
        return facts.trouble or "Open an image, or choose one above"
    if facts.drawing and not any(facts.counts.values()):
        return f"{DRAWING}. Or agree to the download above" if facts.offered else DRAWING
    if facts.offered:
        return "Agree to the download above, or choose another detector"
    if facts.region_missing:
        return "Drag a rectangle round the part to search"
    total = sum(facts.counts.values())
    if total:
        return _found(facts, total)
    if facts.n_boxes:
        planes = "1 other plane" if facts.n_planes == 1 else f"{facts.n_planes} other planes"
        return f"No boxes on this plane; {_boxes(facts.n_boxes)} on {planes}"
    if facts.searched:
        return _nothing(facts)
    if facts.prompt:
        return "Press Find"
    return "Type what to look for, for example: nucleus. Then press Find"


def _found(facts: SearchFacts, total: int) -> str:
    parts = ", ".join(f"{concept} {count}" for concept, count in facts.counts.items())
    more = ""
    if facts.n_boxes > total:
        more = f" ({facts.n_boxes} on {facts.n_planes} planes)"
    # Without anything found there are no limits to be seen.
    limits = "Move the limits until the boxes fit, delete" if facts.hidden else "Delete"
    return (
        f"{_boxes(total)}: {parts}{more}. {limits}, move or draw boxes in the layer, then press "
        "Segment"
    )


def _nothing(facts: SearchFacts) -> str:
    if facts.best is not None and facts.best < facts.score:
        return (
            f"No box scores above {facts.score:.2f}; the best one has {facts.best:.2f}. Lower the "
            "score, try plainer words (round bright blob, dark spot), or draw a box round one "
            "object and press More like this"
        )
    return NOTHING_SHOWN if facts.hidden else NOTHING_FOUND


def _boxes(count: int) -> str:
    return "1 box" if count == 1 else f"{count} boxes"
