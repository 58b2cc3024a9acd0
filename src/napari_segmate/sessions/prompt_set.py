"""What is drawn on a plane: shapes of a layer to prompts and back, and prompts to objects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.errors import PromptError
from napari_segmate.core.masks.object_masks import ellipse_mask, polygon_mask
from napari_segmate.core.prompts import Box, MaskPrompt, ObjectPrompts, Points, Scribble
from napari_segmate.core.types import BoxYX, Shape2D

__all__ = ["DrawnShape", "PointMode", "PromptSet", "from_prompts", "resolve", "to_prompts"]

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


Vertices = npt.NDArray[np.float64]
ELLIPSE_VERTICES = 48
ALIGNED_PX = 0.05


@dataclass(frozen=True, eq=False)
class DrawnShape:
    """One shape on the plane: its napari type, vertices (V, 2) in (y, x), and polarity."""

    kind: str
    vertices_yx: Vertices
    positive: bool = True


def to_prompts(
    points_yx: npt.ArrayLike, positive: Sequence[bool], shapes: Iterable[DrawnShape]
) -> PromptSet:
    """Return what is drawn on a plane as prompts.

    Rectangles become boxes and ellipses stay ellipses as long as they are aligned with the pixels;
    turned ones become polygons. Lines and paths become scribbles.

    Parameters
    ----------
    points_yx : (N, 2) array_like
        Positions of the points.
    positive : sequence of N bool
        Whether each point includes.
    shapes : iterable of DrawnShape
        The shapes.

    Raises
    ------
    PromptError
        A rectangle without area, or a value that is not finite.

    Examples
    --------
    >>> square = np.array([[2, 2], [2, 9], [9, 9], [9, 2]], float)
    >>> to_prompts([[5, 5]], [True], [DrawnShape("rectangle", square)]).boxes
    (Box(box_yx=(2.0, 2.0, 9.0, 9.0)),)
    """
    boxes: list[Box] = []
    polygons: list[Vertices] = []
    ellipses: list[tuple[float, float, float, float]] = []
    scribbles: list[Scribble] = []
    for shape in shapes:
        if shape.kind in ("path", "line"):
            scribbles.append(Scribble(shape.vertices_yx, shape.positive))
        elif shape.kind == "rectangle" and _aligned(shape.vertices_yx):
            boxes.append(Box(_bounds(shape.vertices_yx)))
        elif shape.kind == "ellipse" and _aligned(shape.vertices_yx):
            ellipses.append(Box(_bounds(shape.vertices_yx)).box_yx)
        elif shape.kind == "ellipse":
            polygons.append(_turned_ellipse(shape.vertices_yx))
        else:
            polygons.append(shape.vertices_yx)
    points = Points(np.asarray(points_yx, float), np.asarray(positive, bool))
    return PromptSet(
        points if len(points) else None,
        tuple(boxes),
        tuple(polygons),
        tuple(ellipses),
        tuple(scribbles),
    )


def from_prompts(prompts: PromptSet) -> tuple[DrawnShape, ...]:
    """Return the shapes that draw the boxes, polygons, ellipses and scribbles of `prompts`."""
    drawn = [DrawnShape("rectangle", _corners(box.box_yx)) for box in prompts.boxes]
    drawn += [DrawnShape("polygon", np.asarray(polygon, float)) for polygon in prompts.polygons]
    drawn += [DrawnShape("ellipse", _corners(ellipse)) for ellipse in prompts.ellipses]
    drawn += [DrawnShape("path", one.path_yx, one.positive) for one in prompts.scribbles]
    return tuple(drawn)


def _bounds(vertices: Vertices) -> tuple[float, float, float, float]:
    (y0, x0), (y1, x1) = vertices.min(axis=0), vertices.max(axis=0)
    return float(y0), float(x0), float(y1), float(x1)


def _corners(box_yx: tuple[float, float, float, float]) -> Vertices:
    y0, x0, y1, x1 = box_yx
    return np.array([[y0, x0], [y0, x1], [y1, x1], [y1, x0]], float)


def _aligned(vertices: Vertices) -> bool:
    """Tell whether four corners make a rectangle along the pixel axes."""
    sides = np.abs(np.diff(vertices, axis=0, append=vertices[:1]))
    return bool((sides.min(axis=1) <= ALIGNED_PX).all())


def _turned_ellipse(corners: Vertices) -> Vertices:
    centre = corners.mean(axis=0)
    first, second = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    angle = np.linspace(0, 2 * np.pi, ELLIPSE_VERTICES, endpoint=False)[:, None]
    return np.asarray(centre + np.cos(angle) * first + np.sin(angle) * second)


POINTS_PER_SCRIBBLE = 8

Distances = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Part:
    """One object while strokes (a click, or the points of a scribble) are handed out."""

    box: Box | None = None
    mask: MaskPrompt | None = None
    strokes: tuple[Points, ...] = ()

    def prompts(self) -> ObjectPrompts:
        """Return the object's prompts."""
        return ObjectPrompts(points=_joined(self.strokes), box=self.box, mask=self.mask)


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
    separate = mode is PointMode.EACH_POINT
    own, others = _split(strokes, regions) if separate else ([], strokes)
    parts = [*regions, *(_Part(strokes=(stroke,)) for stroke in own)]
    if not parts:
        return (_Part(strokes=tuple(strokes)).prompts(),)
    return tuple(part.prompts() for part in _hand_out(parts, others))


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


