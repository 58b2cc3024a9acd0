"""Looks of images that the embedded model has never seen, made to be hard for it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_segmate.core.synthetic import touching_cells

__all__ = ["granular_cells"]


def granular_cells(
    side: int = 384, seed: int = 0
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
    """Return cells that differ from their surroundings by the grain of their texture alone.

    Cells and ground are equally bright. The ground is finely grained, cells coarsely, and a dim
    seam parts those that touch: as in label-free images of confluent cells.
    """
    _, labels = touching_cells((side, side), count=70, radius=20, seed=seed)
    rng = np.random.default_rng(seed + 1000)
    fine, coarse = (_grain((side, side), sigma, rng) for sigma in (0.7, 2.2))
    inside = labels > 0
    texture = np.where(inside, coarse, fine)
    seam = np.zeros((side, side), bool)
    seam[1:] |= (labels[1:] != labels[:-1]) & inside[1:] & inside[:-1]
    seam[:, 1:] |= (labels[:, 1:] != labels[:, :-1]) & inside[:, 1:] & inside[:, :-1]
    light = 120 + 26 * texture - 50 * ndimage.gaussian_filter(seam.astype(float), 0.8)
    light += 10 * _grain((side, side), 40, rng) + rng.normal(0, 4, (side, side))
    return np.clip(light, 0, 255).astype(np.uint8), labels


def _grain(
    shape: tuple[int, int], sigma: float, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Return noise of a grain size, mean 0, deviation 1."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), sigma, mode="reflect")
    return np.asarray((noise - noise.mean()) / noise.std())
