"""How large a plane is shown to a model: so that its objects have the size the model knows best."""

from __future__ import annotations

from napari_segmate.core.context import Context
from napari_segmate.core.numbers.diameter import ZOOMS, estimate_diameter, nearest_zoom
from napari_segmate.core.types import IntBoxYX
from napari_segmate.inference.embeddings.prefetch import first_frame
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.inference.prompts.request import PlaneLike
from napari_segmate.models.base import Segmenter

__all__ = ["ZOOMS", "nearest_zoom", "zoom_of"]


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
