"""Everything a user has drawn on the plane in view, and which object each piece belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.errors import PromptError
from napari_segmate.core.masks import ellipse_mask, polygon_mask
from napari_segmate.core.prompts import Box, MaskPrompt, ObjectPrompts, Points, Scribble
from napari_segmate.core.types import BoxYX, Shape2D

__all__ = ["PointMode", "PromptSet", "resolve"]

SAME_PX = 1e-3
"""Prompts closer than this are the same: layer transforms there and back cost rounding errors."""

POINTS_PER_SCRIBBLE = 8


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
    return first.shape == second.shape and bool(np.allclose(first, second, rtol=0, atol=SAME_PX))


@dataclass(frozen=True, eq=False)
class _Part:
    """One object while strokes are handed out."""

    box: Box | None = None
    mask: MaskPrompt | None = None
    strokes: tuple[Points, ...] = ()

    def distance(self, stroke: Points) -> tuple[float, float]:
        """Return how far a stroke lies from this object, then the object's size."""
        at = stroke.points_yx.mean(axis=0)
        if self.box is None:
            own = np.concatenate([points.points_yx for points in self.strokes])
            return float(np.hypot(*(own - at).T).min()), 0.0
        y0, x0, y1, x1 = self.box.box_yx
        gap = np.maximum([y0 - at[0], x0 - at[1]], [at[0] - y1, at[1] - x1])
        return float(np.hypot(*np.maximum(gap, 0))), (y1 - y0) * (x1 - x0)

    def prompts(self) -> ObjectPrompts:
        """Return the object's prompts."""
        return ObjectPrompts(points=_joined(self.strokes), box=self.box, mask=self.mask)


def _joined(strokes: Sequence[Points]) -> Points | None:
    if not strokes:
        return None
    return Points(
        np.concatenate([stroke.points_yx for stroke in strokes]),
        np.concatenate([stroke.positive for stroke in strokes]),
    )


def _outside(kind: str, at_yx: Iterable[float], shape: Shape2D) -> PromptError:
    where = ", ".join(f"{value:.1f}" for value in at_yx)
    return PromptError(
        f"the {kind} at ({where}) lies outside the image of {shape[0]} x {shape[1]} pixels; "
        "move it inside or delete it"
    )


def _check_points(kind: str, points_yx: npt.NDArray[np.float64], shape: Shape2D) -> None:
    beyond = (points_yx < -0.5).any(axis=1) | (points_yx > np.array(shape) - 0.5).any(axis=1)
    if beyond.any():
        raise _outside(kind, points_yx[beyond][0], shape)


def _strokes(prompts: PromptSet, shape: Shape2D) -> list[Points]:
    strokes: list[Points] = []
    if prompts.points is not None:
        _check_points("point", prompts.points.points_yx, shape)
        pairs = zip(prompts.points.points_yx, prompts.points.positive, strict=True)
        strokes += [Points(point[None], np.array([positive])) for point, positive in pairs]
    for scribble in prompts.scribbles:
        points = scribble.to_points(POINTS_PER_SCRIBBLE)
        _check_points("scribble", points.points_yx, shape)
        strokes.append(points)
    return strokes


def _clipped(box: Box, shape: Shape2D) -> Box:
    corners = np.reshape(box.box_yx, (2, 2))
    inside = np.clip(corners, -0.5, np.array(shape) - 0.5)
    if (np.diff(inside, axis=0) <= 0).any():
        raise _outside("box", corners[0], shape)
    return Box(tuple(inside.ravel()))


def _of_mask(mask: MaskPrompt) -> _Part:
    y0, x0, y1, x1 = mask.box_yx
    return _Part(Box((y0 - 0.5, x0 - 0.5, y1 - 0.5, x1 - 0.5)), mask)


def _regions(prompts: PromptSet, shape: Shape2D) -> list[_Part]:
    regions = [_Part(_clipped(box, shape)) for box in prompts.boxes]
    regions += [_of_mask(polygon_mask(polygon, shape)) for polygon in prompts.polygons]
    regions += [_of_mask(ellipse_mask(ellipse, shape)) for ellipse in prompts.ellipses]
    return regions


def _edited(mask: MaskPrompt, regions: list[_Part], strokes: list[Points]) -> _Part:
    if len(regions) > 1:
        raise PromptError(
            f"{len(regions)} shapes, but one object is being edited; "
            "keep one shape, or finish editing first"
        )
    if not regions:
        return _Part(None, mask, tuple(strokes))
    return replace(regions[0], mask=regions[0].mask or mask, strokes=tuple(strokes))


def _hand_out(parts: list[_Part], strokes: list[Points]) -> list[_Part]:
    found = list(parts)
    for stroke in strokes:
        nearest = min(range(len(parts)), key=lambda number: parts[number].distance(stroke))
        found[nearest] = replace(found[nearest], strokes=(*found[nearest].strokes, stroke))
    return found


def _own_objects(regions: list[_Part], strokes: list[Points]) -> list[Points]:
    """Return the positive strokes outside every region."""
    return [
        stroke
        for stroke in strokes
        if stroke.positive.any() and all(region.distance(stroke)[0] > 0 for region in regions)
    ]


def resolve(prompts: PromptSet, mode: PointMode, plane_shape: Shape2D) -> tuple[ObjectPrompts, ...]:
    """Return what is said about each object.

    Every box, polygon and ellipse is one object; points and scribbles refine the one they lie in
    or nearest to. Without any shape they form one object, or one object each. A polygon or an
    ellipse is a box and a rough mask. While an object is edited everything belongs to it.

    Parameters
    ----------
    prompts : PromptSet
        Everything drawn on the plane.
    mode : PointMode
        Whether points outside all shapes belong together.
    plane_shape : (height, width)
        Size of the plane in pixels.

    Raises
    ------
    PromptError
        Something lies outside the plane, or says only what an object is not.

    Examples
    --------
    >>> prompts = PromptSet(points=Points([[5, 5], [20, 20]]))
    >>> len(resolve(prompts, PointMode.ONE_OBJECT, (32, 32)))
    1
    >>> len(resolve(prompts, PointMode.EACH_POINT, (32, 32)))
    2
    """
    if prompts.empty:
        return ()
    strokes, regions = _strokes(prompts, plane_shape), _regions(prompts, plane_shape)
    if prompts.mask is not None:
        return (_edited(prompts.mask, regions, strokes).prompts(),)
    own = _own_objects(regions, strokes) if mode is PointMode.EACH_POINT else []
    parts = [*regions, *(_Part(strokes=(stroke,)) for stroke in own)]
    others = [stroke for stroke in strokes if not any(stroke is taken for taken in own)]
    if not parts:
        return (_Part(strokes=tuple(strokes)).prompts(),)
    return tuple(part.prompts() for part in _hand_out(parts, others))
