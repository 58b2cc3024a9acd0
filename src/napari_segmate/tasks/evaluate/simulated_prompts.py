"""Objects of a plane that are prompted for as people do: a box, or clicks until the mask fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from napari_segmate.core.context import Context
from napari_segmate.core.prompts import Box, ObjectPrompts, Points
from napari_segmate.core.types import BoolArray, Instance, IntBoxYX, LabelArray
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.inference.prompts.predict import predict
from napari_segmate.inference.prompts.request import ObjectResult, PlaneLike, Previous, Request
from napari_segmate.models.base import Segmenter

__all__ = ["PromptSimulation", "TrueObject", "sample_objects"]

BATCH = 32
"""Objects that the model is asked for at once."""


@dataclass(frozen=True)
class TrueObject:
    """An object whose mask is known: that mask, and the box (y0, x0, y1, x1) it fills."""

    mask: BoolArray
    box_yx: IntBoxYX

    @property
    def middle(self) -> tuple[float, float]:
        """The pixel farthest from the border."""
        depth = ndimage.distance_transform_edt(np.pad(self.mask, 1))[1:-1, 1:-1]
        y, x = np.unravel_index(int(depth.argmax()), depth.shape)
        return float(y + self.box_yx[0]), float(x + self.box_yx[1])


def sample_objects(labels: LabelArray, most: int, min_area: int) -> list[TrueObject]:
    """Return objects of (H, W) labels, spread evenly over their numbers.

    Parameters
    ----------
    labels : (H, W) int
    most : int
        Objects at the most.
    min_area : int
        Smaller ones, and those one pixel wide, are left out; in pixels.

    Examples
    --------
    >>> labels = np.zeros((6, 9), int)
    >>> labels[1:3, 1:3], labels[4, 4], labels[1:5, 6:8] = 1, 2, 3
    >>> [one.box_yx for one in sample_objects(labels, 8, 2)]
    [(1, 1, 3, 3), (1, 6, 5, 8)]
    """
    found = []
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is not None:
            mask = labels[box] == number
            rows, columns = box
            yx = rows.start, columns.start, rows.stop, columns.stop
            if np.count_nonzero(mask) >= min_area and min(mask.shape) > 1:
                found.append(TrueObject(mask, yx))
    chosen = np.unique(np.linspace(0, len(found) - 1, min(most, len(found))).astype(int))
    return [found[number] for number in chosen]


class PromptSimulation:
    """Objects of one plane, and what a model answers to prompts for them."""

    def __init__(
        self,
        plane: PlaneLike,
        objects: Sequence[TrueObject],
        model: Segmenter,
        store: EmbeddingStore,
        context: Context,
    ) -> None:
        self._plane, self._objects = plane, objects
        self._model, self._store, self._context = model, store, context

    def boxes(self) -> list[float]:
        """Return the IoU for a box round each object."""
        return [self._iou(number, one) for number, one in enumerate(self._of_boxes())]

    def masks_of_boxes(self) -> list[BoolArray]:
        """Return the (H, W) mask for a box round each object."""
        return [self._whole(one) for one in self._of_boxes()]

    def _of_boxes(self) -> list[Instance | None]:
        prompts = []
        for one in self._objects:
            y0, x0, y1, x1 = one.box_yx
            prompts.append(ObjectPrompts(box=Box((y0, x0, y1 - 1, x1 - 1))))
        return [result.instance for result in self._answers(prompts)]

    def clicks(self, most: int, target: float) -> tuple[list[float], list[float]]:
        """Return the IoU after one click, and how many clicks reach the target.

        Each click goes on from the answer to the ones before, as in the viewer.
        """
        drawn = [Points(np.array([one.middle])) for one in self._objects]
        seen: list[Previous | None] = [None] * len(drawn)
        needed = [float(max(most, 1))] * len(drawn)
        first: list[float] = []
        waiting = list(range(len(drawn)))
        for turn in range(1, max(most, 1) + 1):
            prompts = [ObjectPrompts(points=drawn[number]) for number in waiting]
            results = self._answers(prompts, [seen[number] for number in waiting])
            reached = [
                self._iou(number, result.instance)
                for number, result in zip(waiting, results, strict=True)
            ]
            first = first or reached
            left = []
            for number, result, iou in zip(waiting, results, reached, strict=True):
                if iou >= target:
                    needed[number] = turn
                else:
                    drawn[number] = self._corrected(number, drawn[number], result.instance)
                    seen[number] = result.as_previous()
                    left.append(number)
            waiting = left
            if not waiting:
                break
        return first, needed if most else []

    def _answers(
        self, prompts: Sequence[ObjectPrompts], previous: Sequence[Previous | None] = ()
    ) -> list[ObjectResult]:
        """Return what the model makes of prompts, going on from earlier answers where given."""
        found: list[ObjectResult] = []
        before = previous or [None] * len(prompts)
        for at in range(0, len(prompts), BATCH):
            batch = slice(at, at + BATCH)
            request = Request(0, self._plane, tuple(prompts[batch]), previous=tuple(before[batch]))
            found += predict(request, self._model, self._store, self._context).objects
        return found

    def _whole(self, found: Instance | None) -> BoolArray:
        mask = np.zeros(self._plane.shape, bool)
        if found is not None:
            y0, x0, y1, x1 = found.box_yx
            mask[y0:y1, x0:x1] = found.mask
        return mask

    def _truth(self, number: int) -> BoolArray:
        one = self._objects[number]
        y0, x0, y1, x1 = one.box_yx
        truth = np.zeros(self._plane.shape, bool)
        truth[y0:y1, x0:x1] = one.mask
        return truth

    def _iou(self, number: int, found: Instance | None) -> float:
        truth, mask = self._truth(number), self._whole(found)
        return float((mask & truth).sum() / max((mask | truth).sum(), 1))

    def _corrected(self, number: int, points: Points, found: Instance | None) -> Points:
        """Return the points with one in the middle of the larger kind of error."""
        truth, mask = self._truth(number), self._whole(found)
        missed, wrong = truth & ~mask, mask & ~truth
        add = bool(missed.sum() >= wrong.sum())
        error = missed if add else wrong
        if not error.any():
            return points
        depth = ndimage.distance_transform_edt(np.pad(error, 1))[1:-1, 1:-1]
        at = np.unravel_index(int(depth.argmax()), depth.shape)
        return replace(
            points,
            points_yx=np.concatenate([points.points_yx, [[float(at[0]), float(at[1])]]]),
            positive=np.concatenate([points.positive, [add]]),
        )
