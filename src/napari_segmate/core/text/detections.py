"""Boxes that a detector saw, with a score per concept, and which of them to keep."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.errors import ParameterError
from napari_segmate.core.masks.coarse_masks import CoarseMask
from napari_segmate.core.types import FloatArray, Shape2D

__all__ = ["Detections", "Masks", "SelectParams", "Selected", "join", "select"]

Boxes = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]
Masks = tuple[CoarseMask | None, ...]
"""One per box; None where there is none, or nothing in it."""
MOST_INSIDE = 3
"""A box that holds this many others is taken for one round a group."""


@dataclass(frozen=True, eq=False)
class Detections:
    """All that a detector saw on a plane, before any threshold.

    Parameters
    ----------
    boxes_yx : (n, 4) float64
        y0, x0, y1, x1 in plane pixels, pixel centres at integers.
    scores : (n, p) float32
        How well each box fits each phrase, 0 to 1.
    phrases : tuple of str
        The concepts.
    shape : (height, width)
        Size of the plane, or of the part of it that was searched.
    detector : str
        Who saw them.
    masks : tuple of CoarseMask or None, optional
        One per box, from detectors that draw outlines.
    """

    boxes_yx: Boxes
    scores: FloatArray
    phrases: tuple[str, ...]
    shape: Shape2D
    detector: str = ""
    masks: Masks | None = None

    def __post_init__(self) -> None:
        count, wanted = len(self.boxes_yx), (len(self.boxes_yx), len(self.phrases))
        if self.boxes_yx.shape != (count, 4) or self.scores.shape != wanted:
            raise ValueError(
                f"boxes {self.boxes_yx.shape} must be (n, 4) and scores {self.scores.shape} "
                f"(n, {len(self.phrases)})"
            )
        if self.masks is not None and len(self.masks) != count:
            raise ValueError(f"{len(self.masks)} masks must be one for each of {count} boxes")

    def __len__(self) -> int:
        return len(self.boxes_yx)

    def masks_of(self, rows: npt.NDArray[np.integer[Any]]) -> Masks:
        """Return the masks of some rows; None for each if the detector draws none."""
        if self.masks is None:
            return (None,) * len(rows)
        return tuple(self.masks[row] for row in rows.tolist())

    def placed(
        self,
        keep: npt.NDArray[np.bool_],
        shape: Shape2D,
        offset_yx: tuple[float, float] = (0.0, 0.0),
        zoom_yx: tuple[float, float] = (1.0, 1.0),
    ) -> Detections:
        """Return some of the boxes, and their masks, in the plane that this one is a part of.

        Parameters
        ----------
        keep : (n,) bool
            Which boxes.
        shape : (height, width)
            Size of that plane.
        offset_yx : (y, x)
            Where this one begins in it, in its pixels.
        zoom_yx : (y, x)
            Its pixels per pixel of this one.
        """
        masks = None
        if self.masks is not None:
            kept = self.masks_of(np.flatnonzero(keep))
            masks = tuple(mask and mask.placed(offset_yx, zoom_yx) for mask in kept)
        boxes = (self.boxes_yx[keep] + 0.5) * np.tile(zoom_yx, 2) + np.tile(offset_yx, 2) - 0.5
        return replace(self, boxes_yx=boxes, scores=self.scores[keep], shape=shape, masks=masks)


@dataclass(frozen=True)
class SelectParams:
    """Which boxes to keep.

    Parameters
    ----------
    score : float
        Least score of the phrase that fits a box best.
    text_score : float
        Least score of any other phrase that a box is given, too; only without `one_per_box`.
    min_size, max_size : float
        Side in pixels of a square of the same area.
    max_area_share : float
        Largest part of the searched area that a box may fill: detectors like to put one box round
        all small objects.
    containment : float
        A box is dropped when at least three others lie in it with this part of their area; 1 turns
        that off.
    nms : float
        Largest IoU of two boxes that both stay.
    one_per_box : bool
        Give every box the phrase that fits best, not all that fit.

    Raises
    ------
    ParameterError
        A share that is not 0 to 1, or a negative size.
    """

    score: float = field(default=0.3, metadata={"help": "Least score of a box, 0 to 1."})
    text_score: float = field(
        default=0.25, metadata={"help": "Least score of further concepts of one box."}
    )
    min_size: float = field(default=0.0, metadata={"help": "Smallest side in pixels."})
    max_size: float = field(default=math.inf, metadata={"help": "Largest side in pixels."})
    max_area_share: float = field(
        default=0.5, metadata={"help": "Largest part of the image that one box may fill."}
    )
    containment: float = field(
        default=0.8, metadata={"help": "Drop boxes round three others that lie in them so far."}
    )
    nms: float = field(default=0.5, metadata={"help": "Largest overlap (IoU) of two boxes."})
    one_per_box: bool = field(default=True, metadata={"help": "One concept per box."})

    def __post_init__(self) -> None:
        for name in ("score", "text_score", "max_area_share", "containment", "nms"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ParameterError(f"{name} must be 0 to 1, not {value}")
        if not 0 <= self.min_size <= self.max_size:
            raise ParameterError(
                f"sizes must be 0 or more and in order, not {self.min_size} to {self.max_size}"
            )


@dataclass(frozen=True, eq=False)
class Selected:
    """Boxes to keep, best score first.

    Parameters
    ----------
    boxes_yx : (k, 4) float64
        As in `Detections`.
    scores : (k,) float32
        How well each box fits its phrase.
    phrase_index : (k,) int
        Its phrase.
    rows : (k,) int
        Its row in the `Detections`.
    masks : tuple of CoarseMask or None
        Its mask, from detectors that draw outlines.
    """

    boxes_yx: Boxes
    scores: FloatArray
    phrase_index: Rows
    rows: Rows
    masks: Masks

    def __len__(self) -> int:
        return len(self.rows)


def select(detections: Detections, params: SelectParams | None = None) -> Selected:
    """Return the boxes to keep; takes some milliseconds for 900 boxes and 20 phrases.

    Examples
    --------
    >>> boxes = np.array([[0, 0, 9, 9], [0, 0, 9, 8], [0, 0, 99, 99.0]])
    >>> scores = np.array([[0.8], [0.7], [0.9]], np.float32)
    >>> select(Detections(boxes, scores, ("cell",), (100, 100))).rows.tolist()
    [0]
    """
    params = params or SelectParams()
    rows, phrases = _pairs(detections, params)
    scores = detections.scores[rows, phrases]
    boxes = detections.boxes_yx[rows]
    common = _common(boxes)
    keep = _nms(boxes, common, scores, None if params.one_per_box else phrases, params.nms)
    keep = keep[~_round_groups(boxes[keep], common[np.ix_(keep, keep)], params.containment)]
    rows = rows[keep]
    return Selected(boxes[keep], scores[keep], phrases[keep], rows, detections.masks_of(rows))


def _pairs(found: Detections, params: SelectParams) -> tuple[Rows, Rows]:
    """Return boxes that pass on their own, each with its phrases."""
    if not found.scores.size:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    area = np.clip(found.boxes_yx[:, 2:] - found.boxes_yx[:, :2], 0, None).prod(axis=1)
    size = np.sqrt(area)
    good = (found.scores.max(axis=1) >= params.score) & (area > 0)
    good &= (size >= params.min_size) & (size <= params.max_size)
    good &= area <= params.max_area_share * found.shape[0] * found.shape[1]
    best = found.scores.argmax(axis=1)
    fits = np.zeros(found.scores.shape, bool)
    fits[np.arange(len(best)), best] = True
    if not params.one_per_box:
        fits |= found.scores >= params.text_score
    rows, phrases = np.nonzero(fits & good[:, None])
    return rows, phrases


def _areas(boxes: Boxes) -> npt.NDArray[np.float32]:
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).prod(axis=1), dtype=np.float32)


def _common(boxes: Boxes) -> npt.NDArray[np.float32]:
    """Return the (k, k) areas that boxes share."""
    y0, x0, y1, x1 = boxes.astype(np.float32).T
    common: npt.NDArray[np.float32] = np.ones((len(boxes), len(boxes)), np.float32)
    for low, high in ((y0, y1), (x0, x1)):
        sides = np.minimum.outer(high, high) - np.maximum.outer(low, low)
        common *= np.clip(sides, 0, None, out=sides)
    return common


def _nms(
    boxes: Boxes,
    common: npt.NDArray[np.float32],
    scores: FloatArray,
    phrases: Rows | None,
    threshold: float,
) -> Rows:
    """Return which boxes to keep, best score first; boxes of different `phrases` do not compete."""
    areas = _areas(boxes)
    rivals = common > threshold * (np.add.outer(areas, areas) - common)
    if phrases is not None:
        rivals &= np.equal.outer(phrases, phrases)
    order = np.argsort(-scores, kind="stable")
    gone = np.zeros(len(boxes), bool)
    kept = []
    for row in order.tolist():
        if not gone[row]:
            kept.append(row)
            gone |= rivals[row]
    return np.array(kept, dtype=np.intp)


def _round_groups(
    boxes: Boxes, common: npt.NDArray[np.float32], share: float
) -> npt.NDArray[np.bool_]:
    """Tell which boxes hold several others."""
    if share >= 1 or len(boxes) <= MOST_INSIDE:
        return np.zeros(len(boxes), bool)
    areas = _areas(boxes)
    inside = (common >= share * areas[None]) & (areas[None] < areas[:, None])
    return np.asarray(inside.sum(axis=1) >= MOST_INSIDE)


def join(parts: Sequence[Detections], phrases: tuple[str, ...], shape: Shape2D) -> Detections:
    """Return what several passes saw as one; a phrase that a pass did not look for scores 0.

    Examples
    --------
    >>> one = Detections(np.zeros((1, 4)), np.ones((1, 1), np.float32), ("cell",), (9, 9), "owl")
    >>> join([one, one], ("nucleus", "cell"), (9, 9)).scores.tolist()
    [[0.0, 1.0], [0.0, 1.0]]
    """
    scores = []
    for part in parts:
        own = np.zeros((len(part), len(phrases)), np.float32)
        own[:, [phrases.index(phrase) for phrase in part.phrases]] = part.scores
        scores.append(own)
    return Detections(
        np.concatenate([np.zeros((0, 4)), *(part.boxes_yx for part in parts)]),
        np.concatenate([np.zeros((0, len(phrases)), np.float32), *scores]),
        phrases,
        shape,
        parts[0].detector if parts else "",
        _joined_masks(parts),
    )


def _joined_masks(parts: Sequence[Detections]) -> Masks | None:
    if all(part.masks is None for part in parts):
        return None
    return tuple(mask for part in parts for mask in part.masks_of(np.arange(len(part))))
