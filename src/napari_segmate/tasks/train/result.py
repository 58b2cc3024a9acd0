"""Result of a training: both models judged, the new one written, a picture that compares them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor

from napari_segmate.core.context import Context
from napari_segmate.core.files.atomic import replacing
from napari_segmate.core.training_events import MARGIN, Message, Result
from napari_segmate.core.types import LabelArray, RGBImage
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.models import load_model
from napari_segmate.models._own import write_own
from napari_segmate.models.base import Segmenter
from napari_segmate.tasks.evaluate import run as evaluate
from napari_segmate.tasks.train.job import Job
from napari_segmate.training.data import Knowledge, Sample, count_objects
from napari_segmate.training.loop import Outcome

__all__ = ["comparison", "finish", "write_picture"]

JUDGED_SIDE = 640
"""Large planes are judged by a part of this side, before and after."""
GAP = 8
COLOURS = np.array([[40, 220, 90], [255, 190, 0], [255, 60, 160]], np.uint8)
"""Truth, before, after."""
LARGEST = 512
WIDE = 1.5
"""Ratio of the sides from which on images stand below each other."""


def finish(job: Job, outcome: Outcome, target: Path, overwrite: bool = False) -> Result:
    """Judge both models, write the new one and the picture.

    Parameters
    ----------
    job : Job
        The training; its learner has the best weights.
    outcome : Outcome
        How it ended.
    target : Path
        The file to write.
    overwrite : bool
        Replace a model that is there.

    Raises
    ------
    CacheError
        The model cannot be written.
    Cancelled
        It is not wanted any more; nothing was written.
    """
    judged = [_cut(sample) for sample in job.compared]
    store = EmbeddingStore()
    context = _judging(job, "the model before")
    before = evaluate.run(judged, job.start, store=store, context=context)
    weights = job.learner.weights()
    with _written(target, weights, _metadata(job, outcome, {}, {})) as file:
        new = load_model(file, device=job.learner.device)
        context = _judging(job, "the new model")
        after = evaluate.run(judged, new, store=store, context=context)
        picture = _comparison(judged[0], (job.start, new), store, context)
    target = target if overwrite else _free(job, target)
    write_own(target, weights, _metadata(job, outcome, before.as_dict(), after.as_dict()))
    return Result(
        model=target.stem,
        path=str(target),
        before=before.as_dict(),
        after=after.as_dict(),
        worse=after.overall < before.overall - MARGIN,
        picture=write_picture(target.with_name(f"{target.stem}.png"), picture),
    )


def _judging(job: Job, what: str) -> Context:
    """Return what tells how far the judging of a model is."""
    text = f"judging {what}"
    return Context(
        lambda done, total, _: job.context.report(done, total, text), job.context.cancelled
    )


@contextmanager
def _written(
    target: Path, weights: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> Iterator[Path]:
    """Write a model where no list finds it: it is none before it has been judged."""
    folder = target.with_name(f".{target.stem}.trial")
    try:
        file = folder / target.name
        write_own(file, weights, metadata)
        yield file
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _free(job: Job, target: Path) -> Path:
    """Return the file to write: another one when the name was taken during the training."""
    free, number = target, 1
    while free.exists():
        number += 1
        free = target.with_name(f"{target.stem}-{number}{target.suffix}")
    if free != target:
        job.emit(Message(f"'{target.stem}' was taken meanwhile: the new model is '{free.stem}'"))
    return free


def _cut(sample: Sample) -> Sample:
    """Return the part of a large sample that has most labelled pixels, roughly."""
    height, width = sample.shape
    if max(height, width) <= JUDGED_SIDE:
        return sample
    tall, wide = min(height, JUDGED_SIDE), min(width, JUDGED_SIDE)
    corners = [
        (y, x)
        for y in range(0, height - tall + 1, max(tall // 2, 1))
        for x in range(0, width - wide + 1, max(wide // 2, 1))
    ]
    y, x = max(
        corners,
        key=lambda at: int((sample.labels[at[0] : at[0] + tall, at[1] : at[1] + wide] > 0).sum()),
    )
    return sample.part((y, x, y + tall, x + wide))


def _comparison(
    sample: Sample, models: Sequence[Segmenter], store: EmbeddingStore, context: Context
) -> RGBImage:
    """Return the picture of a held-out plane; models without instance head get boxes."""
    found: list[LabelArray] = [sample.labels]
    for model in models:
        show = evaluate.label if model.info.instance_head else evaluate.label_by_boxes
        found.append(show(sample, model, store, context))
    return comparison(sample.image, found)


def comparison(image: RGBImage, labels: Sequence[LabelArray]) -> RGBImage:
    """Return the image beside itself with the outlines of each label image drawn in.

    Wide images stand one below the other.

    Parameters
    ----------
    image : (H, W, 3) uint8
        The plane; only its upper left 512 x 512 pixels are shown.
    labels : sequence of (H, W) int
        Truth, before, after.
    """
    cut = np.s_[:LARGEST, :LARGEST]
    panels: list[npt.NDArray[np.uint8]] = [image[cut]]
    for number, one in enumerate(labels):
        panel = image[cut].copy()
        panel[_outlines(one[cut])] = COLOURS[number % len(COLOURS)]
        panels.append(panel)
    height, width = panels[0].shape[:2]
    below = width > WIDE * height
    gap = np.full((GAP, width, 3) if below else (height, GAP, 3), 255, np.uint8)
    parts = [part for panel in panels for part in (panel, gap)][:-1]
    return np.concatenate(parts, axis=0 if below else 1)


def _outlines(labels: LabelArray) -> npt.NDArray[np.bool_]:
    """Return the pixels of objects beside another object or the background."""
    edge = np.zeros(labels.shape, bool)
    down, across = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    return np.asarray(edge & (labels > 0))


def write_picture(path: Path, picture: RGBImage) -> str:
    """Write a PNG file and return its name, empty if that fails: a picture is not worth an end."""
    import imageio.v3 as imageio

    try:
        with replacing(path) as part:
            imageio.imwrite(part, picture, extension=".png")
    except OSError:
        return ""
    return str(path)


def _metadata(
    job: Job, outcome: Outcome, before: Mapping[str, float], after: Mapping[str, float]
) -> dict[str, str]:
    """Return all that a file says about itself."""
    info, parts, learner = job.start.info, job.parts, job.learner
    data = {
        "planes": len(parts.training),
        "objects": count_objects(parts.training),
        "held_out_planes": len(parts.held_out),
        "held_out_objects": count_objects(parts.held_out),
        "held_out": parts.how,
        "whole": all((one.known == Knowledge.ALL).all() for one in parts.training),
        "names": [one.name for one in parts.training][:50],
    }
    settings = {"epochs": outcome.epochs, "best_epoch": outcome.best_epoch, "seed": job.params.seed}
    return {
        **learner.metadata(),
        "architecture": info.architecture,
        "base": info.name,
        "base_key": job.start.key,
        "licence": info.licence,
        "instance_head": "true" if learner.dense else "false",
        "diameter": f"{info.diameter:g}",
        "parameters": str(sum(one.numel() for one in learner.network.parameters())),
        "preset": str(job.params.preset),
        "summary": f"trained from {info.name} on {data['objects']} objects",
        "data": json.dumps(data),
        "training": json.dumps({**settings, "rate": job.schedule.rate}),
        "metrics": json.dumps({"before": dict(before), "after": dict(after)}),
        "plugin_version": _version(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _version() -> str:
    try:
        return version("napari-segmate")
    except PackageNotFoundError:
        return "unknown"
