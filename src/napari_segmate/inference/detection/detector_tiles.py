"""Pictures that a detector is shown of an image: all of it, then tiles with larger objects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from napari_segmate.core.text.detections import Detections
from napari_segmate.core.types import IntBoxYX, RGBImage, Shape2D
from napari_segmate.detectors.base import DETAIL, LONGEST
from napari_segmate.inference.prompts.request import PlaneLike

__all__ = ["DetectorTile", "detector_tiles", "overview", "window_side", "windows"]

OVERLAP = 0.25
"""Part of a window that the next one shows again."""
SEEN_PX = 48.0
"""Pixels that an object should have in the picture that a detector sees."""
SMALL_PX = 24.0
"""Smaller ones are overlooked."""
LEAST_SIDE = 64
BORDER_PX = 2.0
SPARE = 2
"""Pixels that are read for each one that a detector sees of a whole image."""


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


def overview(shape: Shape2D, detail: int = DETAIL) -> Shape2D:
    """Return the size that a whole image is read at for a detector, which shrinks it further.

    Twice what the detector makes of it, so that it hardly sees a difference, and all of a small
    image: a plane of any size takes little memory.

    Parameters
    ----------
    shape : (height, width)
        Size of the image.
    detail : int
        Shorter side of the picture that the detector sees.

    Examples
    --------
    >>> overview((1000, 1500)), overview((20000, 20000)), overview((20000, 2000))
    ((1000, 1500), (1600, 1600), (2667, 267))
    """
    shorter = SPARE * max(detail, DETAIL)
    zoom = min(1.0, shorter / min(shape), LONGEST * shorter / max(shape))
    return max(1, round(shape[0] * zoom)), max(1, round(shape[1] * zoom))


@dataclass(frozen=True, eq=False)
class DetectorTile:
    """A picture of an image or of a part of it, as a detector is shown it.

    Parameters
    ----------
    name : str
        ``"whole image"``, or which tile.
    image : (h, w, 3) uint8
        The pixels.
    box_yx : (y0, x0, y1, x1)
        What they show, half-open.
    region : (y0, x0, y1, x1)
        What is searched: the image, or the part that the user is interested in.
    """

    name: str
    image: RGBImage
    box_yx: IntBoxYX
    region: IntBoxYX

    def placed(self, seen: Detections) -> Detections:
        """Return what a detector found, in pixels of the region.

        Boxes that a tile cuts off are left out: a neighbour, or the whole image, shows them whole.
        """
        (top, left), shape = self.region[:2], _size(self.region)
        box = np.array(self.box_yx) - (top, left, top, left)
        zoom = np.array(_size(self.box_yx)) / self.image.shape[:2]
        everything = np.ones(len(seen), bool)
        found = seen.placed(everything, shape, tuple(box[:2]), (float(zoom[0]), float(zoom[1])))
        # Pixel centres lie at integers: a window reaches half a pixel further.
        from_edge = np.concatenate(
            [found.boxes_yx[:, :2] - box[:2] + 0.5, box[2:] - 0.5 - found.boxes_yx[:, 2:]], axis=1
        )
        inner = np.concatenate([box[:2] > 0, box[2:] < shape])
        cut = ((from_edge < BORDER_PX) & inner).any(axis=1)
        return found.placed(~cut, shape)


def detector_tiles(
    plane: PlaneLike, region: IntBoxYX, *, side: int = 0, detail: int = DETAIL
) -> tuple[int, Iterator[DetectorTile]]:
    """Return the number of pictures that show an image, and these: all of it, then windows.

    Each is read when its turn comes, and none is much larger than the detector needs it.

    Parameters
    ----------
    plane : Plane
        Where to read pixels.
    region : (y0, x0, y1, x1)
        The part to look at, half-open.
    side : int
        Of the windows; 0 for none.
    detail : int
        Shorter side of what the detector sees.
    """
    y, x = region[:2]
    shape = _size(region)
    places = windows(shape, side) if 0 < side < max(shape) else ()

    def read() -> Iterator[DetectorTile]:
        image = plane.read(region, overview(shape, detail))
        yield DetectorTile("whole image", image, region, region)
        for number, (y0, x0, y1, x1) in enumerate(places, start=1):
            box = (y0 + y, x0 + x, y1 + y, x1 + x)
            name = f"tile {number} of {len(places)}"
            yield DetectorTile(name, plane.read(box), box, region)

    return 1 + len(places), read()


def _size(box: IntBoxYX) -> Shape2D:
    return box[2] - box[0], box[3] - box[1]