def _split(strokes: list[Points], regions: list[_Part]) -> tuple[list[Points], list[Points]]:
    """Return the positive strokes outside every region, then the others."""
    outside = np.all(_to_regions(strokes, regions) > 0, axis=1).tolist()
    own = [
        far and bool(stroke.positive.any()) for far, stroke in zip(outside, strokes, strict=True)
    ]
    return (
        [stroke for stroke, alone in zip(strokes, own, strict=True) if alone],
        [stroke for stroke, alone in zip(strokes, own, strict=True) if not alone],
    )


def _hand_out(parts: list[_Part], strokes: list[Points]) -> list[_Part]:
    """Return the parts with each stroke given to the nearest one, the smaller of two as near."""
    if not strokes:
        return parts
    regions = [part for part in parts if part.box is not None]
    clicks = [part.strokes[0] for part in parts if part.box is None]
    distances = np.hstack([_to_regions(strokes, regions), _to_clicks(strokes, clicks)])
    by_size = np.argsort([_area(part) for part in parts], kind="stable")
    nearest = by_size[distances[:, by_size].argmin(axis=1)]
    given: list[list[Points]] = [[*part.strokes] for part in parts]
    for stroke, number in zip(strokes, nearest, strict=True):
        given[number].append(stroke)
    return [replace(part, strokes=tuple(own)) for part, own in zip(parts, given, strict=True)]


def _area(part: _Part) -> float:
    if part.box is None:
        return 0.0
    y0, x0, y1, x1 = part.box.box_yx
    return (y1 - y0) * (x1 - x0)


def _centres(strokes: Sequence[Points]) -> Distances:
    return np.array([stroke.points_yx.mean(axis=0) for stroke in strokes]).reshape(-1, 2)


def _to_regions(strokes: Sequence[Points], regions: Sequence[_Part]) -> Distances:
    """Return how far each stroke lies from each region, 0 inside; (strokes, regions)."""
    boxes = np.array([part.box.box_yx for part in regions if part.box is not None])
    at, boxes = _centres(strokes)[:, None], boxes.reshape(-1, 4)
    gaps = np.maximum(np.maximum(boxes[:, :2] - at, at - boxes[:, 2:]), 0)
    found: Distances = np.hypot(gaps[..., 0], gaps[..., 1])
    return found


def _to_clicks(strokes: Sequence[Points], clicks: Sequence[Points]) -> Distances:
    """Return how far each stroke lies from each object made of points; (strokes, clicks)."""
    if not clicks:
        return np.zeros((len(strokes), 0))
    points = np.concatenate([click.points_yx for click in clicks])
    gaps = _centres(strokes)[:, None] - points
    starts = np.cumsum([0, *(len(click) for click in clicks[:-1])])
    found: Distances = np.minimum.reduceat(np.hypot(gaps[..., 0], gaps[..., 1]), starts, axis=1)
    return found
