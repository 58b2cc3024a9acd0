"""Settings of the search for words."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from napari_segmate.core.masks.coarse_masks import MaskSource
from napari_segmate.core.text.detections import SelectParams
from napari_segmate.detectors.base import DETAIL
from napari_segmate.inference.detection.search import SearchOptions, Tiling
from napari_segmate.tasks import segment

__all__ = ["Params"]


@dataclass(frozen=True)
class Params:
    """How words become labels.

    Parameters
    ----------
    score : float
        Least score of a box, 0 to 1.
    min_size, max_size : float
        Side in pixels of a square of the same area; None for no limit.
    max_area_share, containment, nms : float
        See `napari_segmate.core.text.detections.SelectParams`.
    diameter : float
        Typical object in pixels; 0 if not known. Small objects are searched in tiles, too.
    tiling : Tiling
        Whether to search in tiles.
    tile : int
        Their side in pixels; 0 has it follow from the diameter.
    detail : int
        Shorter side in pixels of the picture that the detector sees.
    separately : bool
        One pass per concept.
    masks : MaskSource
        Who draws the outlines, where the detector can do that, too.
    fill_holes : bool
        Fill the holes of objects.
    min_pixels : int
        Drop pieces of an object smaller than this many pixels.

    Raises
    ------
    ParameterError
        A value out of its range.
    """

    score: float = field(default=0.3, metadata={"help": "Least score of a box, 0 to 1."})
    min_size: float = field(default=0.0, metadata={"help": "Smallest side of a box in pixels."})
    max_size: float | None = field(
        default=None, metadata={"help": "Largest side of a box in pixels."}
    )
    max_area_share: float = field(
        default=0.5, metadata={"help": "Largest part of the image that one box may fill."}
    )
    containment: float = field(
        default=0.8, metadata={"help": "Drop boxes round three others that lie in them so far."}
    )
    nms: float = field(default=0.5, metadata={"help": "Largest overlap (IoU) of two boxes."})
    diameter: float = field(default=0.0, metadata={"help": "Typical object in pixels."})
    tiling: Tiling = field(default=Tiling.AUTO, metadata={"help": "Search in tiles, too."})
    tile: int = field(default=0, metadata={"help": "Side of a tile in pixels; 0 chooses."})
    detail: int = field(
        default=DETAIL, metadata={"help": "Shorter side of what the detector sees, in pixels."}
    )
    separately: bool = field(default=False, metadata={"help": "One concept at a time."})
    masks: MaskSource = field(
        default=MaskSource.DETECTOR,
        metadata={"help": "Who draws outlines where the detector can, too: detector or model."},
    )
    fill_holes: bool = field(default=True, metadata={"help": "Fill the holes of objects."})
    min_pixels: int = field(
        default=0, metadata={"help": "Drop pieces of an object smaller than this many pixels."}
    )

    def __post_init__(self) -> None:
        # Each checks its own part.
        _ = self.select_params, self.search_options, self.segment_params.mask_options

    @property
    def select_params(self) -> SelectParams:
        """Which boxes to keep."""
        return SelectParams(
            score=self.score,
            min_size=self.min_size,
            max_size=math.inf if self.max_size is None else self.max_size,
            max_area_share=self.max_area_share,
            containment=self.containment,
            nms=self.nms,
        )

    @property
    def search_options(self) -> SearchOptions:
        """How to search."""
        return SearchOptions(self.tiling, self.detail, self.separately, self.tile)

    @property
    def segment_params(self) -> segment.Params:
        """How boxes become masks."""
        return segment.Params(self.fill_holes, self.min_pixels, diameter=self.diameter)
