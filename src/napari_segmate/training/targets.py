"""What the dense maps of a label image should be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_segmate.core.types import FloatArray, LabelArray
from napari_segmate.models._tiny_network import OFFSET_UNIT

__all__ = ["STRIDE", "DenseTargets", "dense_targets"]

STRIDE = 4
"""Pixels per cell of the dense maps."""


@dataclass(frozen=True, eq=False)
class DenseTargets:
    """Targets of the dense maps of one image, one value per 4 x 4 pixels.

    Parameters
    ----------
    foreground : (h, w) float32
        1 inside objects.
    distance : (h, w) float32
        Distance to the border of the object, 1 where it is deepest, 0 outside.
    offset_yx : (2, h, w) float32
        To the centre of the object, in units of 32 pixels, 0 outside.
    """

    foreground: FloatArray
    distance: FloatArray
    offset_yx: FloatArray


def dense_targets(labels: LabelArray) -> DenseTargets:
    """Return the targets for an (H, W) label image numbered 1 .. n.

    The centre of an object is its centroid, or its deepest point where the centroid lies outside.

    Examples
    --------
    >>> labels = np.zeros((32, 32), int)
    >>> labels[8:24, 8:24] = 1
    >>> targets = dense_targets(labels)
    >>> targets.foreground.sum(), targets.distance.max(), targets.offset_yx[0, 2:6, 4].tolist()
    (np.float32(16.0), np.float32(1.0), [0.1875, 0.0625, -0.0625, -0.1875])
    """
    # Half resolution keeps thin borders and costs a quarter.
    half = labels[1::2, 1::2]
    # The pixel nearest to the middle of each cell.
    cells = half[::2, ::2]
    depth = _depth(half)
    offset = np.zeros((2, *cells.shape))
    ids = np.flatnonzero(np.bincount(half.ravel())[1:]) + 1
    if ids.size:
        peak = np.ones(int(ids[-1]) + 1)
        peak[ids] = np.maximum(ndimage.maximum(depth, half, ids), 1e-3)
        centre_yx = _centres(half, depth, ids)
        depth = depth / peak[half]
        offset = _offsets(cells, centre_yx)
    return DenseTargets(
        (cells > 0).astype(np.float32),
        np.ascontiguousarray(depth[::2, ::2], dtype=np.float32),
        offset.astype(np.float32),
    )


def _depth(labels: LabelArray) -> npt.NDArray[np.float64]:
    """Return the distance of each pixel to the border of its object, 0 outside."""
    inside = labels > 0
    edge = np.zeros_like(inside)
    edge[1:] |= labels[1:] != labels[:-1]
    edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    return np.asarray(ndimage.distance_transform_edt(inside & ~edge) + 0.5 * inside)


def _centres(
    half: LabelArray, depth: npt.NDArray[np.float64], ids: npt.NDArray[np.intp]
) -> npt.NDArray[np.float64]:
    """Return the centre of each label in pixels, for labels at half resolution."""
    centre = np.array(ndimage.center_of_mass(half > 0, half, ids))
    row, column = np.round(centre).astype(int).T
    outside = half[row, column] != ids
    if outside.any():
        centre[outside] = ndimage.maximum_position(depth, half, ids[outside])
    by_label = np.zeros((int(ids[-1]) + 1, 2))
    # Half a pixel, not a whole one: of an object's pixels only every other one was seen.
    by_label[ids] = 2 * centre + 0.5
    return by_label


def _offsets(cells: LabelArray, centre_yx: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return (2, h, w) offsets from the middle of each cell to the centre of its object."""
    middle = np.indices(cells.shape) * STRIDE + (STRIDE - 1) / 2
    target = np.moveaxis(centre_yx[cells], -1, 0)
    return np.asarray((target - middle) / OFFSET_UNIT * (cells > 0))
