"""The words that tell a user what to do next."""

from __future__ import annotations

from napari_segmate.sessions.prompt_set import PointMode
from napari_segmate.sessions.state import KeyNames

__all__ = [
    "after_error",
    "awaiting_prompt",
    "editing",
    "reviewing",
]

NO_IMAGE = "Choose an image to segment"
NO_MODEL = "Choose a model"
ENCODING = "Preparing this part of the image; clicks after that are fast"
DECODING = "Segmenting …"
ONLY_NEGATIVE = "Only places to exclude so far: left-click on the object as well"
NOTHING_FOUND = "Nothing found there: add another click, or draw a box round the object"
CANCELLED = "Cancelled. Click again to go on"


def awaiting_prompt(mode: PointMode) -> str:
    """Return the hint for an empty plane."""
    if mode is PointMode.EACH_POINT:
        return "Left-click on every object; right-click to exclude"
    return "Left-click on an object; right-click to exclude"


def editing(label: int) -> str:
    """Return the hint for an object that was picked up and not yet changed."""
    return f"Editing object {label}: left-click what is missing, right-click what is too much"


def reviewing(n_objects: int, n_candidates: int, keys: KeyNames) -> str:
    """Return the hint for a preview.

    Examples
    --------
    >>> reviewing(1, 3, KeyNames(commit="K", next_candidate="N"))
    'Press K to commit the object, click to refine it, press N for another mask (3)'
    """
    what = "the object" if n_objects == 1 else f"{n_objects} objects"
    commit = f"Press {keys.commit} to commit {what}" if keys.commit else f"Commit {what}"
    parts = [commit, "click to refine it" if n_objects == 1 else "click to refine them"]
    if n_candidates > 1 and keys.next_candidate:
        parts.append(f"press {keys.next_candidate} for another mask ({n_candidates})")
    return ", ".join(parts)


def after_error(keys: KeyNames, *, can_undo: bool, can_retry: bool) -> str:
    """Return the hint that goes with an error; the error itself says what is wrong."""
    ways = ["change the prompts"]
    if can_undo and keys.undo:
        ways.append(f"press {keys.undo} to take the last one back")
    if can_retry:
        ways.append(f"press {keys.retry} to try again" if keys.retry else "try again")
    return "Your prompts are kept: " + ", or ".join(ways)
