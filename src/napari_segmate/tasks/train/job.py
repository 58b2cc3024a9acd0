"""What all steps of a training need, made ready: data divided, model loaded, memory checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from napari_segmate._torch import resolve_device
from napari_segmate.core.context import Context
from napari_segmate.core.errors import ParameterError
from napari_segmate.core.training_events import Event, Start, Work
from napari_segmate.models import load_model
from napari_segmate.models.base import Segmenter
from napari_segmate.tasks.evaluate import run as evaluate
from napari_segmate.tasks.train.params import Params
from napari_segmate.training.build import Views, count_judged
from napari_segmate.training.control import Control
from napari_segmate.training.data import Sample
from napari_segmate.training.estimate import (
    available_mb,
    check_fits,
    growth_mb,
    measure,
    peak_mb,
)
from napari_segmate.training.learner import Learner
from napari_segmate.training.learners import family_of, learner_of
from napari_segmate.training.presets import Preset, Schedule, schedule_of
from napari_segmate.training.splits import Split, split

__all__ = ["Job", "estimated", "prepare"]

COMPARING = 1.2
"""What a process held at the end, measured with the comparison, for what it holds in the steps."""
JUDGED_PLANES = 6
"""Most held-out planes that both models are judged by at the end."""


@dataclass(frozen=True, eq=False)
class Job:
    """A training that can begin.

    Parameters
    ----------
    params : Params
        What was asked for.
    parts : Split
        What to learn from, and what to judge by.
    start : Segmenter
        The model to begin with.
    learner : Learner
        A copy of its network, which learns.
    schedule : Schedule
        How.
    emit : callable
        Gets the events.
    control : Control
        Pause, stop and cancel.
    context : Context
        Progress of what is no step, as events; cancellation.
    """

    params: Params
    parts: Split
    start: Segmenter
    learner: Learner
    schedule: Schedule
    emit: Callable[[Event], None]
    control: Control
    context: Context

    @property
    def judged(self) -> tuple[Sample, ...]:
        """The planes to judge by."""
        return self.parts.held_out or self.parts.training

    @property
    def compared(self) -> tuple[Sample, ...]:
        """The planes that both models are judged by at the end."""
        return self.judged[:JUDGED_PLANES]

    def views(self) -> Views:
        """Return the views to learn from."""
        samples, seed = self.parts.training, self.params.seed
        return Views(samples, self.learner, self.schedule, seed, self.control, self.context)


def prepare(
    samples: Sequence[Sample],
    params: Params,
    emit: Callable[[Event], None],
    control: Control,
    context: Context,
    model: Segmenter | None = None,
) -> Job:
    """Return a training that can begin.

    Raises
    ------
    LabelsError
        No labelled object.
    ParameterError
        A side of the views for a model that has its own.
    OutOfMemoryError
        It would not fit; says what would.
    """
    parts = split(samples, params.held_out, params.seed)

    def report(done: int, total: int, text: str) -> None:
        context.progress(done, total, text)
        emit(Work(done, total, text))

    told = Context(report, lambda: control.cancelled)
    start = model or load_model(params.model, device=params.device, context=told)
    schedule = params.schedule(schedule_of(family_of(start), params.preset))
    learner = learner_of(start, params.preset, resolve_device(params.device))
    learner.fit(parts.training)
    if params.size is not None:
        if family_of(start) != "tiny":
            raise ParameterError(
                f"size {params.size} is for models as 'tiny'; {start.info.name!r} sees views of "
                f"{learner.size} pixels: leave it out"
            )
        learner.size = params.size
    info, free = start.info, available_mb(learner.device)
    check_fits(learner, schedule, info.name, free, info.architecture)
    return Job(params, parts, start, learner, schedule, emit, control, told)


def estimated(job: Job) -> Start:
    """Return how long a training takes and what it needs, from a measured step."""
    learner, schedule = job.learner, job.schedule
    pace = measure(learner, job.views(), schedule, job.params.seed)
    most = evaluate.Params().objects
    objects = sum(min(sample.objects, most) for sample in job.compared)
    judged = count_judged(job.judged, learner)
    seconds = pace.seconds(schedule, judged, once=job.params.preset is Preset.QUICK)
    seconds += pace.comparison(len(job.compared), objects)
    memory = peak_mb(learner.device) + growth_mb(learner)
    if not learner.device.startswith("cuda"):
        # Views stay in the main memory.
        memory = COMPARING * (memory + pace.view_mb * (schedule.views + judged))
    return Start(schedule.steps, schedule.epochs, learner.device, seconds, memory)
