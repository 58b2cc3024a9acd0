"""Segment the objects that prompts point at, in one plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np

from napari_segmate.core.context import Context
from napari_segmate.core.errors import PromptError
from napari_segmate.core.labels.commit import Change, CommitPolicy, apply, commit, dtype_for
from napari_segmate.core.prompts import Box, ObjectPrompts
from napari_segmate.core.types import Instance, LabelArray, Shape2D
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.inference.prompts.predict import predict
from napari_segmate.inference.prompts.request import MaskOptions, ObjectResult, PlaneLike, Request
from napari_segmate.io.provenance import Record
from napari_segmate.models.base import Segmenter
from napari_segmate.tasks.base import Task

__all__ = ["TASK", "Params", "Segmentation", "inside", "run"]

BATCH = 64
"""Objects answered at a time: bounds the memory of their candidates."""


@dataclass(frozen=True)
class Params:
    """How prompts become labels.

    Parameters
    ----------
    fill_holes : bool
        Fill the holes of objects.
    min_size : int
        Drop pieces of an object smaller than this many pixels; its largest piece always stays.
    threshold : float
        Logits above it are inside.
    diameter : float
        Typical object in pixels: decides how large the model sees the image; 0 estimates it.
    overlap : CommitPolicy
        Which object gets pixels that several have: the earlier one (``keep``), the later one
        (``overwrite``); ``background`` leaves out objects that lie mostly on earlier ones.
    """

    fill_holes: bool = field(default=True, metadata={"help": "Fill the holes of objects."})
    min_size: int = field(
        default=0, metadata={"help": "Drop pieces of an object smaller than this many pixels."}
    )
    threshold: float = field(default=0.0, metadata={"help": "Logits above it are inside."})
    diameter: float = field(
        default=0.0,
        metadata={"help": "Typical object in pixels; 0 estimates it."},
    )
    overlap: CommitPolicy = field(
        default=CommitPolicy.KEEP_OBJECTS,
        metadata={
            "help": "Which object gets pixels that several have: the earlier one (keep), the "
            "later one (overwrite); 'background' leaves out what lies mostly on earlier ones."
        },
    )

    @property
    def mask_options(self) -> MaskOptions:
        """The part that concerns single masks."""
        return MaskOptions(self.fill_holes, self.min_size, self.threshold, self.diameter)


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Objects of one plane.

    Parameters
    ----------
    shape : (height, width)
        Size of the plane.
    instances : tuple of Instance or None
        One entry per prompted object, None where the model found nothing.
    records : tuple of Record
        How each object that was found came about.
    changes : tuple of Change
        What to write into an empty label image: object number N has the id N.
    """

    shape: Shape2D
    instances: tuple[Instance | None, ...]
    records: tuple[Record, ...]
    changes: tuple[Change, ...]

    @classmethod
    def of(
        cls,
        shape: Shape2D,
        instances: Sequence[Instance | None],
        records: Sequence[Record],
        params: Params,
    ) -> Segmentation:
        """Return objects, of which earlier ones come first where they overlap."""
        changes = _changes(shape, instances, params)
        return cls(shape, tuple(instances), tuple(records), changes)

    def labels(self) -> LabelArray:
        """Return the (H, W) label image; ids count the prompted objects from 1."""
        dtype = dtype_for(len(self.instances), np.uint16)
        labels: LabelArray = apply(np.zeros(self.shape, dtype), self.changes)
        return labels

    @property
    def missing(self) -> tuple[int, ...]:
        """The ids of objects that have no pixel: nothing was found, or others have it all."""
        written = {change.value for change in self.changes}
        return tuple(n for n in range(1, len(self.instances) + 1) if n not in written)


