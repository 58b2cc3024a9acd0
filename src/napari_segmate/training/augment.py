"""Random crops and the changes that another microscope, stain or camera might make."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_segmate.core.types import FloatArray

__all__ = ["AugmentParams", "change_appearance", "random_crop"]

Labels = npt.NDArray[np.int32]


@dataclass(frozen=True)
class AugmentParams:
    """How crops are drawn.

    Parameters
    ----------
    size : int
        Side of a crop in pixels, a multiple of 32.
    scale : (low, high)
        Magnifications, drawn with equal chance per octave.
    diameter : float
        Typical objects of an image are first brought to this many pixels; 0 leaves them as they
        are.
    fitted : float
        Share of the crops for which that is done, so that unusual sizes are still met.
    """

    size: int = 256
    scale: tuple[float, float] = (0.6, 1.7)
    diameter: float = 0.0
    fitted: float = 0.7


FIT = (0.4, 4.0)
"""Bounds of the magnification that brings objects to the wanted diameter."""


def random_crop(
    image: npt.NDArray[np.uint8],
    layers: npt.NDArray[np.integer[npt.NBitBase]],
    rng: np.random.Generator,
    params: AugmentParams | None = None,
) -> tuple[FloatArray, Labels]:
    """Return a randomly scaled, turned and mirrored crop.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) uint8
        Mirrored at its borders where the crop reaches beyond them.
    layers : (L, H, W) int
        Label images that are cropped alike; a crop without objects in the first is drawn again.
    rng : numpy.random.Generator
        Source of all randomness.
    params : AugmentParams, optional
        Size and magnifications.

    Returns
    -------
    image : (size, size, C) float32
        0 to 1.
    layers : (L, size, size) int32
        Labels as given.
    """
    params = params or AugmentParams()
    scale = np.exp(rng.uniform(*np.log(params.scale)))
    if params.diameter and rng.random() < params.fitted:
        scale *= np.clip(params.diameter / _typical_diameter(layers[0], params.diameter), *FIT)
    for _ in range(3):
        y, x = (_positions(length, params.size, scale, rng) for length in layers.shape[1:])
        labels = layers[:, y.round().astype(int)][:, :, x.round().astype(int)]
        if labels[0].any():
            break
    colours = image if image.ndim == 3 else image[..., None]
    crop = _sample(colours, y, x, 1 / scale)
    turns = int(rng.integers(4))
    crop, labels = np.rot90(crop, turns), np.rot90(labels, turns, axes=(1, 2))
    if rng.random() < 0.5:
        crop, labels = crop[:, ::-1], labels[:, :, ::-1]
    return crop / np.float32(255), np.ascontiguousarray(labels, dtype=np.int32)


def _typical_diameter(labels: npt.NDArray[np.integer[npt.NBitBase]], default: float) -> float:
    """Return the median diameter of discs as large as the objects."""
    areas = np.bincount(labels.ravel())[1:]
    present = areas[areas > 0]
    return float(np.median(2 * np.sqrt(present / np.pi))) if present.size else default


def _positions(
    length: int, size: int, scale: float, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Return where the pixels of a crop lie along one axis, mirrored at both ends."""
    extent = size / scale
    start = rng.uniform(min(0, length - extent), max(0, length - extent))
    at = np.abs(np.arange(size) / scale + start)
    last = length - 1
    at = np.where(at > last, 2 * last - at, at)
    return np.clip(at, 0, last)


def _sample(
    image: npt.NDArray[np.uint8],
    y: npt.NDArray[np.float64],
    x: npt.NDArray[np.float64],
    step: float,
) -> FloatArray:
    """Return the image at the crossings of `y` and `x`, interpolated; 0 to 255."""
    pixels = image.astype(np.float32)
    if step > 1.25:
        pixels = ndimage.uniform_filter(pixels, (2, 2, 1))
    top, left = y.astype(int), x.astype(int)
    bottom = np.minimum(top + 1, image.shape[0] - 1)
    right = np.minimum(left + 1, image.shape[1] - 1)
    down = (y - top)[:, None, None].astype(np.float32)
    across = (x - left)[None, :, None].astype(np.float32)
    upper = pixels[top][:, left] * (1 - across) + pixels[top][:, right] * across
    lower = pixels[bottom][:, left] * (1 - across) + pixels[bottom][:, right] * across
    return np.asarray(upper * (1 - down) + lower * down, dtype=np.float32)


