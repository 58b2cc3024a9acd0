"""Names of new models: proposed, checked, and the models behind them deleted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from napari_segmate.core.errors import CacheError, SegmateError
from napari_segmate.core.training_events import Result
from napari_segmate.models._own import check_name, own_path

__all__ = ["delete_own", "forget_unfinished", "name_problem", "propose_name"]

LONGEST = 40
NUMBERED = re.compile(r"^(.*?)[ _-](\d+)$")


def name_problem(name: str, taken: Sequence[str]) -> str:
    """Return why a new model cannot have a name, empty when it can."""
    if name in taken:
        return f"There is a model “{name}” already."
    try:
        check_name(name, taken)
    except SegmateError as error:
        text = str(error)
        return f"{text[:1].upper()}{text[1:]}."
    return ""


def propose_name(model: str, image: str, taken: Sequence[str]) -> str:
    """Return a free name for what is trained from a model on an image.

    Examples
    --------
    >>> propose_name("tiny", "My cells (1).tif", ["tiny"])
    'tiny-my-cells-1'
    >>> propose_name("tiny-my-cells", "", ["tiny", "tiny-my-cells", "tiny-my-cells-2"])
    'tiny-my-cells-3'
    """
    words = re.sub(r"[^a-z0-9]+", "-", Path(image).stem.lower()).strip("-")
    base = re.sub(r"[^A-Za-z0-9 _.\-]+", "-", model).strip("-_. ") or "model"
    # What was trained before has the name of its images already.
    stem = f"{base}-{words}" if words and not base.endswith(words) else base
    stem = stem[:LONGEST].rstrip("-")
    if not name_problem(stem, taken):
        return stem
    numbered = NUMBERED.match(stem)
    stem, number = (numbered[1], int(numbered[2])) if numbered else (stem, 1)
    while name_problem(f"{stem}-{number + 1}", taken):
        number += 1
    return f"{stem}-{number + 1}"


def delete_own(result: Result) -> None:
    """Delete a model that a training has made, and its picture.

    Raises
    ------
    CacheError
        It cannot be deleted.
    """
    try:
        for path in (result.path, result.picture):
            if path:
                Path(path).unlink(missing_ok=True)
    except OSError as error:
        raise CacheError(
            f"{result.path} cannot be deleted ({error.strerror or error}); delete it by hand"
        ) from error


def forget_unfinished(name: str) -> None:
    """Delete what a training that is not wanted any more kept to go on with."""
    target = own_path(name)
    with suppress(OSError):
        target.with_name(f".{target.stem}.resume.pt").unlink(missing_ok=True)