def run(
    plane: PlaneLike,
    prompts: Sequence[ObjectPrompts],
    model: Segmenter,
    *,
    params: Params | None = None,
    store: EmbeddingStore | None = None,
    index: tuple[int, ...] = (),
    context: Context | None = None,
) -> Segmentation:
    """Return the objects that prompts point at.

    Parameters
    ----------
    plane : Plane
        Where to read pixels; only what the prompts need is read.
    prompts : sequence of ObjectPrompts
        One entry per object, in plane pixels.
    model : Segmenter
        Who answers.
    params : Params, optional
        How masks become labels.
    store : EmbeddingStore, optional
        Where embeddings are kept; in memory, for this call only, by default.
    index : tuple of int
        Which plane of a stack it is, for the records.
    context : Context, optional
        Progress and cancellation.

    Raises
    ------
    PromptError
        No prompt, or one outside the plane.
    Cancelled
        The user stopped the job.
    """
    params, context = params or Params(), context or Context()
    if not prompts:
        raise PromptError("no prompt: give at least one point or box")
    checked = [inside(one, plane.shape) for one in prompts]
    store = store or EmbeddingStore()
    instances: list[Instance | None] = []
    records: list[Record] = []
    for first in range(0, len(checked), BATCH):
        context.report(first, len(checked), "segmenting")
        batch = tuple(checked[first : first + BATCH])
        request = Request(0, plane, batch, options=params.mask_options)
        for result in predict(request, model, store, context).objects:
            instances.append(result.instance)
            if result.instance is not None:
                records.append(_record(len(instances), result, index, model, params))
    context.report(len(checked), len(checked), "segmenting")
    return Segmentation.of(plane.shape, instances, records, params)


def inside(prompts: ObjectPrompts, shape: Shape2D) -> ObjectPrompts:
    """Return prompts that lie in a plane; a box that sticks out is cut.

    Raises
    ------
    PromptError
        A point outside the plane, or a box that does not touch it.
    """
    if prompts.points is not None:
        at = prompts.points.points_yx
        beyond = ((at < -0.5) | (at > np.array(shape) - 0.5)).any(axis=1)
        if beyond.any():
            raise _outside("point", at[beyond][0].tolist(), shape)
    if prompts.box is None:
        return prompts
    return replace(prompts, box=_cut(prompts.box, shape))


def _cut(box: Box, shape: Shape2D) -> Box:
    corners = np.reshape(box.box_yx, (2, 2))
    cut = np.clip(corners, -0.5, np.array(shape) - 0.5)
    if (np.diff(cut, axis=0) < 1).any():
        raise _outside("box", list(box.box_yx), shape)
    y0, x0, y1, x1 = cut.ravel().tolist()
    return Box((y0, x0, y1, x1))


def _outside(kind: str, at: list[float], shape: Shape2D) -> PromptError:
    where = ", ".join(f"{value:g}" for value in at)
    return PromptError(
        f"the {kind} ({where}) lies outside the image of {shape[0]} x {shape[1]} pixels (y, x); "
        "give pixel coordinates, y before x"
    )


def _record(
    number: int, result: ObjectResult, index: tuple[int, ...], model: Segmenter, params: Params
) -> Record:
    instance = result.instance
    assert instance is not None
    return Record(
        label=number,
        index=index,
        box_yx=instance.box_yx,
        model=model.info.name,
        model_key=model.key,
        steps=result.steps,
        options=asdict(params.mask_options),
        score=instance.score,
        stability=instance.stability,
    )


class _Empty:
    """A label plane without objects that takes no memory."""

    dtype = np.dtype(np.uint64)

    def __init__(self, shape: Shape2D) -> None:
        self.shape = shape

    def __getitem__(self, index: tuple[slice, slice]) -> LabelArray:
        y, x = index
        return np.zeros((y.stop - y.start, x.stop - x.start), np.uint8)


def _changes(
    shape: Shape2D, instances: Sequence[Instance | None], params: Params
) -> tuple[Change, ...]:
    found = [(number, one) for number, one in enumerate(instances, 1) if one is not None]
    changes = commit(_Empty(shape), [one for _, one in found], first_id=1, policy=params.overlap)
    ids = [number for number, _ in found]
    return tuple(replace(change, value=ids[change.value - 1]) for change in changes)


TASK = Task(
    name="segment",
    title="Segment",
    description="Segment the objects that points and boxes show, in one plane of an image.",
    params=Params,
    run=run,
)
