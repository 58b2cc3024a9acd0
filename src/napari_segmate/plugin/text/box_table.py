"""Boxes of a text search as rows of a shapes layer: corners and features, and back again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from napari_segmate.plugin.planes.geometry import DisplayedPlane
from napari_segmate.sessions.text_boxes import BoxRow, Origin, TextBox

__all__ = ["CONCEPT", "NUMBER", "corners_of", "drawn_next", "row_of", "table_of"]

NUMBER, CONCEPT, SCORE, ORIGIN = "box", "concept", "score", "origin"
TYPES = {NUMBER: int, CONCEPT: str, SCORE: float, ORIGIN: str}


def table_of(boxes: Sequence[TextBox]) -> pd.DataFrame:
    """Return the features of boxes, one row each."""
    rows = [(box.number, box.concept, float(box.score), box.origin.value) for box in boxes]
    if not rows:
        return pd.DataFrame({name: pd.Series([], dtype=kind) for name, kind in TYPES.items()})
    return pd.DataFrame(dict(zip(TYPES, map(list, zip(*rows, strict=True)), strict=True)))


def drawn_next(concept: str) -> dict[str, Any]:
    """Return the features of a box that the user is about to draw."""
    return {NUMBER: 0, CONCEPT: concept, SCORE: math.nan, ORIGIN: Origin.DRAWN.value}


def corners_of(box: TextBox, plane: DisplayedPlane) -> npt.NDArray[np.float64]:
    """Return the (4, D) corners of a box in the data of the layer.

    Parameters
    ----------
    box : TextBox
        The box, of any plane of the stack.
    plane : DisplayedPlane
        Where the plane on the screen lies.
    """
    y0, x0, y1, x1 = box.box_yx
    corners = np.array([[y0, x0], [y0, x1], [y1, x1], [y1, x0]], float)
    position = list(plane.position)
    for axis, number in zip(plane.fixed, box.plane, strict=True):
        position[axis] = number
    return replace(plane, position=tuple(position)).from_plane(corners)


def row_of(plane: DisplayedPlane, data: Any, number: Any, concept: Any, usual: str) -> BoxRow:
    """Return a row of the layer as a box; `usual` is what it holds when it does not say so."""
    corners = np.asarray(data, dtype=np.float64)
    (y0, x0), (y1, x1) = plane.to_plane(corners).min(axis=0), plane.to_plane(corners).max(axis=0)
    middle = np.floor(corners[:, list(plane.fixed)].mean(axis=0) + 0.5).astype(int)
    return BoxRow(
        int(number) if math.isfinite(number) else 0,
        tuple(int(at) for at in middle),
        (float(y0), float(x0), float(y1), float(x1)),
        concept if isinstance(concept, str) and concept else usual,
    )
