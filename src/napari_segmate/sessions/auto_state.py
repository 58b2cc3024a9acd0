"""What the panel of automask shows: what is known, and the words that say what to do next."""

from __future__ import annotations

from dataclasses import dataclass

from napari_segmate.sessions.state import Phase, Progress, SessionState

__all__ = ["AutoFacts", "auto_state_of", "counted"]

PRESS = "Press 'Find all objects': every object gets an outline to look at"
SLOW = ". A grid of clicks takes minutes without a graphics card"
NOTHING = (
    "Nothing to propose here. Lower the limits, say how large objects are, or find everything with "
    "a grid of clicks"
)
NOTHING_IN_GRID = (
    "Nothing to propose here. Lower the score and the stability, or say how large objects are: "
    "small ones are shown larger then"
)
DEALT = "Nothing is left to accept: go on with another plane or image, or correct objects by clicks"
OUTDATED = "What to find, or where, was changed: press 'Find all objects' to look again"


@dataclass(frozen=True)
class AutoFacts:
    """What is known; `auto_state_of` puts it into words.

    Parameters
    ----------
    image : bool
        There is a plane of an image in view.
    trouble : str
        Why there is none, in the words of whoever found out.
    region_missing : str
        What the user must do before a region can be searched.
    grid : bool
        Objects are found with a grid of points.
    looked : bool
        This plane was looked at.
    dealt : bool
        All that was proposed for it has been accepted or deleted.
    outdated : bool
        Something was changed since that needs another look.
    count : int
        Proposals on this plane.
    total, planes : int
        Proposals on all planes, and how many planes were looked at.
    linked : bool
        Objects that go on from plane to plane are one; proposals are only their outlines.
    objects : int
        How many objects these are; 0 is not known yet.
    delete_key : str
        Name of the key that deletes the proposal under the cursor.
    assumed : str
        What was assumed of the objects that were looked for, a sentence.
    """

    image: bool = False
    trouble: str = ""
    region_missing: str = ""
    grid: bool = False
    looked: bool = False
    dealt: bool = False
    outdated: bool = False
    count: int = 0
    total: int = 0
    planes: int = 0
    linked: bool = False
    objects: int = 0
    delete_key: str = ""
    assumed: str = ""


def auto_state_of(
    facts: AutoFacts,
    *,
    busy: Progress | None = None,
    doing: str = "",
    error: str = "",
    cure: str = "",
    notice: str = "",
    then: str = "",
) -> SessionState:
    """Return what the status line shows.

    Parameters
    ----------
    facts : AutoFacts
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
        What to do next, if it is not the usual.

    Examples
    --------
    >>> auto_state_of(AutoFacts()).hint
    'Open an image, or choose one above'
    >>> auto_state_of(AutoFacts(image=True, looked=True, count=2, total=2)).hint.split(". ")[0]
    '2 objects proposed'
    """
    if busy is not None:
        return SessionState(Phase.ENCODING, doing, progress=busy)
    hint = _hint(facts)
    if error:
        return SessionState(Phase.ERROR, cure or hint, error)
    done = facts.count and not facts.region_missing
    phase = Phase.PREVIEW if done else Phase.NEEDS_PROMPT if facts.image else Phase.IDLE
    return SessionState(phase, f"{notice}. {then or hint}" if notice else hint)


def _hint(facts: AutoFacts) -> str:
    if not facts.image:
        return facts.trouble or "Open an image, or choose one above"
    if facts.region_missing:
        return facts.region_missing
    if facts.looked and facts.outdated:
        return OUTDATED
    if facts.count:
        return _found(facts)
    if facts.total:
        planes = "1 other plane" if facts.planes == 1 else f"{facts.planes} planes"
        return f"None on this plane; {_total(facts)} on {planes}. Accept all takes them, too"
    if facts.looked:
        nothing = NOTHING_IN_GRID if facts.grid else NOTHING
        if facts.assumed:
            nothing = nothing.replace(". ", f". {facts.assumed}. ", 1)
        return DEALT if facts.dealt else nothing
    return PRESS + (SLOW if facts.grid else "")


def _found(facts: AutoFacts) -> str:
    more = f" here, {_total(facts)} on {facts.planes} planes" if facts.total > facts.count else ""
    delete = f" (or point and press {facts.delete_key})" if facts.delete_key else ""
    return (
        f"{_objects(facts.count)} proposed{more}. Move the sliders until they fit, delete wrong "
        f"ones{delete}, then accept"
    )


def _total(facts: AutoFacts) -> str:
    return counted(facts.total, facts.objects, linked=facts.linked)


def counted(outlines: int, objects: int, *, linked: bool) -> str:
    """Return how many objects there are; of linked ones also how many outlines they have.

    Parameters
    ----------
    outlines : int
        Objects of each plane.
    objects : int
        How many these are when those that go on are one; 0 is not known yet.
    linked : bool
        Whether they are.

    Examples
    --------
    >>> counted(465, 40, linked=True)
    '40 objects (465 outlines)'
    >>> counted(465, 0, linked=True), counted(465, 0, linked=False)
    ('465 outlines', '465 objects')
    """
    outlined = f"{outlines:,} outline{'' if outlines == 1 else 's'}"
    if not linked:
        return _objects(outlines)
    return f"{_objects(objects)} ({outlined})" if objects else outlined


def _objects(count: int) -> str:
    return "1 object" if count == 1 else f"{count:,} objects"
