"""What the user draws: the shapes of a layer as prompts, and prompts as shapes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_segmate.core.prompts import Box, Points, Scribble
from napari_segmate.sessions.prompt_set import PromptSet

__all__ = ["Drawn", "from_prompts", "to_prompts"]

Vertices = npt.NDArray[np.float64]
ELLIPSE_VERTICES = 48
ALIGNED_PX = 0.05


@dataclass(frozen=True, eq=False)
class Drawn:
    """One shape on the plane: its napari type, vertices (V, 2) in (y, x), and polarity."""

    kind: str
    vertices_yx: Vertices
    positive: bool = True


def to_prompts(
    points_yx: npt.ArrayLike, positive: Sequence[bool], shapes: Iterable[Drawn]
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
    shapes : iterable of Drawn
        The shapes.

    Raises
    ------
    PromptError
        A rectangle without area, or a value that is not finite.

    Examples
    --------
    >>> square = np.array([[2, 2], [2, 9], [9, 9], [9, 2]], float)
    >>> to_prompts([[5, 5]], [True], [Drawn("rectangle", square)]).boxes
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


def from_prompts(prompts: PromptSet) -> tuple[Drawn, ...]:
    """Return the shapes that draw the boxes, polygons, ellipses and scribbles of `prompts`."""
    drawn = [Drawn("rectangle", _corners(box.box_yx)) for box in prompts.boxes]
    drawn += [Drawn("polygon", np.asarray(polygon, float)) for polygon in prompts.polygons]
    drawn += [Drawn("ellipse", _corners(ellipse)) for ellipse in prompts.ellipses]
    drawn += [Drawn("path", one.path_yx, one.positive) for one in prompts.scribbles]
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
