"""What a propagation knows: planes on which objects are given, masks that are done, open ends."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from napari_segmate.core.errors import PromptError, SegmateError
from napari_segmate.core.files.atomic import replacing
from napari_segmate.core.labels.commit import dtype_for
from napari_segmate.core.masks.rle import decode_rle, encode_rle
from napari_segmate.core.types import Instance, LabelArray, Shape2D

__all__ = ["Leg", "Propagation", "StateError"]

VERSION = 1


class StateError(SegmateError, ValueError):
    """A file of a propagation is damaged, or belongs to another stack."""


@dataclass
class Leg:
    """One way from a plane on which an object is known.

    Parameters
    ----------
    number : int
        Id of the object.
    anchor : int
        The plane it starts from.
    step : int
        1 or -1: towards higher or lower planes.
    end : int
        The last plane of the way.
    other : int, optional
        The known plane on the other side, where there is one.
    origin : int
        The plane round which the stack was looked at last.
    at : int
        The last plane that is done.
    last : int
        The last plane with a mask.
    failed : int
        Planes running on which a gate failed.
    ended : bool
        Whether nothing is left to do.
    """

    number: int
    anchor: int
    step: int
    end: int
    other: int | None
    origin: int
    at: int
    last: int
    failed: int = 0
    ended: bool = False

    @classmethod
    def start(cls, number: int, anchor: int, step: int, end: int, other: int | None) -> Leg:
        """Return a way of which nothing is done."""
        ended = (end - anchor) * step <= 0
        return cls(number, anchor, step, end, other, anchor, anchor, anchor, 0, ended)

    @property
    def done(self) -> int:
        """Planes that are done."""
        return abs(self.at - self.anchor)


@dataclass
class Propagation:
    """Objects that are followed through a stack, as far as they are.

    Parameters
    ----------
    count : int
        Planes of the stack.
    shape : (height, width)
        Size of a plane.
    anchors : dict
        ``anchors[number][plane]``: the mask of an object where the user gave it.
    masks : dict
        ``masks[number][plane]``: the same, and the masks found.
    legs : list of Leg
        What is done and what is left.
    """

    count: int
    shape: Shape2D
    anchors: dict[int, dict[int, Instance]] = field(default_factory=dict)
    masks: dict[int, dict[int, Instance]] = field(default_factory=dict)
    legs: list[Leg] = field(default_factory=list)

    def set_anchor(self, number: int, plane: int, mask: Instance | None) -> None:
        """Give the mask of an object on a plane, or take it back.

        Only what lies between the anchors next to it is to be done anew.

        Raises
        ------
        PromptError
            There is no such plane, or an id below 1.
        """
        if not 0 <= plane < self.count:
            raise PromptError(
                f"no plane {plane} for object {number}; the stack has {self.count}, counted from 0"
            )
        if number < 1:
            raise PromptError(f"object ids start at 1, got {number}")
        known = self.anchors.setdefault(number, {})
        below = max((at for at in known if at < plane), default=None)
        above = min((at for at in known if at > plane), default=None)
        if mask is None:
            known.pop(plane, None)
        else:
            known[plane] = mask
        self._forget(number, below, above)
        self._plan(number, below, above)

    def _forget(self, number: int, below: int | None, above: int | None) -> None:
        low = -1 if below is None else below
        high = self.count if above is None else above
        kept = self.masks.get(number, {})
        self.masks[number] = {at: one for at, one in kept.items() if not low < at < high}
        self.masks[number].update(self.anchors[number])
        self.legs = [
            leg
            for leg in self.legs
            if leg.number != number
            or not (low <= leg.anchor <= high and self._within(leg, low, high))
        ]

    @staticmethod
    def _within(leg: Leg, low: int, high: int) -> bool:
        """Tell whether a way leads between two planes."""
        first = leg.anchor + leg.step
        return low < first < high

    def _plan(self, number: int, below: int | None, above: int | None) -> None:
        """Add the ways between two anchors."""
        low = -1 if below is None else below
        high = self.count if above is None else above
        known = sorted(at for at in self.anchors[number] if low <= at <= high)
        for at in known:
            before = max((one for one in known if one < at), default=None)
            after = min((one for one in known if one > at), default=None)
            if at > low:
                end = 0 if before is None else (before + at) // 2 + 1
                self.legs.append(Leg.start(number, at, -1, end, before))
            if at < high:
                end = self.count - 1 if after is None else (at + after) // 2
                self.legs.append(Leg.start(number, at, 1, end, after))

    @property
    def finished(self) -> bool:
        """Whether every object was followed to its ends."""
        return all(leg.ended for leg in self.legs)

    @property
    def planes_done(self) -> int:
        """Planes that were looked at, summed over objects."""
        return sum(leg.done for leg in self.legs)

    def stop(self) -> None:
        """Keep what there is: nothing is left to do."""
        for leg in self.legs:
            leg.ended = True

    def labels(self) -> LabelArray:
        """Return the (n, H, W) labels of all objects."""
        largest = max(self.masks, default=0)
        volume = np.zeros((self.count, *self.shape), dtype_for(largest, np.uint16))
        for plane in range(self.count):
            self.draw(plane, volume[plane])
        return volume

    def draw(self, plane: int, labels: LabelArray) -> None:
        """Write the objects of a plane into its (H, W) labels.

        Masks that the user gave lie on top; of others, the surer one does.
        """
        for number, mask in self.on_plane(plane):
            y0, x0, y1, x1 = mask.box_yx
            labels[y0:y1, x0:x1][mask.mask] = number

    def on_plane(self, plane: int) -> list[tuple[int, Instance]]:
        """Return the objects of a plane, those to be drawn first first."""
        found = [(number, masks[plane]) for number, masks in self.masks.items() if plane in masks]
        return sorted(
            found,
            key=lambda one: (plane in self.anchors.get(one[0], {}), one[1].score, -one[0]),
        )

    def planes_of(self, number: int) -> tuple[int, ...]:
        """Return the planes on which an object has a mask."""
        return tuple(sorted(self.masks.get(number, {})))

    # files

    def save(self, path: Path) -> None:
        """Write everything into a JSON file, whole or not at all."""
        with replacing(path) as part:
            part.write_text(json.dumps(self.as_json()), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Propagation:
        """Return what `save` wrote.

        Raises
        ------
        StateError
            No such file, or a damaged one.
        """
        try:
            return cls.from_json(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise StateError(
                f"{path} does not hold a propagation ({type(error).__name__}: {error}); "
                "start it again"
            ) from error

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON has it."""
        return {
            "version": VERSION,
            "planes": self.count,
            "shape": list(self.shape),
            "anchors": _masks_as_json(self.anchors),
            "masks": _masks_as_json(self.masks),
            "legs": [vars(leg).copy() for leg in self.legs],
        }

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Propagation:
        """Return what `as_json` gave."""
        if facts["version"] != VERSION:
            raise StateError(f"version {facts['version']} of a propagation; {VERSION} is known")
        height, width = facts["shape"]
        return cls(
            int(facts["planes"]),
            (int(height), int(width)),
            _masks_from_json(facts["anchors"]),
            _masks_from_json(facts["masks"]),
            [Leg(**leg) for leg in facts["legs"]],
        )


Masks = Mapping[int, Mapping[int, Instance]]


def _masks_as_json(masks: Masks) -> list[dict[str, Any]]:
    return [
        {
            "id": number,
            "plane": plane,
            "box_yx": list(one.box_yx),
            "score": one.score,
            "stability": one.stability,
            "rle": encode_rle(one.mask),
        }
        for number, planes in masks.items()
        for plane, one in planes.items()
    ]


def _masks_from_json(entries: Iterable[Mapping[str, Any]]) -> dict[int, dict[int, Instance]]:
    found: dict[int, dict[int, Instance]] = {}
    for entry in entries:
        y0, x0, y1, x1 = map(int, entry["box_yx"])
        mask = decode_rle(entry["rle"])
        one = Instance((y0, x0, y1, x1), mask, float(entry["score"]), float(entry["stability"]))
        found.setdefault(int(entry["id"]), {})[int(entry["plane"])] = one
    return found
