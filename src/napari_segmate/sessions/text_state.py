"""What the Find by text panel shows: what is known, the hint on what to do, the actions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from napari_segmate.sessions.panel_state import JobStatus, PanelState, available, status_of
from napari_segmate.sessions.state import Phase

__all__ = ["Offer", "OfferState", "TextFacts", "TextState", "text_state"]

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
class OfferState:
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
class TextFacts:
    """What is known; `text_state` puts it into words.

    Parameters
    ----------
    image : bool
        There is a plane of an image in view.
    drawing : bool
        The next drag draws a box.
    trouble : str
        Why there is none, as a sentence.
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
    can_find_similar : bool
        There is a box to take as an example, and the detector understands examples.
    can_take_back : bool
        Objects that were written can be taken back.
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
    can_find_similar: bool = False
    can_take_back: bool = False


@dataclass(frozen=True)
class TextState(PanelState):
    """Snapshot of a search.

    Parameters
    ----------
    status, actions
        As in `PanelState`.
    n_boxes : int
        Boxes on all planes that Segment would turn into objects.
    """

    n_boxes: int = 0


def text_state(facts: TextFacts, job: JobStatus | None = None) -> TextState:
    """Return what the panel shows.

    Parameters
    ----------
    facts : TextFacts
        What is known.
    job : JobStatus, optional
        What there is to say about jobs; by default nothing.

    Examples
    --------
    >>> text_state(TextFacts(image=True)).status.hint
    'Type what to look for, for example: nucleus. Then press Find'
    >>> facts = TextFacts(image=True, prompt=True, counts={"cell": 2}, n_boxes=2, n_planes=1)
    >>> text_state(facts).status.hint.split(". ")[0]
    '2 boxes: cell 2'
    """
    job = job or JobStatus()
    boxes, ready = facts.n_boxes > 0, not job.busy
    actions = available(
        {
            "find": ready and facts.image and facts.prompt and not facts.region_missing,
            "segment": ready and facts.image and boxes,
            "edit": ready and facts.image and boxes,
            "clear": ready and (boxes or facts.searched),
            "draw": facts.image,
            "find_similar": ready and facts.can_find_similar,
            "take_back": facts.can_take_back,
        }
    )
    phase = Phase.PREVIEW if boxes else Phase.NEEDS_PROMPT if facts.image else Phase.IDLE
    # The offer has a button of its own for trying again.
    status = status_of(job, _hint(facts), phase, can_retry=not facts.offered)
    return TextState(status, actions, facts.n_boxes)


def _hint(facts: TextFacts) -> str:
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


def _found(facts: TextFacts, total: int) -> str:
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


def _nothing(facts: TextFacts) -> str:
    if facts.best is not None and facts.best < facts.score:
        return (
            f"No box scores above {facts.score:.2f}; the best one has {facts.best:.2f}. Lower the "
            "score, try plainer words (round bright blob, dark spot), or draw a box round one "
            "object and press More like this"
        )
    return NOTHING_SHOWN if facts.hidden else NOTHING_FOUND


def _boxes(count: int) -> str:
    return "1 box" if count == 1 else f"{count} boxes"
