"""Objects in one frame: prompts into the frame's pixels, one batched decode, masks out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from napari_segmate.core.context import Context
from napari_segmate.core.prompts import Box, MaskPrompt, ObjectPrompts
from napari_segmate.core.types import Embedding, FloatArray, Frame, Instance, Shape2D
from napari_segmate.inference.embeddings.crop_window import is_cut
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.inference.prompts.candidates import Grid, grid_of, mask_in_frame, to_instance
from napari_segmate.inference.prompts.click_agreement import heeded
from napari_segmate.inference.prompts.request import (
    MaskOptions,
    ObjectResult,
    PlaneLike,
    Previous,
    Timings,
)
from napari_segmate.models.base import Segmenter

__all__ = ["Decoder", "Question"]

BATCH = 32
"""Objects decoded at a time: bounds memory, and lets a long batch be cancelled."""


@dataclass(frozen=True, eq=False)
class Question:
    """One object to decode.

    Parameters
    ----------
    prompts : ObjectPrompts
        In plane pixels, without logits.
    previous : Previous, optional
        The answer to go on from.
    multimask : bool
        Ask for several candidates.
    """

    prompts: ObjectPrompts
    previous: Previous | None
    multimask: bool


class Decoder:
    """Decodes objects of one plane with one model; sums up where the time goes."""

    def __init__(
        self,
        plane: PlaneLike,
        model: Segmenter,
        store: EmbeddingStore,
        options: MaskOptions,
        context: Context,
    ) -> None:
        self._plane = plane
        self._model = model
        self._store = store
        self._options = options
        self._context = context
        self.timings = Timings()

    def answer(self, frame: Frame, questions: Sequence[Question]) -> list[ObjectResult]:
        """Return one result per question, all looked at in `frame`."""
        started = perf_counter()
        embedding = self._store.of_plane(self._plane, frame, self._model, self._context)
        self._spent(embed=perf_counter() - started)
        found: dict[int, ObjectResult] = {}
        for multimask in (True, False):
            numbers = [n for n, one in enumerate(questions) if one.multimask is multimask]
            for first in range(0, len(numbers), BATCH):
                batch = numbers[first : first + BATCH]
                asked = [questions[number] for number in batch]
                found.update(zip(batch, self._decode(embedding, frame, asked), strict=True))
        return [found[number] for number in range(len(questions))]

    def _decode(
        self, embedding: Embedding, frame: Frame, questions: Sequence[Question]
    ) -> list[ObjectResult]:
        started = perf_counter()
        framed = [_in_frame(one, frame, self._model) for one in questions]
        with self._store.exclusive(self._context):
            masks = self._model.decode(
                embedding, framed, multimask=questions[0].multimask, context=self._context
            )
        decoded = perf_counter()
        grid = self._grid(_size(masks.logits), frame.shape)
        results = [
            self._result(one, frame, grid, logits, scores)
            for one, logits, scores in zip(questions, masks.logits, masks.scores, strict=True)
        ]
        self._spent(decode=decoded - started, cut=perf_counter() - decoded)
        return self._heeding(embedding, frame, questions, results)

    def _heeding(
        self,
        embedding: Embedding,
        frame: Frame,
        questions: Sequence[Question],
        results: list[ObjectResult],
    ) -> list[ObjectResult]:
        """Return results in which single masks that ignore clicks gave way to better ones.

        Those come from the candidates for the same prompts, with the earlier answer and without:
        an earlier answer that was far off is hard to leave.
        """
        numbers = [n for n, one in enumerate(results) if not one.multimask and _heed(one, 0) < 1]
        alone = [n for n in numbers if questions[n].previous is not None]
        for tried, previous in ((numbers, True), (alone, False)):
            asked = [_several(questions[number], previous) for number in tried]
            others = self._decode(embedding, frame, asked) if asked else []
            for number, other in zip(tried, others, strict=True):
                results[number] = _better(results[number], other)
        return results

    def _grid(self, low_shape: Shape2D, frame_shape: Shape2D) -> Grid:
        key = (self._model.key, low_shape, frame_shape)
        return self._store.grid(key, lambda: grid_of(self._model, low_shape, frame_shape))

    def _result(
        self,
        question: Question,
        frame: Frame,
        grid: Grid,
        logits: FloatArray,
        scores: FloatArray,
    ) -> ObjectResult:
        order = np.argsort(-scores, kind="stable")
        pairs = [(number, self._instance(logits, scores, number, grid, frame)) for number in order]
        kept = [(number, instance) for number, instance in pairs if instance is not None]
        return ObjectResult(
            prompts=question.prompts,
            frame=frame,
            candidates=tuple(instance for _, instance in kept),
            logits=logits[[number for number, _ in kept]].copy(),
            cut=tuple(self._is_cut(instance, frame, grid) for _, instance in kept),
            multimask=question.multimask,
            previous=question.previous,
        )

    def _instance(
        self, logits: FloatArray, scores: FloatArray, number: int, grid: Grid, frame: Frame
    ) -> Instance | None:
        return to_instance(logits[number], float(scores[number]), grid, frame, self._options)

    def _is_cut(self, instance: Instance, frame: Frame, grid: Grid) -> bool:
        # Masks often end a cell short of the border that cuts them.
        cells = max(float(np.ptp(grid.rows)), float(np.ptp(grid.columns)), 1.0)
        return is_cut(instance.box_yx, frame, self._plane.shape, max(frame.size) / cells)

    def _spent(self, **seconds: float) -> None:
        sums = {name: getattr(self.timings, name) + more for name, more in seconds.items()}
        self.timings = replace(self.timings, **sums)


def _heed(result: ObjectResult, candidate: int) -> float:
    """Return the share of the clicks that a candidate heeds, less than 0 if there is none."""
    if candidate >= len(result.candidates):
        return -1.0
    return heeded(result.candidates[candidate], result.prompts.points)


def _several(question: Question, previous: bool) -> Question:
    """Return a question for several candidates, with or without the earlier answer."""
    return Question(question.prompts, question.previous if previous else None, True)


def _better(single: ObjectResult, several: ObjectResult) -> ObjectResult:
    """Return the single mask, or the best of several masks if that heeds more clicks."""
    heeds = [_heed(several, number) for number in range(len(several.candidates))]
    if max(heeds, default=-1.0) <= _heed(single, 0):
        return single
    best = int(np.argmax(heeds))
    return replace(
        single,
        candidates=(several.candidates[best],),
        logits=several.logits[best : best + 1],
        cut=(several.cut[best],),
    )


def _size(logits: FloatArray) -> Shape2D:
    return int(logits.shape[-2]), int(logits.shape[-1])


def _in_frame(question: Question, frame: Frame, model: Segmenter) -> ObjectPrompts:
    """Return what the model is asked: frame pixels, and masks as low-resolution logits."""
    prompts = _located(question.prompts).in_frame(frame)
    return replace(prompts, mask=None, logits=_logits(question, frame, model))


def _located(prompts: ObjectPrompts) -> ObjectPrompts:
    """Return prompts of which a model that ignores masks could still tell where the object is."""
    positive = prompts.points is not None and prompts.points.positive.any()
    if prompts.mask is None or prompts.box is not None or positive:
        return prompts
    y0, x0, y1, x1 = prompts.mask.box_yx
    return replace(prompts, box=Box((y0 - 0.5, x0 - 0.5, y1 - 0.5, x1 - 0.5)))


def _logits(question: Question, frame: Frame, model: Segmenter) -> FloatArray | None:
    previous = question.previous
    if previous is not None and previous.frame == frame:
        return previous.logits
    mask = question.prompts.mask
    if previous is not None and not previous.cut:
        mask = MaskPrompt(previous.instance.box_yx, previous.instance.mask)
    if mask is None:
        return None
    shown = mask_in_frame(mask, frame)
    logits = np.asarray(model.mask_input(shown, frame.shape), dtype=np.float32)
    return logits.reshape(logits.shape[-2:])
