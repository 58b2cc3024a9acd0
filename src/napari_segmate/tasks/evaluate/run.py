"""Judge a model on annotated planes, with the prompts and the settings that users have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from napari_segmate.core.context import Context
from napari_segmate.core.errors import LabelsError
from napari_segmate.core.images.image_source import ContrastMode, ImageSource, Plane, guess_axes
from napari_segmate.core.numbers.metrics import MSA_THRESHOLDS, average_precision
from napari_segmate.core.types import LabelArray
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.models.base import Segmenter
from napari_segmate.tasks.automask import run as auto
from napari_segmate.tasks.base import Task
from napari_segmate.tasks.evaluate.simulated_prompts import PromptSimulation, sample_objects
from napari_segmate.training.data import Knowledge, Sample
from napari_segmate.training.judge import known_objects

__all__ = ["TASK", "Params", "Scores", "label", "label_by_boxes", "plane_of", "run"]

MIN_AREA = 12
"""Objects of fewer pixels are not judged."""


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
        objects = sample_objects(sample.labels, params.objects, MIN_AREA)
        if objects:
            found = PromptSimulation(plane, objects, model, store, within)
            one, counts = found.clicks(params.clicks, params.target)
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
    plane, objects = plane_of(sample), sample_objects(sample.labels, Params().objects, MIN_AREA)
    labels: LabelArray = np.zeros(sample.shape, np.int32)
    if objects:
        masks = PromptSimulation(plane, objects, model, store, context).masks_of_boxes()
        for number, mask in enumerate(masks, start=1):
            labels[mask] = number
    return labels


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0


def _precision(sample: Sample, found: LabelArray) -> tuple[float, float]:
    known = known_objects(found, sample.known == Knowledge.ALL)
    scores = average_precision(sample.labels, known, MSA_THRESHOLDS, ignore_min_area=MIN_AREA)
    return float(scores[0]), float(scores.mean())


TASK = Task(
    name="evaluate",
    title="Evaluate",
    description="Judge a model on annotated images.",
    params=Params,
    run=run,
)
