"""One answer: prompts on a plane in, masks out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from napari_segmate.core.context import Context
from napari_segmate.core.types import BoxYX, Frame
from napari_segmate.inference.embeddings.crop_window import choose_frame, grow, shift, zoom_of
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.inference.prompts.decoding import Decoder, ObjectQuery
from napari_segmate.inference.prompts.request import (
    MaskOptions,
    ObjectResult,
    Prediction,
    Previous,
    Request,
)
from napari_segmate.models.base import Segmenter

__all__ = ["MaskOptions", "ObjectResult", "Prediction", "Previous", "Request", "predict"]

MAX_SHRINK = 20
"""Frames stop growing here: a click on the background of a slide would otherwise read all of it,
to show the model cells of a pixel."""


def predict(
    request: Request, model: Segmenter, store: EmbeddingStore, context: Context | None = None
) -> Prediction:
    """Return the masks that a request asks for.

    Every object is looked at in a window of the plane that the model sees at full resolution; a
    mask that the window cuts off is looked at again in a larger one. Objects that share a window
    are decoded together.

    Parameters
    ----------
    request : Request
        Plane, prompts, and earlier answers to go on from.
    model : Segmenter
        Who answers.
    store : EmbeddingStore
        Where embeddings are kept.
    context : Context, optional
        Progress and cancellation.

    Raises
    ------
    Cancelled
        The user stopped the job.
    ImageError
        The plane is empty.
    """
    context = context or Context()
    zoom = _zoom(request, model, store, context)
    decoder = Decoder(request.plane, model, store, request.options, context)
    queries = [_query(request, number) for number in range(len(request.prompts))]
    waiting = _first_frames(request, model.input_size, zoom)
    tried: dict[int, set[Frame]] = {number: set() for number in waiting}
    results: dict[int, ObjectResult] = {}
    while waiting:
        for frame, numbers in _by_frame(waiting).items():
            answers = decoder.decode(frame, [queries[number] for number in numbers])
            results.update(zip(numbers, answers, strict=True))
            for number in numbers:
                tried[number].add(frame)
        following = {
            number: _next_frame(results[number], request, model.input_size, tried[number])
            for number in waiting
            if _unfinished(results[number])
        }
        waiting = {number: frame for number, frame in following.items() if frame is not None}
    objects = tuple(results[number] for number in range(len(queries)))
    diameter = request.options.diameter or store.diameter(request.plane, model.key)
    return Prediction(
        request.generation, model.info.name, model.key, objects, decoder.timings, diameter
    )


def _zoom(request: Request, model: Segmenter, store: EmbeddingStore, context: Context) -> float:
    return zoom_of(
        request.plane,
        model,
        store,
        diameter=request.options.diameter,
        visible_yx=request.visible_yx,
        context=context,
    )


def _query(request: Request, number: int) -> ObjectQuery:
    prompts, previous = request.prompts[number], request.previous_of(number)
    ambiguous = prompts.ambiguous and previous is None
    return ObjectQuery(prompts, previous, request.multimask and ambiguous)


def _first_frames(request: Request, input_size: int, zoom: float) -> dict[int, Frame]:
    """Return the frame of each object: one for all when they fit in it without being shrunk."""
    if not request.prompts:
        return {}
    own = {
        number: _first_frame(request, number, input_size, zoom)
        for number in range(len(request.prompts))
    }
    if len(set(own.values())) == 1:
        return own
    joined = _union([prompts.extent_yx for prompts in request.prompts])
    shared = choose_frame(
        request.plane.shape, joined, input_size, visible_yx=request.visible_yx, zoom=zoom
    )
    finest = max(max(frame.zoom_yx) for frame in own.values())
    if max(shared.zoom_yx) >= 0.99 * finest:
        return dict.fromkeys(own, shared)
    return own


def _first_frame(request: Request, number: int, input_size: int, zoom: float) -> Frame:
    prompts, previous = request.prompts[number], request.previous_of(number)
    if previous is not None and previous.frame.contains(prompts.extent_yx):
        return previous.frame
    return choose_frame(
        request.plane.shape,
        prompts.extent_yx,
        input_size,
        visible_yx=request.visible_yx,
        zoom=zoom,
    )


def _by_frame(frames: Mapping[int, Frame]) -> dict[Frame, list[int]]:
    groups: dict[Frame, list[int]] = {}
    for number, frame in frames.items():
        groups.setdefault(frame, []).append(number)
    return groups


def _unfinished(result: ObjectResult) -> bool:
    """Tell whether the best mask may go on beyond the frame; a box says where it ends."""
    return bool(result.candidates) and result.cut[0] and result.prompts.box is None


def _next_frame(
    result: ObjectResult, request: Request, input_size: int, tried: set[Frame]
) -> Frame | None:
    """Return where to look for the rest of a mask, None when that would show too little."""
    y0, x0, y1, x1 = result.candidates[0].box_yx
    extent = _union([result.prompts.extent_yx, (y0, x0, y1 - 1, x1 - 1)])
    shifted = shift(result.frame, request.plane.shape, extent, input_size)
    if shifted is not None and shifted not in tried:
        return shifted
    larger = grow(result.frame, request.plane.shape, input_size, extent)
    return larger if min(larger.zoom_yx) * MAX_SHRINK >= 1 else None


def _union(boxes: Sequence[BoxYX]) -> BoxYX:
    corners = np.array(boxes)
    (y0, x0), (y1, x1) = corners[:, :2].min(axis=0), corners[:, 2:].max(axis=0)
    return float(y0), float(x0), float(y1), float(x1)
