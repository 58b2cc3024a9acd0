"""Label images without room between objects: colonies of rods, and tissue that fills the plane."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage, spatial

from napari_segmate.core.synthetic.shapes import smooth_noise
from napari_segmate.core.types import Shape2D

__all__ = ["PACKED", "colony", "mosaic"]

Labels: TypeAlias = npt.NDArray[np.int32]
Values: TypeAlias = npt.NDArray[np.float64]

SMALLEST = 20
"""Pixels of the smallest object; crumbs at borders are left out."""


def colony(rng: np.random.Generator, shape: Shape2D, radius: float) -> Labels:
    """Return rods that lie side by side and end to end, as bacteria that grow on agar.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all randomness.
    shape : (height, width)
        Size in pixels.
    radius : float
        Half of the typical width of a rod in pixels.

    Returns
    -------
    (H, W) int32
        1 .. n; 0 is background.

    Examples
    --------
    >>> labels = colony(np.random.default_rng(0), (96, 96), 5.0)
    >>> bool(labels.max() > 8)
    True
    """
    across, along = _bent_axes(rng, shape, 6 * radius)
    pitch = 2 * radius + rng.uniform(0.5, 2)
    lane = np.floor(across / pitch).astype(int)
    lane -= lane.min()
    length = radius * rng.uniform(3, 9)
    # Lanes are cut anew each: ends of neighbours do not meet.
    shift, scale = rng.uniform(0, length, lane.max() + 1), rng.uniform(0.8, 1.25, lane.max() + 1)
    position = (along + shift[lane]) / (length * scale[lane])
    cut = np.floor(position)
    sideways = np.abs(across / pitch - np.floor(across / pitch) - 0.5) * pitch
    to_end = (0.5 - np.abs(position - cut - 0.5)) * length * scale[lane]
    inside = np.hypot(np.maximum(radius - to_end, 0), sideways) < radius
    numbers = lane * 10_000 + (cut - cut.min()).astype(int) + 1
    return _renumbered(np.where(inside & _patches(rng, shape), numbers, 0))


def mosaic(rng: np.random.Generator, shape: Shape2D, radius: float) -> Labels:
    """Return cells of very different size that fill the plane but for thin membranes.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all randomness.
    shape : (height, width)
        Size in pixels.
    radius : float
        Typical radius of a cell in pixels.

    Returns
    -------
    (H, W) int32
        1 .. n; 0 is membrane.

    Examples
    --------
    >>> labels = mosaic(np.random.default_rng(0), (96, 96), 10.0)
    >>> bool(0.6 < (labels > 0).mean() < 1)
    True
    """
    y, x = _shaken(rng, shape, radius, rng.uniform(0.1, 0.5) * radius)
    count = max(2, int(shape[0] * shape[1] / (np.pi * radius**2)))
    centres = rng.uniform(-radius, np.add(shape, radius), (count, 2))
    _, nearest = spatial.cKDTree(centres).query(np.stack([y, x], axis=-1))
    # Some neighbours grow together: shapes that are not convex.
    owner = np.where(rng.random(count) < 0.25, rng.permutation(count), np.arange(count))
    pieces = owner[nearest] + 1
    wide = int(rng.integers(2, 4))
    border = ndimage.maximum_filter(pieces, wide) != ndimage.minimum_filter(pieces, wide)
    return _renumbered(np.where(border, 0, pieces))


def _bent_axes(rng: np.random.Generator, shape: Shape2D, smooth: float) -> tuple[Values, Values]:
    """Return two crossing coordinates of each pixel, turned and gently bent."""
    y, x = _shaken(rng, shape, smooth, rng.uniform(0, 0.6) * smooth)
    angle = rng.uniform(0, np.pi)
    return y * np.cos(angle) + x * np.sin(angle), x * np.cos(angle) - y * np.sin(angle)


def _shaken(
    rng: np.random.Generator, shape: Shape2D, smooth: float, strength: float
) -> tuple[Values, Values]:
    """Return y and x of each pixel, displaced along waves of a certain width."""
    y, x = np.indices(shape).astype(float)
    width = max(smooth, 1.0)
    return (
        y + strength * 0.5 * smooth_noise(rng, shape, width),
        x + strength * 0.5 * smooth_noise(rng, shape, width),
    )


def _patches(rng: np.random.Generator, shape: Shape2D) -> npt.NDArray[np.bool_]:
    """Return where colonies grow: parts of the plane, or all of it."""
    if rng.random() < 0.2:
        return np.ones(shape, dtype=bool)
    level = rng.normal(0, 0.7)
    grown: npt.NDArray[np.bool_] = smooth_noise(rng, shape, min(shape) / 7) > level
    return grown


def _renumbered(numbers: npt.NDArray[np.integer[npt.NBitBase]]) -> Labels:
    """Return connected pieces as 1 .. n, without crumbs."""
    _, dense = np.unique(numbers, return_inverse=True)
    dense = dense.reshape(numbers.shape)
    if (numbers > 0).all():
        dense = dense + 1
    found = np.zeros(numbers.shape, np.int32)
    count = 0
    for number, box in enumerate(ndimage.find_objects(dense), start=1):
        if box is None:
            continue
        pieces, many = ndimage.label(dense[box] == number)
        for piece in range(1, many + 1):
            mask = pieces == piece
            if np.count_nonzero(mask) >= SMALLEST:
                count += 1
                found[box][mask] = count
    return found


PACKED: dict[str, Callable[[np.random.Generator, Shape2D, float], Labels]] = {
    "colony": colony,
    "mosaic": mosaic,
}
"""Label images by name; each is called with a generator, a size and a radius in pixels."""
