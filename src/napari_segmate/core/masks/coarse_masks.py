"""Masks as detectors draw them: coarse, compressed, made as large as the plane when they count."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from napari_segmate.core.images.resample import Span, resample
from napari_segmate.core.masks.object_masks import box_of, instance_from_mask
from napari_segmate.core.types import BoxYX, Instance, Shape2D

__all__ = ["CoarseMask", "MaskSource"]

LEVEL = 1
"""Of compression: masks are mostly even, so that the fastest one is small enough."""
HALF = 127
"""Probabilities above it, as 8 bits, are inside."""
STRIP_PX = 1 << 22
"""Pixels made at a time: bounds the memory."""


class MaskSource(StrEnum):
    """Who draws the outline of what is in a box that a detector found."""

    DETECTOR = "detector"
    """The detector, if it can; the model where it gave none."""
    MODEL = "model"


@dataclass(frozen=True, eq=False)
class CoarseMask:
    """The mask of one object; make it with `CoarseMask.of`.

    Hundreds of these fit into memory whatever the size of the plane: only the cells round the
    object are kept, compressed, and enlarged one object at a time.

    Parameters
    ----------
    area_yx : (y0, x0, y1, x1)
        What the cells cover, from edge to edge, in plane pixels; pixel centres at integers, so that
        a plane begins at -0.5.
    shape : (height, width)
        Number of cells.
    packed : bytes
        Their probabilities as 8 bits, compressed.

    Examples
    --------
    >>> cells = np.zeros((4, 4))
    >>> cells[1:3, 1:3] = 1
    >>> mask = CoarseMask.of(cells, (-0.5, -0.5, 7.5, 7.5))
    >>> mask.instance((8, 8)).box_yx
    (2, 2, 6, 6)
    """

    area_yx: BoxYX
    shape: Shape2D
    packed: bytes

    @classmethod
    def of(cls, cells: npt.ArrayLike, area_yx: BoxYX) -> CoarseMask | None:
        """Return the mask that a detector drew; None where it drew nothing.

        Parameters
        ----------
        cells : (h, w) array_like
            Probability of the object in each cell, 0 to 1, or bools.
        area_yx : (y0, x0, y1, x1)
            What all cells cover together, from edge to edge, in plane pixels.
        """
        likely = np.rint(np.clip(np.asarray(cells, np.float32), 0, 1) * 255).astype(np.uint8)
        inside = box_of(likely > HALF)
        if inside is None:
            return None
        # One cell more on each side, for what lies between it and the first one inside.
        y0, x0 = max(inside[0] - 1, 0), max(inside[1] - 1, 0)
        part = likely[y0 : inside[2] + 1, x0 : inside[3] + 1]
        low, high = np.reshape(area_yx, (2, 2))
        step = (high - low) / likely.shape
        begin = low + step * (y0, x0)
        end = begin + step * part.shape
        area = (float(begin[0]), float(begin[1]), float(end[0]), float(end[1]))
        packed = zlib.compress(np.ascontiguousarray(part).tobytes(), LEVEL)
        return cls(area, (part.shape[0], part.shape[1]), packed)

    @property
    def nbytes(self) -> int:
        """Bytes that the cells take."""
        return len(self.packed)

    def placed(
        self, offset_yx: tuple[float, float], zoom_yx: tuple[float, float] = (1.0, 1.0)
    ) -> CoarseMask:
        """Return the same mask in another plane, which shows this one larger and moved.

        Parameters
        ----------
        offset_yx : (y, x)
            Where the first pixel of this plane begins in the other one, in pixels of that.
        zoom_yx : (y, x)
            Pixels of the other plane per pixel of this one.
        """
        y0, x0, y1, x1 = (
            (edge + 0.5) * zoom + offset - 0.5
            for edge, zoom, offset in zip(self.area_yx, zoom_yx * 2, offset_yx * 2, strict=True)
        )
        return replace(self, area_yx=(y0, x0, y1, x1))

    def instance(self, shape: Shape2D, score: float = 1.0) -> Instance | None:
        """Return the object in the pixels of its plane; None when it covers no pixel.

        Probabilities are interpolated between the cells, as detectors do it themselves.

        Parameters
        ----------
        shape : (height, width)
            Size of the plane; what lies beyond it is cut off.
        score : float
            How sure the detector is, 0 to 1.
        """
        cells = np.frombuffer(zlib.decompress(self.packed), np.uint8).reshape(self.shape)
        y0, x0, y1, x1 = self.area_yx
        rows, row_span = _pixels(y0, y1, self.shape[0], shape[0])
        columns, column_span = _pixels(x0, x1, self.shape[1], shape[1])
        if not rows or not columns:
            return None
        mask = np.empty((len(rows), len(columns)), bool)
        per_row = (row_span[1] - row_span[0]) / len(rows)
        strip = max(1, STRIP_PX // len(columns))
        for top in range(0, len(rows), strip):
            end = min(top + strip, len(rows))
            span = (row_span[0] + top * per_row, row_span[0] + end * per_row)
            size = (end - top, len(columns))
            mask[top:end] = resample(cells, size, span, column_span) > HALF
        return instance_from_mask(mask, (rows.start, columns.start), score)


def _pixels(low: float, high: float, cells: int, length: int) -> tuple[range, Span]:
    """Return the pixels of an axis that cells touch, and where those lie, in cells.

    Examples
    --------
    >>> _pixels(1.5, 5.5, 2, 8)
    (range(2, 6), (0.0, 2.0))
    """
    # Rounding errors must not ask for a pixel more.
    first = max(0, int(np.floor(low + 0.5 + 1e-6)))
    last = min(length, int(np.ceil(high + 0.5 - 1e-6)))
    per_pixel = cells / (high - low)
    start, end = ((edge - 0.5 - low) * per_pixel for edge in (first, last))
    return range(first, last), (start, end)
