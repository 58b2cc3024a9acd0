"""Train a model on annotated planes, and tell honestly what that was worth."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from napari_segmate._torch import resolve_device
from napari_segmate.core.context import Context
from napari_segmate.core.training_events import Event, Message, Result, Start
from napari_segmate.core.types import LabelArray
from napari_segmate.inference.embeddings import EmbeddingStore
from napari_segmate.models import FAMILIES, load_model
from napari_segmate.models._own import check_name, own_path, write_own
from napari_segmate.models.base import Segmenter
from napari_segmate.tasks import evaluate
from napari_segmate.tasks.base import Task
from napari_segmate.tasks.train_params import Params
from napari_segmate.tasks.train_picture import comparison, write_picture
from napari_segmate.training.build import Views, fingerprint_of, judging_entries
from napari_segmate.training.control import Control
from napari_segmate.training.data import Knowledge, Sample, count_objects
from napari_segmate.training.estimate import available_mb, check_fits, used_mb
from napari_segmate.training.learner import Learner
from napari_segmate.training.learners import family_of, learner_of
from napari_segmate.training.loop import Loop, Outcome
from napari_segmate.training.presets import Schedule, schedule_of
from napari_segmate.training.splits import Split, split

__all__ = ["TASK", "Params", "run", "target_of"]

FEW_OBJECTS = 8
JUDGED_PLANES = 6
JUDGED_SIDE = 640
"""Large planes are judged by a part of this side, before and after."""


@dataclass(frozen=True, eq=False)
class _Job:
    """What all steps of a training need."""

    params: Params
    parts: Split
    start: Segmenter
    schedule: Schedule
    emit: Callable[[Event], None]
    control: Control
    target: Path

    @property
    def judged(self) -> tuple[Sample, ...]:
        """The planes to judge by."""
        return self.parts.held_out or self.parts.training


def target_of(name: str | Path, overwrite: bool = False) -> Path:
    """Return the file of a new model: a path as it is, a name in the user's folder.

    Raises
    ------
    ParameterError
        The name is taken or cannot be one.
    """
    text = str(name)
    if isinstance(name, Path) or text.endswith(".safetensors") or "/" in text or "\\" in text:
        path = Path(text).expanduser()
        path = path if path.suffix == ".safetensors" else path.with_name(f"{path.name}.safetensors")
        check_name(path.stem, (), overwrite=True)
        _check_free(path, overwrite)
        return path
    shipped = [info.name for family in FAMILIES.values() for info in family.models]
    return own_path(check_name(text, shipped, overwrite))


def _check_free(path: Path, overwrite: bool) -> None:
    from napari_segmate.core.errors import ParameterError

    if path.exists() and not overwrite:
        raise ParameterError(
            f"there is a file {path} already; choose another name, or say that it is to be replaced"
        )


def run(
    samples: Sequence[Sample],
    params: Params | None = None,
    *,
    emit: Callable[[Event], None] | None = None,
    control: Control | None = None,
    context: Context | None = None,
    overwrite: bool = False,
    model: Segmenter | None = None,
) -> Result:
    """Train a model, write it, and return what it is worth.

    A training that was interrupted goes on where it was when it is started again with the same
    data and settings.

    Parameters
    ----------
    samples : sequence of Sample
        Annotated planes.
    params : Params, optional
        Settings.
    emit : callable, optional
        Gets every event, the result included.
    control : Control, optional
        Pause, stop and cancel.
    context : Context, optional
        Progress of what comes before the first step, and cancellation.
    overwrite : bool
        Replace a model of the same name.
    model : Segmenter, optional
        To begin with, instead of the one that `params` names.

    Raises
    ------
    LabelsError
        No labelled object.
    ParameterError
        The name is taken.
    OutOfMemoryError
        It would not fit; says what would.
    CacheError
        The model cannot be written.
    Cancelled
        The training is not wanted any more.
    """
    params, context = params or Params(), context or Context()
    emit, control = emit or _ignore, control or Control(context)
    target = target_of(params.name, overwrite)
    parts = split(samples, params.held_out, params.seed)
    start = model or load_model(params.model, device=params.device, context=context)
    schedule = params.schedule(schedule_of(family_of(start), params.preset))
    job = _Job(params, parts, start, schedule, emit, control, target)
    _tell_about(job)
    learner = learner_of(start, params.preset, resolve_device(params.device))
    learner.fit(parts.training)
    if params.size is not None and learner.dense:
        learner.size = params.size
    outcome = _train(job, learner, context)
    _tell_end(job, outcome)
    result = _finish(job, learner, outcome, context)
    _state_file(target).unlink(missing_ok=True)
    emit(result)
    return result


def _ignore(event: Event) -> None:
    """Drop an event."""


def _state_file(target: Path) -> Path:
    return target.with_name(f".{target.stem}.resume.pt")


def _tell_about(job: _Job) -> None:
    objects = count_objects(job.parts.training)
    if not job.parts.held_out:
        job.emit(
            Message(
                "too few objects to hold any out: the model is judged on what it learns from, "
                "which flatters it. Label at least two objects, better twenty"
            )
        )
        return
    judged = count_objects(job.parts.held_out)
    text = f"{objects} objects to learn from, {judged} held out ({job.parts.how})"
    if objects < FEW_OBJECTS:
        text += "; that is little, twenty or more would teach it better"
    job.emit(Message(text))


def _train(job: _Job, learner: Learner, context: Context) -> Outcome:
    params, schedule = job.params, job.schedule
    free = available_mb(learner.device)
    needed = check_fits(learner, schedule, job.start.info.name, free)
    views = Views(job.parts.training, learner, schedule, params.seed, context)
    loop = Loop(
        learner,
        views,
        judging_entries(job.judged, learner),
        schedule,
        params.seed,
        emit=job.emit,
        control=job.control,
        state_file=_state_file(job.target),
        fingerprint=fingerprint_of(
            [*job.parts.training, *job.parts.held_out],
            schedule,
            job.start.key,
            params.preset,
            params.seed,
            learner.size,
        ),
    )
    seconds = loop.measure_step()
    steps = schedule.epochs * loop.steps_per_epoch
    memory = max(needed, used_mb(learner.device))
    job.emit(Start(steps, schedule.epochs, learner.device, seconds * steps, memory))
    return loop.run()


def _tell_end(job: _Job, outcome: Outcome) -> None:
    if outcome.reason == "no improvement":
        job.emit(Message(f"no improvement since epoch {outcome.best_epoch}: its weights are kept"))
    elif outcome.reason == "stopped":
        job.emit(Message(f"stopped; the weights of epoch {outcome.best_epoch} are kept"))


def _finish(job: _Job, learner: Learner, outcome: Outcome, context: Context) -> Result:
    """Judge both models, write the new one and the picture."""
    judged = [_cut(sample) for sample in job.judged[:JUDGED_PLANES]]
    before = evaluate.run(judged, job.start, context=context)
    weights = learner.weights()
    write_own(job.target, weights, _metadata(job, learner, outcome, {}, {}))
    new = load_model(job.target, device=learner.device)
    after = evaluate.run(judged, new, context=context)
    metadata = _metadata(job, learner, outcome, before.as_dict(), after.as_dict())
    write_own(job.target, weights, metadata)
    picture = _picture(job, judged[0], (job.start, new), context)
    return Result(
        model=job.target.stem,
        path=str(job.target),
        before=before.as_dict(),
        after=after.as_dict(),
        worse=after.overall <= before.overall,
        picture=picture,
    )


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


def _picture(job: _Job, sample: Sample, models: Sequence[Segmenter], context: Context) -> str:
    """Write the picture of a held-out plane; models without instance head get boxes as prompts."""
    store = EmbeddingStore()
    found: list[LabelArray] = [sample.labels]
    for model in models:
        if model.info.instance_head:
            found.append(evaluate.label(sample, model, store, context))
        else:
            found.append(evaluate.label_by_boxes(sample, model, store, context))
    path = job.target.with_name(f"{job.target.stem}.png")
    return write_picture(path, comparison(sample.image, found))


def _metadata(
    job: _Job,
    learner: Learner,
    outcome: Outcome,
    before: dict[str, float],
    after: dict[str, float],
) -> dict[str, str]:
    """Return all that a file says about itself."""
    info, parts = job.start.info, job.parts
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
        "metrics": json.dumps({"before": before, "after": after}),
        "plugin_version": _version(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _version() -> str:
    try:
        return version("napari-segmate")
    except PackageNotFoundError:
        return "unknown"


TASK = Task(
    name="train",
    title="Train",
    description="Train a model on annotated images.",
    params=Params,
    run=run,
)
