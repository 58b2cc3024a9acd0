"""Pictures to measure on: bright round cells on a noisy dark background."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["CELL_SPACING", "Scene", "scene"]

CELL_SPACING = 48
RADIUS = 14


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture and where its cells are.

    Parameters
    ----------
    image : (H, W) uint16
        Intensities.
    centres_yx : (N, 2) int
        Middle of each cell, pixels.
    """

    image: npt.NDArray[np.uint16]
    centres_yx: npt.NDArray[np.intp]


def scene(shape: tuple[int, int], seed: int = 0) -> Scene:
    """Return cells on a jittered grid."""
    rng = np.random.default_rng(seed)
    image = rng.normal(300, 30, shape).astype(np.float32)
    half = CELL_SPACING // 2
    grid = np.mgrid[
        half : shape[0] - half + 1 : CELL_SPACING, half : shape[1] - half + 1 : CELL_SPACING
    ]
    centres = grid.reshape(2, -1).T + rng.integers(-6, 7, (grid[0].size, 2))
    for y, x in centres:
        _draw(image, y, x, rng.uniform(0.7, 1.2) * RADIUS, rng.uniform(800, 2500))
    return Scene(image.clip(0, 65535).astype(np.uint16), centres)


def _draw(image: npt.NDArray[np.float32], y: int, x: int, radius: float, height: float) -> None:
    reach = int(radius) + 4
    top, left = max(y - reach, 0), max(x - reach, 0)
    part = image[top : y + reach + 1, left : x + reach + 1]
    rows, columns = np.ogrid[: part.shape[0], : part.shape[1]]
    distance = np.hypot(rows + top - y, columns + left - x)
    part += height / (1 + np.exp((distance - radius) / 1.5))
