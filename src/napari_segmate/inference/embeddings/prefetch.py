"""Planes that a user may look at next, encoded while nothing else is to be done."""

from __future__ import annotations

from collections.abc import Iterable

from napari_segmate.core.context import Context
from napari_segmate.core.types import BoxYX, Frame, IntBoxYX, Shape2D
from napari_segmate.inference.embeddings.crop_window import choose_frame
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.inference.prompts.request import PlaneLike
from napari_segmate.models.base import Segmenter

__all__ = ["first_frame", "frames_in_view", "neighbours", "prefetch"]


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


def first_frame(
    image_shape: Shape2D,
    input_size: int,
    visible_yx: IntBoxYX | None = None,
    zoom: float = 1.0,
) -> Frame:
    """Return the frame that a click in the middle of the visible part would use."""
    y0, x0, y1, x1 = visible_yx if visible_yx is not None else (0, 0, *image_shape)
    middle_y, middle_x = (y0 + y1 - 1) / 2, (x0 + x1 - 1) / 2
    middle: BoxYX = (middle_y, middle_x, middle_y, middle_x)
    return choose_frame(image_shape, middle, input_size, visible_yx=visible_yx, zoom=zoom)


def frames_in_view(
    image_shape: Shape2D,
    input_size: int,
    visible_yx: IntBoxYX | None = None,
    zoom: float = 1.0,
) -> tuple[Frame, ...]:
    """Return the frames that clicks on the screen would use, from the middle outwards.

    Parameters
    ----------
    image_shape : (height, width)
        Size of the plane.
    input_size : int
        Side in pixels of the largest square that the model sees without shrinking it.
    visible_yx : (y0, x0, y1, x1), optional
        Part on the screen; default the whole plane.
    zoom : float
        Frame pixels per plane pixel to start from.

    Examples
    --------
    >>> len(frames_in_view((600, 600), 512)), len(frames_in_view((1024, 1024), 512))
    (1, 9)
    """
    middle = first_frame(image_shape, input_size, visible_yx, zoom)
    y0, x0, y1, x1 = visible_yx if visible_yx is not None else (0, 0, *image_shape)
    step = max(1, min(middle.size) // 2)
    clicks = [
        (float(y), float(x))
        for y in _spread(y0, y1, step, image_shape[0])
        for x in _spread(x0, x1, step, image_shape[1])
    ]
    frames = {
        choose_frame(image_shape, (*at, *at), input_size, visible_yx=visible_yx, zoom=zoom)
        for at in clicks
    }
    return (middle, *sorted(frames - {middle}, key=lambda frame: _distance(frame, middle)))


def _spread(low: int, high: int, step: int, length: int) -> list[int]:
    """Return positions from `low` to `high` about `step` apart, inside the image."""
    first, last = max(low, 0), min(high, length) - 1
    count = 1 + -(-max(last - first, 0) // step)
    return [first + round(n * (last - first) / max(count - 1, 1)) for n in range(count)]


def _distance(frame: Frame, middle: Frame) -> tuple[int, IntBoxYX]:
    """Return how far a frame is from the middle one; its box decides between equals."""
    offsets = [
        a + b - c - d
        for a, b, c, d in zip(
            frame.box_yx[:2], frame.box_yx[2:], middle.box_yx[:2], middle.box_yx[2:], strict=True
        )
    ]
    return sum(offset * offset for offset in offsets), frame.box_yx


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
