"""How the pixels of one object differ from those around it, learnt from where it is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_segmate.core.types import BoolArray, FloatArray

__all__ = ["appearance_of", "features_of"]

SIGMAS = (0.0, 1.0, 2.0, 4.0)
"""Blurs that pixels are described by, for objects of 25 pixels; larger ones get larger blurs."""
USUAL_PX = 25.0
EVEN = 0.1
"""Keeps directions in which pixels hardly vary from deciding."""
UNSURE_PX = 1.0
"""Pixels nearer than this to an outline are not learnt from."""
UNTRUSTED, TRUSTED = 0.5, 0.85
"""Intensities that draw a known object with this IoU count for nothing, and fully."""
LARGEST = 1.5
"""Largest evidence of a pixel; 1 is the mean."""

Numbers = npt.NDArray[np.float64]


def features_of(block: FloatArray, diameter: float, anisotropy: float) -> FloatArray:
    """Return what pixels of (n, H, W) planes are told apart by, (n, H, W, F)."""
    scale = max(1.0, diameter / USUAL_PX)
    blurred = []
    for sigma in SIGMAS:
        side = scale * sigma
        blurred.append(
            ndimage.gaussian_filter(block, (side / anisotropy / 2, side, side), truncate=3.0)
            if sigma
            else block
        )
    return np.stack(blurred, axis=-1)


@dataclass(frozen=True, eq=False)
class Appearance:
    """Evidence that pixels belong to an object.

    Parameters
    ----------
    evidence : (n, H, W) float32
        Above 0 for pixels like those of the object, -1.5 to 1.5; the mean is about 1.
    trust : float
        How well it draws the object where that is known, 0 to 1.
    """

    evidence: FloatArray
    trust: float


def appearance_of(
    features: FloatArray, expected: FloatArray, known: int, mask: BoolArray
) -> Appearance:
    """Return the evidence of all pixels of a block.

    A linear discriminant (Fisher 1936) between the pixels inside the expected shape and those
    around it; its threshold is the one that draws the known mask best.

    Parameters
    ----------
    features : (n, H, W, F) float32
        See `features_of`.
    expected : (n, H, W) float
        Signed distances to the expected outline.
    known : int
        The plane of the block on which the object is known.
    mask : (H, W) bool
        The object there.
    """
    live = np.flatnonzero((expected > 0).any(axis=(1, 2)))
    rows = slice(max(live[0] - 1, 0), live[-1] + 2)
    inside = (expected[rows] > 0).ravel()
    sure = (np.abs(expected[rows]) > UNSURE_PX).ravel()
    if min(np.count_nonzero(inside & sure), np.count_nonzero(~inside & sure)) < FEWEST:
        sure[:] = True
    if min(np.count_nonzero(inside), np.count_nonzero(~inside)) < FEWEST:
        return Appearance(np.zeros(expected.shape, np.float32), 0.0)
    flat = features[rows].reshape(-1, features.shape[-1]).astype(np.float64)
    weights, offset = _discriminant(flat[sure], inside[sure])
    evidence = features @ weights.astype(np.float32) + np.float32(offset)
    threshold, fits = _threshold(evidence[known], mask)
    trust = np.clip((fits - UNTRUSTED) / (TRUSTED - UNTRUSTED), 0, 1)
    limited = np.clip(evidence - threshold, -LARGEST, LARGEST)
    return Appearance(limited.astype(np.float32), float(trust))


FEWEST = 5
"""Pixels of each kind that something can be learnt from."""


def _discriminant(pixels: Numbers, inside: BoolArray) -> tuple[Numbers, float]:
    """Return weights and offset of the discriminant, scaled to a mean of 1."""
    centre, spread = pixels.mean(axis=0), pixels.std(axis=0) + 1e-6
    scaled = (pixels - centre) / spread
    within, around = scaled[inside].mean(axis=0), scaled[~inside].mean(axis=0)
    apart = scaled - np.where(inside[:, None], within, around)
    scatter = np.atleast_2d(np.cov(apart.T)) + EVEN * np.eye(pixels.shape[1])
    weights = np.linalg.solve(scatter, within - around)
    offset = -0.5 * float((within + around) @ weights)
    size = float(np.abs(scaled @ weights + offset).mean()) + 1e-6
    weights = weights / spread / size
    return weights, offset / size - float(centre @ weights)


def _threshold(evidence: FloatArray, mask: BoolArray) -> tuple[float, float]:
    """Return the threshold that draws a mask best near to it, and the IoU that it reaches."""
    width = max(2, round(np.sqrt(np.count_nonzero(mask)) / 5))
    near = ndimage.binary_dilation(mask, iterations=width)
    best = (0.0, 0.0, -1.0)
    for step in range(-20, 21):
        threshold = step / 20
        drawn = near & (evidence > threshold)
        common, union = int((drawn & mask).sum()), int((drawn | mask).sum())
        iou = common / max(union, 1)
        # Of equals, the one nearest to the middle between object and surroundings.
        if iou - 0.02 * abs(threshold) > best[2]:
            best = (threshold, iou, iou - 0.02 * abs(threshold))
    return best[0], best[1]
