"""How long a training takes and how much memory it needs, and whether that is there."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from napari_segmate._torch import short_of_memory
from napari_segmate.core.errors import OutOfMemoryError
from napari_segmate.training.build import Views
from napari_segmate.training.costs import fits, free_mb, what_fits
from napari_segmate.training.entries import Entry, stack_features
from napari_segmate.training.judge import judge
from napari_segmate.training.learner import Learner
from napari_segmate.training.presets import Schedule
from napari_segmate.training.sampling import PromptParams
from napari_segmate.training.steps import step_loss

__all__ = ["Pace", "available_mb", "check_fits", "measure", "needed_mb", "peak_mb"]

MEGA = 1 << 20
BASE_MB = 500
"""Python, torch and the images."""
STEPS, ENOUGH_S = 4, 6.0
"""Steps that are measured, and after how long no more of them are begun."""
JUDGED_PROMPTS = 16
"""A view is judged by a click and a box for each of eight objects."""
PROMPTS = 5
"""About the prompts that each object gets where the models are compared: a box, and clicks."""


# Time


@dataclass(frozen=True)
class Pace:
    """Measured times, in seconds, and the size of a view.

    Parameters
    ----------
    look : float
        To draw a view and let the frozen part of the network look at it.
    encode : float
        For what else comes before prompts, per view.
    step : float
        Of the optimiser.
    judge : float
        For a held-out view.
    view_mb : float
        What is kept of a view, in MB.
    """

    look: float
    encode: float
    step: float
    judge: float
    view_mb: float = 0.0

    def seconds(self, schedule: Schedule, judged: int, *, once: bool) -> float:
        """Return how long the epochs take.

        Parameters
        ----------
        schedule : Schedule
            How many there are.
        judged : int
            Number of held-out views.
        once : bool
            Views are looked at once, not in each epoch.

        Examples
        --------
        >>> schedule = Schedule(rate=1e-3, epochs=10, patience=5, views=8, batch=2)
        >>> pace = Pace(look=1.0, encode=0.0, step=0.5, judge=0.1)
        >>> pace.seconds(schedule, 2, once=True), pace.seconds(schedule, 2, once=False)
        (32.0, 104.0)
        """
        steps = -(-schedule.views // schedule.batch)
        epoch = steps * self.step + judged * self.judge
        looks = schedule.views * (1 if once else schedule.epochs) + judged
        return looks * self.look + schedule.epochs * epoch

    def comparison(self, planes: int, objects: int) -> float:
        """Return about how long the comparison of two models takes."""
        prompt = max(self.judge - self.encode, 0) / JUDGED_PROMPTS
        return 2 * (planes * (self.look + self.encode) + objects * PROMPTS * prompt)


def measure(learner: Learner, views: Views, schedule: Schedule, seed: int) -> Pace:
    """Return the times of a training; changes no weights.

    Raises
    ------
    OutOfMemoryError
        Not even one view fits.
    """
    try:
        return _measure(learner, views, schedule, seed)
    except (RuntimeError, MemoryError) as error:
        if not short_of_memory(error):
            raise
        if schedule.batch > 1:
            return measure(learner, views, schedule.with_batch(schedule.batch // 2), seed)
        raise OutOfMemoryError(
            f"{learner.device} has too little memory for a single view; choose the preset quick, "
            "a smaller model, or another device"
        ) from error


def _measure(learner: Learner, views: Views, schedule: Schedule, seed: int) -> Pace:
    entries: list[Entry] = []
    look = _seconds(learner, lambda: entries.extend(views.some(schedule.batch)))
    one = entries[:1]
    with torch.no_grad():
        encode = _seconds(learner, lambda: learner.features(stack_features(one, learner.device)))
    steps: list[float] = []
    began = time.monotonic()
    while len(steps) < STEPS and time.monotonic() - began < ENOUGH_S:
        number = len(steps)
        steps.append(
            _seconds(learner, lambda: _step(learner, entries, schedule, [seed, number, 5]))  # noqa: B023 - called at once
        )
    return Pace(
        look / len(entries),
        encode,
        # The first one also makes room.
        float(np.mean(steps[1:] or steps)),
        _seconds(learner, lambda: judge(learner, one, seed)),
        one[0].megabytes,
    )


def _seconds(learner: Learner, act: Callable[[], object]) -> float:
    began = time.monotonic()
    act()
    if learner.device.startswith("cuda"):
        torch.cuda.synchronize(learner.device)
    return time.monotonic() - began


def _step(
    learner: Learner, entries: Sequence[Entry], schedule: Schedule, seed: Sequence[int]
) -> None:
    """Go forward and back, as a step does."""
    rng = np.random.default_rng(seed)
    generator = torch.Generator(learner.device)
    params = PromptParams(objects=schedule.objects, min_area=12)
    loss = step_loss(learner, entries, rng, params, generator, schedule.prompted).total
    if loss.requires_grad:
        loss.backward()  # type: ignore[no-untyped-call]
    for _, parameter in learner.learning():
        parameter.grad = None


# Memory


def available_mb(device: str) -> float:
    """Return the free memory of a device in MB."""
    if device.startswith("cuda"):
        free, _ = torch.cuda.mem_get_info(device)
        return free / MEGA
    return free_mb()


def peak_mb(device: str) -> float:
    """Return the most memory that this process has held on a device, in MB."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device) / MEGA
    if sys.platform == "win32":
        import psutil

        return float(psutil.Process().memory_info().peak_wset / MEGA)
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Bytes on a Mac, kilobytes elsewhere.
    return most / (MEGA if sys.platform == "darwin" else 1024)


def growth_mb(learner: Learner) -> float:
    """Return what is still to come after a measured step: two moments and the best weights."""
    learning = sum(parameter.numel() for _, parameter in learner.learning())
    return 4 * 3 * learning / MEGA


def needed_mb(learner: Learner, schedule: Schedule) -> float:
    """Return the memory that a training needs at most, in MB, from the sizes of the network."""
    weights = sum(value.numel() for value in learner.network.state_dict().values())
    learning = sum(parameter.numel() for _, parameter in learner.learning())
    # The start, the copy that learns and the best one; gradient and two moments of the optimiser.
    fixed = 4 * (2 * weights + 5 * learning) / MEGA
    return float(BASE_MB + fixed + learner.activations_mb(schedule))


def check_fits(
    learner: Learner, schedule: Schedule, name: str, free: float, architecture: str = ""
) -> float:
    """Return the memory that a training needs, in MB.

    Raises
    ------
    OutOfMemoryError
        It is more than there is; says what would fit.
    """
    needed = needed_mb(learner, schedule)
    if fits(needed, free):
        return needed
    raise OutOfMemoryError(
        f"training {name} with the preset {learner.preset} needs about {needed / 1024:.1f} GB, and "
        f"{free / 1024:.1f} GB are free. {_cure(learner, schedule, free, architecture)}"
    )


def _cure(learner: Learner, schedule: Schedule, free: float, architecture: str) -> str:
    one = schedule.with_batch(1)
    if schedule.batch > 1 and fits(needed_mb(learner, one), free):
        return "One view at a time (batch 1) would fit"
    return what_fits(architecture, learner.preset, free)
