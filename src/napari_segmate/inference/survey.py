"""How large the objects of a plane typically are, from looks at a few places."""

from __future__ import annotations

from collections.abc import Iterator

from napari_segmate.core.context import Context
from napari_segmate.core.sizes import estimate_diameter
from napari_segmate.core.types import Frame, IntBoxYX, Shape2D
from napari_segmate.inference.dense import maps_of_frame
from napari_segmate.inference.embeddings import EmbeddingStore
from napari_segmate.inference.prefetch import first_frame
from napari_segmate.inference.request import PlaneLike
from napari_segmate.models.base import Segmenter

__all__ = ["survey"]

ENLARGED = 3.0
"""Objects too small to be found at all are looked for in a part shown so much larger."""
WIDEST = 8
"""A field is looked at whole, shown smaller, up to this many model inputs."""


def survey(
    plane: PlaneLike,
    model: Segmenter,
    store: EmbeddingStore,
    *,
    field_yx: IntBoxYX | None = None,
    context: Context | None = None,
) -> float:
    """Return the typical diameter of objects in pixels of the plane, 0 if none are found.

    The middle of the field is looked at; where that says nothing, its quarters, its middle
    enlarged, and the field as a whole.

    Parameters
    ----------
    plane : Plane
        Where to read pixels.
    model : Segmenter
        Has an instance head.
    store : EmbeddingStore
        Keeps embeddings, and the answer for this plane.
    field_yx : (y0, x0, y1, x1), optional
        The part that matters; the plane by default.
    context : Context, optional
        Progress and cancellation.
    """
    context = context or Context()
    known = store.diameter(plane, model.key)
    if known:
        return known
    for frame, fewest in _looks(plane.shape, model.input_size, field_yx):
        context.report(0, 0, "estimating the size of objects")
        maps = maps_of_frame(plane, frame, model, store, context)
        found = estimate_diameter(maps, fewest) / max(frame.zoom_yx)
        if found:
            store.remember_diameter(plane, model.key, found)
            return found
    return 0.0


def _looks(
    shape: Shape2D, input_size: int, field_yx: IntBoxYX | None
) -> Iterator[tuple[Frame, int]]:
    """Yield each frame once, with the fewest objects that count there; first many, then any."""
    field = field_yx or (0, 0, *shape)
    frames = dict.fromkeys(_frames(shape, input_size, field))
    for fewest in (3, 1):
        for frame in frames:
            yield frame, fewest


def _frames(shape: Shape2D, input_size: int, field: IntBoxYX) -> Iterator[Frame]:
    yield first_frame(shape, input_size, _middle(field, input_size))
    y0, x0, y1, x1 = field
    if max(y1 - y0, x1 - x0) > 2 * input_size:
        y, x = (y0 + y1) // 2, (x0 + x1) // 2
        for quarter in ((y0, x0, y, x), (y0, x, y, x1), (y, x0, y1, x), (y, x, y1, x1)):
            yield first_frame(shape, input_size, _middle(quarter, input_size))
    yield first_frame(shape, input_size, _middle(field, input_size), ENLARGED)
    whole = _middle(field, WIDEST * input_size)
    size = (whole[2] - whole[0], whole[3] - whole[1])
    zoom = min(1.0, input_size / max(size))
    yield Frame(whole, (max(1, round(size[0] * zoom)), max(1, round(size[1] * zoom))))


def _middle(field: IntBoxYX, side: int) -> IntBoxYX:
    """Return the middle of a field, at most so many pixels wide and high."""
    y0, x0, y1, x1 = field
    cut_y, cut_x = max(y1 - y0 - side, 0), max(x1 - x0 - side, 0)
    return y0 + cut_y // 2, x0 + cut_x // 2, y1 - (cut_y + 1) // 2, x1 - (cut_x + 1) // 2
