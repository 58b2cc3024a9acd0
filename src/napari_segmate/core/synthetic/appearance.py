"""How a microscope might show a label image: one function per kind of contrast."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_segmate.core.synthetic.shapes import smooth_noise
from napari_segmate.core.types import BoolArray, FloatArray, LabelArray, RGBImage, Shape2D

__all__ = ["STYLES", "Layout", "degrade", "inner_distance", "lay_out", "to_rgb"]

Picture: TypeAlias = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Layout:
    """What is to be shown: objects, parts inside them, and how deep each pixel lies.

    Parameters
    ----------
    labels, parts : (H, W) int
        Objects, and parts inside objects (organelles); 0 is none.
    depth : (H, W) float32
        Pixels to the nearest border of the pixel's own object, 0 outside.
    value : (H, W) float32
        Brightness of the object, 0.5 to 1; 0 outside.
    radius : float
        Typical radius in pixels.
    """

    labels: LabelArray
    parts: LabelArray
    depth: FloatArray
    value: FloatArray
    radius: float

    @property
    def shape(self) -> Shape2D:
        """Height and width."""
        return self.labels.shape[0], self.labels.shape[1]

    @property
    def inside(self) -> BoolArray:
        """Pixels of objects."""
        return self.labels > 0


def inner_distance(labels: LabelArray) -> FloatArray:
    """Return for each pixel of an object how far it lies from the border of its object."""
    inside = labels > 0
    same = (ndimage.minimum_filter(labels, 3) == labels) & (
        ndimage.maximum_filter(labels, 3) == labels
    )
    depth: FloatArray = ndimage.distance_transform_edt(inside & same).astype(np.float32)
    return depth + inside.astype(np.float32)


def lay_out(
    rng: np.random.Generator, labels: LabelArray, parts: LabelArray, radius: float
) -> Layout:
    """Return a layout whose objects differ in brightness."""
    value = rng.uniform(0.5, 1, int(labels.max()) + 1).astype(np.float32)
    value[0] = 0
    return Layout(labels, parts, inner_distance(labels), value[labels], radius)


def _uneven(rng: np.random.Generator, layout: Layout) -> FloatArray:
    """Return a slowly changing background."""
    waves = smooth_noise(rng, layout.shape, rng.uniform(20, 60))
    background: FloatArray = (rng.uniform(0, 0.3) + rng.uniform(0, 0.07) * waves).astype(np.float32)
    return background


def _texture(rng: np.random.Generator, layout: Layout) -> FloatArray:
    return smooth_noise(rng, layout.shape, rng.uniform(0.8, 4))


def _fluorescence(rng: np.random.Generator, layout: Layout) -> Picture:
    """Bright, filled objects on black."""
    dome = np.clip(0.5 + rng.uniform(0, 0.5) * layout.depth / max(0.7 * layout.radius, 1), 0, 1)
    grain = 1 + 0.25 * rng.random() * _texture(rng, layout)
    parts = 1 + rng.uniform(-0.6, 0.5) * (layout.parts > 0)
    shown: Picture = rng.uniform(0.25, 0.8) * layout.value * grain * dome * parts
    return _uneven(rng, layout) + shown


def _membrane(rng: np.random.Generator, layout: Layout) -> Picture:
    """Bright outlines."""
    rim = np.exp(-((layout.depth / rng.uniform(1.5, 3.5)) ** 2)) + rng.uniform(0.05, 0.4)
    shown: Picture = (
        rng.uniform(0.25, 0.8) * layout.value * rim + 0.3 * (layout.parts > 0) * rng.random()
    )
    return _uneven(rng, layout) + shown


def _phase(rng: np.random.Generator, layout: Layout) -> Picture:
    """Grey objects with a bright halo, as in phase contrast."""
    outside = ndimage.distance_transform_edt(~layout.inside)
    halo = np.exp(-((outside / rng.uniform(1.5, 4)) ** 2)) * ~layout.inside
    body = 0.15 * rng.random() * _texture(rng, layout) + rng.uniform(-0.25, 0.15)
    parts = rng.uniform(-0.2, 0.2) * (layout.parts > 0)
    ripple = 0.03 * smooth_noise(rng, layout.shape, 3)
    return 0.5 + (body + parts) * layout.inside + rng.uniform(0.1, 0.35) * halo + ripple


def _stained(rng: np.random.Generator, layout: Layout) -> Picture:
    """Coloured objects on white or on pale tissue."""
    paper, dye = rng.uniform(0.75, 1, 3), rng.uniform(0.1, 0.8, 3)
    grain = 0.8 + 0.2 * _texture(rng, layout)
    amount = np.clip(rng.uniform(0.4, 1.1) * layout.value * grain, 0, 1)
    amount = amount * (1 - 0.5 * rng.random() * ((layout.labels > 0) & (layout.parts == 0)))
    tissue = np.clip(0.15 * smooth_noise(rng, layout.shape, rng.uniform(2, 12)), 0, 0.4)
    mixed = paper + (dye - paper) * amount[..., None]
    return np.asarray(mixed - tissue[..., None] * rng.uniform(0, 0.6, 3))


def _dark(rng: np.random.Generator, layout: Layout) -> Picture:
    """Dark objects on bright, as in brightfield and electron microscopy."""
    grain = 1 + 0.2 * _texture(rng, layout)
    shown = rng.uniform(0.25, 0.8) * layout.value * grain * (1 - 0.4 * (layout.parts > 0))
    return np.asarray(rng.uniform(0.6, 0.9) - shown)


def _textured(rng: np.random.Generator, layout: Layout) -> Picture:
    """Objects that differ from their surroundings by texture more than by brightness."""
    fine = 0.25 * smooth_noise(rng, layout.shape, rng.uniform(0.6, 2))
    inside = (fine + rng.uniform(-0.2, 0.2)) * layout.inside
    parts = rng.uniform(-0.3, 0.3) * (layout.parts > 0)
    ground = _uneven(rng, layout) + 0.3
    shown: Picture = ground + 0.12 * _texture(rng, layout) + inside + parts
    return shown


def _relief(rng: np.random.Generator, layout: Layout) -> Picture:
    """Shaded relief, as in differential interference contrast."""
    height = np.minimum(layout.depth, layout.radius) * layout.value
    height = ndimage.gaussian_filter(height + (layout.parts > 0) * layout.radius * 0.2, 1.0)
    angle = rng.uniform(0, 2 * np.pi)
    slope_y, slope_x = np.gradient(height)
    shade = np.cos(angle) * slope_y + np.sin(angle) * slope_x
    return np.asarray(0.5 + rng.uniform(0.2, 0.5) * shade + 0.02 * _texture(rng, layout))


STYLES: dict[str, Callable[[np.random.Generator, Layout], Picture]] = {
    "fluorescence": _fluorescence,
    "membrane": _membrane,
    "phase": _phase,
    "stained": _stained,
    "dark": _dark,
    "textured": _textured,
    "relief": _relief,
}
"""Kinds of contrast by name; each returns an (H, W) or (H, W, 3) picture, about 0 to 1."""


def degrade(rng: np.random.Generator, picture: Picture) -> Picture:
    """Return a picture after blur, noise and uneven light."""
    sigma = float(rng.choice([0.0, 0.6, 1.0, 1.8]))
    if sigma:
        picture = ndimage.gaussian_filter(picture, (sigma, sigma, 0)[: picture.ndim])
    noise = np.exp(rng.uniform(np.log(0.003), np.log(0.1)))
    picture = picture + rng.normal(0, noise, picture.shape)
    if rng.random() < 0.3:
        light = np.linspace(0, rng.normal(0, 0.2), picture.shape[1])
        picture = picture + (light[:, None] if picture.ndim == 3 else light)
    return picture


def to_rgb(picture: Picture) -> RGBImage:
    """Return an (H, W, 3) uint8 image that spans the range of values, outliers left out."""
    low, high = np.percentile(picture, (0.5, 99.8))
    # A picture of noise alone is not stretched to full contrast.
    grey = (np.clip((picture - low) / max(high - low, 0.08), 0, 1) * 255).astype(np.uint8)
    return grey if grey.ndim == 3 else np.repeat(grey[..., None], 3, axis=2)
