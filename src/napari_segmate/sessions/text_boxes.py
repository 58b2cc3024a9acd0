"""The boxes of a text search: what was found, what the user made of it, what is to be seen."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np

from napari_segmate.core.masks.boxes import overlaps
from napari_segmate.core.masks.coarse_masks import CoarseMask
from napari_segmate.core.types import BoxYX

__all__ = ["COLOURS", "BoxBook", "BoxRow", "Origin", "PlaneIndex", "TextBox", "colour_of"]

PlaneIndex = tuple[int, ...]
"""Plane of a stack: one number per axis that is neither y, x nor channel."""
SAME_PX = 1e-3
"""Boxes nearer than this are the same one: layers keep single-precision corners."""
COLOURS = ("#00e5ff", "#ffd600", "#ff6d00", "#76ff03", "#f48fb1", "#b388ff", "#ffffff", "#a1887f")
"""Told apart by people with the common colour blindnesses, and seen on grey and on H&E."""


def colour_of(concept: str, concepts: Sequence[str]) -> str:
    """Return the colour of a concept: its place among all of them decides.

    Examples
    --------
    >>> colour_of("cell", ["nucleus", "cell"])
    '#ffd600'
    """
    at = concepts.index(concept) if concept in concepts else len(concepts)
    return COLOURS[at % len(COLOURS)]


class Origin(StrEnum):
    """Where a box comes from."""

    FOUND = "found"
    EDITED = "edited"
    DRAWN = "drawn"


@dataclass(frozen=True)
class BoxRow:
    """A box as a layer shows it; `number` is 0 for one that the user has just drawn."""

    number: int
    plane: PlaneIndex
    box_yx: BoxYX
    concept: str


@dataclass(frozen=True)
class TextBox:
    """One box.

    Parameters
    ----------
    number : int
        Names the box as long as the search lasts, from 1.
    plane : tuple of int
        Where in the stack.
    box_yx : (y0, x0, y1, x1)
        Corners, in plane pixels.
    concept : str
        What is in it.
    score : float
        0 to 1; NaN for one that the user has drawn.
    origin : Origin
        Found, found and then edited, or drawn.
    mask : CoarseMask, optional
        What the detector drew in it, when that is to become the object.
    """

    number: int
    plane: PlaneIndex
    box_yx: BoxYX
    concept: str
    score: float = math.nan
    origin: Origin = Origin.DRAWN
    mask: CoarseMask | None = field(default=None, compare=False, repr=False)

    def differs(self, row: BoxRow) -> bool:
        """Tell whether the user has made another box of this one."""
        moved = not self.lies_at(row.box_yx)
        return moved or self.concept != row.concept or self.plane != row.plane

    def lies_at(self, box_yx: Iterable[float]) -> bool:
        """Tell whether its corners are these."""
        return all(abs(a - b) <= SAME_PX for a, b in zip(self.box_yx, box_yx, strict=True))


class BoxBook:
    """Keeps apart what filters may hide again, and what the user has made.

    Found boxes come and go with the filters. One that was edited or deleted is never shown as found
    again; edited and drawn boxes stay whatever the filters say, and found boxes that cover the same
    object give way to them.

    Examples
    --------
    >>> book = BoxBook()
    >>> book.set_found((), [(0, (1, 1, 9, 9), "cell", 0.8), (1, (20, 1, 29, 9), "cell", 0.4)])
    >>> [box.score for box in book.shown]
    [0.8, 0.4]
    >>> first, second = book.shown
    >>> _ = book.take([BoxRow(0, (), (40, 1, 49, 9), "cell")], {first.number, second.number})
    >>> [box.origin.value for box in book.shown]
    ['drawn']
    """

    def __init__(self) -> None:
        self._found: dict[PlaneIndex, tuple[TextBox, ...]] = {}
        self._own: dict[int, TextBox] = {}
        self._touched: set[int] = set()
        self._numbers: dict[tuple[PlaneIndex, Hashable], int] = {}
        self._keys: dict[int, Hashable] = {}
        self._last = 0
        self.overlap = 0.5

    # In

    def set_found(
        self, plane: PlaneIndex, boxes: Iterable[tuple[Hashable, BoxYX, str, float]]
    ) -> None:
        """Say which boxes of a plane the filters let through.

        Parameters
        ----------
        plane : tuple of int
            Where in the stack.
        boxes : iterable of (key, (y0, x0, y1, x1), concept, score)
            The key names a box of the search, whatever the filters say.
        """
        self._found[plane] = tuple(
            TextBox(self._number(plane, key), plane, box, concept, score, Origin.FOUND)
            for key, box, concept, score in boxes
        )

    def forget_found(self, plane: PlaneIndex) -> None:
        """Make room for what a new search finds on a plane; what the user made stays."""
        self._found.pop(plane, None)
        gone = {self._numbers.pop(key) for key in list(self._numbers) if key[0] == plane}
        self._touched -= gone
        for number in gone:
            del self._keys[number]

    def clear(self) -> None:
        """Forget all boxes, the user's too."""
        self._found.clear()
        self._own.clear()
        self._touched.clear()
        self._numbers.clear()
        self._keys.clear()

    def take(self, rows: Sequence[BoxRow], written: Iterable[int]) -> tuple[TextBox, ...]:
        """Take note of what the user did in the layer, and return the boxes of its rows.

        Parameters
        ----------
        rows : sequence of BoxRow
            What the layer shows now.
        written : iterable of int
            Numbers of the boxes that were put into the layer: those that miss were deleted.
        """
        known = {box.number: box for box in self.shown}
        seen: set[int] = set()
        boxes = []
        for row in rows:
            # A number that comes a second time is a copy.
            before = known.get(row.number) if row.number not in seen else None
            box = self._taken(row, before)
            seen.add(box.number)
            boxes.append(box)
        for number in set(written) - seen:
            self._touched.add(number)
            self._own.pop(number, None)
        return tuple(boxes)

    def _taken(self, row: BoxRow, before: TextBox | None) -> TextBox:
        if before is None:
            box = TextBox(self._next(), row.plane, row.box_yx, row.concept)
        elif before.differs(row):
            origin = Origin.DRAWN if before.origin is Origin.DRAWN else Origin.EDITED
            box = replace(
                before, plane=row.plane, box_yx=row.box_yx, concept=row.concept, origin=origin
            )
            self._touched.add(box.number)
        else:
            return before
        self._own[box.number] = box
        return box

    def _number(self, plane: PlaneIndex, key: Hashable) -> int:
        if (plane, key) not in self._numbers:
            number = self._numbers[plane, key] = self._next()
            self._keys[number] = key
        return self._numbers[plane, key]

    def _next(self) -> int:
        self._last += 1
        return self._last

    # Out

    @property
    def shown(self) -> tuple[TextBox, ...]:
        """All boxes to be seen, those of the user last."""
        planes = (self._visible(plane) for plane in sorted(self._found))
        return (*(box for boxes in planes for box in boxes), *self._own.values())

    def on(self, plane: PlaneIndex) -> tuple[TextBox, ...]:
        """Return the boxes to be seen on a plane."""
        own = [box for box in self._own.values() if box.plane == plane]
        return (*self._visible(plane), *own)

    @property
    def planes(self) -> tuple[PlaneIndex, ...]:
        """Planes with boxes to be seen, in order."""
        return tuple(sorted({box.plane for box in self.shown}))

    def key_of(self, box: TextBox) -> Hashable | None:
        """Return the key under which the last search of its plane found a box; None if none did."""
        return self._keys.get(box.number)

    def count(self, plane: PlaneIndex | None = None) -> Mapping[str, int]:
        """Return how many boxes each concept has, on one plane or on all."""
        boxes = self.shown if plane is None else self.on(plane)
        return Counter(box.concept for box in boxes)

    def _visible(self, plane: PlaneIndex) -> list[TextBox]:
        found = [box for box in self._found.get(plane, ()) if box.number not in self._touched]
        own = [box for box in self._own.values() if box.plane == plane]
        if not found or not own:
            return found
        both = overlaps([box.box_yx for box in found], [box.box_yx for box in own])
        same = np.array([[one.concept == other.concept for other in own] for one in found])
        hidden = np.asarray((np.where(same, both, 0) > self.overlap).any(axis=1))
        return [box for box, gone in zip(found, hidden, strict=True) if not gone]