def change_appearance(
    image: FloatArray,
    rng: np.random.Generator,
    *,
    gentle: bool = False,
    polarity: float = 0.0,
) -> FloatArray:
    """Return an (H, W, C) image, 0 to 1, as another instrument might show it: (H, W, 3), 0 to 255.

    Changes polarity, gamma, brightness, contrast, light, sharpness, noise and colour. A `gentle`
    change keeps most of the colour: the same instrument on another day; bright becomes dark with
    the chance `polarity`, as where one learns from fluorescence and segments transmitted light.
    """
    if gentle:
        if polarity and rng.random() < polarity:
            image = 1 - image
        return _change_gently(image, rng)
    if rng.random() < 0.2:
        image = 1 - image
    image = np.clip(image, 0, 1) ** np.float32(np.exp(rng.normal(0, 0.35)))
    image = image * np.float32(np.exp(rng.normal(0, 0.25))) + np.float32(rng.normal(0, 0.08))
    if rng.random() < 0.15:
        image = image + _slope(rng, (image.shape[0], image.shape[1]))
    if rng.random() < 0.08:
        image = _coarsen(image, rng)
    if rng.random() < 0.2:
        sigma = rng.uniform(0.3, 1.5)
        image = ndimage.gaussian_filter(image, (sigma, sigma, 0))
    if rng.random() < 0.5:
        strength = np.float32(rng.uniform(0, 0.08))
        image = image + strength * rng.standard_normal(image.shape, dtype=np.float32)
    image = np.clip(_change_colour(image, rng), 0, 1) * 255
    return np.asarray(np.broadcast_to(image, (*image.shape[:2], 3)), dtype=np.float32)


def _slope(rng: np.random.Generator, shape: tuple[int, int]) -> FloatArray:
    """Return uneven light, (H, W, 1): brighter towards one side."""
    y, x = (np.linspace(-1, 1, length, dtype=np.float32) for length in shape)
    angle, strength = rng.uniform(0, 2 * np.pi), np.float32(abs(rng.normal(0, 0.12)))
    slope = np.sin(angle) * y[:, None] + np.cos(angle) * x
    return np.asarray(strength * slope[..., None], dtype=np.float32)


def _coarsen(image: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return an image as if taken with larger pixels and enlarged."""
    height, width = image.shape[:2]
    step = rng.uniform(1.3, 2.5)
    small = ndimage.uniform_filter(image, (round(step), round(step), 1))
    y, x = (
        np.clip(np.round(np.floor(np.arange(length) / step) * step), 0, length - 1).astype(int)
        for length in (height, width)
    )
    return np.asarray(small[y][:, x], dtype=np.float32)


def _change_gently(image: FloatArray, rng: np.random.Generator) -> FloatArray:
    image = np.clip(image, 0, 1) ** np.float32(np.exp(rng.normal(0, 0.15)))
    image = image * np.float32(np.exp(rng.normal(0, 0.12))) + np.float32(rng.normal(0, 0.04))
    chance = rng.random()
    if chance < 0.15:
        sigma = rng.uniform(0.3, 1.0)
        image = ndimage.gaussian_filter(image, (sigma, sigma, 0))
    elif chance < 0.5:
        strength = np.float32(rng.uniform(0, 0.04))
        image = image + strength * rng.standard_normal(image.shape, dtype=np.float32)
    image = image * np.asarray(rng.uniform(0.93, 1.07, image.shape[2]), np.float32)
    image = np.clip(image, 0, 1) * 255
    return np.asarray(np.broadcast_to(image, (*image.shape[:2], 3)), dtype=np.float32)


def _change_colour(image: FloatArray, rng: np.random.Generator) -> FloatArray:
    if image.shape[2] == 1:
        # Sometimes one colour of dye for a grey image.
        tint = rng.uniform(0.2, 1, 3) if rng.random() < 0.1 else np.ones(1)
        return image * tint.astype(np.float32)
    chance = rng.random()
    if chance < 0.3:
        gain, shift = rng.uniform(0.7, 1.2, 3), rng.uniform(-0.1, 0.1, 3)
        return np.asarray(image * gain + shift, dtype=np.float32)
    if chance > 0.9:
        return image[..., rng.permutation(3)]
    return image.mean(axis=2, keepdims=True) if chance < 0.45 else image
