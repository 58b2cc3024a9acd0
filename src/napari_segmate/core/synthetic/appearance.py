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

__all__ = [
    "PACKED_STYLES",
    "STYLES",
    "Layout",
    "degrade",
    "inner_distance",
    "lay_out",
    "speckle",
    "to_rgb",
]

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


def _fringe(rng: np.random.Generator, layout: Layout) -> Picture:
    """Clear objects with a dark and a bright fringe, as in brightfield out of focus."""
    body = layout.inside.astype(np.float32)
    narrow = rng.uniform(0.6, 1.6)
    fringe = ndimage.gaussian_filter(body, narrow) - ndimage.gaussian_filter(body, 2.5 * narrow)
    sign = rng.choice([-1.0, 1.0])
    granules = np.clip(smooth_noise(rng, layout.shape, rng.uniform(0.8, 1.6)) - 1, 0, None)
    inner = rng.uniform(-0.06, 0.06) + rng.uniform(0, 0.12) * granules * rng.choice([-1, 1])
    shown: Picture = 0.5 + sign * rng.uniform(0.25, 0.8) * fringe + inner * body
    return shown + 0.03 * smooth_noise(rng, layout.shape, rng.uniform(3, 12))


def _shade_off(rng: np.random.Generator, layout: Layout) -> Picture:
    """Dark objects in one bright halo round all of them, as colonies in phase contrast."""
    outside = ndimage.distance_transform_edt(~ndimage.binary_closing(layout.inside, iterations=2))
    halo = np.exp(-outside / rng.uniform(3, 12)) * (outside > 0)
    depth = 1 - np.exp(-layout.depth / rng.uniform(0.8, 2.5))
    body = rng.uniform(0.2, 0.6) * (0.6 + 0.4 * layout.value) * depth
    grain = 0.04 * rng.random() * _texture(rng, layout) * layout.inside
    shown: Picture = 0.6 - body * layout.inside + grain + rng.uniform(0.05, 0.4) * halo
    return shown + 0.02 * smooth_noise(rng, layout.shape, 4)


def _electron(rng: np.random.Generator, layout: Layout) -> Picture:
    """Dark membranes, grey plasma and dark bodies inside cells, as in electron microscopy."""
    ground = rng.uniform(0.5, 0.8) - 0.15 * (1 - layout.value) * layout.inside
    bodies = smooth_noise(rng, layout.shape, rng.uniform(2, 4)) > rng.uniform(1.3, 2.2)
    bodies = bodies & (layout.depth > 3)
    membrane = ndimage.gaussian_filter((~layout.inside).astype(np.float32), 0.7)
    grain = 0.08 * _texture(rng, layout)
    shown: Picture = ground - rng.uniform(0.25, 0.5) * membrane - rng.uniform(0, 0.35) * bodies
    return shown + grain


PACKED_STYLES: dict[str, tuple[Callable[[np.random.Generator, Layout], Picture], ...]] = {
    "colony": (_shade_off, _shade_off, _fringe, _phase, _fluorescence, _relief),
    "mosaic": (_electron, _electron, _membrane),
    "apart": (_fringe, _shade_off),
}
"""Kinds of contrast that packed label images, and objects that lie apart, are seen in."""


def speckle(rng: np.random.Generator, picture: Picture, labels: LabelArray) -> Picture:
    """Return a picture with debris: small bright or dark specks that belong to no object."""
    count = int(rng.poisson(8))
    specks = np.zeros(labels.shape, np.float32)
    at = tuple(rng.integers(0, length, count) for length in labels.shape)
    specks[at] = rng.uniform(0.3, 1, count) * rng.choice([-1, 1], count)
    sigma = rng.uniform(0.7, 2)
    blurred = ndimage.gaussian_filter(specks, sigma) * (2 * np.pi * sigma**2)
    return np.asarray(picture + np.clip(blurred, -0.5, 0.5) * (labels == 0))


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
