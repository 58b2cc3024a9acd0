"""Train a model on annotated planes, and tell honestly what that was worth."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from napari_segmate.core.context import Context
from napari_segmate.core.errors import ParameterError
from napari_segmate.core.training_events import Event, Message, Result, Start
from napari_segmate.models import FAMILIES
from napari_segmate.models._own import check_name, own_path
from napari_segmate.models.base import Segmenter
from napari_segmate.tasks.base import Task
from napari_segmate.tasks.train.job import Job, estimated, prepare
from napari_segmate.tasks.train.params import Params
from napari_segmate.tasks.train.result import finish
from napari_segmate.training.build import fingerprint_of, judging_entries
from napari_segmate.training.control import Control
from napari_segmate.training.data import Sample, count_objects
from napari_segmate.training.loop import Loop, Outcome

__all__ = ["TASK", "Params", "estimate", "is_path", "run", "target_of"]

FEW_OBJECTS = 8
SUFFIX = ".safetensors"
OTHER_SUFFIXES = (".pth", ".pt", ".ckpt", ".bin", ".onnx", ".h5")


def target_of(name: str | Path, overwrite: bool = False) -> Path:
    """Return the file of a new model: a path as it is, a name in the user's folder.

    A text is a path if there is a ``/`` in it (on Windows also a backslash) or ``.safetensors`` at
    its end.

    Raises
    ------
    ParameterError
        The name is taken or cannot be one, or the path is in no folder that exists.
    """
    if isinstance(name, Path) or is_path(name):
        path = _model_file(str(name))
        check_name(path.stem, (), overwrite=True)
        _check_free(path, overwrite)
        return path
    _check_ending(name)
    shipped = [info.name for family in FAMILIES.values() for info in family.models]
    return own_path(check_name(name, shipped, overwrite))


def is_path(name: str) -> bool:
    """Tell whether a text is the path of a model file, not a name.

    Examples
    --------
    >>> is_path("my cells"), is_path("models/cells"), is_path("cells.safetensors")
    (False, True, True)
    """
    separators = [one for one in ("/", os.sep, os.altsep) if one]
    return name.endswith(SUFFIX) or any(one in name for one in separators)


def _model_file(text: str) -> Path:
    path = Path(text).expanduser()
    if not path.name or text.endswith(("/", os.sep)) or path.is_dir():
        raise ParameterError(
            f"{text!r} is a folder; say what the model in it is called, as in "
            f"{(path / 'my-model.safetensors').as_posix()!r}"
        )
    if path.suffix == SUFFIX:
        return path
    _check_ending(path.name)
    if not path.parent.is_dir():
        raise ParameterError(
            f"{text!r} is a path, and there is no folder {str(path.parent)!r}; make it, end the "
            f"path with {SUFFIX} to have it made, or leave out the '/' for a name in your list "
            "of models"
        )
    return path.with_name(f"{path.name}{SUFFIX}")


def _check_ending(name: str) -> None:
    if name.lower().endswith(OTHER_SUFFIXES):
        raise ParameterError(
            f"models are written as {SUFFIX}, not as {name!r}; leave out the ending, and write a "
            "SAM for other programs with: segmate models export"
        )


def _check_free(path: Path, overwrite: bool) -> None:
    # The picture of the comparison is written beside the model.
    there = [one for one in (path, path.with_suffix(".png")) if one.exists()]
    if there and not overwrite:
        raise ParameterError(
            f"there is a file {there[0]} already; choose another name, or replace it (--overwrite, "
            "overwrite=True)"
        )


def estimate(
    samples: Sequence[Sample],
    params: Params | None = None,
    *,
    emit: Callable[[Event], None] | None = None,
    control: Control | None = None,
    context: Context | None = None,
    model: Segmenter | None = None,
) -> Start:
    """Return how long a training would take at most and how much memory it would need.

    A few steps are measured on the samples; nothing is written and nothing learnt. The parameters
    are those of `run`.

    Raises
    ------
    LabelsError
        No labelled object.
    OutOfMemoryError
        It would not fit; says what would.
    Cancelled
        The answer is not wanted any more.
    """
    context = context or Context()
    control = control or Control(context)
    return estimated(prepare(samples, params or Params(), emit or _ignore, control, context, model))


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
        Progress of what is no step, and cancellation.
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
    job = prepare(samples, params, emit, control, context, model)
    _tell_about(job)
    emit(estimated(job))
    outcome = _train(job, target)
    _tell_end(job, outcome)
    result = finish(job, outcome, target, overwrite)
    _state_file(target).unlink(missing_ok=True)
    emit(result)
    return result


def _ignore(event: Event) -> None:
    """Drop an event."""


def _state_file(target: Path) -> Path:
    return target.with_name(f".{target.stem}.resume.pt")


def _tell_about(job: Job) -> None:
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
    known = "1 object" if objects == 1 else f"{objects} objects"
    text = f"{known} to learn from, {judged} held out ({job.parts.how})"
    if objects < FEW_OBJECTS:
        text += "; that is little, twenty or more would teach it better"
    job.emit(Message(text))


def _train(job: Job, target: Path) -> Outcome:
    params, learner, schedule = job.params, job.learner, job.schedule
    settings = schedule, job.start.key, params.preset, params.seed, learner.size
    loop = Loop(
        learner,
        job.views(),
        judging_entries(job.judged, learner, job.context),
        schedule,
        params.seed,
        emit=job.emit,
        control=job.control,
        state_file=_state_file(target),
        fingerprint=fingerprint_of([*job.parts.training, *job.parts.held_out], *settings),
    )
    return loop.run()


def _tell_end(job: Job, outcome: Outcome) -> None:
    if outcome.reason == "no improvement":
        job.emit(Message(f"no improvement since epoch {outcome.best_epoch}: its weights are kept"))
    elif outcome.reason == "stopped":
        job.emit(Message(f"stopped; the weights of epoch {outcome.best_epoch} are kept"))


TASK = Task(
    name="train",
    title="Train",
    description="Train a model on annotated images.",
    params=Params,
    run=run,
)
