"""Find things by name: phrases and an image in, boxes and the labels of their objects out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_segmate.core.context import Context
from napari_segmate.core.images.image_source import Contrast, ContrastMode, ImageSource
from napari_segmate.core.masks.coarse_masks import MaskSource
from napari_segmate.core.text.detections import Detections, select
from napari_segmate.core.text.phrases import split_phrases
from napari_segmate.core.types import Shape2D
from napari_segmate.detectors import (
    commit_of,
    download,
    get_detector,
    load_detector,
    missing_files,
    usable,
)
from napari_segmate.detectors.base import Detector
from napari_segmate.inference.detection.search import search
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.inference.prompts.request import PlaneLike
from napari_segmate.models.base import Segmenter
from napari_segmate.tasks.base import Task
from napari_segmate.tasks.stack import planes_in_order
from napari_segmate.tasks.text.params import Params
from napari_segmate.tasks.text.result import Found, FoundBox, PlaneFound, found_objects
from napari_segmate.tasks.text.segment_boxes import Finder, PlaneBoxes, segment_boxes, touches

__all__ = ["TASK", "Found", "FoundBox", "Params", "PlaneFound", "find", "ready", "run", "run_stack"]

SEARCH_SHARE = 0.9
"""Part of the time that the search takes, for the progress: outlines are drawn fast."""
STEPS = 1000
"""Steps of the progress."""

Index = tuple[int, ...]


def ready(
    name: str | Path = "auto", *, device: str = "auto", context: Context | None = None
) -> Detector:
    """Return a detector ready to use; what is missing of it is downloaded.

    Parameters
    ----------
    name : str or Path
        As for `napari_segmate.detectors.load_detector`.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    context : Context, optional
        Progress and cancellation.

    Raises
    ------
    UnknownNameError
        No such detector.
    MissingExtraError, ModelError, OfflineError
        What it needs is not installed, does not fit, or cannot be downloaded.
    """
    context = context or Context()
    info = get_detector(name)
    if usable(info) and missing_files(info):
        download(info, context)
    return load_detector(name, device=device, context=context)


def find(
    plane: PlaneLike,
    phrases: Sequence[str],
    detector: Detector,
    params: Params | None = None,
    *,
    index: Index = (),
    context: Context | None = None,
) -> PlaneFound:
    """Return the boxes of a plane that pass; nothing is segmented.

    Parameters
    ----------
    plane : Plane
        Where to read pixels: piece by piece where it is large.
    phrases : sequence of str
        The concepts.
    detector : Detector
        Who looks.
    params : Params, optional
        How.
    index : tuple of int
        Which plane of a stack it is.
    context : Context, optional
        Progress, and cancellation between tiles.
    """
    params = params or Params()
    seen = search(
        plane,
        phrases,
        detector,
        params.search_options,
        diameter=params.diameter,
        context=context,
    )
    boxes = tuple(_chosen(seen, params, plane.shape))
    best = seen.scores.max(axis=0, initial=0.0)
    return PlaneFound(index, boxes, (0,) * len(boxes), tuple(best.tolist()))


def _chosen(seen: Detections, params: Params, shape: Shape2D) -> list[FoundBox]:
    chosen = select(seen, params.select_params)
    drawn = params.masks is MaskSource.DETECTOR
    found = [
        FoundBox((y0, x0, y1, x1), seen.phrases[phrase], score, row, mask=mask if drawn else None)
        for (y0, x0, y1, x1), phrase, score, row, mask in zip(
            chosen.boxes_yx.tolist(),
            chosen.phrase_index.tolist(),
            chosen.scores.tolist(),
            chosen.rows.tolist(),
            chosen.masks,
            strict=True,
        )
    ]
    return [box for box in found if touches(box.box_yx, shape)]


def run(
    plane: PlaneLike,
    prompt: str,
    detector: Detector,
    model: Segmenter,
    params: Params | None = None,
    *,
    store: EmbeddingStore | None = None,
    context: Context | None = None,
) -> Found:
    """Return the objects of a plane that words name.

    Parameters
    ----------
    plane : Plane
        Where to read pixels.
    prompt : str
        What to look for: concepts, separated by commas or lines.
    detector : Detector
        Who finds boxes, see `ready`.
    model : Segmenter
        Who draws the outlines of what is in them, unless the detector has done so.
    params : Params, optional
        How.
    store : EmbeddingStore, optional
        Where embeddings are kept.
    context : Context, optional
        Progress, and cancellation within one tile.

    Raises
    ------
    PromptError
        There is no concept in the prompt, or one is too long.
    Cancelled
        The user stopped the job.
    """
    planes = [((), plane)]
    return _run(planes, prompt, detector, model, params, store, context, (), _Linking())


def run_stack(
    source: ImageSource,
    prompt: str,
    detector: Detector,
    model: Segmenter,
    params: Params | None = None,
    *,
    contrast: Contrast | None = None,
    indices: Sequence[Index] | None = None,
    link: bool = True,
    z_axis: int = -1,
    anisotropy: float = 1.0,
    store: EmbeddingStore | None = None,
    context: Context | None = None,
) -> Found:
    """Return the objects of a stack that words name, linked from plane to plane.

    Parameters
    ----------
    source : ImageSource
        The image; planes are read one after the other. May be a single plane.
    prompt, detector, model, params, store, context
        As in `run`.
    contrast : Contrast, optional
        The same for all planes; estimated from the whole stack by default.
    indices : sequence of tuple of int, optional
        Only these planes; all by default. Others stay empty.
    link : bool
        Objects of one concept that lie on each other in neighbouring planes are one.
    z_axis : int
        Along which of `ImageSource.index_axes`, counted among these, planes are linked.
    anisotropy : float
        Distance of planes over that of pixels.

    Raises
    ------
    ParameterError
        There is no such plane or axis.
    """
    sizes = source.index_shape
    order = planes_in_order(sizes, indices, z_axis)
    if contrast is None:
        mode = ContrastMode.STACK if math.prod(sizes) > 1 else ContrastMode.PLANE
        contrast = source.estimate_contrast(mode, (0,) * len(sizes))
    planes = [(index, source.plane(index, contrast)) for index in order]
    linking = _Linking(link and len(order) > 1, z_axis if sizes else None, anisotropy)
    return _run(planes, prompt, detector, model, params, store, context, sizes, linking)


@dataclass(frozen=True)
class _Linking:
    linked: bool = False
    z_axis: int | None = None
    anisotropy: float = 1.0


def _run(
    planes: Sequence[tuple[Index, PlaneLike]],
    prompt: str,
    detector: Detector,
    model: Segmenter,
    params: Params | None,
    store: EmbeddingStore | None,
    context: Context | None,
    sizes: tuple[int, ...],
    linking: _Linking,
) -> Found:
    params, context = params or Params(), context or Context()
    phrases = split_phrases(prompt)
    found = [
        find(plane, phrases, detector, params, index=index, context=part)
        for (index, plane), part in zip(planes, _parts(context, len(planes)), strict=True)
    ]
    labels = np.zeros((*sizes, *planes[0][1].shape), np.int32)
    if not any(one.boxes for one in found):
        context.report(STEPS, STEPS, "done")
        return Found(labels, phrases, (), (), tuple(found), (), params)
    finder = Finder(detector.info.name, commit_of(detector.info))
    segmented = segment_boxes(
        [PlaneBoxes(*at, one.boxes, finder) for at, one in zip(planes, found, strict=True)],
        lambda: model,
        params.segment_params,
        store or EmbeddingStore(),
        _span(context, SEARCH_SHARE, 1.0),
        linked=linking.linked,
        z_axis=linking.z_axis,
        anisotropy=linking.anisotropy,
    )
    return found_objects(labels, segmented, found, phrases, prompt, params)


def _parts(context: Context, count: int) -> list[Context]:
    """Return a context for the search of each plane."""
    step = SEARCH_SHARE / count
    names = [f"plane {number} of {count}: " if count > 1 else "" for number in range(1, count + 1)]
    return [_span(context, at * step, (at + 1) * step, name) for at, name in enumerate(names)]


def _span(context: Context, begin: float, end: float, name: str = "") -> Context:
    """Return a context that reports a part of the way as the whole of it."""

    def report(done: int, total: int, text: str) -> None:
        share = begin + (end - begin) * (done / total if total else 0.0)
        context.progress(round(STEPS * share), STEPS, f"{name}{text}")

    return Context(report, context.cancelled)


TASK = Task(
    name="text",
    title="Find by text",
    description="Find the objects that words name.",
    params=Params,
    run=run,
)
