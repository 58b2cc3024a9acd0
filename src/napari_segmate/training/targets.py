"""What the dense maps of a label image should be."""

from __future__ import annotations

from dataclasses import dataclass

import bioimage_cpp
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_segmate.core.types import BoolArray, FloatArray, LabelArray
from napari_segmate.models._tiny_network import OFFSET_UNIT

__all__ = [
    "FLOW_STRIDE",
    "STRIDE",
    "DenseTargets",
    "FlowTargets",
    "dense_targets",
    "flow_targets",
]

STRIDE = 4
"""Pixels per cell of the dense maps."""
FLOW_STRIDE = 2
"""Pixels per cell of the flow maps."""
SLOW = 2.0
"""Cells from the centre within which the flow slows down, so that it has no jump there."""


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


@dataclass(frozen=True, eq=False)
class FlowTargets:
    """Targets of the flow maps of one image, one value per 2 x 2 pixels.

    Parameters
    ----------
    foreground : (h, w) float32
        Share of the pixels that belong to objects: outlines are finer than the cells.
    distance : (h, w) float32
        Distance to the border of the object, 1 where it is deepest, 0 outside.
    flow_yx : (2, h, w) float32
        Direction of the shortest path to the centre that stays inside the object, of length 1 but
        for the cells next to the centre; 0 outside.
    """

    foreground: FloatArray
    distance: FloatArray
    flow_yx: FloatArray


def flow_targets(labels: LabelArray) -> FlowTargets:
    """Return the targets of the flow maps for an (H, W) label image numbered 1 .. n, H and W even.

    The centre is a cell deep inside that is near to the centroid. Source of flows along paths
    inside of objects: Archit et al., micro-sam.

    Examples
    --------
    >>> labels = np.zeros((32, 32), int)
    >>> labels[8:26, 8:26] = 1
    >>> targets = flow_targets(labels)
    >>> targets.foreground.sum(), targets.flow_yx[0, 4:8, 8].tolist()
    (np.float32(81.0), [1.0, 1.0, 1.0, 0.5])
    """
    quarters = np.stack([labels[y::2, x::2] for y in (1, 0) for x in (1, 0)]).astype(np.int32)
    share = np.asarray((quarters > 0).mean(0), dtype=np.float32)
    # One pixel speaks for the cell, others where that is background.
    cells = np.where(quarters[0] > 0, quarters[0], quarters.max(0)) * (share >= 0.5)
    depth = _depth(cells).astype(np.float32)
    distance = np.zeros_like(depth)
    flow = np.zeros((2, *cells.shape), np.float32)
    for number, part in enumerate(ndimage.find_objects(cells), 1):
        if part is not None:
            mask = cells[part] == number
            inner = depth[part]
            distance[part][mask] = inner[mask] / inner[mask].max()
            flow[:, *part][:, mask] = _flow_of(mask, inner)[:, mask]
    return FlowTargets(share, distance, flow)


def _flow_of(mask: BoolArray, depth: FloatArray) -> FloatArray:
    """Return the flow (2, h, w) of one object; parts that touch at corners only count as one."""
    cells = np.argwhere(mask)
    off_centre = np.hypot(*(cells - cells.mean(0)).T)
    # A centroid may lie outside, or where the object is narrow: depth counts twice.
    centre = cells[np.argmin(off_centre - 2 * depth[mask])]
    # With a margin, because gradients look at both neighbours.
    away, gradient = bioimage_cpp.distance.geodesic_distance_field(
        np.pad(mask, 1), centre[None] + 1, return_gradient=True
    )
    away = away[1:-1, 1:-1]
    reached = np.isfinite(away)
    speed = np.clip(away / SLOW, 0, 1)
    flow = -np.moveaxis(gradient[1:-1, 1:-1], -1, 0) * np.where(reached, speed, 0)
    if (mask & ~reached).any():
        flow = np.where(reached, flow, _towards(reached))
    return np.asarray(flow, dtype=np.float32)


def _towards(reached: BoolArray) -> FloatArray:
    """Return the direction (2, h, w) in which the nearest of some cells lies."""
    at = ndimage.distance_transform_edt(~reached, return_distances=False, return_indices=True)
    way = at - np.indices(reached.shape)
    return np.asarray(way / np.maximum(np.hypot(*way), 1), dtype=np.float32)


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
