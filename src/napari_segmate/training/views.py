"""Crops of samples, as a network sees them, with all that it is to learn from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_segmate.core.types import FloatArray
from napari_segmate.training.augment import AugmentParams, change_appearance, random_crop
from napari_segmate.training.data import Knowledge, Sample, renumbered

__all__ = ["View", "fixed_views", "random_view"]

Labels = npt.NDArray[np.int32]
SPREAD = 1.35
"""Augmented views are shown larger or smaller by up to this factor."""
TILES = 4
"""Most views of one held-out plane."""


@dataclass(frozen=True, eq=False)
class View:
    """A square crop.

    Parameters
    ----------
    image : (S, S, 3) float32
        0 to 255.
    labels : (S, S) int32
        1 .. n.
    known : (S, S) uint8
        See `napari_segmate.training.data.Knowledge`.
    """

    image: FloatArray
    labels: Labels
    known: npt.NDArray[np.uint8]


def random_view(
    sample: Sample,
    size: int,
    zoom: float,
    rng: np.random.Generator,
    *,
    appearance: bool = True,
    polarity: float = 0.0,
) -> View:
    """Return a randomly placed, scaled, turned and mirrored view.

    Parameters
    ----------
    sample : Sample
        Where from.
    size : int
        Side in pixels, a multiple of 32.
    zoom : float
        Pixels of the view per pixel of the sample; varied a little.
    rng : numpy.random.Generator
        Source of all randomness.
    appearance : bool
        Also change intensities, as another instrument would.
    polarity : float
        Chance that bright becomes dark and dark bright.
    """
    params = AugmentParams(size, (zoom / SPREAD, zoom * SPREAD))
    layers = np.stack([sample.labels, sample.known.astype(np.int32)])
    crop, (labels, known) = random_crop(sample.image, layers, rng, params)
    if appearance:
        image = change_appearance(crop, rng, gentle=True, polarity=polarity)
    else:
        image = crop * np.float32(255)
    return View(image, renumbered(labels), known.astype(np.uint8))


def fixed_views(sample: Sample, size: int, zoom: float) -> tuple[View, ...]:
    """Return up to four views that show most of the objects of a sample, as they are."""
    side = size / zoom
    found = [
        view
        for y in _starts(sample.shape[0], side)
        for x in _starts(sample.shape[1], side)
        if (view := _view_at(sample, (y, x), size, zoom)).labels.any()
    ]
    found.sort(key=lambda view: -int(view.labels.max()))
    return tuple(found[:TILES])


def _starts(length: int, side: float) -> Sequence[float]:
    count = int(np.ceil(length / side - 0.1))
    starts: list[float] = np.linspace(0, max(length - side, 0), max(count, 1)).tolist()
    return starts


def _view_at(sample: Sample, start_yx: tuple[float, float], size: int, zoom: float) -> View:
    """Return a view; beyond the sample it is mirrored and nothing is known."""
    at = [(np.arange(size) + 0.5) / zoom - 0.5 + start for start in start_yx]
    inside = [
        (positions > -0.5) & (positions < length - 0.5)
        for positions, length in zip(at, sample.shape, strict=True)
    ]
    pixels = sample.image.astype(np.float32)
    if zoom < 0.8:
        pixels = ndimage.uniform_filter(pixels, (round(1 / zoom), round(1 / zoom), 1))
    grid = np.meshgrid(*at, indexing="ij")
    channels = [
        ndimage.map_coordinates(pixels[..., channel], grid, order=1, mode="mirror")
        for channel in range(3)
    ]
    rows, columns = (
        np.clip(positions.round().astype(int), 0, length - 1)
        for positions, length in zip(at, sample.shape, strict=True)
    )
    here = inside[0][:, None] & inside[1]
    labels = np.where(here, sample.labels[rows][:, columns], 0)
    known = np.where(here, sample.known[rows][:, columns], Knowledge.NOTHING)
    return View(np.stack(channels, axis=-1), renumbered(labels), known.astype(np.uint8))
