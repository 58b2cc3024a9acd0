"""Boxes for words in an image of any size: whole or in tiles, all concepts at once or each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from napari_segmate.core.context import Context
from napari_segmate.core.errors import ParameterError
from napari_segmate.core.text.detections import Detections, join
from napari_segmate.core.types import IntBoxYX, Shape2D
from napari_segmate.detectors.base import DETAIL, Detector
from napari_segmate.inference.detection.detector_tiles import (
    LEAST_SIDE,
    detector_tiles,
    window_side,
)
from napari_segmate.inference.prompts.request import PlaneLike

__all__ = ["SearchOptions", "Tiling", "clipped", "search", "tile_side"]

LEAST_DETAIL = 64


class Tiling(StrEnum):
    """Whether the image is searched piece by piece, too."""

    AUTO = "auto"
    NEVER = "never"
    ALWAYS = "always"


@dataclass(frozen=True)
class SearchOptions:
    """How a detector searches.

    Parameters
    ----------
    tiling : Tiling
        Whether to search in tiles, too.
    detail : int
        Shorter side in pixels of the picture that the detector sees.
    separately : bool
        One pass per concept.
    tile : int
        Side of the tiles in pixels; 0 has it follow from the size of objects.

    Raises
    ------
    ParameterError
        A tile or a picture of too few pixels.
    """

    tiling: Tiling = Tiling.AUTO
    detail: int = DETAIL
    separately: bool = False
    tile: int = 0

    def __post_init__(self) -> None:
        if self.detail < LEAST_DETAIL:
            raise ParameterError(
                f"detail must be {LEAST_DETAIL} pixels or more (usual is {DETAIL}), not "
                f"{self.detail}"
            )
        if self.tile and self.tile < LEAST_SIDE:
            raise ParameterError(
                f"tile must be {LEAST_SIDE} pixels or more, not {self.tile}; leave it out to have "
                "it chosen"
            )


def search(
    plane: PlaneLike,
    phrases: Sequence[str],
    detector: Detector,
    options: SearchOptions | None = None,
    *,
    region: IntBoxYX | None = None,
    diameter: float = 0.0,
    context: Context | None = None,
) -> Detections:
    """Return all that a detector finds in an image, before any threshold; boxes are cut to it.

    Parameters
    ----------
    plane : Plane
        Where to look; never read whole in full size when it is large.
    phrases : sequence of str
        The concepts, as `napari_segmate.core.text.phrases.split_phrases` gives them.
    detector : Detector
        Who looks.
    options : SearchOptions, optional
        How.
    region : (y0, x0, y1, x1), optional
        The part to search, half-open; everything by default.
    diameter : float
        Typical object in pixels; 0 if not known.
    context : Context, optional
        Progress, and cancellation between tiles.

    Returns
    -------
    Detections
        In pixels of the region.
    """
    options, context = options or SearchOptions(), context or Context()
    region = region or (0, 0, *plane.shape)
    shape = (region[2] - region[0], region[3] - region[1])
    side = tile_side(shape, diameter, options)
    count, tiles = detector_tiles(plane, region, side=side, detail=options.detail)
    passes = [(one,) for one in phrases] if options.separately else [tuple(phrases)]
    parts = []
    for number, tile in enumerate(tiles):
        for at, words in enumerate(passes):
            name = tile.name if len(passes) == 1 else f"{words[0]}: {tile.name}"
            context.report(number * len(passes) + at, count * len(passes), name)
            found = detector.detect(tile.image, words, detail=options.detail, context=context)
            parts.append(tile.placed(found))
    return clipped(join(parts, tuple(phrases), shape))


def clipped(found: Detections) -> Detections:
    """Return boxes cut to the image; what lies outside has no area then, and never passes."""
    low, high = np.full(4, -0.5), np.tile(found.shape, 2) - 0.5
    return replace(found, boxes_yx=np.clip(found.boxes_yx, low, high))


def tile_side(shape: Shape2D, diameter: float, options: SearchOptions) -> int:
    """Return the side of the tiles to search in, 0 for none.

    Parameters
    ----------
    shape : (height, width)
        Size of the image.
    diameter : float
        Typical object in pixels; 0 if not known.
    options : SearchOptions
        What the user wants.

    Examples
    --------
    >>> tile_side((2000, 2000), 20, SearchOptions())
    333
    >>> tile_side((2000, 2000), 0, SearchOptions(Tiling.ALWAYS, detail=512))
    512
    """
    if options.tiling is Tiling.NEVER:
        return 0
    if options.tile:
        return options.tile
    wanted = window_side(shape, diameter, options.detail)
    return wanted or (options.detail if options.tiling is Tiling.ALWAYS else 0)
