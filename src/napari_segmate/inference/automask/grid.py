"""Everything in an image, from a grid of points: prepare once, then filter as often as wanted.

What is kept and dropped follows Segment Anything's automatic mask generator (Kirillov et al., 2023;
``segment_anything.SamAutomaticMaskGenerator``, Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_segmate.core.context import Context
from napari_segmate.core.masks.boxes import box_nms
from napari_segmate.core.masks.object_masks import instance_from_mask
from napari_segmate.core.types import BoolArray, Frame, Instance, IntBoxYX, Shape2D
from napari_segmate.inference.automask.grid_params import Crop, GridParams, crop_layers
from napari_segmate.inference.automask.point_batches import Candidate, CropSearch
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.inference.prompts.request import PlaneLike
from napari_segmate.models.base import Segmenter

__all__ = ["GridMask", "GridParams", "Proposals", "filter_proposals", "grid_proposals"]

DUPLICATE = 0.98
"""IoU of boxes from which the worse of two masks is a duplicate, whatever the thresholds are.

Less is not enough: the better one may itself give way to a third one, which is not like the first.
"""


@dataclass(frozen=True, eq=False)
class GridMask:
    """A mask, and where it comes from.

    Parameters
    ----------
    instance : Instance
        The mask in plane pixels, with its scores.
    point_yx : (y, x)
        The point that prompted it.
    crop_yx : (y0, x0, y1, x1)
        The crop that the model looked at, half-open.
    """

    instance: Instance
    point_yx: tuple[float, float]
    crop_yx: IntBoxYX


@dataclass(frozen=True, eq=False)
class Proposals:
    """All masks of a plane that passed the thresholds of `grid_proposals`, duplicates among them.

    Parameters
    ----------
    shape : (height, width)
        Size of the plane.
    crops : tuple of Crop
        What the model looked at.
    candidates : tuple of Candidate
        The masks, crop by crop.
    params : GridParams
        The thresholds: `filter_proposals` can only ask for more.
    """

    shape: Shape2D
    crops: tuple[Crop, ...]
    candidates: tuple[Candidate, ...]
    params: GridParams

    def __len__(self) -> int:
        return len(self.candidates)

    @property
    def nbytes(self) -> int:
        """Bytes that the masks hold."""
        return sum(one.window.nbytes for one in self.candidates)


def grid_proposals(
    plane: PlaneLike,
    model: Segmenter,
    params: GridParams | None = None,
    *,
    store: EmbeddingStore | None = None,
    context: Context | None = None,
    crops: Sequence[Crop] | None = None,
    zoom: float = 1.0,
    on_crop: Callable[[Proposals], None] | None = None,
) -> Proposals:
    """Return the masks that a grid of points finds: the slow step.

    Parameters
    ----------
    plane : Plane
        Where to read pixels.
    model : Segmenter
        Who looks at it.
    params : GridParams, optional
        Points, and the lowest thresholds that `filter_proposals` will be asked for.
    store : EmbeddingStore, optional
        Where embeddings are kept.
    context : Context, optional
        Progress and cancellation.
    crops : sequence of Crop, optional
        What the model looks at, in this order: tiles of a large plane. By default the whole plane
        and the layers of crops that `params` ask for.
    zoom : float
        How much larger than it is the model is shown the plane.
    on_crop : callable, optional
        Called after each crop with what is there.

    Raises
    ------
    Cancelled
        The user stopped the job.
    """
    params, context = params or GridParams(), context or Context()
    store = store or EmbeddingStore()
    chosen = tuple(
        crop_layers(plane.shape, params.crop_n_layers, params.crop_overlap_ratio)
        if crops is None
        else crops
    )
    points = [_points_in(crop, params) for crop in chosen]
    progress = _Progress(context, sum(map(len, points)))
    found = Proposals(plane.shape, chosen, (), params)
    for number, crop in enumerate(chosen):
        context.check()
        frame = Frame(crop.box_yx, _shown(crop.size, zoom))
        embedding = store.of_plane(plane, frame, model, context)
        search = CropSearch(number, frame, plane.shape, embedding, model, store, params)
        # The first clicks are long in coming where the model is large.
        progress.within(0)
        masks = search.candidates(points[number], context, progress.within)
        progress.add(len(points[number]))
        kept = masks if params.exact else _without_duplicates(masks)
        found = replace(found, candidates=(*found.candidates, *kept))
        if on_crop is not None:
            on_crop(found)
    return found


def filter_proposals(
    proposals: Proposals, params: GridParams | None = None
) -> tuple[GridMask, ...]:
    """Return the masks that pass the thresholds, each once: the fast step.

    Parameters
    ----------
    proposals : Proposals
        What was prepared.
    params : GridParams, optional
        Thresholds, at least as high as those of the proposals. Default: the same.

    Returns
    -------
    tuple of GridMask
        Best score first; with several crops, those of smaller crops first.
    """
    params = params or proposals.params
    passing = [one for one in proposals.candidates if _passes(one, params)]
    kept: list[Candidate] = []
    for number in range(len(proposals.crops)):
        kept += _distinct([one for one in passing if one.crop == number], params)
    if len(proposals.crops) > 1:
        areas = [np.prod(proposals.crops[one.crop].size, dtype=np.float64) for one in kept]
        chosen = box_nms(_boxes(kept), -np.array(areas), params.crop_nms_thresh)
        kept = [kept[number] for number in chosen]
    found = [
        GridMask(one.instance(), one.point_yx, proposals.crops[one.crop].box_yx) for one in kept
    ]
    if params.min_mask_region_area > 0:
        found = _tidied(found, proposals.shape, params)
    return tuple(found)


def _passes(one: Candidate, params: GridParams) -> bool:
    above = params.pred_iou_thresh <= 0 or one.score > params.pred_iou_thresh
    return above and one.stability >= params.stability_score_thresh


def _distinct(candidates: Sequence[Candidate], params: GridParams) -> list[Candidate]:
    scores = [one.score for one in candidates]
    kept = box_nms(_boxes(candidates), scores, params.box_nms_thresh)
    return [candidates[number] for number in kept]


def _boxes(candidates: Sequence[Candidate | Instance]) -> npt.NDArray[np.float32]:
    """Return boxes whose far sides name the last pixel: upstream compares them so."""
    boxes = np.array([one.box_yx for one in candidates], dtype=np.float32).reshape(-1, 4)
    boxes[:, 2:] -= 1
    return boxes


def _tidied(found: Sequence[GridMask], shape: Shape2D, params: GridParams) -> list[GridMask]:
    """Return masks without small regions; of new duplicates those that had none come first."""
    area = params.min_mask_region_area
    tidy = [_without_small_regions(one.instance, shape, area) for one in found]
    untouched = [float(mask is None) for mask in tidy]
    masks = [mask or one.instance for mask, one in zip(tidy, found, strict=True)]
    threshold = max(params.box_nms_thresh, params.crop_nms_thresh)
    kept = box_nms(_boxes(masks), untouched, threshold)
    return [replace(found[number], instance=masks[number]) for number in kept]


def _without_small_regions(instance: Instance, shape: Shape2D, min_area: int) -> Instance | None:
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


def _without_duplicates(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return candidates of which none is worse than another one in the same box."""
    scores = np.array([one.score for one in candidates])
    stability = np.array([one.stability for one in candidates])
    boxes = _boxes(candidates)
    order = np.lexsort((-stability, -scores))
    kept: list[int] = []
    for number in order:
        rivals = [other for other in kept if stability[other] >= stability[number]]
        if not _same_box(boxes[number], boxes[rivals]):
            kept.append(int(number))
    return [candidates[number] for number in sorted(kept)]


def _same_box(box: npt.NDArray[np.float32], boxes: npt.NDArray[np.float32]) -> bool:
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    common = np.prod(np.maximum(high - low, 0), axis=1)
    areas = np.prod(box[2:] - box[:2]) + np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return bool((common > DUPLICATE * (areas - common)).any())


def _points_in(crop: Crop, params: GridParams) -> npt.NDArray[np.float64]:
    """Return the points of a crop, (n, 2) as (y, x) in plane pixels."""
    shares_yx = params.points_of(crop.layer)[:, ::-1]
    at: npt.NDArray[np.float64] = shares_yx * crop.size + np.array(crop.box_yx[:2])
    return at


def _shown(size: Shape2D, zoom: float) -> Shape2D:
    return max(1, round(size[0] * zoom)), max(1, round(size[1] * zoom))


class _Progress:
    """Tells how many of all points are decoded."""

    def __init__(self, context: Context, total: int) -> None:
        self._context, self._total, self._before = context, total, 0

    def within(self, done: int) -> None:
        """Report the points of the crop at hand."""
        at = self._before + done
        self._context.report(at, self._total, f"{at:,} of {self._total:,} clicks")

    def add(self, done: int) -> None:
        """Remember a crop that is done."""
        self._before += done
