"""How large the objects of an image typically are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.segmentation import watershed

from napari_segmate.core.types import DenseMaps, LabelArray

__all__ = ["FEWEST", "estimate_diameter", "typical_diameter"]

FEWEST = 3
"""Fewer objects say nothing about a typical size."""
SEED = 0.55
CENTRE_SHARE = 0.3


def typical_diameter(labels: npt.ArrayLike) -> float:
    """Return the median diameter of discs as large as the objects, 0 for fewer than 3 objects.

    Objects that the border of the image cuts count only where there are too few others.

    Examples
    --------
    >>> labels = np.zeros((40, 40), int)
    >>> labels[2:12, 2:12], labels[2:12, 20:30], labels[20:30, 20:30] = 1, 2, 3
    >>> round(typical_diameter(labels), 1)
    11.3
    """
    array: LabelArray = np.asarray(labels)
    areas = np.bincount(array.ravel())
    areas[:1] = 0
    whole = areas.copy()
    for edge in (array[:1], array[-1:], array[:, :1], array[:, -1:]):
        whole[np.unique(edge)] = 0
    counted = whole if np.count_nonzero(whole) >= FEWEST else areas
    present = counted[counted > 0]
    if present.size < FEWEST:
        return 0.0
    return float(np.median(2 * np.sqrt(present / np.pi)))


def estimate_diameter(maps: DenseMaps) -> float:
    """Return the typical diameter of the objects that maps show, in pixels of the image.

    Returns 0 where there are fewer than 3 objects.
    """
    inside = maps.foreground > 0.5
    score = CENTRE_SHARE * maps.centre + (1 - CENTRE_SHARE) * maps.depth
    seeds, count = ndimage.label(inside & (score > SEED))
    if count < FEWEST:
        return 0.0
    grown = watershed(-maps.depth, seeds, mask=inside)  # type: ignore[no-untyped-call]
    per_cell = np.sqrt(np.prod(maps.image_shape) / np.prod(maps.shape))
    return typical_diameter(grown) * float(per_cell)
