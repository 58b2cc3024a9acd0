"""How large the objects of a plane typically are, from looks at a few places."""

from __future__ import annotations

from collections.abc import Iterator

from napari_segmate.core.context import Context
from napari_segmate.core.sizes import FEWEST, estimate_size
from napari_segmate.core.types import Frame, IntBoxYX, Shape2D
from napari_segmate.inference.dense import maps_of_frame
from napari_segmate.inference.embeddings import EmbeddingStore
from napari_segmate.inference.prefetch import first_frame
from napari_segmate.inference.request import PlaneLike
from napari_segmate.models.base import Segmenter

__all__ = ["survey"]

ENLARGED = 3.0
"""Objects too small to be found at all are looked for in a part shown so much larger."""
SHRUNK = (0.5, 0.25, 0.125, 0.0625, 1 / 32, 1 / 64)
"""Objects too large to be seen as such are looked for in a part shown so much smaller."""
LEAST_SHOWN = 32
"""Pixels that a picture shown smaller must keep."""


def survey(
    plane: PlaneLike,
    model: Segmenter,
    store: EmbeddingStore,
    *,
    field_yx: IntBoxYX | None = None,
    context: Context | None = None,
) -> float:
    """Return the typical diameter of objects in pixels of the plane, 0 if none are found.

    The middle of the field is looked at and, where that says nothing, its quarters. If there is
    nothing, either, its middle enlarged and as much of it as can be seen shown smaller: then
    those objects count that cover most.

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
    field = field_yx or (0, 0, *plane.shape)

    def seen(frame: Frame, fewest: int) -> tuple[float, float]:
        context.report(0, 0, "estimating the size of objects")
        estimate = estimate_size(maps_of_frame(plane, frame, model, store, context), fewest)
        return estimate.covered, estimate.diameter / max(frame.zoom_yx)

    found = 0.0
    for frame in _as_it_is(plane.shape, model.input_size, field):
        found = found or seen(frame, FEWEST)[1]
    if not found:
        # What covers most of a picture is not what noise and texture look like.
        others = [*_enlarged(plane.shape, model.input_size, field), *_shrunk(field, model)]
        found = max(seen(frame, 1) for frame in others)[1]
    if found:
        store.remember_diameter(plane, model.key, found)
    return found


def _as_it_is(shape: Shape2D, input_size: int, field: IntBoxYX) -> Iterator[Frame]:
    """Yield the middle of a field, and of its quarters if it is large."""
    yield first_frame(shape, input_size, _middle(field, input_size))
    y0, x0, y1, x1 = field
    if max(y1 - y0, x1 - x0) > 2 * input_size:
        y, x = (y0 + y1) // 2, (x0 + x1) // 2
        for quarter in ((y0, x0, y, x), (y0, x, y, x1), (y, x0, y1, x), (y, x, y1, x1)):
            yield first_frame(shape, input_size, _middle(quarter, input_size))


def _enlarged(shape: Shape2D, input_size: int, field: IntBoxYX) -> Iterator[Frame]:
    for zoom in (1.0, ENLARGED):
        yield first_frame(shape, input_size, _middle(field, input_size), zoom)


def _shrunk(field: IntBoxYX, model: Segmenter) -> Iterator[Frame]:
    for zoom in SHRUNK:
        part = _middle(field, int(model.input_size / zoom))
        height, width = (round(zoom * (part[axis + 2] - part[axis])) for axis in (0, 1))
        if min(height, width) >= LEAST_SHOWN:
            yield Frame(part, (height, width))


def _middle(field: IntBoxYX, side: int) -> IntBoxYX:
    """Return the middle of a field, at most so many pixels wide and high."""
    y0, x0, y1, x1 = field
    cut_y, cut_x = max(y1 - y0 - side, 0), max(x1 - x0 - side, 0)
    return y0 + cut_y // 2, x0 + cut_x // 2, y1 - (cut_y + 1) // 2, x1 - (cut_x + 1) // 2
