"""Label all objects of a plane: prepare once, then generate labels as often as settings change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from napari_segmate.core.context import Context
from napari_segmate.core.errors import ModelError, ParameterError
from napari_segmate.core.images.image_source import Contrast, ContrastMode, ImageSource
from napari_segmate.core.images.sample_boxes import spread
from napari_segmate.core.prompts import MaskPrompt
from napari_segmate.core.types import DenseMaps, Instance, IntBoxYX, LabelArray, Shape2D
from napari_segmate.inference.automask.diameter import survey
from napari_segmate.inference.automask.grid import Proposals
from napari_segmate.inference.automask.tiles import tile_grid
from napari_segmate.inference.embeddings.crop_window import nearest_zoom
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.inference.prompts.request import PlaneLike
from napari_segmate.models.base import Segmenter
from napari_segmate.tasks.automask.labels import Proposal, labels_of_maps, labels_of_masks
from napari_segmate.tasks.automask.look_at_plane import Look, chosen_masks
from napari_segmate.tasks.automask.params import Mode, Nesting, Params, suited
from napari_segmate.tasks.automask.stack import Numbering, planes_in_order
from napari_segmate.tasks.base import Task

__all__ = [
    "TASK",
    "Mode",
    "Nesting",
    "Params",
    "Prepared",
    "Proposal",
    "Region",
    "generate",
    "prepare",
    "run",
    "run_stack",
    "sized_for",
    "suited",
]

Region: TypeAlias = MaskPrompt | IntBoxYX

SURVEYED = 5
"""Planes of a stack from which the size of objects is estimated, if the first ones are empty."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """What the model saw in a plane: all that labels are generated from.

    Parameters
    ----------
    shape : (height, width)
        Size of the plane.
    mode : Mode
        How objects are found.
    diameter : float
        Typical object in pixels that the plane was looked at for; 0 if not known.
    estimated : bool
        Whether the diameter was estimated.
    model, model_key : str
        Name of the model, and its name with the hash of the weights.
    maps : DenseMaps, optional
        Maps of the whole plane (objects).
    masks : tuple of Instance, optional
        Masks that the decoder drew (refined).
    proposals : Proposals, optional
        Masks that a grid of points found (grid).
    region : MaskPrompt, optional
        Only objects that lie in it, for the most part, are wanted.
    """

    shape: Shape2D
    mode: Mode
    diameter: float
    estimated: bool
    model: str
    model_key: str
    maps: DenseMaps | None = None
    masks: tuple[Instance, ...] | None = None
    proposals: Proposals | None = None
    region: MaskPrompt | None = None

    @property
    def nbytes(self) -> int:
        """Bytes that it holds."""
        masks = sum(one.mask.nbytes for one in self.masks or ())
        return masks + sum(one.nbytes for one in (self.maps, self.proposals) if one is not None)


def prepare(
    plane: PlaneLike,
    model: Segmenter,
    params: Params | None = None,
    *,
    store: EmbeddingStore | None = None,
    context: Context | None = None,
    visible_yx: IntBoxYX | None = None,
    region: Region | None = None,
    on_progress: Callable[[Prepared], None] | None = None,
) -> Prepared:
    """Return what the model sees in a plane: the slow step.

    Parameters
    ----------
    plane : Plane
        Where to read pixels; planes of any size are read tile by tile.
    model : Segmenter
        Who looks at it.
    params : Params, optional
        Only what `Params.prepare_key` holds matters here.
    store : EmbeddingStore, optional
        Where embeddings are kept.
    context : Context, optional
        Progress and cancellation.
    visible_yx : (y0, x0, y1, x1), optional
        Part on the screen: is looked at first.
    region : MaskPrompt or (y0, x0, y1, x1), optional
        Only objects in it are wanted; little more than it is read.
    on_progress : callable, optional
        Called from time to time with what is there; its maps go on to change.

    Raises
    ------
    ImageError
        The plane is empty.
    ModelError
        The model cannot do what the mode asks for.
    ParameterError
        The region lies outside the plane, or tile and halo do not fit.
    Cancelled
        The user stopped the job.
    """
    params, context = params or Params(), context or Context()
    store = store or EmbeddingStore()
    mode = mode_for(model, params)
    wanted = _inside(region, plane.shape)
    field = visible_yx if wanted is None else wanted.box_yx
    zoom, diameter = _size(plane, model, params, store, context, field)
    tiles = tile_grid(
        plane.shape,
        model.input_size,
        zoom=zoom,
        tile=params.tile,
        halo=params.halo,
        visible_yx=visible_yx,
        region=None if wanted is None else wanted.box_yx,
    )
    empty = Prepared(
        shape=plane.shape,
        mode=mode,
        diameter=diameter,
        estimated=params.diameter is None,
        model=model.info.name,
        model_key=model.key,
        region=wanted,
    )
    look = Look(plane, model, store, tiles, zoom, params)
    report = on_progress or _ignore
    if mode is Mode.GRID:
        return replace(
            empty, proposals=look.proposals(context, lambda p: report(replace(empty, proposals=p)))
        )
    maps = look.maps(context, lambda maps: report(replace(empty, mode=Mode.OBJECTS, maps=maps)))
    if mode is Mode.OBJECTS:
        return replace(empty, maps=maps)
    return replace(empty, masks=look.masks(maps, context))


def _ignore(prepared: Prepared) -> None:
    """Drop what is there so far."""


def generate(prepared: Prepared, params: Params, *, context: Context | None = None) -> Proposal:
    """Return the labels that the settings ask for: the fast step.

    Parameters
    ----------
    prepared : Prepared
        What the model saw.
    params : Params
        Only what `Params.prepare_key` leaves out matters here.
    context : Context, optional
        Progress and cancellation.
    """
    context = context or Context()
    context.check()
    diameter, region = prepared.diameter, prepared.region
    if prepared.maps is not None:
        return labels_of_maps(prepared.maps, params, diameter, region)
    masks = prepared.masks or ()
    if prepared.proposals is not None:
        masks = chosen_masks(prepared.proposals, params)
    context.check()
    return labels_of_masks(masks, prepared.shape, params, prepared.mode, diameter, region)


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
    for (at,) in spread((len(planes),), SURVEYED):
        found = survey(planes[at], model, store, context=context)
        if found:
            return replace(params, diameter=found)
    return replace(params, diameter=wanted)


def mode_for(model: Segmenter, params: Params) -> Mode:
    """Return how a model finds objects.

    Raises
    ------
    ModelError
        The mode needs an instance head, and the model has none.
    """
    if params.mode is None:
        return Mode.OBJECTS if model.info.instance_head else Mode.GRID
    if params.mode is not Mode.GRID and not model.info.instance_head:
        raise ModelError(
            f"the model '{model.info.name}' has no instance head, which the mode "
            f"'{params.mode}' needs; choose the mode 'grid' or the model 'tiny'"
        )
    return params.mode


def _inside(region: Region | None, shape: Shape2D) -> MaskPrompt | None:
    """Return a region, cut to the plane."""
    if region is None:
        return None
    if isinstance(region, MaskPrompt):
        box, mask = region.box_yx, region.mask
    else:
        box = region
        mask = np.ones((max(box[2] - box[0], 0), max(box[3] - box[1], 0)), bool)
    y0, x0 = max(box[0], 0), max(box[1], 0)
    y1, x1 = min(box[2], shape[0]), min(box[3], shape[1])
    inner = mask[max(-box[0], 0) :, max(-box[1], 0) :][: max(y1 - y0, 0), : max(x1 - x0, 0)]
    if not inner.any():
        raise ParameterError(
            f"the region {box} has no pixel in the image of {shape[0]} x {shape[1]} pixels; "
            "move it over the image or leave it out"
        )
    return MaskPrompt((y0, x0, y1, x1), np.ascontiguousarray(inner))


def _size(
    plane: PlaneLike,
    model: Segmenter,
    params: Params,
    store: EmbeddingStore,
    context: Context,
    field_yx: IntBoxYX | None,
) -> tuple[float, float]:
    """Return how large the plane is shown, and the typical diameter in its pixels."""
    wanted = model.info.diameter
    if params.diameter is not None:
        return (nearest_zoom(wanted, params.diameter) if wanted else 1.0), params.diameter
    if not wanted or not model.info.instance_head:
        return 1.0, 0.0
    found = survey(plane, model, store, field_yx=field_yx, context=context)
    return (nearest_zoom(wanted, found) if found else 1.0), found


TASK = Task(
    name="auto",
    title="Automask",
    description="Label all objects of an image.",
    params=Params,
    run=run,
)
