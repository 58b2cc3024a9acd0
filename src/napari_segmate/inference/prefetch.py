"""Planes that a user may look at next, encoded while nothing else is to be done."""

from __future__ import annotations

from collections.abc import Iterable

from napari_segmate.core.context import Context
from napari_segmate.core.types import BoxYX, Frame, IntBoxYX, Shape2D
from napari_segmate.inference.embeddings import EmbeddingStore
from napari_segmate.inference.frames import choose_frame
from napari_segmate.inference.request import PlaneLike
from napari_segmate.models.base import Segmenter

__all__ = ["first_frame", "neighbours", "prefetch"]


def neighbours(index: tuple[int, ...], shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Return the planes next to one in a stack: next before previous, last axis first.

    Parameters
    ----------
    index : tuple of int
        One number per axis of the stack.
    shape : tuple of int
        Number of planes along each of these axes.

    Examples
    --------
    >>> neighbours((0, 5), (3, 10))
    ((0, 6), (0, 4), (1, 5))
    >>> neighbours((), ())
    ()
    """
    found = []
    for axis in reversed(range(len(index))):
        for step in (1, -1):
            if 0 <= index[axis] + step < shape[axis]:
                found.append((*index[:axis], index[axis] + step, *index[axis + 1 :]))
    return tuple(found)


def first_frame(image_shape: Shape2D, input_size: int, visible_yx: IntBoxYX | None = None) -> Frame:
    """Return the frame that a click in the middle of the visible part would use."""
    y0, x0, y1, x1 = visible_yx if visible_yx is not None else (0, 0, *image_shape)
    middle_y, middle_x = (y0 + y1 - 1) / 2, (x0 + x1 - 1) / 2
    middle: BoxYX = (middle_y, middle_x, middle_y, middle_x)
    return choose_frame(image_shape, middle, input_size, visible_yx=visible_yx)


def prefetch(
    planes: Iterable[tuple[PlaneLike, Frame]],
    model: Segmenter,
    store: EmbeddingStore,
    context: Context | None = None,
) -> int:
    """Encode parts of planes ahead of time and return how many were not in memory.

    Cancel it as soon as the user asks for something: it holds the model while it encodes.

    Parameters
    ----------
    planes : iterable of (Plane, Frame)
        What to encode, most likely first; consumed one by one, so it may be a generator.
    model : Segmenter
        Who encodes.
    store : EmbeddingStore
        Where the embeddings go.
    context : Context, optional
        Cancellation.

    Raises
    ------
    Cancelled
        The job was stopped; what was finished stays in the store.
    """
    context = context or Context()
    encoded = 0
    for plane, frame in planes:
        context.check()
        if not store.holds(plane, frame, model):
            store.of_plane(plane, frame, model, context)
            encoded += 1
    return encoded
