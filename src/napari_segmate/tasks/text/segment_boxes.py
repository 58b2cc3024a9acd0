"""Objects in named boxes, plane by plane, drawn by the detector or by the model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from napari_segmate.core.context import Context
from napari_segmate.core.errors import PromptError
from napari_segmate.core.masks.coarse_masks import CoarseMask
from napari_segmate.core.masks.object_masks import clean, instance_from_mask
from napari_segmate.core.prompts import Box, ObjectPrompts
from napari_segmate.core.types import BoxYX, Instance, Shape2D
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.inference.prompts.request import PlaneLike
from napari_segmate.io.provenance import Record
from napari_segmate.models.base import Segmenter
from napari_segmate.tasks.segment import Params, Segmentation, run
from napari_segmate.tasks.text.link_boxes import link_planes

__all__ = [
    "Finder",
    "NamedBox",
    "PlaneBoxes",
    "PlaneObjects",
    "SegmentedBoxes",
    "segment_boxes",
    "touches",
]

Index = tuple[int, ...]


@dataclass(frozen=True)
class Finder:
    """Who found boxes, for the record.

    Parameters
    ----------
    detector : str
        Name of the detector.
    revision : str
        Commit of its repository that its files are of; empty if that is not known.
    """

    detector: str = ""
    revision: str = ""

    @property
    def story(self) -> dict[str, str]:
        """What the record of an object says of it."""
        more = {"revision": self.revision} if self.revision else {}
        return {"detector": self.detector, **more}

    @property
    def key(self) -> str:
        """Name and version in one."""
        return f"{self.detector}@{self.revision}" if self.revision else self.detector


class NamedBox(Protocol):
    """A box, what is in it, and how sure the detector is."""

    @property
    def box_yx(self) -> BoxYX:
        """Corners in plane pixels."""
        ...

    @property
    def concept(self) -> str:
        """What is in it."""
        ...

    @property
    def score(self) -> float:
        """0 to 1; NaN for a box that a user has drawn."""
        ...

    @property
    def origin(self) -> str:
        """``"found"``, ``"edited"`` or ``"drawn"``."""
        ...

    @property
    def mask(self) -> CoarseMask | None:
        """What the detector drew in it; None has the model draw it."""
        ...


B = TypeVar("B", bound=NamedBox)


@dataclass(frozen=True, eq=False)
class PlaneBoxes(Generic[B]):
    """Boxes of one plane, to be segmented; `finder` found them."""

    index: Index
    plane: PlaneLike
    boxes: tuple[B, ...]
    finder: Finder = field(default_factory=Finder)


@dataclass(frozen=True, eq=False)
class PlaneObjects(Generic[B]):
    """What a plane's boxes became; object N belongs to box N - 1."""

    index: Index
    boxes: tuple[B, ...]
    segmentation: Segmentation
    finder: Finder


@dataclass(frozen=True, eq=False)
class SegmentedBoxes(Generic[B]):
    """Objects of all planes.

    Parameters
    ----------
    planes : tuple of PlaneObjects
        Plane by plane.
    numbers : tuple of tuple of int
        Per plane and box the number of its object, from 1; linked ones share a number.
    """

    planes: tuple[PlaneObjects[B], ...]
    numbers: tuple[tuple[int, ...], ...]

    @property
    def count(self) -> int:
        """Largest number of an object."""
        return max((max(numbers, default=0) for numbers in self.numbers), default=0)

    @property
    def empty(self) -> bool:
        """True when the model found nothing in any box."""
        return not any(one.segmentation.changes for one in self.planes)

    @property
    def classes(self) -> list[str]:
        """What each object is, by its number minus 1: the first plane with it names it."""
        return [box.concept if box else "" for box in self._first]

    @property
    def scores(self) -> list[float]:
        """How sure the detector was of each, in the first plane where it has a score."""
        scores = [math.nan] * self.count
        for one, numbers in zip(self.planes, self.numbers, strict=True):
            for box, number in zip(one.boxes, numbers, strict=True):
                if math.isnan(scores[number - 1]):
                    scores[number - 1] = box.score
        return scores

    @property
    def _first(self) -> list[B | None]:
        first: list[B | None] = [None] * self.count
        for one, numbers in zip(self.planes, self.numbers, strict=True):
            for box, number in zip(one.boxes, numbers, strict=True):
                first[number - 1] = first[number - 1] or box
        return first

    def records(self, prompt: str) -> list[Record]:
        """Return how each object came about; in the stack's numbers.

        Parameters
        ----------
        prompt : str
            What the user had typed.
        """
        return [
            _with_story(record, one.boxes[record.label - 1], one.finder, prompt).with_label(
                numbers[record.label - 1]
            )
            for one, numbers in zip(self.planes, self.numbers, strict=True)
            for record in one.segmentation.records
        ]


