"""Objects in one frame: prompts into its pixels, one batched decode, logits to masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.context import Context
from napari_segmate.core.masks.object_masks import clean, instance_from_mask, stability_score
from napari_segmate.core.prompts import Box, MaskPrompt, ObjectPrompts, Points
from napari_segmate.core.types import (
    BoolArray,
    Embedding,
    FloatArray,
    Frame,
    Instance,
    IntBoxYX,
    Shape2D,
)
from napari_segmate.inference.embeddings.crop_window import is_cut
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.inference.prompts.request import (
    MaskOptions,
    ObjectResult,
    PlaneLike,
    Previous,
    Timings,
)
from napari_segmate.models.base import Segmenter

__all__ = [
    "Decoder",
    "Grid",
    "ObjectQuery",
    "click_agreement",
    "grid_of",
    "mask_in_frame",
    "to_instance",
]


def click_agreement(instance: Instance, points: Points | None) -> float:
    """Return the share of clicks that a mask agrees with: positive ones inside, negative outside.

    Parameters
    ----------
    instance : Instance
        A mask in plane pixels.
    points : Points, optional
        Clicks in plane pixels; without any, the agreement is 1.

    Examples
    --------
    >>> square = Instance((10, 10, 20, 20), np.ones((10, 10), bool))
    >>> clicks = Points([[12, 12], [15, 15], [40, 40], [11, 11]], [True, True, False, False])
    >>> click_agreement(square, clicks)
    0.75
    """
    if points is None or not len(points):
        return 1.0
    y0, x0, y1, x1 = instance.box_yx
    at = np.floor(points.points_yx + 0.5).astype(np.intp) - (y0, x0)
    near = ((at >= 0) & (at < (y1 - y0, x1 - x0))).all(axis=1)
    inside = np.zeros(len(points), bool)
    inside[near] = instance.mask[tuple(at[near].T)]
    return float(np.mean(inside == points.positive))


STRIP_PX = 2**22
"""Pixels interpolated at a time: bounds the memory of an object of thousands of pixels a side."""

Positions = npt.NDArray[np.float64]
Cells = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Grid:
    """Where the pixels of a frame lie in the low-resolution logits.

    Parameters
    ----------
    rows : (H,) float
        Row of the logits for each row of the frame, increasing.
    columns : (W,) float
        Column of the logits for each column of the frame, increasing.
    """

    rows: Positions
    columns: Positions


def grid_of(model: Segmenter, low_shape: Shape2D, frame_shape: Shape2D) -> Grid:
    """Return where a model's logits lie in a frame.

    The model's own `upscale` is asked, on two ramps: models pad, crop and resize differently.

    Parameters
    ----------
    model : Segmenter
        Whose logits.
    low_shape : (h, w)
        Size of the logits.
    frame_shape : (H, W)
        Size of the image that was encoded.
    """
    ramps = np.stack(np.meshgrid(*map(np.arange, low_shape), indexing="ij")).astype(np.float32)
    upscaled = np.asarray(model.upscale(ramps, frame_shape), dtype=np.float64)
    return Grid(upscaled[0][:, 0], upscaled[1][0, :])


def _used(positions: Positions, length: int) -> slice:
    """Return the cells along one axis that lie under the frame; the others are padding."""
    return slice(max(int(np.floor(positions[0])), 0), min(int(np.ceil(positions[-1])) + 1, length))


def _span(inside: npt.NDArray[Any], positions: Positions) -> tuple[int, int]:
    """Return the frame pixels, first and last + 1, that the marked cells of one axis can reach."""
    cells = np.flatnonzero(inside)
    start = int(np.searchsorted(positions, cells[0] - 1, side="right"))
    stop = int(np.searchsorted(positions, cells[-1] + 1, side="left"))
    return start, stop


def _holes_filled(low: FloatArray, used: tuple[slice, slice], threshold: float) -> FloatArray:
    """Return logits in which what the object encloses lies above the threshold.

    Bilinear interpolation makes no hole between cells that are all inside, so filling cells fills
    the mask, at a small part of the cost of filling pixels.
    """
    from scipy import ndimage

    pieces, _ = ndimage.label(low[used] <= threshold)
    border = np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]])
    holes = ~np.isin(pieces, border) & (pieces > 0)
    if not holes.any():
        return low
    filled = low.copy()
    filled[used][holes] = threshold + 1.0
    return filled


def _plane_span(span: tuple[int, int], zoom: float, first: int, end: int) -> tuple[int, int]:
    """Return the plane pixels of a span of frame pixels, with one to spare."""
    start = first + int(np.floor(span[0] / zoom)) - 1
    stop = first + int(np.ceil(span[1] / zoom)) + 1
    return max(start, first), min(stop, end)


def _lookup(span: tuple[int, int], zoom: float, first: int, positions: Positions) -> Positions:
    """Return where plane pixels ``span[0] .. span[1] - 1`` lie in the logits."""
    in_frame = (np.arange(*span) - first + 0.5) * zoom - 0.5
    found: Positions = np.interp(in_frame, np.arange(len(positions)), positions)
    return found


def _reach(low: FloatArray, grid: Grid, frame: Frame, threshold: float) -> IntBoxYX | None:
    """Return a box, in plane pixels, that holds everything above the threshold."""
    inside = np.zeros(low.shape, dtype=bool)
    used = _used(grid.rows, low.shape[0]), _used(grid.columns, low.shape[1])
    inside[used] = low[used] > threshold
    if not inside.any():
        return None
    rows = _span(np.any(inside, axis=1), grid.rows)
    columns = _span(np.any(inside, axis=0), grid.columns)
    if rows[0] >= rows[1] or columns[0] >= columns[1]:
        return None
    y0, x0, y1, x1 = frame.box_yx
    top, bottom = _plane_span(rows, frame.zoom_yx[0], y0, y1)
    left, right = _plane_span(columns, frame.zoom_yx[1], x0, x1)
    return top, left, bottom, right


def _cells(positions: Positions, length: int) -> tuple[Cells, Cells, FloatArray]:
    """Return the two cells that each bilinear sample lies between, and the share of the second."""
    first = np.clip(np.floor(positions).astype(np.intp), 0, length - 1)
    share = np.clip(positions - first, 0, 1).astype(np.float32)
    return first, np.minimum(first + 1, length - 1), share


def _above_threshold(
    low: FloatArray, rows: Positions, columns: Positions, threshold: float
) -> BoolArray:
    """Return which bilinear samples lie above the threshold, a strip of rows at a time."""
    left, right, share_x = _cells(columns, low.shape[1])
    mask = np.empty((len(rows), len(columns)), dtype=bool)
    strip = max(1, STRIP_PX // len(columns))
    for start in range(0, len(rows), strip):
        part = slice(start, start + strip)
        top, bottom, share_y = _cells(rows[part], low.shape[0])
        lines = low[top] + (low[bottom] - low[top]) * share_y[:, None]
        # In place, and not as a matrix product: threads of the linear algebra library wait for
        # those of torch, which costs tens of milliseconds on a busy machine.
        samples = np.take(lines, left, axis=1)
        samples += (np.take(lines, right, axis=1) - samples) * share_x
        np.greater(samples, threshold, out=mask[part])
    return mask


def to_instance(
    low: FloatArray, score: float, grid: Grid, frame: Frame, options: MaskOptions
) -> Instance | None:
    """Return one candidate as a mask in plane pixels, None when it is empty.

    Parameters
    ----------
    low : (h, w) float32
        Low-resolution logits.
    score : float
        Predicted IoU, 0 to 1.
    grid : Grid
        Where the frame's pixels lie in `low`.
    frame : Frame
        What the model looked at.
    options : MaskOptions
        Threshold, hole filling and smallest size.
    """
    used = _used(grid.rows, low.shape[0]), _used(grid.columns, low.shape[1])
    stability = float(stability_score(low[used], options.threshold))
    if options.fill_holes:
        low = _holes_filled(low, used, options.threshold)
    box = _reach(low, grid, frame, options.threshold)
    if box is None:
        return None
    y0, x0, y1, x1 = box
    rows = _lookup((y0, y1), frame.zoom_yx[0], frame.box_yx[0], grid.rows)
    columns = _lookup((x0, x1), frame.zoom_yx[1], frame.box_yx[1], grid.columns)
    mask = _above_threshold(low, rows, columns, options.threshold)
    mask = clean(mask, fill_holes=False, min_size=options.min_size)
    return instance_from_mask(mask, (y0, x0), float(score), stability)


def mask_in_frame(prompt: MaskPrompt, frame: Frame) -> BoolArray:
    """Return a mask prompt as the frame shows it, (H, W) bool.

    Examples
    --------
    >>> prompt = MaskPrompt((2, 2, 4, 4), np.ones((2, 2), bool))
    >>> mask_in_frame(prompt, Frame((0, 0, 8, 8), (4, 4))).astype(int)
    array([[0, 0, 0, 0],
           [0, 1, 0, 0],
           [0, 0, 0, 0],
           [0, 0, 0, 0]])
    """
    y0, x0, y1, x1 = prompt.box_yx
    rows = np.rint(frame.to_plane(np.stack([np.arange(frame.shape[0])] * 2, 1))[:, 0])
    columns = np.rint(frame.to_plane(np.stack([np.arange(frame.shape[1])] * 2, 1))[:, 1])
    in_rows, in_columns = (rows >= y0) & (rows < y1), (columns >= x0) & (columns < x1)
    shown = np.zeros(frame.shape, dtype=bool)
    picked = prompt.mask[
        np.ix_(rows[in_rows].astype(np.intp) - y0, columns[in_columns].astype(np.intp) - x0)
    ]
    shown[np.ix_(in_rows, in_columns)] = picked
    return shown


BATCH = 32
"""Objects decoded at a time: bounds memory, and lets a long batch be cancelled."""


@dataclass(frozen=True, eq=False)
class ObjectQuery:
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

    def decode(self, frame: Frame, queries: Sequence[ObjectQuery]) -> list[ObjectResult]:
        """Return one result per query, all looked at in `frame`."""
        started = perf_counter()
        embedding = self._store.of_plane(self._plane, frame, self._model, self._context)
        self._spent(embed=perf_counter() - started)
        found: dict[int, ObjectResult] = {}
        for multimask in (True, False):
            numbers = [n for n, one in enumerate(queries) if one.multimask is multimask]
            for first in range(0, len(numbers), BATCH):
                batch = numbers[first : first + BATCH]
                asked = [queries[number] for number in batch]
                found.update(zip(batch, self._decode_batch(embedding, frame, asked), strict=True))
        return [found[number] for number in range(len(queries))]

    def _decode_batch(
        self, embedding: Embedding, frame: Frame, queries: Sequence[ObjectQuery]
    ) -> list[ObjectResult]:
        started = perf_counter()
        framed = [_in_frame(one, frame, self._model) for one in queries]
        with self._store.exclusive(self._context):
            masks = self._model.decode(
                embedding, framed, multimask=queries[0].multimask, context=self._context
            )
        decoded = perf_counter()
        grid = self._grid(_size(masks.logits), frame.shape)
        results = [
            self._result(one, frame, grid, logits, scores)
            for one, logits, scores in zip(queries, masks.logits, masks.scores, strict=True)
        ]
        self._spent(decode=decoded - started, cut=perf_counter() - decoded)
        return self._retry_ignored_clicks(embedding, frame, queries, results)

    def _retry_ignored_clicks(
        self,
        embedding: Embedding,
        frame: Frame,
        queries: Sequence[ObjectQuery],
        results: list[ObjectResult],
    ) -> list[ObjectResult]:
        """Return results in which single masks that ignore clicks gave way to better ones.

        Those come from the candidates for the same prompts, with the earlier answer and without:
        an earlier answer that was far off is hard to leave.
        """
        numbers = [
            n for n, one in enumerate(results) if not one.multimask and _agreement(one, 0) < 1
        ]
        alone = [n for n in numbers if queries[n].previous is not None]
        for tried, previous in ((numbers, True), (alone, False)):
            asked = [_several(queries[number], previous) for number in tried]
            others = self._decode_batch(embedding, frame, asked) if asked else []
            for number, other in zip(tried, others, strict=True):
                results[number] = _better(results[number], other)
        return results

    def _grid(self, low_shape: Shape2D, frame_shape: Shape2D) -> Grid:
        key = (self._model.key, low_shape, frame_shape)
        return self._store.remembered(key, lambda: grid_of(self._model, low_shape, frame_shape))

    def _result(
        self,
        query: ObjectQuery,
        frame: Frame,
        grid: Grid,
        logits: FloatArray,
        scores: FloatArray,
    ) -> ObjectResult:
        order = np.argsort(-scores, kind="stable")
        pairs = [(number, self._instance(logits, scores, number, grid, frame)) for number in order]
        kept = [(number, instance) for number, instance in pairs if instance is not None]
        return ObjectResult(
            prompts=query.prompts,
            frame=frame,
            candidates=tuple(instance for _, instance in kept),
            logits=logits[[number for number, _ in kept]].copy(),
            cut=tuple(self._is_cut(instance, frame, grid) for _, instance in kept),
            multimask=query.multimask,
            previous=query.previous,
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


def _agreement(result: ObjectResult, candidate: int) -> float:
    """Return the share of the clicks that a candidate agreements, less than 0 if there is none."""
    if candidate >= len(result.candidates):
        return -1.0
    return click_agreement(result.candidates[candidate], result.prompts.points)


def _several(query: ObjectQuery, previous: bool) -> ObjectQuery:
    """Return a query for several candidates, with or without the earlier answer."""
    return ObjectQuery(query.prompts, query.previous if previous else None, True)


def _better(single: ObjectResult, several: ObjectResult) -> ObjectResult:
    """Return the single mask, or the best of several masks if that agrees with more clicks."""
    agreements = [_agreement(several, number) for number in range(len(several.candidates))]
    if max(agreements, default=-1.0) <= _agreement(single, 0):
        return single
    best = int(np.argmax(agreements))
    return replace(
        single,
        candidates=(several.candidates[best],),
        logits=several.logits[best : best + 1],
        cut=(several.cut[best],),
    )


def _size(logits: FloatArray) -> Shape2D:
    return int(logits.shape[-2]), int(logits.shape[-1])


def _in_frame(query: ObjectQuery, frame: Frame, model: Segmenter) -> ObjectPrompts:
    """Return what the model is asked: frame pixels, and masks as low-resolution logits."""
    prompts = _located(query.prompts).in_frame(frame)
    return replace(prompts, mask=None, logits=_logits(query, frame, model))


def _located(prompts: ObjectPrompts) -> ObjectPrompts:
    """Return prompts of which a model that ignores masks could still tell where the object is."""
    positive = prompts.points is not None and prompts.points.positive.any()
    if prompts.mask is None or prompts.box is not None or positive:
        return prompts
    y0, x0, y1, x1 = prompts.mask.box_yx
    return replace(prompts, box=Box((y0 - 0.5, x0 - 0.5, y1 - 0.5, x1 - 0.5)))


def _logits(query: ObjectQuery, frame: Frame, model: Segmenter) -> FloatArray | None:
    previous = query.previous
    if previous is not None and previous.frame == frame:
        return previous.logits
    mask = query.prompts.mask
    if previous is not None and not previous.cut:
        mask = MaskPrompt(previous.instance.box_yx, previous.instance.mask)
    if mask is None:
        return None
    shown = mask_in_frame(mask, frame)
    logits = np.asarray(model.mask_input(shown, frame.shape), dtype=np.float32)
    return logits.reshape(logits.shape[-2:])
