"""Judge a model on annotated planes, with the prompts and the settings that users have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import ndimage

from napari_segmate.core.context import Context
from napari_segmate.core.errors import LabelsError
from napari_segmate.core.image import ContrastMode, ImageSource, Plane, guess_axes
from napari_segmate.core.metrics import MSA_THRESHOLDS, average_precision
from napari_segmate.core.prompts import Box, ObjectPrompts, Points
from napari_segmate.core.types import BoolArray, Instance, IntBoxYX, LabelArray
from napari_segmate.inference.embeddings import EmbeddingStore
from napari_segmate.inference.predict import predict
from napari_segmate.inference.request import ObjectResult, Previous, Request
from napari_segmate.models.base import Segmenter
from napari_segmate.tasks import auto
from napari_segmate.tasks.base import Task
from napari_segmate.training.data import Knowledge, Sample
from napari_segmate.training.judge import known_objects

__all__ = ["TASK", "Params", "Scores", "label", "label_by_boxes", "plane_of", "run"]

MIN_AREA = 12
"""Objects of fewer pixels are not judged."""
BATCH = 32
"""Objects that the model is asked for at once."""


@dataclass(frozen=True)
class Params:
    """What is measured."""

    objects: int = field(
        default=24, metadata={"help": "Most objects per plane that are prompted for."}
    )
    clicks: int = field(
        default=6, metadata={"help": "Most clicks per object; 0 leaves the clicks out."}
    )
    target: float = field(default=0.85, metadata={"help": "IoU at which an object is done."})
    automatic: bool = field(
        default=True, metadata={"help": "Also find all objects, if the model can."}
    )


@dataclass(frozen=True)
class Scores:
    """What a model reaches.

    Parameters
    ----------
    planes, objects : int
        How many were judged; `objects` were prompted for.
    click_iou, box_iou : float
        Mean IoU after one click in the middle, and for a box.
    clicks : float
        Mean number of clicks to the target; the largest number where it is never reached.
    ap50, msa : float or None
        Average precision of all objects at IoU 0.5, and its mean over 0.50 .. 0.95; None for a
        model without instance head.
    """

    planes: int
    objects: int
    click_iou: float
    box_iou: float
    clicks: float
    ap50: float | None = None
    msa: float | None = None

    def as_dict(self) -> dict[str, float]:
        """Return the measures that there are, by name."""
        values = {
            "ap50": self.ap50,
            "msa": self.msa,
            "click_iou": self.click_iou,
            "box_iou": self.box_iou,
            "clicks": self.clicks,
            "objects": self.objects,
        }
        return {name: round(float(value), 4) for name, value in values.items() if value is not None}

    @property
    def overall(self) -> float:
        """One number to compare models of one kind by: the mean of AP50, mean AP and the IoU."""
        prompted = (self.click_iou + self.box_iou) / 2
        if self.ap50 is None or self.msa is None:
            return prompted
        return (prompted + (self.ap50 + self.msa) / 2) / 2


@dataclass(frozen=True)
class _Object:
    mask: BoolArray
    box_yx: IntBoxYX

    @property
    def middle(self) -> tuple[float, float]:
        """The pixel farthest from the border."""
        depth = ndimage.distance_transform_edt(np.pad(self.mask, 1))[1:-1, 1:-1]
        y, x = np.unravel_index(int(depth.argmax()), depth.shape)
        return float(y + self.box_yx[0]), float(x + self.box_yx[1])


def run(
    samples: Sequence[Sample],
    model: Segmenter,
    params: Params | None = None,
    *,
    store: EmbeddingStore | None = None,
    context: Context | None = None,
) -> Scores:
    """Return what a model reaches on annotated planes.

    Parameters
    ----------
    samples : sequence of Sample
        Planes and labels; where nothing is known, nothing counts.
    model : Segmenter
        Who is judged.
    params : Params, optional
        What is measured.
    store : EmbeddingStore, optional
        Where embeddings are kept.
    context : Context, optional
        Progress and cancellation.

    Raises
    ------
    LabelsError
        There is no labelled object.
    Cancelled
        The user stopped the job.
    """
    params, context = params or Params(), context or Context()
    store = store or EmbeddingStore()
    ious: dict[str, list[float]] = {"click": [], "box": []}
    clicks: list[float] = []
    precisions: list[tuple[float, float]] = []
    within = Context(cancelled=context.cancelled)
    for number, sample in enumerate(samples):
        context.report(number, len(samples), "judging")
        plane = plane_of(sample)
        objects = _objects(sample, params.objects)
        if objects:
            found = _Prompted(plane, objects, model, store, within)
            one, counts = found.clicks(params)
            ious["click"] += one
            clicks += counts
            ious["box"] += found.boxes()
        if params.automatic and model.info.instance_head:
            precisions.append(_precision(sample, label(sample, model, store, within)))
    if not ious["box"] and not precisions:
        raise LabelsError("there is no labelled object to judge by; label some objects first")
    means = np.mean(precisions, axis=0).tolist() if precisions else [None, None]
    return Scores(
        planes=len(samples),
        objects=len(ious["box"]),
        click_iou=_mean(ious["click"]),
        box_iou=_mean(ious["box"]),
        clicks=_mean(clicks),
        ap50=means[0],
        msa=means[1],
    )


def plane_of(sample: Sample) -> Plane:
    """Return the image of a sample as a plane."""
    source = ImageSource(sample.image, guess_axes(sample.image.shape, sample.image.dtype, rgb=True))
    return source.plane((), source.estimate_contrast(ContrastMode.PLANE, ()))


def label(sample: Sample, model: Segmenter, store: EmbeddingStore, context: Context) -> LabelArray:
    """Return all objects that a model with an instance head finds in a sample."""
    found: LabelArray = auto.run(plane_of(sample), model, store=store, context=context).labels
    return found


def label_by_boxes(
    sample: Sample, model: Segmenter, store: EmbeddingStore, context: Context
) -> LabelArray:
    """Return what a model makes of the boxes round the labelled objects."""
    plane, objects = plane_of(sample), _objects(sample, Params().objects)
    labels: LabelArray = np.zeros(sample.shape, np.int32)
    if objects:
        masks = _Prompted(plane, objects, model, store, context).masks_of_boxes()
        for number, mask in enumerate(masks, start=1):
            labels[mask] = number
    return labels


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0


def _precision(sample: Sample, found: LabelArray) -> tuple[float, float]:
    known = known_objects(found, sample.known == Knowledge.ALL)
    scores = average_precision(sample.labels, known, MSA_THRESHOLDS, ignore_min_area=MIN_AREA)
    return float(scores[0]), float(scores.mean())


def _objects(sample: Sample, most: int) -> list[_Object]:
    """Return objects spread evenly over the numbers of a sample."""
    found = []
    for number, box in enumerate(ndimage.find_objects(sample.labels), start=1):
        if box is not None:
            mask = sample.labels[box] == number
            rows, columns = box
            yx = rows.start, columns.start, rows.stop, columns.stop
            if np.count_nonzero(mask) >= MIN_AREA and min(mask.shape) > 1:
                found.append(_Object(mask, yx))
    chosen = np.unique(np.linspace(0, len(found) - 1, min(most, len(found))).astype(int))
    return [found[number] for number in chosen]


class _Prompted:
    """Objects of one plane, and what a model answers to prompts for them."""

    def __init__(
        self,
        plane: Plane,
        objects: Sequence[_Object],
        model: Segmenter,
        store: EmbeddingStore,
        context: Context,
    ) -> None:
        self._plane, self._objects = plane, objects
        self._model, self._store, self._context = model, store, context

    def boxes(self) -> list[float]:
        """Return the IoU for a box round each object."""
        return [self._iou(number, one) for number, one in enumerate(self._of_boxes())]

    def masks_of_boxes(self) -> list[BoolArray]:
        """Return the (H, W) mask for a box round each object."""
        return [self._whole(one) for one in self._of_boxes()]

    def _of_boxes(self) -> list[Instance | None]:
        prompts = []
        for one in self._objects:
            y0, x0, y1, x1 = one.box_yx
            prompts.append(ObjectPrompts(box=Box((y0, x0, y1 - 1, x1 - 1))))
        return [result.instance for result in self._answers(prompts)]

    def clicks(self, params: Params) -> tuple[list[float], list[float]]:
        """Return the IoU after one click, and how many clicks reach the target.

        Each click goes on from the answer to the ones before, as in the viewer.
        """
        drawn = [Points(np.array([one.middle])) for one in self._objects]
        seen: list[Previous | None] = [None] * len(drawn)
        needed = [float(max(params.clicks, 1))] * len(drawn)
        first: list[float] = []
        waiting = list(range(len(drawn)))
        for turn in range(1, max(params.clicks, 1) + 1):
            prompts = [ObjectPrompts(points=drawn[number]) for number in waiting]
            results = self._answers(prompts, [seen[number] for number in waiting])
            reached = [
                self._iou(number, result.instance)
                for number, result in zip(waiting, results, strict=True)
            ]
            first = first or reached
            left = []
            for number, result, iou in zip(waiting, results, reached, strict=True):
                if iou >= params.target:
                    needed[number] = turn
                else:
                    drawn[number] = self._corrected(number, drawn[number], result.instance)
                    seen[number] = result.as_previous()
                    left.append(number)
            waiting = left
            if not waiting:
                break
        return first, needed if params.clicks else []

    def _answers(
        self, prompts: Sequence[ObjectPrompts], previous: Sequence[Previous | None] = ()
    ) -> list[ObjectResult]:
        """Return what the model makes of prompts, going on from earlier answers where given."""
        found: list[ObjectResult] = []
        before = previous or [None] * len(prompts)
        for at in range(0, len(prompts), BATCH):
            batch = slice(at, at + BATCH)
            request = Request(0, self._plane, tuple(prompts[batch]), previous=tuple(before[batch]))
            found += predict(request, self._model, self._store, self._context).objects
        return found

    def _whole(self, found: Instance | None) -> BoolArray:
        mask = np.zeros(self._plane.shape, bool)
        if found is not None:
            y0, x0, y1, x1 = found.box_yx
            mask[y0:y1, x0:x1] = found.mask
        return mask

    def _truth(self, number: int) -> BoolArray:
        one = self._objects[number]
        y0, x0, y1, x1 = one.box_yx
        truth = np.zeros(self._plane.shape, bool)
        truth[y0:y1, x0:x1] = one.mask
        return truth

    def _iou(self, number: int, found: Instance | None) -> float:
        truth, mask = self._truth(number), self._whole(found)
        return float((mask & truth).sum() / max((mask | truth).sum(), 1))

    def _corrected(self, number: int, points: Points, found: Instance | None) -> Points:
        """Return the points with one in the middle of the larger kind of error."""
        truth, mask = self._truth(number), self._whole(found)
        missed, wrong = truth & ~mask, mask & ~truth
        add = bool(missed.sum() >= wrong.sum())
        error = missed if add else wrong
        if not error.any():
            return points
        depth = ndimage.distance_transform_edt(np.pad(error, 1))[1:-1, 1:-1]
        at = np.unravel_index(int(depth.argmax()), depth.shape)
        return replace(
            points,
            points_yx=np.concatenate([points.points_yx, [[float(at[0]), float(at[1])]]]),
            positive=np.concatenate([points.positive, [add]]),
        )


TASK = Task(
    name="evaluate",
    title="Evaluate",
    description="Judge a model on annotated images.",
    params=Params,
    run=run,
)
