"""What a user can point with: clicks, boxes, scribbles, masks; frozen, validated, in (y, x).

Coordinates are pixels of one plane (or of the image given to a model), pixel centres at integers.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.errors import PromptError
from napari_segmate.core.types import BoolArray, BoxYX, Frame, IntBoxYX

__all__ = ["Box", "MaskPrompt", "ObjectPrompts", "Points", "Scribble"]


def _points_yx(value: npt.ArrayLike, what: str) -> npt.NDArray[np.float64]:
    points = np.array(value, dtype=np.float64, ndmin=2)
    if points.size == 0:
        points = points.reshape(0, 2)
    if points.ndim != 2 or points.shape[1] != 2:
        raise PromptError(f"{what} must have shape (N, 2) in (y, x), got {points.shape}")
    if not np.isfinite(points).all():
        raise PromptError(f"{what} must be finite, got {points.tolist()}")
    points.setflags(write=False)
    return points


@dataclass(frozen=True, eq=False)
class Points:
    """Clicks on one object.

    Parameters
    ----------
    points_yx : (N, 2) array_like of float
        Positions.
    positive : (N,) array_like of bool
        True includes, False excludes. Default: all True.

    Raises
    ------
    PromptError
        Wrong shape, not finite, or lengths that differ.

    Examples
    --------
    >>> Points([[10, 20], [30, 40]], [True, False]).positive.tolist()
    [True, False]
    """

    points_yx: npt.NDArray[np.float64]
    positive: npt.NDArray[np.bool_] = field(default=None)  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        points = _points_yx(self.points_yx, "points")
        positive = (
            np.ones(len(points), bool)
            if self.positive is None
            else np.array(self.positive, dtype=bool, ndmin=1)
        )
        if positive.shape != (len(points),):
            raise PromptError(f"{len(points)} points but {positive.size} polarities")
        positive.setflags(write=False)
        object.__setattr__(self, "points_yx", points)
        object.__setattr__(self, "positive", positive)

    def __len__(self) -> int:
        return len(self.points_yx)


@dataclass(frozen=True)
class Box:
    """A box round one object: two corners in any order.

    Raises
    ------
    PromptError
        Not finite, or less than one pixel wide or high.

    Examples
    --------
    >>> Box((30, 40, 10, 20)).box_yx
    (10.0, 20.0, 30.0, 40.0)
    """

    box_yx: BoxYX

    def __post_init__(self) -> None:
        values = np.asarray(self.box_yx, dtype=np.float64).ravel()
        if values.shape != (4,) or not np.isfinite(values).all():
            raise PromptError(f"a box is four finite numbers (y0, x0, y1, x1), got {self.box_yx!r}")
        y0, y1 = sorted(map(float, values[[0, 2]]))
        x0, x1 = sorted(map(float, values[[1, 3]]))
        if y1 - y0 < 1 or x1 - x0 < 1:
            raise PromptError(
                f"the box {(y0, x0, y1, x1)} is {y1 - y0:g} x {x1 - x0:g} pixels; "
                "draw it at least 1 x 1 pixel large"
            )
        object.__setattr__(self, "box_yx", (y0, x0, y1, x1))


@dataclass(frozen=True, eq=False)
class Scribble:
    """A line drawn over one object: its vertices, and whether it includes or excludes."""

    path_yx: npt.NDArray[np.float64]
    positive: bool = True

    def __post_init__(self) -> None:
        path = _points_yx(self.path_yx, "a scribble")
        if len(path) == 0:
            raise PromptError("a scribble needs at least one vertex")
        object.__setattr__(self, "path_yx", path)

    def to_points(self, count: int = 8) -> Points:
        """Return `count` points spread evenly along the line (one for a line without length)."""
        steps = np.hypot(*np.diff(self.path_yx, axis=0).T) if len(self.path_yx) > 1 else np.zeros(0)
        along = np.concatenate([[0.0], np.cumsum(steps)])
        number = count if along[-1] > 0 else 1
        at = (np.arange(number) + 0.5) / number * along[-1]
        points = np.stack([np.interp(at, along, axis) for axis in self.path_yx.T], axis=1)
        return Points(points, np.full(number, self.positive))


@dataclass(frozen=True, eq=False)
class MaskPrompt:
    """A rough mask of one object, inside its bounding box.

    Parameters
    ----------
    box_yx : (y0, x0, y1, x1)
        Half-open box in plane pixels.
    mask : (y1 - y0, x1 - x0) bool
        The mask inside the box.
    """

    box_yx: IntBoxYX
    mask: BoolArray

    def __post_init__(self) -> None:
        y0, x0, y1, x1 = self.box_yx
        if self.mask.shape != (y1 - y0, x1 - x0):
            raise PromptError(f"mask {self.mask.shape} does not fill its box {self.box_yx}")
        if not self.mask.any():
            raise PromptError("the mask prompt is empty; draw or choose at least one pixel")


@dataclass(frozen=True, eq=False)
class ObjectPrompts:
    """Everything a user has said about one object.

    Parameters
    ----------
    points, box, mask
        Each may be absent.
    logits : (h, w) float32, optional
        Low-resolution logits of an earlier answer in the same frame, fed back as SAM does.

    Raises
    ------
    PromptError
        Nothing given, or nothing that says where the object *is* (only negative points).

    Examples
    --------
    >>> ObjectPrompts(points=Points([[5, 5]], [False]))
    Traceback (most recent call last):
    ...
    napari_segmate.core.errors.PromptError: only negative points: add a positive point, ...
    """

    points: Points | None = None
    box: Box | None = None
    mask: MaskPrompt | None = None
    logits: npt.NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if self.points is not None and len(self.points) == 0:
            object.__setattr__(self, "points", None)
        if self.box is not None or self.mask is not None:
            return
        if self.points is None:
            raise PromptError("no prompt: click on an object, or draw a box round it")
        if not self.points.positive.any():
            raise PromptError("only negative points: add a positive point, a box or a mask")

    @property
    def extent_yx(self) -> BoxYX:
        """Smallest box that holds every prompt, (y0, x0, y1, x1)."""
        corners: list[Any] = []
        if self.points is not None:
            corners.append(self.points.points_yx)
        if self.box is not None:
            corners.append(np.reshape(self.box.box_yx, (2, 2)))
        if self.mask is not None:
            y0, x0, y1, x1 = self.mask.box_yx
            corners.append([[y0, x0], [y1 - 1, x1 - 1]])
        joined = np.concatenate(corners)
        (y0, x0), (y1, x1) = joined.min(axis=0), joined.max(axis=0)
        return float(y0), float(x0), float(y1), float(x1)

    @property
    def ambiguous(self) -> bool:
        """True for a single click: the case for which SAM offers several masks."""
        one = self.points is not None and len(self.points) == 1
        return one and self.box is None and self.mask is None and self.logits is None

    def in_frame(self, frame: Frame) -> ObjectPrompts:
        """Return points and box in the coordinates of `frame`; mask and logits are left out."""
        points = self.points and Points(frame.to_frame(self.points.points_yx), self.points.positive)
        box = self.box and _box_in_frame(self.box, frame)
        return replace(self, points=points, box=box)


def _box_in_frame(box: Box, frame: Frame) -> Box:
    corners = frame.to_frame(np.reshape(box.box_yx, (2, 2)))
    # A frame shown smaller than it is can shrink a valid box below a pixel: keep one.
    centre, half = corners.mean(axis=0), np.maximum(np.diff(corners, axis=0)[0] / 2, 0.5)
    (y0, x0), (y1, x1) = centre - half, centre + half
    return Box((y0, x0, y1, x1))
