"""Boxes as networks give them, in pixels of the image."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.types import Shape2D

__all__ = ["corners_in"]


def corners_in(
    centred: npt.ArrayLike, shape: Shape2D, seen: Shape2D | None = None
) -> npt.NDArray[np.float64]:
    """Return boxes as corners in pixels, cut to the image.

    Parameters
    ----------
    centred : (n, 4)
        Centre x, centre y, width and height, as parts of what the network saw.
    shape : (height, width)
        Size of the image.
    seen : (height, width), optional
        What the network saw, in pixels of the image: more than the image where it was filled up to
        the right and below.

    Returns
    -------
    (n, 4) float64
        y0, x0, y1, x1; pixel centres at integers, so that the image begins at -0.5.

    Examples
    --------
    >>> corners_in([[0.5, 0.25, 0.5, 0.5]], (20, 40), (40, 40)).tolist()
    [[-0.5, 9.5, 19.5, 29.5]]
    """
    cx, cy, width, height = np.asarray(centred, dtype=np.float64).reshape(-1, 4).T
    low = np.stack([cy - height / 2, cx - width / 2], axis=1)
    high = np.stack([cy + height / 2, cx + width / 2], axis=1)
    full: Any = (seen or shape) * 2
    corners = np.concatenate([low, high], axis=1) * full - 0.5
    return np.asarray(np.clip(corners, -0.5, np.array(shape * 2) - 0.5))
