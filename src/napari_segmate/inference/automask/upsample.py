"""Low-resolution logits at full size, only where an object is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_segmate.core.masks.object_masks import instance_from_mask
from napari_segmate.core.types import FloatArray, Frame, Instance, IntBoxYX, Shape2D
from napari_segmate.inference.prompts.decoding import grid_of
from napari_segmate.models.base import Segmenter

__all__ = ["Sampler", "Window", "sampler_of", "window_of"]

PERIOD = 4
"""Cells that a pixel may be mixed from, along one axis: models resize at most twice."""
MARGIN = PERIOD // 2


@dataclass(frozen=True, eq=False)
class Window:
    """The part of low-resolution logits that holds an object.

    Parameters
    ----------
    logits : (h, w) float32
        The part.
    top, left : int
        Its first cell.
    """

    logits: FloatArray
    top: int
    left: int

    @property
    def nbytes(self) -> int:
        """Bytes of the logits."""
        return self.logits.nbytes


def window_of(low: FloatArray, floor: float) -> Window | None:
    """Return the part of low-resolution logits above a floor, None when there is none.

    A few cells round it belong to it, so that no pixel outside of it can lie above the floor.

    Examples
    --------
    >>> low = np.full((9, 9), -5, np.float32)
    >>> low[3, 4] = 2
    >>> window = window_of(low, -1)
    >>> window.top, window.left, window.logits.shape
    (1, 2, (5, 5))
    """
    above = low > floor
    rows = np.flatnonzero(above.any(axis=1))
    if rows.size == 0:
        return None
    columns = np.flatnonzero(above.any(axis=0))
    top, left = max(int(rows[0]) - MARGIN, 0), max(int(columns[0]) - MARGIN, 0)
    part = low[top : rows[-1] + 1 + MARGIN, left : columns[-1] + 1 + MARGIN]
    return Window(np.array(part, dtype=np.float32), top, left)


@dataclass(frozen=True, eq=False)
class _Axis:
    """Which cells make a pixel along one axis: (n, k) numbers and shares, cells increasing."""

    cells: npt.NDArray[np.intp]
    shares: FloatArray

    def span(self, first: int, end: int, length: int) -> slice:
        """Return the pixels that are made of the cells ``first .. end - 1`` of `length`."""
        start = 0 if first == 0 else int(np.searchsorted(self.cells[:, 0], first))
        last = self.cells[:, -1]
        stop = len(last) if end >= length else int(np.searchsorted(last, end))
        return slice(start, max(start, stop))

    def mix(self, values: FloatArray, pixels: slice, first: int) -> FloatArray:
        """Return pixels from rows of cells, of which `first` is the first."""
        cells, shares = self.cells[pixels] - first, self.shares[pixels]
        mixed: FloatArray = values[cells[:, 0]] * shares[:, :1]
        for tap in range(1, cells.shape[1]):
            mixed += values[cells[:, tap]] * shares[:, tap : tap + 1]
        return mixed


@dataclass(frozen=True, eq=False)
class Sampler:
    """How a model's logits become pixels of a plane.

    Parameters
    ----------
    rows, columns : _Axis
        Which cells make each row and column of the frame's box.
    frame : Frame
        What the model looked at.
    low_shape : (h, w)
        Size of the logits.
    """

    rows: _Axis
    columns: _Axis
    frame: Frame
    low_shape: Shape2D

    def pixels(self, window: Window) -> tuple[FloatArray, tuple[int, int]]:
        """Return the logits of the pixels of a window, and where the first lies in the box."""
        height, width = window.logits.shape
        rows = self.rows.span(window.top, window.top + height, self.low_shape[0])
        columns = self.columns.span(window.left, window.left + width, self.low_shape[1])
        # Rows of memory are mixed in both steps: that is several times faster than columns.
        lines = self.rows.mix(window.logits, rows, window.top)
        turned = self.columns.mix(np.ascontiguousarray(lines.T), columns, window.left)
        return turned.T, (rows.start, columns.start)

    def instance(self, window: Window, score: float, stability: float) -> Instance | None:
        """Return the object in plane pixels, None when no pixel lies above 0."""
        pixels, (y, x) = self.pixels(window)
        offset = y + self.frame.box_yx[0], x + self.frame.box_yx[1]
        return instance_from_mask(pixels > 0, offset, score, stability)

    def measure(self, window: Window, offset: float) -> tuple[float, IntBoxYX] | None:
        """Return stability and bounding box in plane pixels, None when no pixel lies above 0."""
        pixels, (y, x) = self.pixels(window)
        inside = pixels > 0
        rows = np.flatnonzero(inside.any(axis=1))
        if rows.size == 0:
            return None
        columns = np.flatnonzero(inside.any(axis=0))
        top, left = y + self.frame.box_yx[0], x + self.frame.box_yx[1]
        box = (
            top + int(rows[0]),
            left + int(columns[0]),
            top + int(rows[-1]) + 1,
            left + int(columns[-1]) + 1,
        )
        return _stability(pixels, offset), box

    def cells_at(self, points_yx: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.intp], ...]:
        """Return the row and column of the logits under points of the plane."""
        pixels = np.rint(points_yx).astype(np.intp) - self.frame.box_yx[:2]
        pixels = np.clip(pixels, 0, np.array(self.frame.size) - 1)
        return tuple(
            axis.cells[at, np.argmax(axis.shares[at], axis=1)]
            for axis, at in zip((self.rows, self.columns), pixels.T, strict=True)
        )


def _stability(pixels: FloatArray, offset: float) -> float:
    inner = int(np.count_nonzero(pixels > offset))
    outer = int(np.count_nonzero(pixels > -offset))
    # In single precision, in which upstream compares it with the threshold.
    return float(np.float32(inner) / np.float32(max(outer, 1)))


def sampler_of(model: Segmenter, low_shape: Shape2D, frame: Frame) -> Sampler:
    """Return how a model's logits become pixels of a frame's box, exactly as it enlarges them.

    The model's own `upscale` is asked, on combs of cells: models pad, crop and resize differently,
    and each pixel is a mixture of a few neighbouring cells.

    Parameters
    ----------
    model : Segmenter
        Whose logits.
    low_shape : (h, w)
        Size of the logits.
    frame : Frame
        What the model looked at; pixels of its box are wanted, whatever size it was shown at.
    """
    positions = grid_of(model, low_shape, frame.shape)
    rows = _mixture(positions.rows, _comb(model, low_shape, frame.shape, 0))
    columns = _mixture(positions.columns, _comb(model, low_shape, frame.shape, 1))
    return Sampler(
        _axis(_resized(rows, frame.size[0])),
        _axis(_resized(columns, frame.size[1])),
        frame,
        low_shape,
    )


def _comb(
    model: Segmenter, low_shape: Shape2D, frame_shape: Shape2D, axis: int
) -> npt.NDArray[np.float32]:
    """Return (PERIOD, length + padding): pixels made of every PERIOD-th cell, for each start."""
    found = []
    for start in range(PERIOD):
        comb = np.zeros(low_shape, np.float32)
        comb[(slice(None),) * axis + (slice(start, None, PERIOD),)] = 1
        large = np.asarray(model.upscale(comb[None], frame_shape))[0]
        found.append(large[:, 0] if axis == 0 else large[0])
    return np.pad(np.stack(found), ((0, 0), (0, low_shape[axis])))


def _mixture(
    positions: npt.NDArray[np.float64], comb: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Return the share of each cell in each pixel, (pixels, cells)."""
    count = comb.shape[1] - len(positions)
    pixels = np.arange(len(positions))
    near = np.floor(positions).astype(np.intp)[:, None] + np.arange(PERIOD) - (PERIOD // 2 - 1)
    inside = (near >= 0) & (near < count)
    shares = np.where(inside, comb[near % PERIOD, pixels[:, None]], 0)
    mixture = np.zeros((len(positions), count), np.float32)
    mixture[np.broadcast_to(pixels[:, None], near.shape)[inside], near[inside]] = shares[inside]
    return mixture


def _resized(mixture: npt.NDArray[np.float32], length: int) -> npt.NDArray[np.float32]:
    """Return a mixture for pixels of another size, linear in between."""
    count = len(mixture)
    if count == length:
        return mixture
    at = np.clip((np.arange(length) + 0.5) * count / length - 0.5, 0, count - 1)
    before = np.minimum(at.astype(np.intp), max(count - 2, 0))
    after = np.minimum(before + 1, count - 1)
    share = (at - before).astype(np.float32)[:, None]
    mixed: npt.NDArray[np.float32] = mixture[before] * (1 - share) + mixture[after] * share
    return mixed


def _axis(mixture: npt.NDArray[np.float32]) -> _Axis:
    """Return the cells that count, and their shares."""
    used = np.abs(mixture) > 1e-6
    first = used.argmax(axis=1)
    last = mixture.shape[1] - 1 - used[:, ::-1].argmax(axis=1)
    taps = int((last - first).max()) + 1
    cells = np.minimum(first[:, None] + np.arange(taps), last[:, None])
    shares = np.take_along_axis(mixture, cells, axis=1)
    # Where fewer cells count, the last one is named again, with nothing.
    shares[:, 1:][cells[:, 1:] == cells[:, :-1]] = 0
    return _Axis(cells, np.ascontiguousarray(shares))
