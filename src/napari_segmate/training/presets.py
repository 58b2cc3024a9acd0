"""How much of a network learns, and how fast."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

__all__ = ["INVERTED", "Preset", "Schedule", "schedule_of"]

INVERTED = 0.3
"""Chance of an inverted view, where inverted views are wanted."""
WARM_UP = 0.05
"""Share of the steps in which the learning rate rises."""
LAST_RATE = 0.02
"""Learning rate of the last step, as a share of the highest."""


class Preset(StrEnum):
    """What learns."""

    QUICK = "quick"
    """All but the encoder, which looks at each view once: minutes."""
    BALANCED = "balanced"
    """Also a small part of the encoder: LoRA for SAM, the last stages of the embedded model."""
    FULL = "full"
    """Everything."""


@dataclass(frozen=True)
class Schedule:
    """How a training proceeds.

    Parameters
    ----------
    rate : float
        Highest learning rate (AdamW).
    epochs : int
        Most epochs.
    patience : int
        Epochs without an improvement after which it ends.
    views : int
        Views per epoch.
    batch : int
        Views per step.
    objects : int
        Most prompted objects per view.
    prompted : float
        Share of the steps in which prompts are answered; the instance head learns in all.
    weight_decay : float
        Of AdamW.
    clip : float
        Largest norm of the gradient.
    polarity : float
        Chance that a view is shown with bright and dark exchanged.
    """

    rate: float
    epochs: int
    patience: int
    views: int
    batch: int
    objects: int = 8
    prompted: float = 1.0
    weight_decay: float = 0.02
    clip: float = 1.0
    polarity: float = 0.0

    @property
    def steps_per_epoch(self) -> int:
        """Steps of each epoch."""
        return math.ceil(self.views / self.batch)

    @property
    def steps(self) -> int:
        """Steps of all epochs."""
        return self.epochs * self.steps_per_epoch

    def with_batch(self, batch: int) -> Schedule:
        """Return the schedule with another number of views per step."""
        return replace(self, batch=batch)

    def rate_at(self, step: int) -> float:
        """Return the learning rate of a step: rising at first, then falling along a cosine.

        Examples
        --------
        >>> schedule = Schedule(rate=1.0, epochs=10, patience=5, views=8, batch=2)
        >>> [round(schedule.rate_at(step), 2) for step in (0, 2, 20, 40)]
        [0.5, 0.99, 0.51, 0.02]
        """
        done = min(step / self.steps, 1.0)
        rising = min(1.0, (step + 1) / max(WARM_UP * self.steps, 1))
        falling = 0.5 * (1 + math.cos(math.pi * done))
        return self.rate * rising * (LAST_RATE + (1 - LAST_RATE) * falling)


# Rates: micro-sam (Archit et al., 2025) trains all of SAM at 1e-5, and peft with LoRA at ten times
# that; the embedded model ends its own training at 1e-5 and begins it at 1e-3.
TINY = {
    Preset.QUICK: Schedule(
        rate=1.2e-3, epochs=16, patience=5, views=96, batch=4, objects=4, prompted=0.5
    ),
    Preset.BALANCED: Schedule(
        rate=4e-4, epochs=20, patience=6, views=72, batch=4, objects=4, prompted=0.5
    ),
    Preset.FULL: Schedule(
        rate=3e-4, epochs=40, patience=8, views=72, batch=4, objects=4, prompted=0.5
    ),
}
SAM = {
    # With more objects a step would take nearly as long as looking at the view again.
    Preset.QUICK: Schedule(rate=5e-5, epochs=20, patience=5, views=24, batch=2, objects=4),
    Preset.BALANCED: Schedule(rate=1e-4, epochs=20, patience=5, views=24, batch=1),
    Preset.FULL: Schedule(rate=1e-5, epochs=50, patience=10, views=24, batch=1),
}


def schedule_of(family: str, preset: Preset) -> Schedule:
    """Return the usual schedule of a preset for a family, ``"tiny"`` or ``"sam"``."""
    return {"tiny": TINY, "sam": SAM}[family][preset]
