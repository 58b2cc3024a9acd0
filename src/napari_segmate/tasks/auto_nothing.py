"""What to say when no object was found: what was assumed, and what to try."""

from __future__ import annotations

from napari_segmate.tasks.auto_params import Mode, Params

__all__ = ["assumed", "nothing_found"]


def assumed(diameter: float | None, *, estimated: bool) -> str:
    """Return what was assumed of the objects that were looked for, a sentence.

    Parameters
    ----------
    diameter : float, optional
        Typical object in pixels; 0 if none could be estimated, None if it is not known which.
    estimated : bool
        Whether the diameter was estimated.

    Examples
    --------
    >>> assumed(30.2, estimated=True)
    'Looked for objects about 30 pixels wide (estimated), bright or dark'
    >>> assumed(0, estimated=True)
    'Looked for objects of any size in the image as it is (no size could be estimated), bright or \
dark'
    """
    if diameter is None:
        return "Looked for objects of a size that was estimated, bright or dark"
    if not diameter:
        how = "in the image as it is (no size could be estimated)"
        return f"Looked for objects of any size {how}, bright or dark"
    how = "estimated" if estimated else "as set"
    return f"Looked for objects about {diameter:.0f} pixels wide ({how}), bright or dark"


def nothing_found(params: Params, mode: Mode) -> str:
    """Return what to tell where `segmate auto` found no object.

    Parameters
    ----------
    params : Params
        What was asked for.
    mode : Mode
        How objects were looked for.

    Examples
    --------
    >>> print(nothing_found(Params(diameter=12), Mode.OBJECTS))
    no object found. Looked for objects about 12 pixels wide (as set), bright or dark, with a \
score of 0.8 or more. Try --diameter with the width of an object in pixels, settings with a lower \
"score" or "min_area" (--params), or --mode grid
    """
    size = assumed(params.diameter, estimated=params.diameter is None)
    limits = f"a score of {params.least_score(mode):g} or more"
    if params.least_stability(mode):
        limits += f" and a stability of {params.least_stability(mode):g} or more"
    tries = [
        "Try --diameter with the width of an object in pixels",
        'settings with a lower "score" or "min_area" (--params)',
    ]
    if mode is not Mode.GRID:
        tries.append("or --mode grid")
    else:
        tries[1] = f"or {tries[1]}"
    return f"no object found. {size}, with {limits}. {', '.join(tries)}"
