"""Objects that are labelled on some planes, on the planes between them, pulled to an image."""

from __future__ import annotations

import numpy as np

from napari_segmate.core.context import Context
from napari_segmate.core.labels.interpolate import fill_between
from napari_segmate.core.types import LabelArray
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.models.base import Segmenter
from napari_segmate.tasks.propagate.engine import PlaneByPlane
from napari_segmate.tasks.propagate.params import Params
from napari_segmate.tasks.propagate.planes import StackPlanes
from napari_segmate.tasks.propagate.run import anchors_of_labels
from napari_segmate.tasks.propagate.state import Propagation

__all__ = ["fill_with_image"]


def fill_with_image(
    planes: StackPlanes,
    labels: LabelArray,
    model: Segmenter,
    *,
    most_gap: int | None = None,
    params: Params | None = None,
    store: EmbeddingStore | None = None,
    context: Context | None = None,
) -> LabelArray:
    """Return labels in which objects are drawn between the planes that have them.

    Shapes between two planes come from signed distances, and outlines are pulled to the image.
    Where the image says that an object is not there, the shape alone is drawn. What is labelled
    stays as it is.

    Parameters
    ----------
    planes : StackPlanes
        The image.
    labels : (n, H, W) array of integers
        As many planes as the image has.
    model : Segmenter
        Asked where intensities do not tell objects apart.
    most_gap : int, optional
        Planes that may lie between two given ones; any number by default.
    params : Params, optional
        Weights and gates.
    store : EmbeddingStore, optional
        Where embeddings are kept.
    context : Context, optional
        Progress and cancellation.

    Raises
    ------
    LabelsError
        Labels of another shape than the image.
    """
    state = Propagation(len(planes), planes.shape)
    for number, known in anchors_of_labels(labels, planes).items():
        for plane, mask in known.items():
            state.set_anchor(number, plane, mask)
    for leg in state.legs:
        missing = 0 if leg.other is None else abs(leg.other - leg.anchor) - 1
        if not missing or (most_gap is not None and missing > most_gap):
            leg.ended = True
    for _ in PlaneByPlane(model, params, store).start(planes, state, context):
        pass
    filled = fill_between(np.asarray(labels), most_gap=most_gap)
    given = np.asarray(labels)
    for plane in range(len(planes)):
        pulled = np.zeros(planes.shape, filled.dtype)
        state.draw(plane, pulled)
        _replace(filled[plane], pulled, given[plane])
    return np.asarray(filled)


def _replace(filled: LabelArray, pulled: LabelArray, given: LabelArray) -> None:
    """Draw what was pulled to the image in place of the shapes alone."""
    free = given == 0
    drawn = np.unique(pulled[free & (pulled > 0)])
    filled[free & np.isin(filled, drawn)] = 0
    filled[free & (pulled > 0)] = pulled[free & (pulled > 0)]
