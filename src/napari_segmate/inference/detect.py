"""A detector on an image piece by piece: small objects are seen larger."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_segmate.core.context import Context
from napari_segmate.core.detections import Detections, join
from napari_segmate.core.types import IntBoxYX, RGBImage, Shape2D
from napari_segmate.detectors.base import DETAIL, Detector

__all__ = ["detect_in_windows", "window_side", "windows"]

OVERLAP = 0.25
"""Part of a window that the next one shows again."""
SEEN_PX = 48.0
"""Pixels that an object should have in the picture that a detector sees."""
SMALL_PX = 24.0
"""Smaller ones are overlooked."""
LEAST_SIDE = 64
BORDER_PX = 2.0


def window_side(shape: Shape2D, diameter: float, detail: int = DETAIL) -> int:
    """Return the side of windows in which objects are large enough; 0 when none are needed.

    Parameters
    ----------
    shape : (height, width)
        Size of the image.
    diameter : float
        Typical object in pixels; 0 if not known.
    detail : int
        Shorter side of the picture that the detector sees.

    Examples
    --------
    >>> window_side((2000, 2000), 20), window_side((2000, 2000), 100), window_side((2000, 2000), 0)
    (333, 0, 0)
    """
    if diameter <= 0 or diameter * detail / min(shape) >= SMALL_PX:
        return 0
    return max(LEAST_SIDE, int(diameter * detail / SEEN_PX))


def windows(shape: Shape2D, side: int, overlap: float = OVERLAP) -> tuple[IntBoxYX, ...]:
    """Return square windows of equal size that cover an image and overlap.

    Examples
    --------
    >>> windows((100, 160), 100)
    ((0, 0, 100, 100), (0, 60, 100, 160))
    """
    height, width = (min(side, size) for size in shape)
    rows, columns = (
        _starts(size, length, overlap) for size, length in zip(shape, (height, width), strict=True)
    )
    return tuple((y, x, y + height, x + width) for y in rows for x in columns)


def _starts(size: int, length: int, overlap: float) -> list[int]:
    step = max(1, round(length * (1 - overlap)))
    count = 1 + max(0, -(-(size - length) // step))
    return [round(start) for start in np.linspace(0, size - length, count).tolist()]


def detect_in_windows(
    image: RGBImage,
    phrases: Sequence[str],
    detector: Detector,
    *,
    side: int = 0,
    detail: int = DETAIL,
    context: Context | None = None,
) -> Detections:
    """Return what a detector sees in a whole image and, one after the other, in windows of it.

    Boxes that a window cuts off are left out: a neighbour, or the whole image, shows them whole.

    Parameters
    ----------
    image : (H, W, 3) uint8
        Where to look.
    phrases : sequence of str
        The concepts.
    detector : Detector
        Who looks.
    side : int
        Of the windows; 0 for none.
    detail : int
        Shorter side of what the detector sees.
    context : Context, optional
        Progress, and cancellation between windows.
    """
    context = context or Context()
    shape = (image.shape[0], image.shape[1])
    places = windows(shape, side) if 0 < side < max(shape) else ()
    context.report(0, 1 + len(places), "whole image")
    parts = [detector.detect(image, phrases, detail=detail, context=context)]
    for number, place in enumerate(places, start=1):
        context.report(number, 1 + len(places), f"tile {number} of {len(places)}")
        y0, x0, y1, x1 = place
        tile = np.ascontiguousarray(image[y0:y1, x0:x1])
        seen = detector.detect(tile, phrases, detail=detail, context=context)
        parts.append(_placed(seen, place, shape))
    return join(parts, tuple(phrases), shape)


def _placed(seen: Detections, place: IntBoxYX, shape: Shape2D) -> Detections:
    boxes = seen.boxes_yx + np.tile(place[:2], 2)
    # Pixel centres lie at integers: a window reaches half a pixel further.
    low, high = np.array(place[:2]) - 0.5, np.array(place[2:]) - 0.5
    inner_low, inner_high = np.array(place[:2]) > 0, np.array(place[2:]) < shape
    cut = ((boxes[:, :2] - low < BORDER_PX) & inner_low).any(axis=1)
    cut |= ((high - boxes[:, 2:] < BORDER_PX) & inner_high).any(axis=1)
    return Detections(boxes[~cut], seen.scores[~cut], seen.phrases, shape, seen.detector)
