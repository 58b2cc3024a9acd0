"""Objects that prompts or labels show on some planes of a stack, as labels of the whole stack."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_segmate.core.context import Context
from napari_segmate.core.errors import LabelsError, PromptError
from napari_segmate.core.masks.object_masks import instance_from_mask
from napari_segmate.core.prompts import ObjectPrompts
from napari_segmate.core.types import Instance, LabelArray
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.inference.prompts.predict import predict
from napari_segmate.inference.prompts.request import MaskOptions, Request
from napari_segmate.models.base import Segmenter
from napari_segmate.tasks.base import Task
from napari_segmate.tasks.propagate.engine import Engine, PlaneByPlane, PlaneMasks
from napari_segmate.tasks.propagate.params import Params
from napari_segmate.tasks.propagate.planes import StackPlanes
from napari_segmate.tasks.propagate.state import Propagation
from napari_segmate.tasks.segment import inside

__all__ = ["TASK", "Seed", "anchors_of_labels", "follow", "propagation_of", "run"]

SAVED_EVERY = 8
"""Planes after which a propagation that is kept in a file is written."""


@dataclass(frozen=True, eq=False)
class Seed:
    """An object that prompts show on a plane.

    Parameters
    ----------
    plane : int
        Which one, counted along the axis that is followed.
    prompts : ObjectPrompts
        In pixels of that plane.
    number : int
        Id of the object; seeds with one id on several planes are one object. 0 takes the next.
    """

    plane: int
    prompts: ObjectPrompts
    number: int = 0


def run(
    planes: StackPlanes,
    model: Segmenter,
    seeds: Sequence[Seed] = (),
    *,
    labels: LabelArray | None = None,
    params: Params | None = None,
    store: EmbeddingStore | None = None,
    context: Context | None = None,
    keep: Path | None = None,
    on_plane: Callable[[PlaneMasks], None] | None = None,
) -> Propagation:
    """Return objects, followed from the planes on which they are shown through the stack.

    Parameters
    ----------
    planes : StackPlanes
        The stack.
    model : Segmenter
        Who draws.
    seeds : sequence of Seed
        Objects that prompts show.
    labels : (n, H, W) array of integers, optional
        Objects that are labelled on some planes; they keep their ids.
    params : Params, optional
        Weights and gates.
    store : EmbeddingStore, optional
        Where embeddings are kept.
    context : Context, optional
        Progress and cancellation.
    keep : path, optional
        A file in which finished planes are kept: with the same seeds, a run that was stopped goes
        on from them. It is left where it is.
    on_plane : callable, optional
        Called with what was found on each plane.

    Raises
    ------
    PromptError
        No seed and no label, or a prompt outside the stack.
    LabelsError
        Labels of another shape.
    StateError
        The file to keep planes in is damaged.
    Cancelled
        The user stopped the job.

    Examples
    --------
    >>> from napari_segmate.core.images.image_source import ImageSource, guess_axes
    >>> from napari_segmate.core.prompts import Points
    >>> from napari_segmate.core.synthetic import stack_3d
    >>> from napari_segmate.models import load_model
    >>> image, truth = stack_3d((8, 64, 64), count=3)
    >>> planes = StackPlanes(ImageSource(image, guess_axes(image.shape)), anisotropy=2)
    >>> at = np.argwhere(truth[4] > 0)[0].tolist()
    >>> seed = Seed(4, ObjectPrompts(points=Points([at])))
    >>> run(planes, load_model("tiny"), [seed]).labels().shape
    (8, 64, 64)
    """
    params, context, store = params or Params(), context or Context(), store or EmbeddingStore()
    state = propagation_of(planes, model, seeds, labels, params, store, context)
    if keep is not None and keep.exists():
        state = _resumed(Propagation.load(keep), state)
    engine = PlaneByPlane(model, params, store)
    for found in follow(engine, planes, state, context=context, keep=keep):
        if on_plane is not None:
            on_plane(found)
    return state


def follow(
    engine: Engine,
    planes: StackPlanes,
    state: Propagation,
    *,
    context: Context | None = None,
    keep: Path | None = None,
) -> Iterator[PlaneMasks]:
    """Yield what an engine finds, and keep finished planes in a file, also when it is stopped."""
    try:
        for number, found in enumerate(engine.start(planes, state, context), start=1):
            yield found
            if keep is not None and number % SAVED_EVERY == 0:
                state.save(keep)
    finally:
        if keep is not None:
            state.save(keep)


def propagation_of(
    planes: StackPlanes,
    model: Segmenter,
    seeds: Sequence[Seed],
    labels: LabelArray | None = None,
    params: Params | None = None,
    store: EmbeddingStore | None = None,
    context: Context | None = None,
) -> Propagation:
    """Return a propagation of which nothing is done: the masks on the planes of the prompts.

    Raises
    ------
    PromptError, LabelsError
        As `run`.
    """
    params, context, store = params or Params(), context or Context(), store or EmbeddingStore()
    state = Propagation(len(planes), planes.shape)
    if labels is not None:
        for number, known in anchors_of_labels(labels, planes).items():
            for plane, labelled in known.items():
                state.set_anchor(number, plane, labelled)
    for plane, on_plane in _by_plane(seeds, len(planes), max(state.anchors, default=0)).items():
        for number, mask in _drawn(planes, plane, on_plane, model, params, store, context):
            if mask is not None:
                state.set_anchor(number, plane, mask)
    if not state.anchors:
        raise PromptError(
            "there is nothing to follow: the prompts show no object, and there are no labels; "
            "click into an object, or draw a box round it"
        )
    return state


def anchors_of_labels(labels: LabelArray, planes: StackPlanes) -> dict[int, dict[int, Instance]]:
    """Return the masks of labelled objects by id and plane.

    Raises
    ------
    LabelsError
        Another shape than the stack, or not integers.
    """
    array = labels if hasattr(labels, "shape") else np.asarray(labels)
    wanted = (len(planes), *planes.shape)
    if tuple(array.shape) != wanted or np.dtype(array.dtype).kind not in "iu":
        raise LabelsError(
            f"labels of shape {tuple(array.shape)} and type {array.dtype} for a stack of {wanted}; "
            "give integers of the same shape"
        )
    found: dict[int, dict[int, Instance]] = {}
    for plane in range(len(planes)):
        drawn = np.asarray(array[plane])
        for number in np.unique(drawn[drawn > 0]).tolist():
            mask = instance_from_mask(drawn == number)
            if mask is not None:
                found.setdefault(int(number), {})[plane] = mask
    return found


def _by_plane(
    seeds: Sequence[Seed], count: int, largest: int
) -> Mapping[int, list[tuple[int, ObjectPrompts]]]:
    """Return the prompts of each plane with the ids of their objects."""
    following = max([largest, *(seed.number for seed in seeds)]) + 1
    found: dict[int, list[tuple[int, ObjectPrompts]]] = {}
    for seed in seeds:
        if not 0 <= seed.plane < count:
            raise PromptError(
                f"a prompt on plane {seed.plane} of a stack of {count} planes, counted from 0"
            )
        number = seed.number
        if number == 0:
            number, following = following, following + 1
        found.setdefault(seed.plane, []).append((number, seed.prompts))
    return found


def _drawn(
    planes: StackPlanes,
    plane: int,
    objects: Sequence[tuple[int, ObjectPrompts]],
    model: Segmenter,
    params: Params,
    store: EmbeddingStore,
    context: Context,
) -> Iterator[tuple[int, Instance | None]]:
    """Yield what the model draws for the prompts of a plane; earlier objects come first."""
    prompts = tuple(inside(one, planes.shape) for _, one in objects)
    options = MaskOptions(diameter=params.diameter)
    request = Request(0, planes.plane(plane), prompts, options=options)
    taken = np.zeros(planes.shape, bool)
    for (number, _), result in zip(
        objects, predict(request, model, store, context).objects, strict=True
    ):
        mask = result.instance
        if mask is not None:
            y0, x0, y1, x1 = mask.box_yx
            free = mask.mask & ~taken[y0:y1, x0:x1]
            taken[y0:y1, x0:x1] |= free
            cut = instance_from_mask(free, (y0, x0), mask.score, mask.stability)
            yield number, cut
        else:
            yield number, None


def _resumed(kept: Propagation, fresh: Propagation) -> Propagation:
    """Return what was kept, with the anchors that are new or other now."""
    if (kept.count, kept.shape) != (fresh.count, fresh.shape):
        return fresh
    for number in sorted({*kept.anchors, *fresh.anchors}):
        before, now = kept.anchors.get(number, {}), fresh.anchors.get(number, {})
        for plane in sorted({*before, *now}):
            if not _same(before.get(plane), now.get(plane)):
                kept.set_anchor(number, plane, now.get(plane))
    return kept


def _same(a: Instance | None, b: Instance | None) -> bool:
    if a is None or b is None:
        return a is b
    return a.box_yx == b.box_yx and bool(np.array_equal(a.mask, b.mask))


TASK = Task(
    name="propagate",
    title="Propagate",
    description="Follow objects of one plane of a stack through the other planes.",
    params=Params,
    run=run,
)
