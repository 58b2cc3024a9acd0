"""Boxes as networks give them, in pixels of the image."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.errors import PromptError
from napari_segmate.core.types import BoxYX, Shape2D

__all__ = ["corners_in", "example_in"]


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


def example_in(box_yx: BoxYX, shape: Shape2D) -> npt.NDArray[np.float64]:
    """Return the part of a box that lies in an image.

    Parameters
    ----------
    box_yx : (y0, x0, y1, x1)
        Round one object, in pixels; pixel centres at integers.
    shape : (height, width)
        Size of the image.

    Raises
    ------
    PromptError
        It has no area there.

    Examples
    --------
    >>> example_in((5, 5, 30, 9), (20, 20)).tolist()
    [5.0, 5.0, 19.5, 9.0]
    """
    box = np.asarray(np.clip(box_yx, -0.5, np.array(shape * 2) - 0.5), dtype=np.float64)
    if not (box[2:] > box[:2]).all():
        raise PromptError(
            f"the example {tuple(round(float(value), 1) for value in box_yx)} has no area in an "
            f"image of {shape[0]} x {shape[1]} pixels; draw a box round one whole object"
        )
    return box
