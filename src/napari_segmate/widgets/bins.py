"""Values counted in bins, and the range and ticks of an axis that shows them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_segmate.widgets.curve_view import Range, nice_ticks

__all__ = ["Bins", "bins_of", "log_ticks", "range_of"]

N_BINS = 40


@dataclass(frozen=True, eq=False)
class Bins:
    """How many values lie between two edges: (B,) counts, (B + 1,) edges."""

    counts: npt.NDArray[np.int64]
    edges: npt.NDArray[np.float64]


def bins_of(
    values: npt.ArrayLike, value_range: Range, count: int = N_BINS, *, logarithmic: bool = False
) -> Bins:
    """Return how values are spread over a range; those beyond it count to the outermost bins.

    Parameters
    ----------
    values : (N,) array_like
        What is counted. What is not finite is left out.
    value_range : (low, high)
        Outermost edges; above 0 when `logarithmic`.
    count : int
        Number of bins.
    logarithmic : bool
        Edges at equal ratios instead of equal distances.

    Examples
    --------
    >>> bins_of([0.1, 0.2, 0.9, 7.0], (0, 1), 2).counts.tolist()
    [2, 2]
    >>> bins_of([1, 10, 100], (1, 100), 2, logarithmic=True).edges.round(6).tolist()
    [1.0, 10.0, 100.0]
    """
    low, high = value_range
    make = np.geomspace if logarithmic else np.linspace
    edges = np.asarray(make(low, high, count + 1), dtype=np.float64)
    found = np.asarray(values, dtype=np.float64).ravel()
    found = np.clip(found[np.isfinite(found)], edges[0], edges[-1])
    return Bins(np.histogram(found, edges)[0].astype(np.int64), edges)


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


def range_of(values: Iterable[npt.ArrayLike], *, logarithmic: bool) -> Range:
    """Return the smallest range that holds all values, never an empty one.

    Examples
    --------
    >>> range_of([[1, 4], [2, float("nan")]], logarithmic=False)
    (1.0, 4.0)
    >>> range_of([[3]], logarithmic=False), range_of([], logarithmic=True)
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
