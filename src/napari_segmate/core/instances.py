"""Dense maps of a network → label image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.segmentation import watershed

from napari_segmate.core.enlarge import as_unit, enlarge_labels
from napari_segmate.core.errors import ImageError
from napari_segmate.core.flow import FlowParams, label_flow
from napari_segmate.core.seams import blocks
from napari_segmate.core.types import DenseMaps, FloatArray, IntBoxYX

__all__ = ["InstanceParams", "instances_from_dense", "instances_from_maps", "label_cells"]


Labels = npt.NDArray[np.int32]

BLOCK = 2048
"""Side of the blocks in which large maps are worked on, in cells."""
BLOCK_HALO = 256
"""Overlap of the blocks: larger than the objects that a model sees, in cells."""


USUAL_SEED = 0.55
LEAST_SEED = 0.25
"""Below it the ends of paths of different objects would run together."""


@dataclass(frozen=True)
class InstanceParams:
    """How dense maps become objects.

    Parameters
    ----------
    foreground : float
        Least probability of a pixel that belongs to an object, 0 to 1.
    seed : float
        Least seed score of the pixels from which an object grows, 0 to 1. Higher finds fewer
        objects and splits them less.
    centre_weight : float
        Share of the nearness to the predicted centre in the seed score, 0 to 1; the rest is the
        distance to the border.
    centre_radius : float
        Pixels from its predicted centre at which the nearness of a pixel has fallen to 0.6.
    smoothing : float
        Standard deviation of the blur of the seed score, in pixels of the maps.
    min_area : int
        Smaller objects are dropped, in pixels.
    least_centre : float, optional
        Seeds must be this near to the centre and as deep as `seed`, each on its own, as micro-sam
        has it; by default a mixture of both counts.
    """

    # The defaults come from a search over validation images of seven modalities: seeds from the
    # distance alone or from votes for the centre alone had a lower AP50 in most of them.
    foreground: float = 0.5
    seed: float = USUAL_SEED
    centre_weight: float = 0.3
    centre_radius: float = 4.0
    smoothing: float = 1.0
    min_area: int = 20
    least_centre: float | None = None

    @property
    def flow_params(self) -> FlowParams:
        """The same for maps with a flow: `seed` says how many paths must end where an object is.

        Examples
        --------
        >>> InstanceParams().flow_params
        FlowParams(foreground=0.5, density=2.5, join=1.8, depth=0.4)
        """
        usual = FlowParams()
        share = max(self.seed, LEAST_SEED) / USUAL_SEED
        return FlowParams(self.foreground, usual.density * share**2, usual.join / share)


def instances_from_maps(
    foreground: npt.ArrayLike,
    distance: npt.ArrayLike,
    offset_yx: npt.ArrayLike,
    params: InstanceParams | None = None,
) -> npt.NDArray[np.int32]:
    """Return the label image that dense maps describe.

    Objects grow from pixels that lie deep inside and near their predicted centre, by a watershed
    of the distance within the foreground.

    Parameters
    ----------
    foreground : (H, W) float
        Probability that a pixel belongs to an object, 0 to 1.
    distance : (H, W) float
        Distance to the border of the object, 1 where it is deepest.
    offset_yx : (2, H, W) float
        From each pixel to the centre of its object, in pixels.
    params : InstanceParams, optional
        Thresholds.

    Returns
    -------
    (H, W) int32
        0 is background, objects are 1 .. n. Not-a-number counts as background.

    Raises
    ------
    ImageError
        The maps have different shapes.

    Examples
    --------
    >>> distance = np.zeros((8, 20))
    >>> distance[1:7, 1:7] = distance[1:7, 9:19] = 1
    >>> offset = np.zeros((2, 8, 20))
    >>> np.unique(instances_from_maps(distance > 0, distance, offset), return_counts=True)
    (array([0, 1, 2], dtype=int32), array([64, 36, 60]))
    """
    params = params or InstanceParams()
    likely, depth, offset = (_finite(array) for array in (foreground, distance, offset_yx))
    if depth.shape != likely.shape or offset.shape != (2, *likely.shape) or likely.ndim != 2:
        raise ImageError(
            f"maps must be (H, W), (H, W) and (2, H, W), not {likely.shape}, {depth.shape} "
            f"and {offset.shape}"
        )
    inside = likely > params.foreground
    seeds, _ = ndimage.label((_seed_score(depth, offset, params) > params.seed) & inside)
    hollow = -ndimage.gaussian_filter(depth, params.smoothing)
    grown = watershed(hollow, seeds, mask=inside)  # type: ignore[no-untyped-call]
    return _without_small(grown, params.min_area)


def instances_from_dense(maps: DenseMaps, params: InstanceParams | None = None) -> Labels:
    """Return the label image that the maps of an instance head describe.

    Objects are told apart at the size of the maps and then drawn at the size of the image.

    Parameters
    ----------
    maps : DenseMaps
        What the head predicted; not-a-number counts as background.
    params : InstanceParams, optional
        Thresholds.

    Returns
    -------
    (H, W) int32
        As large as the image; 0 is background, objects are 1 .. n.

    Examples
    --------
    >>> depth = np.zeros((8, 20), np.float32)
    >>> depth[2:6, 2:6] = depth[2:6, 9:19] = 1
    >>> labels = instances_from_dense(DenseMaps(depth, depth, depth, (16, 40)))
    >>> labels.shape, np.unique(labels).tolist()
    ((16, 40), [0, 1, 2])
    """
    params = params or InstanceParams()
    cells = label_cells(maps, params)
    enlarged = enlarge_labels(
        cells, maps.foreground, params.foreground, maps.image_shape, maps.cell_yx
    )
    return _without_small(enlarged, params.min_area)


def label_cells(maps: DenseMaps, params: InstanceParams) -> Labels:
    """Return the object of each cell of the maps, (h, w) int32 with 1 .. n and 0 for none.

    Maps of many cells are worked on block by block, which bounds the memory: seeds are numbered
    once for all blocks, so that objects across borders stay whole. Where the maps have a flow, its
    paths tell the objects apart instead of seeds.
    """
    if maps.flow_yx is not None:
        return label_flow(maps, params.flow_params)
    if np.prod(maps.shape) <= BLOCK**2:
        return _grown(maps, _numbered(_seeds(maps, params)), params)
    inside_seeds = np.zeros(maps.shape, bool)
    for outer, own in blocks(maps.shape, BLOCK, BLOCK_HALO):
        inside_seeds[_at(own)] = _seeds(_part(maps, outer), params)[_within(own, outer)]
    seeds = _numbered(inside_seeds)
    labels = np.zeros(maps.shape, np.int32)
    for outer, own in blocks(maps.shape, BLOCK, BLOCK_HALO):
        grown = _grown(_part(maps, outer), seeds[_at(outer)], params)
        labels[_at(own)] = grown[_within(own, outer)]
    return labels


def _numbered(seeds: npt.NDArray[np.bool_]) -> Labels:
    found, _ = ndimage.label(seeds)
    return np.asarray(found, dtype=np.int32)


def _seeds(maps: DenseMaps, params: InstanceParams) -> npt.NDArray[np.bool_]:
    depth, centre = as_unit(maps.depth), as_unit(maps.centre)
    inside = as_unit(maps.foreground) > params.foreground
    if params.least_centre is not None:
        near = _blurred(centre, params) > params.least_centre
        return np.asarray((_blurred(depth, params) > params.seed) & near & inside)
    score = _blurred(depth + params.centre_weight * (centre - depth), params)
    return np.asarray((score > params.seed) & inside)


def _grown(maps: DenseMaps, seeds: Labels, params: InstanceParams) -> Labels:
    hollow = -_blurred(as_unit(maps.depth), params)
    inside = as_unit(maps.foreground) > params.foreground
    return np.asarray(
        watershed(hollow, seeds, mask=inside),  # type: ignore[no-untyped-call]
        dtype=np.int32,
    )


def _part(maps: DenseMaps, box: IntBoxYX) -> DenseMaps:
    part = _at(box)
    arrays = maps.foreground[part], maps.depth[part], maps.centre[part]
    return DenseMaps(*arrays, (box[2] - box[0], box[3] - box[1]))


def _at(box: IntBoxYX) -> tuple[slice, slice]:
    return slice(box[0], box[2]), slice(box[1], box[3])


def _within(own: IntBoxYX, outer: IntBoxYX) -> tuple[slice, slice]:
    y, x = outer[:2]
    return slice(own[0] - y, own[2] - y), slice(own[1] - x, own[3] - x)


def _blurred(values: FloatArray, params: InstanceParams) -> FloatArray:
    if params.smoothing <= 0:
        return values
    return np.asarray(ndimage.gaussian_filter(values, params.smoothing), dtype=np.float32)


def _finite(array: npt.ArrayLike) -> npt.NDArray[np.float32]:
    return np.nan_to_num(np.asarray(array, dtype=np.float32))


def _seed_score(
    depth: npt.NDArray[np.float32], offset: npt.NDArray[np.float32], params: InstanceParams
) -> npt.NDArray[np.float32]:
    square = offset[0] ** 2 + offset[1] ** 2
    near = np.exp(-square / (2 * params.centre_radius**2))
    mixed = depth + params.centre_weight * (near - depth)
    score: npt.NDArray[np.float32] = ndimage.gaussian_filter(mixed, params.smoothing)
    return score


def _without_small(labels: npt.NDArray[Any], min_area: int) -> npt.NDArray[np.int32]:
    """Return labels without small objects, renumbered 1 .. n."""
    keep = np.bincount(labels.ravel()) >= min_area
    keep[0] = False
    number: npt.NDArray[np.int32] = (np.cumsum(keep) * keep).astype(np.int32)
    return np.asarray(number[labels])
