"""Epochs over views until nothing gets better any more."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_segmate._torch import short_of_memory
from napari_segmate.core.errors import CacheError, OutOfMemoryError
from napari_segmate.core.training_events import Event, Message, Step, Validation
from napari_segmate.training.control import Control
from napari_segmate.training.entries import Entry
from napari_segmate.training.judge import Judgement, judge
from napari_segmate.training.learner import Learner
from napari_segmate.training.presets import Schedule
from napari_segmate.training.resume import Progress, load_state, save_state
from napari_segmate.training.sampling import PromptParams
from napari_segmate.training.steps import StepLoss, step_loss

__all__ = ["Loop", "Outcome"]

GAIN = 1e-4
"""Smaller improvements are none."""
LATEST = 0.2
"""Weight of the latest loss of prompted steps in their usual one."""


@dataclass(frozen=True)
class Outcome:
    """How a training ended; the network has the best weights.

    Parameters
    ----------
    epochs, steps : int
        How many there were.
    best_epoch : int
        After which the best weights were found; 0 is before the first.
    history : tuple of Judgement
        One per epoch, the first one before training.
    reason : str
        Why it ended: "done", "no improvement", "stopped", "not a number".
    """

    epochs: int
    steps: int
    best_epoch: int
    history: tuple[Judgement, ...]
    reason: str


class Loop:
    """One training: a network, its optimiser, and how far it is.

    Parameters
    ----------
    learner : Learner
        The network; it is changed.
    entries_of : callable
        ``entries_of(epoch)`` returns the views of an epoch, the same ones for the same number.
    held_out : sequence of Entry
        Views to judge by.
    schedule : Schedule
        Rates and numbers.
    seed : int
        Of everything that is drawn.
    emit : callable
        Gets the events.
    control : Control
        Asked before each step.
    state_file : Path, optional
        Where the state is kept after each epoch.
    fingerprint : str
        Of data and settings: only a state with the same one is taken over.
    """

    def __init__(
        self,
        learner: Learner,
        entries_of: Callable[[int], Sequence[Entry]],
        held_out: Sequence[Entry],
        schedule: Schedule,
        seed: int = 0,
        *,
        emit: Callable[[Event], None],
        control: Control,
        state_file: Path | None = None,
        fingerprint: str = "",
    ) -> None:
        self.learner, self.entries_of, self.held_out = learner, entries_of, held_out
        self.schedule, self.seed = schedule, seed
        self._emit, self._control = emit, control
        self._state_file, self._fingerprint = state_file, fingerprint
        self._batch = schedule.batch
        self._params = PromptParams(objects=schedule.objects, min_area=12)
        self._parameters = dict(learner.learning())
        self._optimizer = torch.optim.AdamW(
            self._parameters.values(), lr=schedule.rate, weight_decay=schedule.weight_decay
        )
        self._progress = Progress()
        self._best = self._copied()
        self._can_save = True
        self._began = time.monotonic()
        self._resting = 0.0

    def run(self) -> Outcome:
        """Train; return how it ended.

        Raises
        ------
        Cancelled
            The training is not wanted any more.
        OutOfMemoryError
            Not even one view fits.
        """
        self._take_over()
        progress, reason = self._progress, "done"
        if not progress.history:
            self._judge(0)
        self._began, self._resting, first = time.monotonic(), 0.0, progress.step
        while progress.epoch < self.schedule.epochs:
            if progress.epoch - progress.best_epoch >= self.schedule.patience:
                reason = "no improvement"
                break
            ended = self._epoch(progress.epoch + 1, first)
            if ended == "not a number" or (ended and progress.step == first):
                reason = ended
                break
            progress.epoch += 1
            self._judge(progress.epoch)
            self._keep()
            if ended or self._control.stopped:
                reason = "stopped"
                break
        self._restore(self._best)
        return Outcome(
            progress.epoch, progress.step, progress.best_epoch, tuple(progress.history), reason
        )

    def _epoch(self, epoch: int, first: int) -> str:
        """Train for an epoch; return why it ended early, empty if it did not."""
        entries = self.entries_of(epoch)
        rng, generator = self._randomness(epoch)
        order = rng.permutation(len(entries))
        for start in range(0, len(order), self.schedule.batch):
            self._resting += self._control.check()
            if self._control.stopped:
                return "stopped"
            chosen = [entries[number] for number in order[start : start + self.schedule.batch]]
            loss = self._step(chosen, rng, generator)
            if not math.isfinite(loss):
                self._emit(
                    Message(
                        f"the loss became not-a-number in epoch {epoch}: the training ends here "
                        "and keeps the best weights so far. A lower learning rate may help"
                    )
                )
                return "not a number"
            self._progress.step += 1
            self._emit(Step(self._progress.step, epoch, loss, self._seconds_left(first)))
        return ""

    def _randomness(self, epoch: int) -> tuple[np.random.Generator, torch.Generator]:
        rng = np.random.default_rng([self.seed, epoch, 1])
        generator = torch.Generator(self.learner.device)
        generator.manual_seed(self.seed * 100_003 + epoch)
        return rng, generator

    def _step(
        self, entries: Sequence[Entry], rng: np.random.Generator, generator: torch.Generator
    ) -> float:
        """Descend once; in several parts when the device has too little memory for one."""
        self._set_rate()
        try:
            return self._descend(entries, rng, generator)
        except (RuntimeError, MemoryError) as error:
            if not short_of_memory(error):
                raise
            self._optimizer.zero_grad(set_to_none=True)
            if self._batch == 1:
                raise OutOfMemoryError(
                    f"{self.learner.device} has too little memory for a single view; choose the "
                    "preset quick, a smaller model, or the device cpu"
                ) from error
            self._batch = max(1, self._batch // 2)
            if self.learner.device.startswith("cuda"):
                torch.cuda.empty_cache()
            self._emit(
                Message(
                    f"{self.learner.device} has too little memory: {self._batch} instead of "
                    f"{len(entries)} views are looked at together"
                )
            )
        return self._step(entries, rng, generator)

    def _descend(
        self, entries: Sequence[Entry], rng: np.random.Generator, generator: torch.Generator
    ) -> float:
        self._optimizer.zero_grad(set_to_none=True)
        total = shown = 0.0
        for start in range(0, len(entries), self._batch):
            part = entries[start : start + self._batch]
            found, share = self._loss(part, rng, generator), len(part) / len(entries)
            if found.total.requires_grad:
                (found.total * share).backward()  # type: ignore[no-untyped-call]
            total += share * float(found.total.detach())
            shown += share * self._shown(found)
        norm = torch.nn.utils.clip_grad_norm_(self._parameters.values(), self.schedule.clip)
        if not (math.isfinite(total) and torch.isfinite(norm)):
            return math.nan
        self._optimizer.step()
        return shown

    def _shown(self, found: StepLoss) -> float:
        """Return a loss that compares with that of the held-out views, where prompts are answered.

        A step without prompts takes their usual loss.
        """
        progress = self._progress
        if found.prompted is not None:
            latest = float(found.prompted)
            usual = latest if progress.prompted is None else progress.prompted
            progress.prompted = usual + LATEST * (latest - usual)
            return float(found.dense) + latest
        return float(found.dense) + (progress.prompted or 0.0)

    def _loss(
        self, entries: Sequence[Entry], rng: np.random.Generator, generator: torch.Generator
    ) -> StepLoss:
        # The first step shows what answers to prompts usually cost.
        share = self.schedule.prompted if self._progress.step else 1.0
        return step_loss(self.learner, entries, rng, self._params, generator, share)

    def _set_rate(self) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = self.schedule.rate_at(self._progress.step)

    def _seconds_left(self, first: int) -> float:
        used = time.monotonic() - self._began - self._resting
        done = self._progress.step - first
        return used / max(done, 1) * max(self.schedule.steps - self._progress.step, 0)

    def _judge(self, epoch: int) -> None:
        found = judge(self.learner, self.held_out, self.seed)
        history = self._progress.history
        best = not history or found.score > history[self._progress.best_epoch].score + GAIN
        history.append(found)
        if best:
            self._progress.best_epoch = epoch
            self._best = self._copied()
        self._emit(Validation(epoch, found.loss, found.iou, found.ap50, best))

    def _copied(self) -> dict[str, Tensor]:
        return {name: value.detach().cpu().clone() for name, value in self._parameters.items()}

    def _restore(self, values: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(values[name])

    # The state in a file

    def _keep(self) -> None:
        if self._state_file is None or not self._can_save:
            return
        try:
            save_state(self._state_file, self._state())
        except CacheError as error:
            self._can_save = False
            self._emit(Message(f"{error}. The training goes on, but cannot be resumed"))

    def _state(self) -> dict[str, Any]:
        return {
            "fingerprint": self._fingerprint,
            **self._progress.state(),
            "weights": self._copied(),
            "best": self._best,
            "optimizer": self._optimizer.state_dict(),
        }

    def _take_over(self) -> None:
        """Go on where an earlier process with the same data and settings ended."""
        if self._state_file is None:
            return
        state = load_state(self._state_file, self._fingerprint)
        if state is None:
            return
        self._restore(state["weights"])
        self._best = dict(state["best"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._progress = Progress.of(state)
        for epoch, one in enumerate(self._progress.history):
            best = epoch == self._progress.best_epoch
            self._emit(Validation(epoch, one.loss, one.iou, one.ap50, best))
        self._emit(Message(f"goes on after epoch {self._progress.epoch}"))
