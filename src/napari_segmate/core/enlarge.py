"""Labels of coarse maps at the size of the image, with outlines finer than a cell."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_segmate.core.types import FloatArray, MapArray, Shape2D

__all__ = ["as_unit", "enlarge_labels"]

STRIP_PX = 2**22
"""Pixels made at a time: bounds the memory."""

Labels = npt.NDArray[np.int32]
Cells = npt.NDArray[np.intp]


def as_unit(values: MapArray) -> FloatArray:
    """Return a map as float32 of 0 to 1; not-a-number becomes 0.

    Examples
    --------
    >>> as_unit(np.array([[0, 51, 255]], np.uint8)).round(3).tolist()
    [[0.0, 0.20000000298023224, 1.0]]
    """
    if values.dtype == np.uint8:
        return values * np.float32(1 / 255)
    return np.nan_to_num(np.asarray(values, dtype=np.float32), posinf=1.0)


def enlarge_labels(
    labels: Labels,
    foreground: MapArray,
    threshold: float,
    shape: Shape2D,
    cell_yx: tuple[float, float] | None = None,
) -> Labels:
    """Return labels of map cells at the size of the image.

    A pixel belongs to an object where the foreground, interpolated between the cells, lies above
    the threshold: outlines follow the map and not its cells.

    Parameters
    ----------
    labels : (h, w) int32
        Object of each cell, 0 for none.
    foreground : (h, w) float32 or uint8
        Probability of an object in each cell.
    threshold : float
        Least probability of a pixel of an object, 0 to 1.
    shape : (H, W)
        Size of the image that the cells cover.
    cell_yx : (float, float), optional
        Size of a cell in pixels; by default the cells are together as large as the image.

    Returns
    -------
    (H, W) int32

    Examples
    --------
    >>> labels = np.array([[0, 7, 7, 0]], np.int32)
    >>> enlarge_labels(labels, (labels > 0).astype(np.float32), 0.5, (1, 8))
    array([[0, 0, 7, 7, 7, 7, 0, 0]], dtype=int32)
    """
    if labels.shape == shape:
        return labels
    grown = _grown(labels)
    sides = tuple(side / cells for cells, side in zip(labels.shape, shape, strict=True))
    sides = cell_yx or sides
    near_y, near_x = (
        _nearest(cells, pixels, side)
        for cells, pixels, side in zip(labels.shape, shape, sides, strict=True)
    )
    enlarged = np.empty(shape, np.int32)
    strip = max(1, STRIP_PX // shape[1])
    for top in range(0, shape[0], strip):
        part = slice(top, top + strip)
        likely = _interpolated(foreground, shape, sides, part)
        rows = np.take(grown[near_y[part]], near_x, axis=1)
        np.multiply(rows, likely > threshold, out=enlarged[part])
    return enlarged


def _grown(labels: Labels) -> Labels:
    """Return labels with every object one cell larger, over background only."""
    padded = np.pad(labels, 1)
    around = np.maximum(
        np.maximum(padded[:-2, 1:-1], padded[2:, 1:-1]),
        np.maximum(padded[1:-1, :-2], padded[1:-1, 2:]),
    )
    return np.where(labels > 0, labels, around)


def _nearest(cells: int, pixels: int, side: float) -> Cells:
    found: Cells = ((np.arange(pixels) + 0.5) / side).astype(np.intp)
    return np.minimum(found, cells - 1)


def _interpolated(
    foreground: MapArray, shape: Shape2D, sides: tuple[float, ...], part: slice
) -> FloatArray:
    """Return some rows of a map at the size of the image, linear between the cells."""
    top, bottom, share_y = _between(foreground.shape[0], shape[0], sides[0], part)
    left, right, share_x = _between(foreground.shape[1], shape[1], sides[1], slice(None))
    first = int(top[0])
    cells = as_unit(foreground[first : int(bottom[-1]) + 1])
    lines = cells[top - first]
    lines += (cells[bottom - first] - lines) * share_y[:, None]
    found = np.take(lines, left, axis=1)
    found += (np.take(lines, right, axis=1) - found) * share_x
    return found


def _between(cells: int, pixels: int, side: float, part: slice) -> tuple[Cells, Cells, FloatArray]:
    """Return the two cells that each pixel lies between, and the share of the second."""
    at = (np.arange(pixels)[part] + 0.5) / side - 0.5
    at = np.clip(at, 0, cells - 1)
    first = at.astype(np.intp)
    return first, np.minimum(first + 1, cells - 1), (at - first).astype(np.float32)
