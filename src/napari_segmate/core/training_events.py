"""What a training tells while it runs, and what it can be told: one line of JSON, one word.

A training runs as a process of its own. It prints one `Event` per line on its standard output and
reads one `Command` per line from its standard input.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

__all__ = [
    "MARGIN",
    "Command",
    "Event",
    "Failure",
    "Message",
    "Result",
    "Start",
    "Step",
    "Validation",
    "Work",
    "from_line",
    "to_line",
]


MARGIN = 0.005
"""Differences of the mean of all measures that are smaller than this say nothing."""


class Command(StrEnum):
    """What a training can be told."""

    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"
    CANCEL = "cancel"


@dataclass(frozen=True)
class Start:
    """The training begins.

    Parameters
    ----------
    steps, epochs : int
        How many there will be, unless it ends early.
    device : str
        Where it runs.
    estimate_s : float
        How long it is thought to take, from a measured step.
    memory_mb : float
        How much memory it is thought to need at most.
    """

    steps: int
    epochs: int
    device: str = "cpu"
    estimate_s: float = 0.0
    memory_mb: float = 0.0


@dataclass(frozen=True)
class Work:
    """How far something is that is no step: looking at the images, comparing the models."""

    done: int
    total: int
    text: str


@dataclass(frozen=True)
class Step:
    """One step of the optimiser: its loss, and how long the rest is thought to take."""

    step: int
    epoch: int
    loss: float
    seconds_left: float = 0.0


@dataclass(frozen=True)
class Validation:
    """The held-out part after an epoch; `best` when these weights are the best so far."""

    epoch: int
    loss: float
    iou: float
    ap50: float
    best: bool = False


@dataclass(frozen=True)
class Message:
    """A sentence for the user."""

    text: str


@dataclass(frozen=True)
class Result:
    """The training has ended and there is a model.

    Parameters
    ----------
    model : str
        Its name.
    path : str
        Its file.
    before, after : mapping of str to float
        Measures on the held-out part with the model it began with, and with the new one.
    worse : bool
        The new one reaches less, by more than `MARGIN` on average.
    picture : str
        A picture of both, empty if there is none.
    """

    model: str
    path: str
    before: Mapping[str, float] = field(default_factory=dict)
    after: Mapping[str, float] = field(default_factory=dict)
    worse: bool = False
    picture: str = ""


@dataclass(frozen=True)
class Failure:
    """The training has ended without a model; why, in words for the user."""

    text: str


Event = Start | Work | Step | Validation | Message | Result | Failure

KINDS: Mapping[str, type[Event]] = {
    "start": Start,
    "work": Work,
    "step": Step,
    "validation": Validation,
    "message": Message,
    "result": Result,
    "error": Failure,
}
NAMES = {kind: name for name, kind in KINDS.items()}


def to_line(event: Event) -> str:
    """Return an event as a line of JSON, without the line's end.

    Examples
    --------
    >>> to_line(Message("one object only"))
    '{"event": "message", "text": "one object only"}'
    """
    values = {"event": NAMES[type(event)], **_finite(asdict(event))}
    return json.dumps(values, ensure_ascii=False, allow_nan=False)


def from_line(line: str) -> Event | None:
    """Return the event of a line, None for a line that is none.

    What is not known of an event is left out: it may come from a newer version.

    Examples
    --------
    >>> from_line('{"event": "step", "step": 3, "epoch": 1, "loss": 0.5, "new": 1}')
    Step(step=3, epoch=1, loss=0.5, seconds_left=0.0)
    >>> from_line("a library says hello") is None
    True
    """
    try:
        values = json.loads(line)
        kind = KINDS[values.pop("event")]
        known = {one.name for one in fields(kind)}
        given: dict[str, Any] = {name: value for name, value in values.items() if name in known}
        whole: dict[str, Any] = {
            name: math.nan if one is None else one for name, one in given.items()
        }
        return kind(**whole)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _finite(value: Any) -> Any:
    """Return a value with None for numbers that JSON cannot write."""
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
