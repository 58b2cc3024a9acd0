"""Whether a mask does what clicks ask for."""

from __future__ import annotations

import numpy as np

from napari_segmate.core.prompts import Points
from napari_segmate.core.types import Instance

__all__ = ["heeded"]


def heeded(instance: Instance, points: Points | None) -> float:
    """Return the share of clicks that a mask heeds: positive ones in it, negative ones outside.

    Parameters
    ----------
    instance : Instance
        A mask in plane pixels.
    points : Points, optional
        Clicks in plane pixels; none are heeded by any mask.

    Examples
    --------
    >>> square = Instance((10, 10, 20, 20), np.ones((10, 10), bool))
    >>> heeded(square, Points([[12, 12], [15, 15], [40, 40], [11, 11]], [True, True, False, False]))
    0.75
    """
    if points is None or not len(points):
        return 1.0
    y0, x0, y1, x1 = instance.box_yx
    at = np.floor(points.points_yx + 0.5).astype(np.intp) - (y0, x0)
    near = ((at >= 0) & (at < (y1 - y0, x1 - x0))).all(axis=1)
    inside = np.zeros(len(points), bool)
    inside[near] = instance.mask[tuple(at[near].T)]
    return float(np.mean(inside == points.positive))
