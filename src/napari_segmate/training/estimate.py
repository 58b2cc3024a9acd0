"""How much memory a training needs, and whether it is there."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from napari_segmate.core.errors import OutOfMemoryError
from napari_segmate.training.learner import Learner
from napari_segmate.training.presets import Preset, Schedule

__all__ = ["Need", "available_mb", "check_fits", "needed_mb", "used_mb"]

MEGA = 1 << 20
RESERVE = 0.9
"""Share of the free memory that a training may take."""
BASE_MB = 500
"""Python, torch and the images."""


@dataclass(frozen=True)
class Need:
    """Megabytes that each preset needs for a model."""

    preset: Preset
    megabytes: float


def available_mb(device: str) -> float:
    """Return the free memory of a device in MB."""
    if device.startswith("cuda"):
        free, _ = torch.cuda.mem_get_info(device)
        return free / MEGA
    import psutil

    return float(psutil.virtual_memory().available / MEGA)


def used_mb(device: str) -> float:
    """Return the memory that this process holds on a device, in MB."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device) / MEGA
    import psutil

    return float(psutil.Process().memory_info().rss / MEGA)


def needed_mb(learner: Learner, schedule: Schedule) -> float:
    """Return the memory that a training needs at most, in MB, from the sizes of the network."""
    weights = sum(value.numel() for value in learner.network.state_dict().values())
    learning = sum(parameter.numel() for _, parameter in learner.learning())
    # The start, the copy that learns and the best one; gradient and two moments of the optimiser.
    fixed = 4 * (2 * weights + 5 * learning) / MEGA
    return float(BASE_MB + fixed + learner.activations_mb(schedule))


def check_fits(learner: Learner, schedule: Schedule, name: str, free_mb: float) -> float:
    """Return the memory that a training needs, in MB.

    Raises
    ------
    OutOfMemoryError
        It is more than there is; says what would fit.
    """
    needed = needed_mb(learner, schedule)
    if needed <= RESERVE * free_mb:
        return needed
    raise OutOfMemoryError(
        f"training {name} with the preset {learner.preset} needs about {needed / 1024:.1f} GB, and "
        f"{free_mb / 1024:.1f} GB are free. {_cure(learner, schedule, free_mb)}"
    )


def _cure(learner: Learner, schedule: Schedule, free_mb: float) -> str:
    smaller = {
        Preset.FULL: "the preset balanced or quick",
        Preset.BALANCED: "the preset quick",
        Preset.QUICK: "the model tiny",
    }[learner.preset]
    one = learner.activations_mb(schedule.with_batch(1))
    saved = learner.activations_mb(schedule) - one
    if schedule.batch > 1 and needed_mb(learner, schedule) - saved <= RESERVE * free_mb:
        return f"One view at a time (batch 1) would fit; or choose {smaller}"
    return f"Choose {smaller}, or close other programs"
