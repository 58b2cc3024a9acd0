"""Objects in a stack as users point at them: on the command line, in JSON and in CSV files."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_segmate.core.errors import PromptError
from napari_segmate.core.prompts import Box, ObjectPrompts, Points

if TYPE_CHECKING:
    from napari_segmate.tasks.propagate.run import Seed

__all__ = ["Position", "read_prompts", "seeds_of"]


@dataclass(frozen=True)
class Position:
    """Which stack of an image is meant, and which of its axes is followed.

    Parameters
    ----------
    sizes : tuple of int
        Planes along each index axis of the image.
    axis : int
        The one that is followed.
    """

    sizes: tuple[int, ...]
    axis: int

    def split(self, index: Sequence[float]) -> tuple[int, tuple[int, ...]]:
        """Return the plane, and the position along the other axes.

        Raises
        ------
        PromptError
            Another number of coordinates than axes, or no whole numbers.
        """
        if len(index) != len(self.sizes):
            raise PromptError(
                f"{len(index)} coordinates before row and column in an image with "
                f"{len(self.sizes)} such axes of sizes {self.sizes}; give one for each"
            )
        whole = [int(at) for at in index]
        if whole != list(index):
            raise PromptError(f"planes are whole numbers from 0, got {list(index)}")
        rest = tuple(at for number, at in enumerate(whole) if number != self.axis)
        return whole[self.axis], rest


Placed = tuple["Seed", tuple[int, ...]]


def seeds_of(
    points: Iterable[Sequence[float]], boxes: Iterable[Sequence[float]], position: Position
) -> list[Placed]:
    """Return one object per point and per box, and where along the other axes it lies."""
    from napari_segmate.tasks.propagate.run import Seed

    found: list[Placed] = []
    for at in points:
        plane, rest = position.split(at[:-2])
        found.append(
            (Seed(plane, ObjectPrompts(points=Points(np.array([at[-2:]], dtype=np.float64)))), rest)
        )
    for corners in boxes:
        plane, rest = position.split(corners[:-4])
        y0, x0, y1, x1 = corners[-4:]
        found.append((Seed(plane, ObjectPrompts(box=Box((y0, x0, y1, x1)))), rest))
    return found


def read_prompts(path: Path, position: Position) -> list[Placed]:
    """Return the objects that a file lists.

    A ``.json`` file holds a list of ``{"plane": [..] or n, "points": [[y, x], ..], "negative":
    [[y, x], ..], "box": [y0, x0, y1, x1], "id": n}``, of which some may be left out. A ``.csv``
    file has the columns ``z`` (or ``plane``), ``y`` and ``x``, and may have ``id`` and
    ``positive`` (1 or 0); rows with one id and one plane are one object.

    Raises
    ------
    PromptError
        No such file, another ending, or something in it that is no prompt.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise PromptError(f"the prompts {path} cannot be read ({error})") from error
    readers = {".json": _from_json, ".csv": _from_csv}
    if path.suffix.lower() not in readers:
        raise PromptError(f"prompts are read from {sorted(readers)} files, not {path.name!r}")
    try:
        return [_placed(one, position) for one in readers[path.suffix.lower()](text)]
    except PromptError as error:
        raise PromptError(f"{path}: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PromptError(
            f"{path} holds something that is no prompt ({type(error).__name__}: {error}); see "
            "'segmate propagate --help'"
        ) from error


def _from_json(text: str) -> list[Mapping[str, Any]]:
    listed = json.loads(text)
    if not isinstance(listed, list):
        raise PromptError("a JSON file of prompts holds a list of objects")
    return listed


def _from_csv(text: str) -> list[Mapping[str, Any]]:
    grouped: dict[tuple[Any, ...], dict[str, Any]] = {}
    for number, row in enumerate(csv.DictReader(text.splitlines())):
        plane = float(row["z"] if row.get("z") not in (None, "") else row["plane"])
        named = row.get("id") not in (None, "")
        key = (row["id"], plane) if named else ("row", number)
        entry = grouped.setdefault(
            key,
            {"plane": plane, "id": int(row["id"]) if named else 0, "points": [], "negative": []},
        )
        inside = (row.get("positive") or "1").strip() not in ("0", "false", "False")
        entry["points" if inside else "negative"].append([float(row["y"]), float(row["x"])])
    return list(grouped.values())


def _placed(entry: Mapping[str, Any], position: Position) -> Placed:
    from napari_segmate.tasks.propagate.run import Seed

    given = entry["plane"]
    index = given if isinstance(given, list) else [*[0] * (len(position.sizes) - 1), given]
    if not isinstance(given, list) and position.axis != len(position.sizes) - 1:
        index = [given if at == position.axis else 0 for at in range(len(position.sizes))]
    plane, rest = position.split(index)
    inside, outside = entry.get("points") or [], entry.get("negative") or []
    points = None
    if inside or outside:
        at = np.array([*inside, *outside], dtype=np.float64)
        points = Points(at, np.arange(len(at)) < len(inside))
    box = Box(tuple(map(float, entry["box"]))) if entry.get("box") else None  # type: ignore[arg-type]
    number = int(entry.get("id") or 0)
    return Seed(plane, ObjectPrompts(points=points, box=box), number), rest
