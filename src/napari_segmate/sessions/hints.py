"""The words that tell a user what to do next."""

from __future__ import annotations

from collections.abc import Sequence

from napari_segmate.sessions.prompt_set import PointMode
from napari_segmate.sessions.state import KeyNames

__all__ = [
    "after_error",
    "awaiting_prompt",
    "editing",
    "no_tool",
    "nothing_new",
    "reviewing",
    "written",
]

NO_IMAGE = "Open an image, or choose one above"
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


def no_tool(keys: KeyNames) -> str:
    """Return the hint for when clicks go to another layer, or move the view.

    Examples
    --------
    >>> no_tool(KeyNames(tool="H"))
    'Press Point (or H) to go on: no tool is in hand, so clicks add nothing'
    """
    press = f"Press Point (or {keys.tool})" if keys.tool else "Press Point"
    return f"{press} to go on: no tool is in hand, so clicks add nothing"


def reviewing(n_objects: int, n_candidates: int, keys: KeyNames, *, in_hand: bool = True) -> str:
    """Return the hint for a preview; clicks refine it while a tool is in hand.

    Examples
    --------
    >>> reviewing(1, 3, KeyNames(commit="K", next_candidate="N"))
    'Press K to commit the object, click to refine it, press N for another mask (3)'
    """
    what = "the object" if n_objects == 1 else f"{n_objects} objects"
    commit = f"Press {keys.commit} to commit {what}" if keys.commit else f"Commit {what}"
    take = f"press Point (or {keys.tool})" if keys.tool else "press Point"
    refine = "click to refine" if in_hand else f"{take} to refine"
    parts = [commit, f"{refine} it" if n_objects == 1 else f"{refine} them"]
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


def written(
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
    >>> written([3], "cells", KeyNames(take_back="Q"))
    "Object 3 written to 'cells'. Q takes it back"
    >>> written([3, 4], "cells", KeyNames(), left_out=1)
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


def nothing_new(
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
    >>> hint, note = nothing_new([3], KeyNames(edit="W", clear="J"))
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
