"""What a panel shows of a training: one frozen snapshot that follows the training's events."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from napari_segmate.core.training_events import (
    MARGIN,
    Event,
    Failure,
    Message,
    Result,
    Start,
    Step,
    Validation,
    Work,
)
from napari_segmate.sessions.state import Phase, Progress, SessionState

__all__ = [
    "Stage",
    "TrainingState",
    "duration",
    "finds_objects",
    "follow",
    "is_better",
    "measure_tips",
    "measures",
    "status",
    "verdict",
]

MOST_POINTS = 500
"""Points of the curve of losses; when there are more, neighbours are averaged."""
MEASURES = {
    "ap50": "AP50 of the planes",
    "msa": "AP50–95 of the planes",
    "click_iou": "IoU after one click",
    "box_iou": "IoU after a box",
    "clicks": "Clicks to IoU 0.85",
    "objects": "Objects judged",
}
MEASURE_TIPS = {
    "ap50": (
        "All objects of the held-out planes, found with the settings that you have, too: those "
        "that are met with an IoU of 0.5, of all that there are or that were found"
    ),
    "msa": "The same, stricter and stricter: the mean over IoU 0.5, 0.55 … 0.95",
    "click_iou": "Overlap with the true object after one click in its middle",
    "box_iou": "Overlap with the true object for a box round it",
    "clicks": "How many clicks an object needs until it overlaps by 0.85",
    "objects": (
        "Held-out objects that were clicked: some of each plane, and none that is very small"
    ),
}
"""What the measures are, for those who ask."""
GAINS = ("ap50", "msa", "click_iou", "box_iou")
SMALL_GAIN = 0.01
FEW_FOUND = 0.05
"""AP50 below which finding everything is no good advice."""
AFTER_FAILURE = "Your labels are as they were. Change what it says above, then press Train again"


class Stage(StrEnum):
    """How far a training is."""

    SETUP = "setup"
    COPYING = "copying"
    MEASURING = "measuring"
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    CANCELLING = "cancelling"
    DONE = "done"
    FAILED = "failed"

    @property
    def busy(self) -> bool:
        """True from the click on Train until it has ended."""
        return self not in (Stage.SETUP, Stage.DONE, Stage.FAILED)

    @property
    def pausable(self) -> bool:
        """True while there is something to pause or to go on with."""
        return self in (Stage.RUNNING, Stage.PAUSED)


@dataclass(frozen=True)
class TrainingState:
    """Snapshot of a training.

    Parameters
    ----------
    stage : Stage
        How far it is.
    model : str
        Name of the new model.
    error : str
        What went wrong, empty when nothing did.
    message : str
        The last thing that the training had to say.
    progress : Progress, optional
        Of what comes before the first step and after the last one.
    start : Start, optional
        What the training announced.
    step : Step, optional
        Its last step.
    losses : tuple of (epoch, loss)
        For the plot; the epoch is a broken number.
    validations : tuple of Validation
        One per epoch.
    result : Result, optional
        Its end.
    """

    stage: Stage = Stage.SETUP
    model: str = ""
    error: str = ""
    message: str = ""
    progress: Progress | None = None
    start: Start | None = None
    step: Step | None = None
    losses: tuple[tuple[float, float], ...] = ()
    validations: tuple[Validation, ...] = ()
    result: Result | None = None

    @property
    def has_best(self) -> bool:
        """True when stopping now would keep a model."""
        return any(one.best for one in self.validations)

    @property
    def pausable(self) -> bool:
        """True while there is something to pause or to stop: not in the comparison at the end."""
        return self.stage.pausable and (self.step is None or self.progress is None)

    @property
    def epochs(self) -> int:
        """How many epochs there will be, 0 while that is not known."""
        return self.start.epochs if self.start is not None else 0


def follow(state: TrainingState, event: Event) -> TrainingState:
    """Return the state after an event.

    Examples
    --------
    >>> state = follow(TrainingState(Stage.STARTING), Start(steps=20, epochs=2))
    >>> state = follow(state, Step(step=10, epoch=1, loss=0.5))
    >>> state.stage.value, state.losses
    ('running', ((1.0, 0.5),))
    """
    match event:
        case Start():
            stage = Stage.RUNNING if state.stage is Stage.STARTING else state.stage
            return replace(state, stage=stage, start=event, progress=None)
        case Work():
            return replace(state, progress=Progress(event.done, event.total, event.text))
        case Step():
            losses = _thinned((*state.losses, (_epoch_of(event, state.start), event.loss)))
            return replace(state, step=event, losses=losses, progress=None)
        case Validation():
            return replace(state, validations=(*state.validations, event))
        case Message():
            return replace(state, message=event.text)
        case Result():
            return replace(state, stage=Stage.DONE, result=event, model=event.model)
        case Failure():
            return replace(state, stage=Stage.FAILED, error=event.text)


def _epoch_of(step: Step, start: Start | None) -> float:
    if start is None or not start.steps:
        return float(step.epoch)
    return step.step * start.epochs / start.steps


def _thinned(points: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    if len(points) <= MOST_POINTS:
        return points
    pairs = zip(points[::2], points[1::2], strict=False)
    return tuple(((x0 + x1) / 2, (y0 + y1) / 2) for (x0, y0), (x1, y1) in pairs)


def duration(seconds: float) -> str:
    """Return a time in words, as precise as one needs it.

    Examples
    --------
    >>> [duration(seconds) for seconds in (0.2, 44, 150, 5000, 100_000)]
    ['a second', '44 s', '2 min', '1 h 23 min', '28 h']
    """
    if seconds < 1.5:
        return "a second"
    if seconds < 100:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours == 0:
        return f"{minutes} min"
    return f"{hours} h {minutes} min" if minutes and hours < 10 else f"{seconds / 3600:.0f} h"


def status(state: TrainingState) -> SessionState:
    """Return what the status line says."""
    if state.stage is Stage.FAILED:
        return SessionState(Phase.ERROR, AFTER_FAILURE, state.error)
    if state.stage is Stage.DONE:
        return SessionState(Phase.PREVIEW, _after_training(state))
    if not state.stage.busy:
        return SessionState(Phase.NEEDS_PROMPT, "Choose image and labels, then press Train")
    hint = BUSY_HINTS[state.stage].format(name=state.model)
    return SessionState(Phase.ENCODING, hint, progress=_progress(state))


BUSY_HINTS = {
    Stage.COPYING: "Copying the labels …",
    Stage.MEASURING: "Measuring a few steps on your labels …",
    Stage.STARTING: "Starting the training of '{name}' …",
    Stage.RUNNING: "Training '{name}'. You can go on working meanwhile",
    Stage.PAUSED: "'{name}' is paused. Press Resume to go on",
    Stage.STOPPING: "Stopping; the best weights of '{name}' so far are kept …",
    Stage.CANCELLING: "Cancelling …",
}


def _progress(state: TrainingState) -> Progress:
    if state.progress is not None:
        text = state.progress.text
        return replace(state.progress, text=f"{text[:1].upper()}{text[1:]}")
    if state.start is None or state.step is None:
        return Progress(0, 0, state.message)
    parts = [f"Epoch {state.step.epoch} of {state.start.epochs}"]
    if state.stage is Stage.RUNNING:
        left = state.step.seconds_left or state.start.estimate_s
        parts.append(f"about {duration(left)} left" if left else "")
    parts.append(state.message)
    text = "\n".join([" · ".join(filter(None, parts[:2])), *filter(None, parts[2:])])
    return Progress(state.step.step, state.start.steps, text)


def _after_training(state: TrainingState) -> str:
    if state.result is None:
        return "Nothing was trained"
    return verdict(state.result)


def verdict(result: Result) -> str:
    """Return in plain words whether a training was worth it, and what to do next."""
    if result.worse:
        return (
            f"'{result.model}' is worse than the model it began with on objects it had not seen. "
            "Discard it, label more objects and train again"
        )
    if not finds_objects(result):
        return (
            f"'{result.model}' hardly finds objects by itself; it may still be better at clicks "
            "and boxes. Label more of them and train again"
        )
    if not is_better(result):
        return (
            f"'{result.model}' is no better than the model it began with on objects it had not "
            "seen. More labels may help"
        )
    return (
        f"'{result.model}' is ready and chosen in every panel. "
        "Segment the rest, correct it, and train again"
    )


def is_better(result: Result) -> bool:
    """Tell whether the new model has gained something, as far as it was measured.

    Examples
    --------
    >>> is_better(Result("mine", "", {"ap50": 0.5}, {"ap50": 0.5}))
    False
    >>> is_better(Result("mine", "", {"ap50": 0.5}, {"ap50": 0.6}))
    True
    """
    found = [
        result.after[name] - value
        for name, value in result.before.items()
        if name in GAINS and isinstance(result.after.get(name), float)
    ]
    gains = [gain for gain in found if gain == gain]
    if not gains:
        return not result.worse
    return max(gains) >= SMALL_GAIN and sum(gains) / len(gains) > MARGIN


def finds_objects(result: Result) -> bool:
    """Tell whether the new model can be asked to find everything.

    Examples
    --------
    >>> finds_objects(Result("mine", "", {}, {"ap50": 0.0})), finds_objects(Result("mine", ""))
    (False, True)
    """
    return result.after.get("ap50", 1.0) >= FEW_FOUND


def measures(result: Result) -> list[tuple[str, str, str]]:
    """Return the rows of the table: what was measured, before, after.

    Examples
    --------
    >>> measures(Result("mine", "", {"ap50": 0.5, "clicks": 4.0}, {"ap50": 0.75}))
    [('AP50 of the planes', '0.50', '0.75'), ('Clicks to IoU 0.85', '4.0', '–')]
    """
    names = dict.fromkeys([*result.before, *result.after])
    return [
        (
            MEASURES.get(name, name.replace("_", " ")),
            _number(name, result.before.get(name)),
            _number(name, result.after.get(name)),
        )
        for name in names
    ]


def measure_tips(result: Result) -> list[str]:
    """Return what the rows of `measures` are, in sentences.

    Examples
    --------
    >>> measure_tips(Result("mine", "", {"box_iou": 0.5}))
    ['Overlap with the true object for a box round it']
    """
    return [MEASURE_TIPS.get(name, "") for name in dict.fromkeys([*result.before, *result.after])]


def _number(name: str, value: object) -> str:
    if not isinstance(value, int | float) or value != value:
        return "–"
    if name == "objects" or isinstance(value, int):
        return f"{value:.0f}"
    return f"{value:.1f}" if "clicks" in name else f"{value:.2f}"
