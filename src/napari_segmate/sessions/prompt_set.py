"""Everything a user has drawn on the plane in view."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.prompts import Box, MaskPrompt, Points, Scribble
from napari_segmate.core.types import BoxYX

__all__ = ["PointMode", "PromptSet"]

SAME_PX = 1e-3
"""Prompts closer than this are the same: layer transforms there and back cost rounding errors."""


class PointMode(StrEnum):
    """Whether the points of a plane belong together."""

    ONE_OBJECT = "one object"
    EACH_POINT = "each point its own object"


@dataclass(frozen=True, eq=False)
class PromptSet:
    """Everything drawn on one plane, in plane pixels.

    Parameters
    ----------
    points : Points, optional
        Clicks.
    boxes : tuple of Box
        One object each.
    polygons : tuple of (V, 2) float
        Vertices in (y, x); one object each.
    ellipses : tuple of (y0, x0, y1, x1)
        Boxes round ellipses; one object each.
    scribbles : tuple of Scribble
        Lines over objects.
    mask : MaskPrompt, optional
        An object that is being edited.

    Examples
    --------
    >>> PromptSet(points=Points([[3, 4]])).same_as(PromptSet(points=Points([[3, 4]])))
    True
    >>> PromptSet().empty
    True
    """

    points: Points | None = None
    boxes: tuple[Box, ...] = ()
    polygons: tuple[npt.NDArray[np.float64], ...] = ()
    ellipses: tuple[BoxYX, ...] = ()
    scribbles: tuple[Scribble, ...] = ()
    mask: MaskPrompt | None = None

    @property
    def empty(self) -> bool:
        """True when nothing is drawn (a mask to edit counts as drawn)."""
        return self.undrawn and self.mask is None

    @property
    def undrawn(self) -> bool:
        """True when there is nothing but, maybe, a mask to edit."""
        drawn = (self.boxes, self.polygons, self.ellipses, self.scribbles)
        return not any(drawn) and (self.points is None or len(self.points) == 0)

    @property
    def only_negative(self) -> bool:
        """True when everything drawn says what an object is not."""
        shaped = self.mask is not None or any((self.boxes, self.polygons, self.ellipses))
        positive = [stroke.positive for stroke in self.scribbles]
        if self.points is not None:
            positive += self.points.positive.tolist()
        return not shaped and bool(positive) and not any(positive)

    @property
    def answerable(self) -> bool:
        """True when something drawn says what an object is."""
        return not self.undrawn and not self.only_negative

    def same_as(self, other: PromptSet) -> bool:
        """Tell whether both hold the same prompts, up to rounding of positions."""
        mine, others = self._values(), other._values()
        return len(mine) == len(others) and all(map(_close, mine, others))

    def _values(self) -> list[npt.NDArray[Any]]:
        points = self.points if self.points is not None else Points(np.zeros((0, 2)))
        counts = [len(group) for group in (self.boxes, self.polygons, self.ellipses)]
        values = [points.points_yx, points.positive, np.array(counts)]
        values += [np.array(box.box_yx) for box in self.boxes]
        values += [np.asarray(polygon) for polygon in self.polygons]
        values += [np.array(ellipse) for ellipse in self.ellipses]
        for scribble in self.scribbles:
            values += [scribble.path_yx, np.array(scribble.positive)]
        if self.mask is not None:
            values += [np.array(self.mask.box_yx), self.mask.mask]
        return values


def _close(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> bool:
    if first is second or first.shape != second.shape:
        return first is second
    if first.dtype == bool:
        return bool((first == second).all())
    return bool(np.allclose(first, second, rtol=0, atol=SAME_PX))
