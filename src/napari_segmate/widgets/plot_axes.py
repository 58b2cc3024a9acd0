"""The axes of plots: ranges, round numbers along them, pale colours."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from qtpy.QtGui import QColor

__all__ = ["Range", "log_ticks", "nice_ticks", "pale", "range_of_values"]

Range = tuple[float, float]

TICKS = 4


def nice_ticks(low: float, high: float, count: int = TICKS) -> list[float]:
    """Return about `count` round numbers between two others.

    Examples
    --------
    >>> nice_ticks(0, 1)
    [0.0, 0.5, 1.0]
    >>> nice_ticks(3, 128)
    [50.0, 100.0]
    """
    if not high > low:
        return [low]
    rough = (high - low) / count
    power: float = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    digits = max(0, -math.floor(math.log10(step)))
    return [round(number * step, digits) for number in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Return powers of ten between two numbers above 0; more numbers where these are too few.

    Examples
    --------
    >>> log_ticks(3, 2000)
    [10.0, 100.0, 1000.0]
    >>> log_ticks(3, 60)
    [5.0, 10.0, 20.0, 50.0]
    >>> log_ticks(17, 49)
    [20.0, 30.0, 40.0]
    """
    if high / low < 10:
        return nice_ticks(low, high)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if high / low < 100 else (1,)
    ticks = [factor * 10.0**power for power in powers for factor in factors]
    return [tick for tick in ticks if low <= tick <= high]


def range_of_values(values: Iterable[npt.ArrayLike], *, logarithmic: bool) -> Range:
    """Return the smallest range that holds all values, never an empty one.

    Examples
    --------
    >>> range_of_values([[1, 4], [2, float("nan")]], logarithmic=False)
    (1.0, 4.0)
    >>> range_of_values([[3]], logarithmic=False), range_of_values([], logarithmic=True)
    ((2.5, 3.5), (1.0, 10.0))
    """
    arrays = [np.asarray(one, dtype=np.float64).ravel() for one in values]
    found = np.concatenate(arrays) if arrays else np.zeros(0)
    found = found[np.isfinite(found) & ((found > 0) | (not logarithmic))]
    if found.size == 0:
        return (1.0, 10.0) if logarithmic else (0.0, 1.0)
    low, high = float(found.min()), float(found.max())
    if logarithmic:
        return low / 1.1, high * 1.1
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def pale(colour: QColor, alpha: int) -> QColor:
    """Return a colour with another opacity, 0 to 255."""
    found = QColor(colour)
    found.setAlpha(alpha)
    return found
