"""How large the objects of an image typically are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.segmentation import watershed

from napari_segmate.core.enlarge import as_unit
from napari_segmate.core.flow import label_flow
from napari_segmate.core.types import DenseMaps, FloatArray, LabelArray

__all__ = [
    "FEWEST",
    "ZOOMS",
    "Estimate",
    "estimate_diameter",
    "estimate_size",
    "mean_likely",
    "nearest_zoom",
    "typical_diameter",
]

FEWEST = 3
"""Fewer objects say nothing about a typical size."""
SEED = 0.55
CENTRE_SHARE = 0.3
SURE = 0.75
"""Least mean probability of an object that counts: what noise looks like stays below."""
SURE_OF_FLOW = 0.65
ZOOMS = (1 / 64, 1 / 32, 0.0625, 0.125, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
"""Few steps, so that similar planes and repeated estimates share embeddings."""
ENOUGH = 0.65
TOO_LARGE = 1.57
"""From these multiples of the wanted size on objects are not shown larger, and shown smaller: on
images of twelve kinds, those in between lost more than they gained, and larger images cost time."""


def typical_diameter(labels: npt.ArrayLike, fewest: int = FEWEST) -> float:
    """Return the median diameter of discs as large as the objects, 0 for fewer than 3 objects.

    Each object counts as much as it is wide, so that specks do not outvote cells. Objects that the
    border of the image cuts count only where there are too few others.

    Parameters
    ----------
    labels : (H, W) array_like of int
        0 is background.
    fewest : int
        Fewer objects than these say nothing.

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
    counted = whole if np.count_nonzero(whole) >= fewest else areas
    present = counted[counted > 0]
    if present.size < fewest:
        return 0.0
    diameters = np.sort(2 * np.sqrt(present / np.pi))
    counted_up = np.cumsum(diameters)
    return float(diameters[np.searchsorted(counted_up, counted_up[-1] / 2)])


@dataclass(frozen=True)
class Estimate:
    """What maps say about the size of objects.

    Parameters
    ----------
    diameter : float
        Typical diameter in pixels of the image, 0 where there are too few objects.
    covered : float
        Share of the image that these objects cover.
    """

    diameter: float = 0.0
    covered: float = 0.0


def estimate_diameter(maps: DenseMaps, fewest: int = FEWEST) -> float:
    """Return the typical diameter of the objects that maps show, in pixels of the image.

    Parameters
    ----------
    maps : DenseMaps
        As a model predicts them.
    fewest : int
        Where there are fewer objects the answer is 0.
    """
    return estimate_size(maps, fewest).diameter


def estimate_size(maps: DenseMaps, fewest: int = FEWEST) -> Estimate:
    """Return the typical diameter of objects, and how much of the image they cover.

    Parameters
    ----------
    maps : DenseMaps
        As a model predicts them.
    fewest : int
        Where there are fewer objects the answer is 0.
    """
    grown = _objects(maps)
    if grown.max(initial=0) < fewest:
        return Estimate()
    grown = np.where(_sure(grown, maps)[grown], grown, 0)
    per_cell = float(np.sqrt(np.prod(maps.image_shape) / np.prod(maps.shape)))
    diameter = typical_diameter(grown, fewest) * per_cell
    return Estimate(diameter, float(np.mean(grown > 0)) if diameter else 0.0)


def _objects(maps: DenseMaps) -> LabelArray:
    """Return the objects of maps, by paths where there is a flow, else by a quick watershed."""
    if maps.flow_yx is not None:
        return label_flow(maps)
    depth, centre = as_unit(maps.depth), as_unit(maps.centre)
    inside = as_unit(maps.foreground) > 0.5
    score = CENTRE_SHARE * centre + (1 - CENTRE_SHARE) * depth
    seeds, _ = ndimage.label(inside & (score > SEED))
    return np.asarray(watershed(-depth, seeds, mask=inside))  # type: ignore[no-untyped-call]


def _sure(labels: LabelArray, maps: DenseMaps) -> npt.NDArray[np.bool_]:
    """Return which labels are objects by more than chance."""
    flow = maps.flow_yx is not None
    return mean_likely(labels, maps) >= (SURE_OF_FLOW if flow else SURE)


def mean_likely(labels: LabelArray, maps: DenseMaps) -> FloatArray:
    """Return the mean probability of the cells of each object, by label.

    In maps with a flow the cells at the border are shares of pixels: deep cells count more there.

    Examples
    --------
    >>> likely = np.array([[0.5, 1, 1, 0]], np.float32)
    >>> maps = DenseMaps(likely, likely, likely, (1, 4))
    >>> mean_likely(np.array([[1, 1, 2, 0]]), maps).tolist()
    [0.0, 0.75, 1.0]
    """
    flat, likely = labels.ravel(), as_unit(maps.foreground).ravel()
    weights = np.ones_like(likely) if maps.flow_yx is None else as_unit(maps.depth).ravel()
    counted = np.bincount(flat, weights)
    total = np.bincount(flat, weights * likely)
    return np.divide(total, counted, out=total, where=counted > 0).astype(np.float32)


def nearest_zoom(wanted: float, diameter: float) -> float:
    """Return the step that brings objects of a diameter to the size that a model likes.

    Examples
    --------
    >>> nearest_zoom(40, 14), nearest_zoom(40, 20), nearest_zoom(40, 28), nearest_zoom(40, 70)
    (3.0, 2.0, 1.0, 0.5)
    """
    if diameter >= ENOUGH * wanted:
        shrinking = [zoom for zoom in ZOOMS if zoom <= 1 and zoom * diameter <= TOO_LARGE * wanted]
        return max(shrinking, default=ZOOMS[0])
    distances = [abs(np.log(zoom * diameter / wanted)) for zoom in ZOOMS]
    return ZOOMS[int(np.argmin(distances))]
