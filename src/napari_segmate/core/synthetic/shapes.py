"""Outlines of synthetic objects: small boolean masks with the object in their middle."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_segmate.core.types import BoolArray, FloatArray, IntBoxYX, Shape2D

__all__ = ["SHAPES", "largest_piece", "overlap_boxes", "smooth_noise", "wobbly_disc"]

Outline: TypeAlias = Callable[[np.random.Generator, float], BoolArray]


def smooth_noise(rng: np.random.Generator, shape: Shape2D, sigma: float) -> FloatArray:
    """Return Gaussian noise of mean 0 and deviation 1 whose structures are `sigma` pixels wide."""
    # Wide structures are drawn coarse and enlarged: the blur would cost too much.
    step = max(1, int(sigma / 3))
    coarse = (shape[0] // step + 2, shape[1] // step + 2)
    noise = ndimage.gaussian_filter(rng.normal(size=coarse), sigma / step, mode="wrap")
    if step > 1:
        noise = ndimage.zoom(noise, step, order=1)
    noise = noise[: shape[0], : shape[1]]
    found: npt.NDArray[np.float32] = (noise - noise.mean()) / (noise.std() + 1e-9)
    return found.astype(np.float32)


def largest_piece(mask: BoolArray) -> BoolArray:
    """Return the largest connected piece of a mask."""
    pieces, count = ndimage.label(mask)
    if count <= 1:
        return mask
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    piece: BoolArray = pieces == sizes.argmax()
    return piece


def overlap_boxes(
    corner_yx: tuple[int, int], size: Shape2D, shape: Shape2D
) -> tuple[IntBoxYX, IntBoxYX] | None:
    """Return where a patch falls on an image, in image and in patch pixels; None if outside."""
    y, x = corner_yx
    y0, x0 = max(y, 0), max(x, 0)
    y1, x1 = min(y + size[0], shape[0]), min(x + size[1], shape[1])
    if y0 >= y1 or x0 >= x1:
        return None
    return (y0, x0, y1, x1), (y0 - y, x0 - x, y1 - y, x1 - x)


def _turned_grid(
    rng: np.random.Generator, half: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return y and x of a square of 2 `half` + 1 pixels, turned by a random angle."""
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(float)
    angle = rng.uniform(0, np.pi)
    return y * np.cos(angle) + x * np.sin(angle), x * np.cos(angle) - y * np.sin(angle)


def wobbly_disc(
    rng: np.random.Generator, radius: float, longest: float = 1.7, wobble: float = 0.07
) -> BoolArray:
    """Return an ellipse up to `longest` times as long as wide, with an uneven outline."""
    stretch = rng.uniform(1, longest)
    y, x = _turned_grid(rng, int(radius * np.sqrt(longest) * (1 + 4 * wobble)) + 2)
    distance, angle = np.hypot(y / stretch, x), np.arctan2(y, x)
    edge = np.full_like(distance, radius / np.sqrt(stretch))
    for lobes in range(2, 6):
        wave = np.cos(lobes * angle + rng.uniform(0, 2 * np.pi))
        edge *= 1 + rng.normal(0, wobble / lobes) * wave
    return largest_piece(distance < edge)


def _rod(rng: np.random.Generator, radius: float) -> BoolArray:
    """Return a bent rod with round ends, like a bacterium."""
    length, width = radius * rng.uniform(0.9, 2.2), radius * rng.uniform(0.35, 0.6)
    y, x = _turned_grid(rng, int(length + 2 * radius) + 2)
    x = x - rng.normal(0, 0.1) / radius * y**2
    return largest_piece(np.hypot(np.maximum(np.abs(y) - length, 0), x) < width)


def _blob(rng: np.random.Generator, radius: float) -> BoolArray:
    """Return an irregular blob, like a spread cell."""
    y, x = _turned_grid(rng, int(radius * 1.8) + 2)
    uneven = smooth_noise(rng, (y.shape[0], y.shape[1]), max(radius / 2.5, 1))
    return largest_piece(np.hypot(y, x) + 0.3 * radius * np.clip(uneven, -2, 2) < radius)


def _star(rng: np.random.Generator, radius: float) -> BoolArray:
    """Return a body with 3 to 6 short arms."""
    y, x = _turned_grid(rng, int(radius * 2) + 2)
    arms = np.cos(rng.integers(3, 7) * np.arctan2(y, x)) ** 3
    return largest_piece(np.hypot(y, x) < radius * (1 + rng.uniform(0.3, 0.9) * arms))


def _neuron(rng: np.random.Generator, radius: float) -> BoolArray:
    """Return a body with 1 to 4 long thin branches that wander."""
    half = int(radius * 3) + 3
    mask = np.zeros((2 * half + 1, 2 * half + 1), dtype=bool)
    for _ in range(rng.integers(1, 5)):
        steps = int(radius * rng.uniform(1, 2.6))
        angle = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.15, steps))
        y, x = half + np.cumsum(np.sin(angle)), half + np.cumsum(np.cos(angle))
        mask[y.round().astype(int), x.round().astype(int)] = True
    mask = ndimage.binary_dilation(mask, iterations=max(1, int(radius / 12)))
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    return largest_piece(mask | (np.hypot(y, x) < radius * rng.uniform(0.35, 0.7)))


SHAPES: dict[str, Outline] = {
    "disc": wobbly_disc,
    "rod": _rod,
    "blob": _blob,
    "star": _star,
    "neuron": _neuron,
}
"""Outlines by name; each is called with a generator and a radius in pixels."""
