"""One look of a model at a plane, for each way in which objects are found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from napari_segmate.core.context import Context
from napari_segmate.core.types import DenseMaps, Instance
from napari_segmate.inference.automask.crop_layers import Crop
from napari_segmate.inference.automask.dense_maps import dense_maps
from napari_segmate.inference.automask.grid import Proposals, filter_proposals, grid_proposals
from napari_segmate.inference.automask.grid_params import GridParams
from napari_segmate.inference.automask.refine import refine
from napari_segmate.inference.automask.tiles import Tile
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.inference.prompts.request import PlaneLike
from napari_segmate.models.base import Segmenter
from napari_segmate.tasks.automask.labels import labels_of_maps
from napari_segmate.tasks.automask.params import Mode, Params

__all__ = ["Look", "chosen_masks"]

LEAST_SCORE = 0.5
LEAST_STABILITY = 0.7
"""Masks of a grid are kept from here on, so that thresholds can be lowered afterwards."""


@dataclass(frozen=True, eq=False)
class Look:
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


def chosen_masks(proposals: Proposals, params: Params) -> tuple[Instance, ...]:
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
