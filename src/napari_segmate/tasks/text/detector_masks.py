"""What a detector drew itself, as objects beside those that the model draws."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

from napari_segmate.core.masks.coarse_masks import CoarseMask
from napari_segmate.core.masks.object_masks import clean, instance_from_mask
from napari_segmate.core.types import Instance, Shape2D
from napari_segmate.inference.prompts.request import PlaneLike
from napari_segmate.io.provenance import Record
from napari_segmate.tasks.segment import Params, Segmentation

__all__ = ["Finder", "from_masks", "together"]


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


class _Masked(Protocol):
    @property
    def score(self) -> float: ...

    @property
    def mask(self) -> CoarseMask | None: ...


class _Plane(Protocol):
    @property
    def index(self) -> tuple[int, ...]: ...

    @property
    def plane(self) -> PlaneLike: ...

    @property
    def finder(self) -> Finder: ...


def from_masks(one: _Plane, boxes: Sequence[_Masked], params: Params) -> Segmentation:
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
    instances = [_object(box, one.plane.shape, params) for box in boxes]
    records = [
        _record(number, instance, one.index, params, one.finder)
        for number, instance in enumerate(instances, start=1)
        if instance is not None
    ]
    return Segmentation.of(one.plane.shape, instances, records, params)


def _object(box: _Masked, shape: Shape2D, params: Params) -> Instance | None:
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


def together(drawn: Segmentation, answered: Segmentation, params: Params) -> Segmentation:
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
