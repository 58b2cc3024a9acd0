"""How an image is searched for words: whole or in tiles, all concepts at once or one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from napari_segmate.core.context import Context
from napari_segmate.core.detections import Detections, join
from napari_segmate.core.errors import ParameterError
from napari_segmate.core.types import RGBImage, Shape2D
from napari_segmate.detectors.base import DETAIL, Detector
from napari_segmate.inference.detect import LEAST_SIDE, detect_in_windows, window_side

__all__ = ["SearchOptions", "Tiling", "search", "tile_side"]

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
    image: RGBImage,
    phrases: Sequence[str],
    detector: Detector,
    options: SearchOptions | None = None,
    *,
    diameter: float = 0.0,
    context: Context | None = None,
) -> Detections:
    """Return all that a detector sees in an image, before any threshold; boxes are cut to it.

    Parameters
    ----------
    image : (H, W, 3) uint8
        Where to look.
    phrases : sequence of str
        The concepts, as `napari_segmate.core.phrases.split_phrases` gives them.
    detector : Detector
        Who looks.
    options : SearchOptions, optional
        How.
    diameter : float
        Typical object in pixels; 0 if not known.
    context : Context, optional
        Progress, and cancellation between tiles.
    """
    options, context = options or SearchOptions(), context or Context()
    shape = (image.shape[0], image.shape[1])
    passes = [(one,) for one in phrases] if options.separately else [tuple(phrases)]
    parts = []
    for number, words in enumerate(passes):
        parts.append(
            detect_in_windows(
                image,
                words,
                detector,
                side=tile_side(shape, diameter, options),
                detail=options.detail,
                context=_named(context, words[0], number, len(passes)),
            )
        )
    return _cut(join(parts, tuple(phrases), shape))


def _cut(seen: Detections) -> Detections:
    """Return boxes cut to the image; what lies outside has no area then, and never passes."""
    low, high = np.full(4, -0.5), np.tile(seen.shape, 2) - 0.5
    return replace(seen, boxes_yx=np.clip(seen.boxes_yx, low, high))


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


def _named(context: Context, phrase: str, number: int, count: int) -> Context:
    """Return a context whose reports say which of several passes it is."""
    if count == 1:
        return context

    def report(done: int, total: int, text: str) -> None:
        context.progress(number * total + done, count * total, f"{phrase}: {text}")

    return Context(report, context.cancelled)
