"""From boxes to objects: what the worker thread does when the user presses Segment."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from napari_segmate.core.context import Context
from napari_segmate.core.errors import PromptError
from napari_segmate.core.prompts import Box, ObjectPrompts
from napari_segmate.core.types import Shape2D
from napari_segmate.inference.embeddings import EmbeddingStore
from napari_segmate.inference.request import PlaneLike
from napari_segmate.io.provenance import Record
from napari_segmate.models.base import Segmenter
from napari_segmate.plugin.layers import DisplayedPlane
from napari_segmate.plugin.linking import link_planes
from napari_segmate.plugin.many_objects import ManyObjects, Patch
from napari_segmate.sessions.text_boxes import PlaneIndex, TextBox
from napari_segmate.tasks.segment import Params, Segmentation, run

__all__ = ["PlaneBoxes", "PlaneObjects", "SegmentedBoxes", "as_objects", "segment_boxes"]


@dataclass(frozen=True, eq=False)
class PlaneBoxes:
    """Boxes of one plane, to be segmented."""

    index: PlaneIndex
    plane: PlaneLike
    boxes: tuple[TextBox, ...]


@dataclass(frozen=True, eq=False)
class PlaneObjects:
    """What a plane's boxes became; object N belongs to box N - 1."""

    index: PlaneIndex
    boxes: tuple[TextBox, ...]
    segmentation: Segmentation


@dataclass(frozen=True, eq=False)
class SegmentedBoxes:
    """Objects of all planes.

    Parameters
    ----------
    planes : tuple of PlaneObjects
        Plane by plane.
    numbers : tuple of tuple of int
        Per plane and box the number of its object, from 1; linked ones share a number.
    detector : str
        Who found the boxes, for the record.
    """

    planes: tuple[PlaneObjects, ...]
    numbers: tuple[tuple[int, ...], ...]
    detector: str = ""

    @property
    def count(self) -> int:
        """Largest number of an object."""
        return max((max(numbers, default=0) for numbers in self.numbers), default=0)

    @property
    def empty(self) -> bool:
        """True when the model found nothing in any box."""
        return not any(one.segmentation.changes for one in self.planes)


def segment_boxes(
    planes: Sequence[PlaneBoxes],
    model: Segmenter,
    params: Params,
    store: EmbeddingStore,
    context: Context,
    *,
    linked: bool = False,
    anisotropy: float = 1.0,
    detector: str = "",
) -> SegmentedBoxes:
    """Return the objects in the boxes of some planes.

    Where two of one plane overlap, the one with the better box keeps the pixels.

    Parameters
    ----------
    planes : sequence of PlaneBoxes
        In order along the stack.
    model : Segmenter
        Who answers.
    params : Params
        How masks become labels.
    store : EmbeddingStore
        Where embeddings are kept.
    context : Context
        Progress and cancellation.
    linked : bool
        Objects that lie on each other in neighbouring planes become one.
    anisotropy : float
        Distance of planes over that of pixels.
    detector : str
        For the record.

    Raises
    ------
    PromptError
        No box lies in its plane.
    Cancelled
        The user stopped the job.
    """
    found = []
    for number, one in enumerate(planes):
        boxes = tuple(sorted(filter(_touches(one.plane.shape), one.boxes), key=_rank))
        if not boxes:
            continue
        prompts = [ObjectPrompts(box=Box(box.box_yx)) for box in boxes]
        part = _part_of(context, number, len(planes))
        found.append(
            PlaneObjects(
                one.index,
                boxes,
                run(
                    one.plane,
                    prompts,
                    model,
                    params=params,
                    store=store,
                    index=one.index,
                    context=part,
                ),
            )
        )
    if not found:
        raise PromptError("all boxes lie outside the image; draw some round what is in it")
    numbers = link_planes(found, linked=linked, anisotropy=anisotropy)
    return SegmentedBoxes(tuple(found), numbers, detector)


def _touches(shape: Shape2D) -> Any:
    def touches(box: TextBox) -> bool:
        y0, x0, y1, x1 = box.box_yx
        inside = y0 < shape[0] - 0.5 and x0 < shape[1] - 0.5 and y1 > -0.5 and x1 > -0.5
        return inside and y1 - y0 >= 1 and x1 - x0 >= 1

    return touches


def _rank(box: TextBox) -> float:
    """Return what to sort by: what the user has drawn first, then the best score."""
    return -math.inf if math.isnan(box.score) else -box.score


def _part_of(context: Context, number: int, count: int) -> Context:
    if count == 1:
        return context

    def report(done: int, total: int, text: str) -> None:
        share = done / total if total else 0.0
        context.progress(
            round(100 * (number + share)), 100 * count, f"plane {number + 1} of {count}"
        )

    return Context(report, context.cancelled)


def as_objects(
    segmented: SegmentedBoxes, planes: Mapping[PlaneIndex, DisplayedPlane], prompt: str
) -> ManyObjects:
    """Return objects as they enter a labels layer, with class and story of each.

    Parameters
    ----------
    segmented : SegmentedBoxes
        The objects.
    planes : mapping
        Where each plane lies in the labels layer.
    prompt : str
        What the user had typed, for the record.
    """
    classes = ["" for _ in range(segmented.count)]
    scores = [math.nan for _ in range(segmented.count)]
    records: list[Record] = []
    patches = []
    for one, numbers in zip(segmented.planes, segmented.numbers, strict=True):
        patches.append(Patch.of(planes[one.index], one.segmentation.changes, numbers))
        for box, number in zip(one.boxes, numbers, strict=True):
            # The first plane in which an object appears names it.
            classes[number - 1] = classes[number - 1] or box.concept
            if math.isnan(scores[number - 1]):
                scores[number - 1] = box.score
        records += [
            _told(record, one.boxes[record.label - 1], numbers, segmented.detector, prompt)
            for record in one.segmentation.records
        ]
    return ManyObjects(segmented.count, patches, records, {"class": classes, "text score": scores})


def _told(
    record: Record, box: TextBox, numbers: Sequence[int], detector: str, prompt: str
) -> Record:
    story = {
        "prompt": prompt,
        "concept": box.concept,
        "detector": detector,
        "origin": box.origin.value,
        "score": None if math.isnan(box.score) else round(box.score, 6),
    }
    told = replace(record, view={**record.view, "text": story})
    return told.with_label(numbers[record.label - 1])
