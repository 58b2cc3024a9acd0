"""What a training tells, in words."""

from __future__ import annotations

import typer

from napari_segmate.cli._words import counted
from napari_segmate.core.training_events import (
    Event,
    Failure,
    Message,
    Result,
    Start,
    Validation,
    Work,
)
from napari_segmate.sessions.training import duration, is_better

__all__ = ["Teller"]


class Teller:
    """Prints what a person wants to know, each sentence once: results to the standard output."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, event: Event) -> None:
        """Tell an event."""
        text = _words(event)
        if text and text != self._last:
            self._last = text
            typer.echo(text, err=not isinstance(event, Start | Result))


def _words(event: Event) -> str:
    if isinstance(event, Start):
        return (
            f"{counted(event.epochs, 'epoch')} of "
            f"{counted(event.steps // max(event.epochs, 1), 'step')} on "
            f"{event.device}, at most about {duration(event.estimate_s)}, "
            f"{event.memory_mb / 1024:.1f} GB"
        )
    if isinstance(event, Work):
        return f"{event.text} …" if event.done == 0 else ""
    if isinstance(event, Validation):
        best = "  best so far" if event.best else ""
        return f"epoch {event.epoch}: loss {event.loss:.3f}, {_scores(event)}{best}"
    if isinstance(event, Message | Failure):
        return event.text
    if isinstance(event, Result):
        return _table(event)
    return ""


def _scores(event: Validation) -> str:
    ap = "" if event.ap50 != event.ap50 else f", AP50 {event.ap50:.3f}"
    return f"on the views: IoU {event.iou:.3f}{ap}"


def _table(result: Result) -> str:
    lines = [f"{result.model}: {result.path}", f"{'':<12}{'before':>8}{'after':>8}"]
    for name, after in result.after.items():
        lines.append(f"{name:<12}{result.before.get(name, float('nan')):>8.3f}{after:>8.3f}")
    if result.worse:
        lines.append(
            "On balance of AP50, mean AP and overlap it is worse than the model it began with: "
            "better not use it."
        )
    elif not is_better(result):
        lines.append(
            "On balance of AP50, mean AP and overlap it is no better than the model it began with."
        )
    if result.picture:
        lines.append(f"picture: {result.picture}")
    return "\n".join(lines)
