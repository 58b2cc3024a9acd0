"""From what a model saw to the labels that the settings ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from napari_segmate.core.boxes import box_nms
from napari_segmate.core.enlarge import enlarge_labels
from napari_segmate.core.holes import fill_holes
from napari_segmate.core.instances import label_cells
from napari_segmate.core.nesting import labels_of_masks as nested_labels
from napari_segmate.core.prompts import MaskPrompt
from napari_segmate.core.sizes import mean_likely
from napari_segmate.core.types import DenseMaps, FloatArray, Instance, LabelArray, Shape2D
from napari_segmate.tasks.auto_params import Mode, Params

__all__ = ["Proposal", "labels_of_maps", "labels_of_masks"]

BACKGROUND_SHARE = 0.5
"""A mask of more than this part of the plane is the background, unless it is the only one."""

FLOW_SCORE = 0.65
"""Least score of an object in maps with a flow: no object is found there that is not deep, too."""

Keep = npt.NDArray[np.bool_]
Cells = npt.NDArray[np.int32]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Proposal:
    """Labels to look at, accept or change.

    Parameters
    ----------
    labels : (H, W) int32
        0 is background, objects are 1 .. n.
    scores : (n,) float32
        How sure the model is of each object, 0 to 1.
    areas : (n,) int64
        Pixels of each object.
    diameter : float
        Typical object in pixels that the plane was looked at for; 0 if not known.
    """

    labels: LabelArray
    scores: FloatArray
    areas: Counts
    diameter: float

    @property
    def count(self) -> int:
        """Number of objects."""
        return len(self.areas)


def labels_of_maps(
    maps: DenseMaps, params: Params, diameter: float = 0.0, region: MaskPrompt | None = None
) -> Proposal:
    """Return the objects that maps show.

    Parameters
    ----------
    maps : DenseMaps
        Of the whole plane.
    params : Params
        Thresholds.
    diameter : float
        For the record.
    region : MaskPrompt, optional
        Only objects that have most of their pixels in it.
    """
    cells = label_cells(maps, params.instance_params)
    scores = mean_likely(cells, maps)
    labels = _drawn(cells, maps, params)
    least = params.least_score(Mode.OBJECTS)
    if maps.flow_yx is not None and not params.score:
        least = min(least, FLOW_SCORE)
    return _proposal(labels, scores, replace(params, score=least), diameter, region)


def labels_of_masks(
    masks: Sequence[Instance],
    shape: Shape2D,
    params: Params,
    mode: Mode,
    diameter: float = 0.0,
    region: MaskPrompt | None = None,
) -> Proposal:
    """Return the objects that masks show.

    Parameters
    ----------
    masks : sequence of Instance
        In plane pixels; may overlap and be nested.
    shape : (height, width)
        Size of the plane.
    params : Params
        Thresholds, and what becomes of masks in other masks.
    mode : Mode
        Where the masks come from.
    diameter : float
        For the record.
    region : MaskPrompt, optional
        Only objects that have most of their pixels in it.
    """
    largest = shape[0] * shape[1] * BACKGROUND_SHARE
    passing = [
        one
        for one in masks
        if one.score >= params.least_score(mode)
        and one.stability >= params.least_stability(mode)
        and max(params.min_area, 1) <= one.area <= (params.max_area or one.area)
        and (one.area <= largest or len(masks) == 1)
    ]
    apart = [passing[number] for number in _apart(passing, params.box_nms)]
    labels, kept = nested_labels(apart, shape, params.nesting)
    scores = np.array([0.0, *(apart[number].score for number in kept)], np.float32)
    return _proposal(labels, scores, params, diameter, region)


def _apart(masks: Sequence[Instance], threshold: float) -> Counts:
    boxes = np.array([one.box_yx for one in masks], np.float32).reshape(-1, 4)
    found: Counts = box_nms(boxes, [one.score for one in masks], threshold)
    return found


def _proposal(
    labels: Cells,
    scores: FloatArray,
    params: Params,
    diameter: float,
    region: MaskPrompt | None,
) -> Proposal:
    """Return the labels that pass; `scores` are by label, with one for the background."""
    areas = np.bincount(labels.ravel(), minlength=len(scores))
    keep = (areas >= max(params.min_area, 1)) & (scores >= params.score)
    if params.max_area is not None:
        keep &= areas <= params.max_area
    if not params.border:
        keep &= ~_cut(labels, len(scores))
    if region is not None:
        keep &= 2 * _pixels_in(labels, region, len(scores)) > areas
    keep[0] = False
    number = (np.cumsum(keep) * keep).astype(np.int32)
    return Proposal(number[labels], scores[keep], areas[keep], diameter)


def _drawn(cells: Cells, maps: DenseMaps, params: Params) -> Cells:
    """Return the labels of map cells at the size of the image."""
    likely = maps.foreground
    if params.fill_holes:
        filled = fill_holes(cells)
        if filled is not cells:
            likely = likely.copy()
            likely[filled != cells] = np.iinfo(np.uint8).max if likely.dtype == np.uint8 else 1
        cells = filled
    return enlarge_labels(cells, likely, params.foreground, maps.image_shape, maps.cell_yx)


def _cut(labels: LabelArray, count: int) -> Keep:
    """Return which objects touch the border of the image, by label."""
    touching = np.zeros(count, bool)
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        touching[edge] = True
    return touching


def _pixels_in(labels: LabelArray, region: MaskPrompt, count: int) -> Counts:
    y0, x0, y1, x1 = region.box_yx
    part = labels[y0:y1, x0:x1][region.mask]
    return np.asarray(np.bincount(part, minlength=count), dtype=np.int64)
