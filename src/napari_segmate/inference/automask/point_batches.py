"""Masks that the points of one crop find and that pass the thresholds, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.context import Context
from napari_segmate.core.masks.object_masks import stability_score
from napari_segmate.core.prompts import ObjectPrompts, Points
from napari_segmate.core.types import Embedding, FloatArray, Frame, Instance, IntBoxYX, Shape2D
from napari_segmate.inference.automask.grid_params import GridParams
from napari_segmate.inference.automask.upsample import Sampler, Window, sampler_of, window_of
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.models.base import Segmenter

__all__ = ["Candidate", "CropSearch"]

NEAR_EDGE = 20
"""Pixels from the edge of a crop at which a mask counts as cut off, as in ``segment_anything``."""
LARGE_CELLS = 48 * 48
"""Cells from which the stability of low-resolution logits is looked at first: it is that of the
mask within a few hundredths, and enlarging so many takes longer than all else."""
DOUBT = 0.05
"""How far it may be off."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A mask that passed the thresholds, before duplicates are dropped.

    Parameters
    ----------
    score, stability : float
        Predicted IoU and stability score.
    box_yx : (y0, x0, y1, x1)
        Bounding box in plane pixels, half-open.
    point_yx : (y, x)
        The point that prompted it, in plane pixels.
    crop : int
        Number of the crop it was found in.
    window : Window
        Its low-resolution logits.
    sampler : Sampler
        How they become pixels.
    """

    score: float
    stability: float
    box_yx: IntBoxYX
    point_yx: tuple[float, float]
    crop: int
    window: Window
    sampler: Sampler

    def instance(self) -> Instance:
        """Return the mask in plane pixels."""
        found = self.sampler.instance(self.window, self.score, self.stability)
        assert found is not None, "empty masks are no candidates"
        return found


@dataclass(frozen=True, eq=False)
class CropSearch:
    """One crop that is searched with points.

    Parameters
    ----------
    number : int
        Of the crop.
    frame : Frame
        What the model looks at.
    plane_shape : (height, width)
        Size of the plane.
    embedding : Embedding
        Of the frame.
    model : Segmenter
        Who decodes.
    store : EmbeddingStore
        Guards the model.
    params : GridParams
        Thresholds.
    """

    number: int
    frame: Frame
    plane_shape: Shape2D
    embedding: Embedding
    model: Segmenter
    store: EmbeddingStore
    params: GridParams

    def candidates(
        self, points_yx: npt.NDArray[np.float64], context: Context, done: Callable[[int], None]
    ) -> list[Candidate]:
        """Return the masks of (n, 2) points in plane pixels; `done` hears how many are decoded."""
        found: list[Candidate] = []
        sampler: Sampler | None = None
        waiting = np.arange(len(points_yx))
        while waiting.size:
            numbers, waiting = np.split(waiting, [self.params.points_per_batch])
            logits, scores = self._decode(points_yx[numbers], context)
            if sampler is None:
                sampler = sampler_of(self.model, _size(logits), self.frame)
            for low, score, number in self._promising(logits, scores, numbers):
                candidate = self._candidate(low, score, points_yx[number], sampler)
                if candidate is not None:
                    found.append(candidate)
            done(len(points_yx) - waiting.size)
        return found

    def _decode(
        self, points_yx: npt.NDArray[np.float64], context: Context
    ) -> tuple[FloatArray, FloatArray]:
        points = self.frame.to_frame(points_yx)
        with self.store.exclusive(context):
            return _decoded(self.model, self.embedding, points, self._least, context)

    @property
    def _least(self) -> float | None:
        """The predicted IoU that a mask must exceed."""
        least = self.params.pred_iou_thresh
        return least if least > 0 else None

    def _promising(
        self, logits: FloatArray, scores: FloatArray, numbers: npt.NDArray[np.intp]
    ) -> Iterator[tuple[FloatArray, float, int]]:
        """Yield the masks that may pass: logits, score, number of the point."""
        least = -np.inf if self._least is None else self._least
        for point, mask in np.argwhere(scores > least):
            yield logits[point, mask], float(scores[point, mask]), int(numbers[point])

    def _candidate(
        self, low: FloatArray, score: float, point_yx: npt.NDArray[np.float64], sampler: Sampler
    ) -> Candidate | None:
        window = window_of(low, -self.params.stability_score_offset)
        if window is None or self._surely_unstable(window):
            return None
        measured = sampler.measure(window, self.params.stability_score_offset)
        if measured is None:
            return None
        stability, box = measured
        if stability < self.params.stability_score_thresh or self._cut_off(box):
            return None
        y, x = point_yx.tolist()
        return Candidate(score, stability, box, (y, x), self.number, window, sampler)

    def _surely_unstable(self, window: Window) -> bool:
        """Tell whether a large mask cannot be stable enough, without enlarging it."""
        if self.params.exact or window.logits.size < LARGE_CELLS:
            return False
        rough = stability_score(window.logits, 0.0, self.params.stability_score_offset)
        return float(rough) < self.params.stability_score_thresh - DOUBT

    def _cut_off(self, box_yx: IntBoxYX) -> bool:
        """Tell whether a mask ends near an edge of the crop that is not one of the plane."""
        # Upstream's boxes name the last pixel, and its crops the pixel after it.
        box = (*box_yx[:2], box_yx[2] - 1, box_yx[3] - 1)
        edges = zip(box, self.frame.box_yx, (0, 0, *self.plane_shape), strict=True)
        return any(abs(side - crop) <= NEAR_EDGE < abs(side - plane) for side, crop, plane in edges)


def _size(logits: FloatArray) -> Shape2D:
    return int(logits.shape[-2]), int(logits.shape[-1])


def _decoded(
    model: Any,
    embedding: Embedding,
    points_yx: npt.NDArray[np.float64],
    least: float | None,
    context: Context,
) -> tuple[FloatArray, FloatArray]:
    """Return logits (n, 3, h, w) and scores (n, 3) of single points of the encoded image."""
    if hasattr(model, "decode_points"):
        logits, scores = model.decode_points(embedding, points_yx, least, context)
        return logits, scores
    prompts: Sequence[ObjectPrompts] = [ObjectPrompts(points=Points(at[None])) for at in points_yx]
    found = model.decode(embedding, prompts, multimask=True, context=context)
    return found.logits, found.scores
