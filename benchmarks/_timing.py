"""How long a call takes, in milliseconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np

__all__ = ["Times", "alternate", "repeat"]


@dataclass(frozen=True)
class Times:
    """Durations of the repeats of one call, in seconds."""

    seconds: tuple[float, ...]

    @property
    def median_ms(self) -> float:
        return float(np.median(self.seconds)) * 1000

    @property
    def p95_ms(self) -> float:
        return float(np.percentile(self.seconds, 95)) * 1000

    @property
    def worst_ms(self) -> float:
        return max(self.seconds) * 1000


Step = Callable[[int], object]


def _nothing(number: int) -> None:
    """Prepare nothing."""


def repeat(call: Step, repeats: int, warmup: int = 2, prepare: Step = _nothing) -> Times:
    """Time ``call(number)`` for numbers 0, 1, 2 …

    The first `warmup` calls are not counted, nor is ``prepare(number)`` before each.
    """
    return alternate([call], repeats, warmup, prepare)[0]


def alternate(
    calls: Sequence[Step], repeats: int, warmup: int = 2, prepare: Step = _nothing
) -> list[Times]:
    """Time several calls in turn, so that what else the machine does meets all of them alike."""
    seconds: list[list[float]] = [[] for _ in calls]
    for number in range(warmup + repeats):
        for call, found in zip(calls, seconds, strict=True):
            prepare(number)
            start = perf_counter()
            call(number)
            if number >= warmup:
                found.append(perf_counter() - start)
    return [Times(tuple(found)) for found in seconds]
