"""Label all objects of a plane, or of a stack plane by plane."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from napari_segmate.core.context import Context
from napari_segmate.core.images.image_source import Contrast, ContrastMode, ImageSource
from napari_segmate.core.images.sample_boxes import spread
from napari_segmate.core.numbers.diameter import TOO_LARGE, ZOOMS
from napari_segmate.core.types import LabelArray
from napari_segmate.inference.automask.diameter import estimate_diameter
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.inference.prompts.request import PlaneLike
from napari_segmate.models.base import Segmenter
from napari_segmate.tasks.automask.labels import Proposal
from napari_segmate.tasks.automask.params import Mode, Nesting, Params, suited
from napari_segmate.tasks.automask.prepare import Prepared, Region, generate, mode_for, prepare
from napari_segmate.tasks.base import Task
from napari_segmate.tasks.stack import Numbering, planes_in_order

__all__ = [
    "TASK",
    "Mode",
    "Nesting",
    "Params",
    "Prepared",
    "Proposal",
    "Region",
    "generate",
    "largest_diameter",
    "mode_for",
    "prepare",
    "run",
    "run_stack",
    "sized_for",
    "suited",
]

SAMPLED_PLANES = 5
"""Planes of a stack from which the size of objects is estimated, if the first ones are empty."""


def run(
    plane: PlaneLike,
    model: Segmenter,
    params: Params | None = None,
    *,
    store: EmbeddingStore | None = None,
    context: Context | None = None,
    region: Region | None = None,
) -> Proposal:
    """Return the labels of all objects of a plane: `prepare` and `generate` in one."""
    params = params or Params()
    params = suited(params, model.info, mode_for(model, params))
    prepared = prepare(plane, model, params, store=store, context=context, region=region)
    return generate(prepared, params, context=context)


def run_stack(
    source: ImageSource,
    model: Segmenter,
    params: Params | None = None,
    *,
    contrast: Contrast | None = None,
    indices: Sequence[tuple[int, ...]] | None = None,
    link: bool = True,
    z_axis: int = -1,
    anisotropy: float = 1.0,
    store: EmbeddingStore | None = None,
    context: Context | None = None,
    region: Region | None = None,
    on_plane: Callable[[tuple[int, ...], LabelArray], None] | None = None,
) -> LabelArray:
    """Return the labels of all objects of a stack: each plane, then objects linked across planes.

    Parameters
    ----------
    source : ImageSource
        The image; planes are read one after the other.
    model : Segmenter
        Who looks at it.
    params : Params, optional
        As for a plane. A diameter that is not given is estimated once, from planes all over the
        stack.
    contrast : Contrast, optional
        The same for all planes; estimated from the whole stack by default.
    indices : sequence of tuple of int, optional
        Only these planes; all by default. Others stay empty.
    link : bool
        Give objects that overlap from plane to plane one number. Otherwise every object of every
        plane has its own.
    z_axis : int
        Along which of `ImageSource.index_axes`, counted among these, planes are linked: the last
        one by default.
    anisotropy : float
        Distance of planes over that of pixels.
    store : EmbeddingStore, optional
        Where embeddings are kept.
    context : Context, optional
        Progress in planes, and cancellation.
    region : MaskPrompt or (y0, x0, y1, x1), optional
        Only objects in it are wanted, in every plane.
    on_plane : callable, optional
        Called with the index and the labels of each plane when they are final.

    Returns
    -------
    (..., H, W) int32
        One plane of labels per plane of the image, in the order of its axes.

    Raises
    ------
    ParameterError
        There is no such plane or axis.
    """
    params, context, store = params or Params(), context or Context(), store or EmbeddingStore()
    params = suited(params, model.info, mode_for(model, params))
    sizes = source.index_shape
    order = planes_in_order(sizes, indices, z_axis)
    if contrast is None:
        contrast = source.estimate_contrast(ContrastMode.STACK, (0,) * len(sizes))
    planes = [source.plane(index, contrast) for index in order]
    params = sized_for(planes, model, params, store, context)
    labels = np.zeros((*sizes, *source.shape), np.int32)
    numbering = Numbering(z_axis, anisotropy, link=link)
    for number, (index, plane) in enumerate(zip(order, planes, strict=True)):
        context.report(number, len(order), f"plane {number + 1} of {len(order)}")
        inner = Context(cancelled=context.cancelled)
        found = run(plane, model, params, store=store, context=inner, region=region)
        labels[index] = numbering.add(index, found.labels)
        if on_plane is not None:
            on_plane(index, labels[index])
    context.report(len(order), len(order), "done")
    return labels


def largest_diameter(model: Segmenter) -> float:
    """Return the largest typical diameter in pixels that a model can be shown; 0 for any."""
    return model.info.diameter * TOO_LARGE / min(ZOOMS)


def sized_for(
    planes: Sequence[PlaneLike],
    model: Segmenter,
    params: Params,
    store: EmbeddingStore,
    context: Context,
) -> Params:
    """Return settings with one diameter for all planes, estimated where none is given."""
    wanted = model.info.diameter
    if params.diameter is not None or not wanted or not model.info.instance_head:
        return params
    for (at,) in spread((len(planes),), SAMPLED_PLANES):
        found = estimate_diameter(planes[at], model, store, context=context)
        if found:
            return replace(params, diameter=found)
    return replace(params, diameter=wanted)


TASK = Task(
    name="auto",
    title="Automask",
    description="Label all objects of an image.",
    params=Params,
    run=run,
)
