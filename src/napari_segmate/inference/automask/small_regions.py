"""Masks without small holes and pieces."""

from __future__ import annotations

import numpy as np

from napari_segmate.core.masks.object_masks import instance_from_mask
from napari_segmate.core.types import BoolArray, Instance, Shape2D

__all__ = ["without_small_regions"]


def without_small_regions(instance: Instance, shape: Shape2D, min_area: int) -> Instance | None:
    """Return a mask without holes and pieces of fewer pixels; None when it has none.

    Touching corners join pixels, of holes too, and background at the border of the plane is a hole
    as well, as in ``segment_anything``. The largest piece stays, however small.

    Parameters
    ----------
    instance : Instance
        The mask.
    shape : (height, width)
        Size of the plane.
    min_area : int
        Pixels.
    """
    y0, x0, y1, x1 = instance.box_yx
    # One pixel of surroundings joins what lies outside of the box, where there is any.
    around = (
        (min(y0, 1), min(1, shape[0] - y1)),
        (min(x0, 1), min(1, shape[1] - x1)),
    )
    mask = np.pad(instance.mask, around)
    outside = shape[0] * shape[1] - mask.size
    filled = _without_holes(mask, min_area, outside)
    cleaned = _without_islands(filled, min_area)
    if np.array_equal(cleaned, mask):
        return None
    offset = y0 - around[0][0], x0 - around[1][0]
    return instance_from_mask(cleaned, offset, instance.score, instance.stability)


def _without_holes(mask: BoolArray, min_area: int, outside: int) -> BoolArray:
    from scipy import ndimage

    regions, _ = ndimage.label(~mask, structure=np.ones((3, 3)))
    sizes = np.bincount(regions.ravel())
    sizes[0] = min_area
    if outside:
        # What reaches the padding goes on in the rest of the plane.
        border = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
        sizes[border[border > 0]] += outside
    filled: BoolArray = mask | (sizes < min_area)[regions]
    return filled


def _without_islands(mask: BoolArray, min_area: int) -> BoolArray:
    from scipy import ndimage

    regions, count = ndimage.label(mask, structure=np.ones((3, 3)))
    if count == 0:
        return mask
    sizes = np.bincount(regions.ravel())
    sizes[0] = 0
    keep = sizes >= min_area
    if not keep.any():
        keep[np.argmax(sizes)] = True
    kept: BoolArray = keep[regions]
    return kept
