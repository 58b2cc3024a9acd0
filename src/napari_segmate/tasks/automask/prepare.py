"""All objects of a plane: prepare once, then generate labels as often as settings change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from napari_segmate.core.context import Context
from napari_segmate.core.errors import ModelError, ParameterError
from napari_segmate.core.prompts import MaskPrompt
from napari_segmate.core.types import DenseMaps, Instance, IntBoxYX, Shape2D
from napari_segmate.inference.automask.dense_maps import dense_maps
from napari_segmate.inference.automask.diameter import estimate_diameter
from napari_segmate.inference.automask.grid import Proposals, filter_proposals, grid_proposals
from napari_segmate.inference.automask.grid_params import Crop, GridParams
from napari_segmate.inference.automask.refine import refine
from napari_segmate.inference.automask.tiles import Tile, tile_grid
from napari_segmate.inference.embeddings.crop_window import nearest_zoom
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.inference.prompts.request import PlaneLike
from napari_segmate.models.base import Segmenter
from napari_segmate.tasks.automask.labels import Proposal, labels_of_maps, labels_of_masks
from napari_segmate.tasks.automask.params import Mode, Params

__all__ = [
    "LEAST_SCORE",
    "LEAST_STABILITY",
    "Prepared",
    "Region",
    "generate",
    "mode_for",
    "prepare",
]

Region: TypeAlias = MaskPrompt | IntBoxYX

LEAST_SCORE = 0.5
LEAST_STABILITY = 0.7
"""Masks of a grid are kept from here on, so that thresholds can be lowered afterwards."""


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
    wanted = _region_in(region, plane.shape)
    field = visible_yx if wanted is None else wanted.box_yx
    zoom, diameter = _zoom_and_diameter(plane, model, params, store, context, field)
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
    tiled = _TiledPlane(plane, model, store, tiles, zoom, params)
    report = on_progress or _ignore
    if mode is Mode.GRID:
        return replace(
            empty, proposals=tiled.proposals(context, lambda p: report(replace(empty, proposals=p)))
        )
    maps = tiled.maps(context, lambda maps: report(replace(empty, mode=Mode.OBJECTS, maps=maps)))
    if mode is Mode.OBJECTS:
        return replace(empty, maps=maps)
    return replace(empty, masks=tiled.masks(maps, context))


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
        masks = _chosen_masks(prepared.proposals, params)
    context.check()
    return labels_of_masks(masks, prepared.shape, params, prepared.mode, diameter, region)


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


@dataclass(frozen=True, eq=False)
class _TiledPlane:
    """A plane, the tiles in which it is looked at, and who looks."""

    plane: PlaneLike
    model: Segmenter
    store: EmbeddingStore
    tiles: Sequence[Tile]
    zoom: float
    params: Params

    def maps(self, context: Context, on_tile: Callable[[DenseMaps], None]) -> DenseMaps:
        """Return the maps of the whole plane."""
        return dense_maps(
            self.plane, self.tiles, self.zoom, self.model, self.store, context, on_tile
        )

    def masks(self, maps: DenseMaps, context: Context) -> tuple[Instance, ...]:
        """Return the objects that maps show, drawn by the decoder."""
        everything = replace(self.params, min_area=0, max_area=None, border=True, score=0.0)
        labels = labels_of_maps(maps, everything).labels
        return refine(self.plane, labels, self.tiles, self.model, self.store, context)

    def proposals(self, context: Context, on_crop: Callable[[Proposals], None]) -> Proposals:
        """Return the masks that a grid of points finds, in the tiles if there are several."""
        return grid_proposals(
            self.plane,
            self.model,
            _lenient(self.params),
            store=self.store,
            context=context,
            crops=[Crop(tile.frame.box_yx) for tile in self.tiles] if len(self.tiles) > 1 else None,
            zoom=self.zoom,
            on_crop=on_crop,
        )


def _chosen_masks(proposals: Proposals, params: Params) -> tuple[Instance, ...]:
    """Return the masks of a grid that pass the thresholds, each once."""
    wanted = replace(
        params.grid,
        pred_iou_thresh=params.least_score(Mode.GRID),
        stability_score_thresh=params.least_stability(Mode.GRID),
        box_nms_thresh=params.box_nms,
    )
    return tuple(found.instance for found in filter_proposals(proposals, wanted))


def _lenient(params: Params) -> GridParams:
    """Return the grid with thresholds below those asked for now."""
    return replace(
        params.grid,
        pred_iou_thresh=min(params.least_score(Mode.GRID), LEAST_SCORE),
        stability_score_thresh=min(params.least_stability(Mode.GRID), LEAST_STABILITY),
    )


def _region_in(region: Region | None, shape: Shape2D) -> MaskPrompt | None:
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


def _zoom_and_diameter(
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
    found = estimate_diameter(plane, model, store, field_yx=field_yx, context=context)
    return (nearest_zoom(wanted, found) if found else 1.0), found
