"""Low-resolution logits to masks in plane pixels, computed only where the object is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.masks.object_masks import clean, instance_from_mask, stability_score
from napari_segmate.core.prompts import MaskPrompt
from napari_segmate.core.types import (
    BoolArray,
    FloatArray,
    Frame,
    Instance,
    IntBoxYX,
    Shape2D,
)
from napari_segmate.inference.prompts.request import MaskOptions
from napari_segmate.models.base import Segmenter

__all__ = ["Grid", "grid_of", "mask_in_frame", "to_instance"]

STRIP_PX = 2**22
"""Pixels interpolated at a time: bounds the memory of an object of thousands of pixels a side."""

Positions = npt.NDArray[np.float64]
Cells = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Grid:
    """Where the pixels of a frame lie in the low-resolution logits.

    Parameters
    ----------
    rows : (H,) float
        Row of the logits for each row of the frame, increasing.
    columns : (W,) float
        Column of the logits for each column of the frame, increasing.
    """

    rows: Positions
    columns: Positions


def grid_of(model: Segmenter, low_shape: Shape2D, frame_shape: Shape2D) -> Grid:
    """Return where a model's logits lie in a frame.

    The model's own `upscale` is asked, on two ramps: models pad, crop and resize differently.

    Parameters
    ----------
    model : Segmenter
        Whose logits.
    low_shape : (h, w)
        Size of the logits.
    frame_shape : (H, W)
        Size of the image that was encoded.
    """
    ramps = np.stack(np.meshgrid(*map(np.arange, low_shape), indexing="ij")).astype(np.float32)
    upscaled = np.asarray(model.upscale(ramps, frame_shape), dtype=np.float64)
    return Grid(upscaled[0][:, 0], upscaled[1][0, :])


def _used(positions: Positions, length: int) -> slice:
    """Return the cells along one axis that lie under the frame; the others are padding."""
    return slice(max(int(np.floor(positions[0])), 0), min(int(np.ceil(positions[-1])) + 1, length))


def _span(inside: npt.NDArray[Any], positions: Positions) -> tuple[int, int]:
    """Return the frame pixels, first and last + 1, that the marked cells of one axis can reach."""
    cells = np.flatnonzero(inside)
    start = int(np.searchsorted(positions, cells[0] - 1, side="right"))
    stop = int(np.searchsorted(positions, cells[-1] + 1, side="left"))
    return start, stop


def _filled(low: FloatArray, used: tuple[slice, slice], threshold: float) -> FloatArray:
    """Return logits in which what the object encloses lies above the threshold.

    Bilinear interpolation makes no hole between cells that are all inside, so filling cells fills
    the mask, at a small part of the cost of filling pixels.
    """
    from scipy import ndimage

    pieces, _ = ndimage.label(low[used] <= threshold)
    border = np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]])
    holes = ~np.isin(pieces, border) & (pieces > 0)
    if not holes.any():
        return low
    filled = low.copy()
    filled[used][holes] = threshold + 1.0
    return filled


def _plane_span(span: tuple[int, int], zoom: float, first: int, end: int) -> tuple[int, int]:
    """Return the plane pixels of a span of frame pixels, with one to spare."""
    start = first + int(np.floor(span[0] / zoom)) - 1
    stop = first + int(np.ceil(span[1] / zoom)) + 1
    return max(start, first), min(stop, end)


def _lookup(span: tuple[int, int], zoom: float, first: int, positions: Positions) -> Positions:
    """Return where plane pixels ``span[0] .. span[1] - 1`` lie in the logits."""
    in_frame = (np.arange(*span) - first + 0.5) * zoom - 0.5
    found: Positions = np.interp(in_frame, np.arange(len(positions)), positions)
    return found


def _reach(low: FloatArray, grid: Grid, frame: Frame, threshold: float) -> IntBoxYX | None:
    """Return a box, in plane pixels, that holds everything above the threshold."""
    inside = np.zeros(low.shape, dtype=bool)
    used = _used(grid.rows, low.shape[0]), _used(grid.columns, low.shape[1])
    inside[used] = low[used] > threshold
    if not inside.any():
        return None
    rows = _span(np.any(inside, axis=1), grid.rows)
    columns = _span(np.any(inside, axis=0), grid.columns)
    if rows[0] >= rows[1] or columns[0] >= columns[1]:
        return None
    y0, x0, y1, x1 = frame.box_yx
    top, bottom = _plane_span(rows, frame.zoom_yx[0], y0, y1)
    left, right = _plane_span(columns, frame.zoom_yx[1], x0, x1)
    return top, left, bottom, right


def _cells(positions: Positions, length: int) -> tuple[Cells, Cells, FloatArray]:
    """Return the two cells that each bilinear sample lies between, and the share of the second."""
    first = np.clip(np.floor(positions).astype(np.intp), 0, length - 1)
    share = np.clip(positions - first, 0, 1).astype(np.float32)
    return first, np.minimum(first + 1, length - 1), share


def _threshold(low: FloatArray, rows: Positions, columns: Positions, threshold: float) -> BoolArray:
    """Return which bilinear samples lie above the threshold, a strip of rows at a time."""
    left, right, share_x = _cells(columns, low.shape[1])
    mask = np.empty((len(rows), len(columns)), dtype=bool)
    strip = max(1, STRIP_PX // len(columns))
    for start in range(0, len(rows), strip):
        part = slice(start, start + strip)
        top, bottom, share_y = _cells(rows[part], low.shape[0])
        lines = low[top] + (low[bottom] - low[top]) * share_y[:, None]
        # In place, and not as a matrix product: threads of the linear algebra library wait for
        # those of torch, which costs tens of milliseconds on a busy machine.
        samples = np.take(lines, left, axis=1)
        samples += (np.take(lines, right, axis=1) - samples) * share_x
        np.greater(samples, threshold, out=mask[part])
    return mask


def to_instance(
    low: FloatArray, score: float, grid: Grid, frame: Frame, options: MaskOptions
) -> Instance | None:
    """Return one candidate as a mask in plane pixels, None when it is empty.

    Parameters
    ----------
    low : (h, w) float32
        Low-resolution logits.
    score : float
        Predicted IoU, 0 to 1.
    grid : Grid
        Where the frame's pixels lie in `low`.
    frame : Frame
        What the model looked at.
    options : MaskOptions
        Threshold, hole filling and smallest size.
    """
    used = _used(grid.rows, low.shape[0]), _used(grid.columns, low.shape[1])
    stability = float(stability_score(low[used], options.threshold))
    if options.fill_holes:
        low = _filled(low, used, options.threshold)
    box = _reach(low, grid, frame, options.threshold)
    if box is None:
        return None
    y0, x0, y1, x1 = box
    rows = _lookup((y0, y1), frame.zoom_yx[0], frame.box_yx[0], grid.rows)
    columns = _lookup((x0, x1), frame.zoom_yx[1], frame.box_yx[1], grid.columns)
    mask = _threshold(low, rows, columns, options.threshold)
    mask = clean(mask, fill_holes=False, min_size=options.min_size)
    return instance_from_mask(mask, (y0, x0), float(score), stability)


def mask_in_frame(prompt: MaskPrompt, frame: Frame) -> BoolArray:
    """Return a mask prompt as the frame shows it, (H, W) bool.

    Examples
    --------
    >>> prompt = MaskPrompt((2, 2, 4, 4), np.ones((2, 2), bool))
    >>> mask_in_frame(prompt, Frame((0, 0, 8, 8), (4, 4))).astype(int)
    array([[0, 0, 0, 0],
           [0, 1, 0, 0],
           [0, 0, 0, 0],
           [0, 0, 0, 0]])
    """
    y0, x0, y1, x1 = prompt.box_yx
    rows = np.rint(frame.to_plane(np.stack([np.arange(frame.shape[0])] * 2, 1))[:, 0])
    columns = np.rint(frame.to_plane(np.stack([np.arange(frame.shape[1])] * 2, 1))[:, 1])
    in_rows, in_columns = (rows >= y0) & (rows < y1), (columns >= x0) & (columns < x1)
    shown = np.zeros(frame.shape, dtype=bool)
    picked = prompt.mask[
        np.ix_(rows[in_rows].astype(np.intp) - y0, columns[in_columns].astype(np.intp) - x0)
    ]
    shown[np.ix_(in_rows, in_columns)] = picked
    return shown
