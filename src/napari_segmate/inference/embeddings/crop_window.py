"""Which part of a plane a model looks at, how large it is shown, and what is encoded beforehand."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

import numpy as np

from napari_segmate.core.context import Context
from napari_segmate.core.errors import ImageError
from napari_segmate.core.numbers.diameter import ZOOMS, estimate_diameter, nearest_zoom
from napari_segmate.core.types import BoxYX, Frame, IntBoxYX, Shape2D
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.inference.prompts.request import PlaneLike
from napari_segmate.models.base import Segmenter

__all__ = [
    "ZOOMS",
    "choose_frame",
    "first_frame",
    "frames_in_view",
    "grow",
    "is_cut",
    "nearest_zoom",
    "prefetch",
    "shift",
    "zoom_of",
]

WHOLE = 1.25
"""A plane up to this many model inputs wide is looked at whole, shown a little smaller."""

FILL = 0.6
"""Share of a frame that the prompts may fill along one axis."""

MARGIN = 0.1
"""Share of a frame that stays free on each side of the prompts."""

STEPS = (2, 8)
"""Windows lie on a grid of a half window, so that neighbouring clicks share one; prompts that
need more room fall back to a finer grid."""

VISIBLE = 8
"""Someone who sees a field this many windows wide points at objects too large for one window."""


def choose_frame(
    image_shape: Shape2D,
    extent_yx: BoxYX,
    input_size: int,
    *,
    visible_yx: IntBoxYX | None = None,
    zoom: float = 1.0,
) -> Frame:
    """Return the frame in which to segment the object at `extent_yx`.

    Parameters
    ----------
    image_shape : (height, width)
        Size of the plane.
    extent_yx : (y0, x0, y1, x1)
        Box round all prompts, plane pixels.
    input_size : int
        Side in pixels of the largest square that the model sees without shrinking it.
    visible_yx : (y0, x0, y1, x1), optional
        Part of the plane on the screen: a very wide field asks for a wider frame.
    zoom : float
        Frame pixels per plane pixel to start from; above 1 small objects are shown larger, below
        1 large ones smaller.

    Returns
    -------
    Frame
        The whole plane when it is at most 1.25 inputs wide and high. Otherwise a window of the
        model's input size; when the prompts fill more than 60 % of it, one of twice the side,
        shown at half the size, and so on.

    Raises
    ------
    ImageError
        The plane is empty.

    Examples
    --------
    >>> choose_frame((512, 600), (10, 10, 10, 10), 512)
    Frame(box_yx=(0, 0, 512, 600), shape=(437, 512))
    >>> choose_frame((5000, 5000), (2000, 100, 2000, 100), 512)
    Frame(box_yx=(1792, 0, 2304, 512), shape=(512, 512))
    """
    if min(image_shape) < 1:
        raise ImageError(f"the image is empty: {image_shape[0]} x {image_shape[1]} pixels")
    smallest = input_size / zoom
    if visible_yx is not None:
        seen = min(visible_yx[2] - visible_yx[0], visible_yx[3] - visible_yx[1])
        smallest *= 2 ** max(0, int(np.ceil(np.log2(max(seen / VISIBLE / smallest, 1)))))
    for level in count():
        frame = _window(image_shape, extent_yx, smallest * 2**level, input_size, zoom)
        if frame is not None:
            return frame
    raise AssertionError("unreachable: some window holds the whole plane")


def grow(
    frame: Frame, image_shape: Shape2D, input_size: int, extent_yx: BoxYX | None = None
) -> Frame:
    """Return a larger frame, for a mask that is cut by the border of `frame`.

    Parameters
    ----------
    frame : Frame
        The frame that is too small.
    image_shape : (height, width)
        Size of the plane.
    input_size : int
        Side in pixels of the largest square that the model sees without shrinking it.
    extent_yx : (y0, x0, y1, x1), optional
        Box round mask and prompts, to keep in the middle. Default: the frame's own box.

    Examples
    --------
    >>> grow(Frame((0, 0, 512, 512), (512, 512)), (5000, 5000), 512).size
    (1024, 1024)
    >>> grow(Frame((0, 0, 512, 512), (512, 512)), (600, 900), 512)
    Frame(box_yx=(0, 0, 600, 900), shape=(341, 512))
    """
    y0, x0, y1, x1 = frame.box_yx
    side = 2.0 * max(frame.size)
    held = extent_yx if extent_yx is not None else (y0, x0, y1 - 1, x1 - 1)
    zoom = max(frame.zoom_yx)
    while (larger := _window(image_shape, held, side, input_size, zoom)) is None:
        side *= 2
    return larger


def shift(frame: Frame, image_shape: Shape2D, extent_yx: BoxYX, input_size: int) -> Frame | None:
    """Return a window as large as `frame` with `extent_yx` in its middle.

    None when the extent does not fit with a margin, or when that window is `frame` itself.

    Examples
    --------
    >>> shift(Frame((0, 0, 512, 512), (512, 512)), (5000, 5000), (500, 100, 511, 160), 512)
    Frame(box_yx=(256, 0, 768, 512), shape=(512, 512))
    """
    moved = _window(image_shape, extent_yx, max(frame.size), input_size, max(frame.zoom_yx))
    return moved if moved != frame else None


def is_cut(box_yx: IntBoxYX, frame: Frame, image_shape: Shape2D, margin: float = 0.0) -> bool:
    """Tell whether a mask reaches a border of the frame that is not one of the image.

    Parameters
    ----------
    box_yx : (y0, x0, y1, x1)
        Box round the mask, half-open, plane pixels.
    frame : Frame
        What the model looked at.
    image_shape : (height, width)
        Size of the plane.
    margin : float
        Plane pixels from the border that count as the border.

    Examples
    --------
    >>> frame = Frame((0, 0, 100, 100), (100, 100))
    >>> is_cut((0, 0, 50, 50), frame, (500, 500)), is_cut((50, 50, 100, 90), frame, (500, 500))
    (False, True)
    """
    near = (
        box_yx[0] <= frame.box_yx[0] + margin and frame.box_yx[0] > 0,
        box_yx[1] <= frame.box_yx[1] + margin and frame.box_yx[1] > 0,
        box_yx[2] >= frame.box_yx[2] - margin and frame.box_yx[2] < image_shape[0],
        box_yx[3] >= frame.box_yx[3] - margin and frame.box_yx[3] < image_shape[1],
    )
    return any(near)


def _window(
    image_shape: Shape2D, extent_yx: BoxYX, side: float, input_size: int, zoom: float
) -> Frame | None:
    """Return the window of `side` plane pixels round the prompts, None when it is too small.

    A plane that fits in is shown as large as it can be, but not larger than `zoom` or life-size
    asks for.
    """
    if max(image_shape) <= WHOLE * side:
        fitting, wanted = input_size / max(image_shape), max(min(1.0, zoom), input_size / side)
        return _shown((0, 0, *image_shape), min(fitting, wanted), input_size)
    whole_side = round(side)
    for step in STEPS:
        axes = [
            _along(image_shape[axis], extent_yx[axis], extent_yx[axis + 2], whole_side, step)
            for axis in (0, 1)
        ]
        if axes[0] is not None and axes[1] is not None:
            (y0, y1), (x0, x1) = axes[0], axes[1]
            return _shown((y0, x0, y1, x1), input_size / side, input_size)
    return None


def _along(length: int, low: float, high: float, side: int, step: int) -> tuple[int, int] | None:
    """Return start and stop along one axis, None when the prompts do not fit with their margin."""
    if length <= side:
        return 0, length
    if high - low > FILL * side:
        return None
    stride = max(1, side // step)
    nearest = round(((low + high + 1) / 2 - side / 2) / stride) * stride
    start = min(max(nearest, 0), length - side)
    room_below = low - start >= MARGIN * side or start == 0
    room_above = start + side - 1 - high >= MARGIN * side or start + side == length
    return (start, start + side) if room_below and room_above else None


def _shown(box_yx: IntBoxYX, scale: float, input_size: int) -> Frame:
    """Return the frame of a box that is shown with `scale` frame pixels per plane pixel."""
    y0, x0, y1, x1 = box_yx
    height, width = (max(1, min(input_size, round(n * scale))) for n in (y1 - y0, x1 - x0))
    return Frame(box_yx, (height, width))


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


def zoom_of(
    plane: PlaneLike,
    model: Segmenter,
    store: EmbeddingStore,
    *,
    diameter: float = 0.0,
    visible_yx: IntBoxYX | None = None,
    context: Context | None = None,
) -> float:
    """Return how much larger or smaller than it is a plane should be shown.

    Parameters
    ----------
    plane : Plane
        Where to read pixels.
    model : Segmenter
        Who will look at it. Models that do not say which size they like see it as it is.
    store : EmbeddingStore
        Keeps the embedding of the part that is looked at, and the answer.
    diameter : float
        Typical object in plane pixels; 0 estimates it once per plane, from the objects found in
        the part on the screen.
    visible_yx : (y0, x0, y1, x1), optional
        Part of the plane on the screen.
    context : Context, optional
        Progress and cancellation.
    """
    wanted = model.info.diameter
    if not wanted:
        return 1.0
    if not diameter:
        diameter = _estimated(plane, model, store, visible_yx, context or Context())
    return nearest_zoom(wanted, diameter) if diameter else 1.0


def _estimated(
    plane: PlaneLike,
    model: Segmenter,
    store: EmbeddingStore,
    visible_yx: IntBoxYX | None,
    context: Context,
) -> float:
    """Return the typical diameter in plane pixels, 0 where there are too few objects to tell."""
    known = store.diameter(plane, model.key)
    if known:
        return known
    frame = first_frame(plane.shape, model.input_size, visible_yx)
    maps = model.instance_maps(store.of_plane(plane, frame, model, context))
    found = estimate_diameter(maps) / max(frame.zoom_yx)
    if found:
        store.remember_diameter(plane, model.key, found)
    return found