def segment_boxes(
    planes: Sequence[PlaneBoxes[B]],
    model: Callable[[], Segmenter],
    params: Params,
    store: EmbeddingStore,
    context: Context,
    *,
    linked: bool = False,
    anisotropy: float = 1.0,
    z_axis: int | None = None,
) -> SegmentedBoxes[B]:
    """Return the objects in the boxes of some planes.

    Boxes with a mask become what it shows, all others what the model finds in them. Where two
    objects of one plane overlap, the one with the better box keeps the pixels.

    Parameters
    ----------
    planes : sequence of PlaneBoxes
        In order along the stack.
    model : callable
        Returns who answers; not called when the detector has drawn everything.
    params : Params
        How masks become labels, whoever drew them.
    store : EmbeddingStore
        Where embeddings are kept.
    context : Context
        Progress and cancellation.
    linked : bool
        Objects that lie on each other in neighbouring planes become one.
    anisotropy : float
        Distance of planes over that of pixels.
    z_axis : int, optional
        Axis of the index along which planes are neighbours; any by default.

    Raises
    ------
    PromptError
        No box lies in its plane.
    Cancelled
        The user stopped the job.
    """
    found = []
    for number, one in enumerate(planes):
        boxes = tuple(
            sorted((box for box in one.boxes if touches(box.box_yx, one.plane.shape)), key=_rank)
        )
        if not boxes:
            continue
        part = _part_of(context, number, len(planes))
        drawn = _from_masks(one, boxes, params)
        pairs = zip(boxes, drawn.instances, strict=True)
        waiting = [box for box, instance in pairs if instance is None]
        if waiting:
            prompts = [ObjectPrompts(box=Box(box.box_yx)) for box in waiting]
            answered = run(
                one.plane,
                prompts,
                model(),
                params=params,
                store=store,
                index=one.index,
                context=part,
            )
            drawn = _together(drawn, answered, params)
        found.append(PlaneObjects(one.index, boxes, drawn, one.finder))
    if not found:
        raise PromptError("all boxes lie outside the image; draw some round what is in it")
    numbers = link_planes(found, linked=linked, anisotropy=anisotropy, z_axis=z_axis)
    return SegmentedBoxes(tuple(found), numbers)


def _from_masks(one: PlaneBoxes[B], boxes: Sequence[B], params: Params) -> Segmentation:
    """Return the objects of the boxes that have a mask; None stands for those of all others.

    Parameters
    ----------
    one : PlaneBoxes
        The plane.
    boxes : sequence of NamedBox
        Its boxes, the best one first.
    params : Params
        How masks become labels.
    """
    instances = [_instance(box, one.plane.shape, params) for box in boxes]
    records = [
        _record(number, instance, one.index, params, one.finder)
        for number, instance in enumerate(instances, start=1)
        if instance is not None
    ]
    return Segmentation.of(one.plane.shape, instances, records, params)


def _instance(box: NamedBox, shape: Shape2D, params: Params) -> Instance | None:
    score = 0.0 if math.isnan(box.score) else float(box.score)
    drawn = None if box.mask is None else box.mask.instance(shape, score)
    if drawn is None:
        return None
    mask = clean(drawn.mask, params.fill_holes, params.min_size)
    return instance_from_mask(mask, drawn.box_yx[:2], score)


def _record(
    number: int, instance: Instance, index: tuple[int, ...], params: Params, finder: Finder
) -> Record:
    options: dict[str, Any] = asdict(params.mask_options)
    return Record(
        label=number,
        index=index,
        box_yx=instance.box_yx,
        model=finder.detector,
        model_key=finder.key,
        steps=(),
        options=options,
        score=instance.score,
        stability=instance.stability,
    )


def _together(drawn: Segmentation, answered: Segmentation, params: Params) -> Segmentation:
    """Return all objects of a plane in the order of their boxes.

    Parameters
    ----------
    drawn : Segmentation
        One entry per box; those that are None wait for the model.
    answered : Segmentation
        What the model drew, one entry per box that waited.
    params : Params
        How masks become labels: earlier objects come first, whoever drew them.
    """
    places = [at for at, instance in enumerate(drawn.instances) if instance is None]
    if len(places) == len(drawn.instances):
        return answered
    instances = list(drawn.instances)
    for at, instance in zip(places, answered.instances, strict=True):
        instances[at] = instance
    records = [
        *drawn.records,
        *(replace(one, label=places[one.label - 1] + 1) for one in answered.records),
    ]
    records.sort(key=lambda record: record.label)
    return Segmentation.of(drawn.shape, instances, records, params)


def touches(box_yx: BoxYX, shape: Shape2D) -> bool:
    """Tell whether a part of a box that can be seen lies in a plane: a pixel along each side."""
    corners = np.reshape(box_yx, (2, 2))
    cut = np.clip(corners, -0.5, np.array(shape) - 0.5)
    return bool((np.diff(cut, axis=0) >= 1).all())


def _rank(box: NamedBox) -> float:
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


def _with_story(record: Record, box: NamedBox, finder: Finder, prompt: str) -> Record:
    story = {
        "prompt": prompt,
        "concept": box.concept,
        **finder.story,
        "origin": str(box.origin),
        "score": None if math.isnan(box.score) else round(box.score, 6),
    }
    return replace(record, view={**record.view, "text": story})
