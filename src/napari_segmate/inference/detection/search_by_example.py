"""Boxes for whatever resembles an example, in a whole image and in tiles of it."""

from __future__ import annotations

import math

import numpy as np

from napari_segmate.core.context import Context
from napari_segmate.core.masks.boxes import example_in
from napari_segmate.core.text.detections import Detections, join
from napari_segmate.core.types import BoxYX, IntBoxYX, Shape2D
from napari_segmate.detectors.base import Detector, PatternDetector
from napari_segmate.inference.detection.detector_tiles import DetectorTile, detector_tiles
from napari_segmate.inference.detection.search import SearchOptions, clipped, tile_side
from napari_segmate.inference.prompts.request import PlaneLike

__all__ = ["search_by_example"]

ROOM = 1.5
"""Side of what is shown round a large example, in sides of the example."""


def search_by_example(
    plane: PlaneLike,
    box_yx: BoxYX,
    phrase: str,
    detector: Detector,
    options: SearchOptions | None = None,
    *,
    region: IntBoxYX | None = None,
    diameter: float = 0.0,
    context: Context | None = None,
) -> Detections:
    """Return all boxes whose content resembles an example, before any threshold.

    Detectors that can carry what they learn from an example to other pictures search large images
    in tiles, too, as for words; the example says how large objects are if the user does not. Other
    ones must see the example in the picture that they search: they see the whole image, once.

    Parameters
    ----------
    plane : Plane
        Where to look; never read whole in full size when it is large.
    box_yx : (y0, x0, y1, x1)
        The example, in plane pixels.
    phrase : str
        What to call it.
    detector : Detector
        Who looks.
    options : SearchOptions, optional
        How.
    region : (y0, x0, y1, x1), optional
        The part to search, half-open; everything by default.
    diameter : float
        Typical object in pixels; 0 has it follow from the example.
    context : Context, optional
        Progress, and cancellation between tiles.

    Returns
    -------
    Detections
        In pixels of the plane; its shape is that of the part that was searched.

    Raises
    ------
    PromptError
        The example has no area, or lies outside the image.
    ModelError
        The detector only understands words.
    """
    options, context = options or SearchOptions(), context or Context()
    region = region or (0, 0, *plane.shape)
    y0, x0, y1, x1 = example_in(box_yx, plane.shape).tolist()
    size = math.sqrt((y1 - y0) * (x1 - x0))
    side = tile_side(_size(region), diameter or size, options)
    if side and isinstance(detector, PatternDetector):
        parts = _in_tiles(plane, region, side, box_yx, phrase, detector, context)
    else:
        region = _with_example(region, box_yx, plane.shape)
        context.report(0, 1, "whole image")
        _, (whole, *_) = detector_tiles(plane, region)
        example = _in_tile(box_yx, whole)
        seen = detector.detect_similar(whole.image, example, phrase, context=context)
        parts = [whole.placed(seen)]
    found = clipped(join(parts, (phrase,), _size(region)))
    return found.placed(np.ones(len(found), bool), found.shape, (region[0], region[1]))


def _in_tiles(
    plane: PlaneLike,
    region: IntBoxYX,
    side: int,
    box_yx: BoxYX,
    phrase: str,
    detector: PatternDetector,
    context: Context,
) -> list[Detections]:
    count, tiles = detector_tiles(plane, region, side=side)
    context.report(0, count, "the example")
    box = _around(box_yx, side, plane.shape)
    shown = DetectorTile("the example", plane.read(box), box, box)
    pattern = detector.encode_pattern(shown.image, _in_tile(box_yx, shown), context=context)
    parts = []
    for number, tile in enumerate(tiles):
        context.report(number, count, tile.name)
        found = detector.detect_pattern(tile.image, pattern, phrase, context=context)
        parts.append(tile.placed(found))
    return parts


def _size(box: IntBoxYX) -> Shape2D:
    return box[2] - box[0], box[3] - box[1]


def _in_tile(box_yx: BoxYX, tile: DetectorTile) -> BoxYX:
    """Return a box of the plane in pixels of a tile."""
    zoom = np.array(tile.image.shape[:2]) / _size(tile.box_yx)
    corners = (np.reshape(box_yx, (2, 2)) - tile.box_yx[:2] + 0.5) * zoom - 0.5
    y0, x0, y1, x1 = corners.ravel().tolist()
    return y0, x0, y1, x1


def _around(box_yx: BoxYX, side: int, shape: Shape2D) -> IntBoxYX:
    """Return a window with an example in its middle, as far as the plane allows.

    Examples
    --------
    >>> _around((10, 100, 20, 110), 64, (500, 500))
    (0, 73, 64, 137)
    >>> _around((100, 100, 200, 200), 64, (500, 500))
    (75, 75, 225, 225)
    """
    window = []
    for low, high, length in zip(box_yx[:2], box_yx[2:], shape, strict=True):
        wanted = min(max(side, math.ceil(ROOM * (high - low))), length)
        start = min(max(round((low + high - wanted) / 2), 0), length - wanted)
        window.append((start, start + wanted))
    (y0, y1), (x0, x1) = window
    return y0, x0, y1, x1


def _with_example(region: IntBoxYX, box_yx: BoxYX, shape: Shape2D) -> IntBoxYX:
    """Return a region grown so far that an example lies in it.

    Examples
    --------
    >>> _with_example((10, 10, 50, 50), (5.5, 20, 30, 60.2), (100, 100))
    (5, 10, 50, 62)
    """
    y0, x0, y1, x1 = region
    low = (max(0, min(y0, math.floor(box_yx[0]))), max(0, min(x0, math.floor(box_yx[1]))))
    high = (max(y1, math.ceil(box_yx[2]) + 1), max(x1, math.ceil(box_yx[3]) + 1))
    return (*low, min(high[0], shape[0]), min(high[1], shape[1]))
