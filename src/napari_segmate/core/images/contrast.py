"""Intensities of any type to 8 bits: robust limits from a sample, the same for every tile."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.errors import ImageError

__all__ = ["Contrast", "ContrastMode", "check_dtype", "robust_limits", "to_uint8"]

LOW_PERCENT, HIGH_PERCENT = 0.5, 99.8
"""Percentiles that become black and white: hot pixels and dead ones lie beyond."""
MID_GREY = 128


class ContrastMode(StrEnum):
    """Which intensities decide what is black and what is white."""

    PLANE = "plane"
    STACK = "stack"
    LAYER = "layer"
    """Limits that the caller gives, as those of the layer in a viewer."""


@dataclass(frozen=True)
class Contrast:
    """Intensities that become black and white.

    Parameters
    ----------
    limits : tuple of (low, high)
        One pair per channel of the data, one for a grey image.

    Raises
    ------
    ImageError
        Limits that are not finite, or `low` above `high`.

    Examples
    --------
    >>> Contrast(((0, 255),)).limits
    ((0.0, 255.0),)
    """

    limits: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        limits = tuple((float(low), float(high)) for low, high in self.limits)
        for low, high in limits:
            if not (np.isfinite([low, high]).all() and low <= high):
                raise ImageError(
                    f"contrast limits must be finite, low before high, got ({low}, {high})"
                )
        object.__setattr__(self, "limits", limits)


def check_dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    """Return the type of an image, if an image can have it.

    Raises
    ------
    ImageError
        Neither bool, integer nor real: complex numbers, records, text, objects.
    """
    checked = np.dtype(dtype)
    if checked.kind not in "buif":
        raise ImageError(
            f"images must hold bools, integers or real numbers, not {checked}; convert the array "
            "first (for complex numbers, to their absolute value)"
        )
    return checked


def _histogram_limits(values: npt.NDArray[Any]) -> tuple[float, float]:
    """Return robust limits of integers of 8 or 16 bits; exact, and faster than sorting."""
    offset = int(np.iinfo(values.dtype).min)
    counts = np.bincount(_as_index(values).ravel(), minlength=1)
    if offset:
        # Signed values were reinterpreted: their negative half comes last.
        counts = np.pad(counts, (0, -2 * offset - counts.size))
        counts = np.roll(counts, -offset)
    low, high = _ranked(counts)
    if low >= high and np.count_nonzero(counts) > 1:
        counts[low] = 0
        low, high = _around(low, _ranked(counts))
    return float(low + offset), float(high + offset)


def _ranked(counts: npt.NDArray[np.int64]) -> tuple[int, int]:
    """Return the levels at the two percentiles of a histogram."""
    levels = np.flatnonzero(counts)
    below = np.cumsum(counts[levels])
    ranks = [rank + 1 for rank in _ranks(int(below[-1]))]
    low, high = levels[np.searchsorted(below, ranks)].tolist()
    return low, high


def _ranks(count: int) -> tuple[int, int]:
    """Return which of `count` sorted values, from 0, the two percentiles are."""
    last = count - 1
    ranks = int(np.ceil(last * LOW_PERCENT / 100)), int(np.floor(last * HIGH_PERCENT / 100))
    return min(ranks), max(ranks)


def _around(common: Any, limits: tuple[Any, Any]) -> tuple[Any, Any]:
    return min(common, limits[0]), max(common, limits[1])


def _sorted_limits(values: npt.NDArray[Any]) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return 0.0, 0.0
    low, high = _parted(finite)
    if low >= high:
        others = finite[finite != low]
        low, high = _around(low, _parted(others)) if others.size else (low, high)
    return float(low), float(high)


def _parted(values: npt.NDArray[Any]) -> tuple[Any, Any]:
    """Return the values at the two percentiles."""
    low, high = _ranks(values.size)
    parted = np.partition(values, sorted({low, high}))
    return parted[low], parted[high]


def robust_limits(values: npt.NDArray[Any]) -> tuple[float, float]:
    """Return the intensities that should become black and white.

    The 0.5 and 99.8 percentiles of the finite values. Where those are the same (few spots on an
    even background), that value and the percentiles of all others; (0, 0) without a finite value.

    Parameters
    ----------
    values : (...) array of bool, integers or floats
        A sample of the image.

    Examples
    --------
    >>> robust_limits(np.arange(1001))
    (5.0, 998.0)
    >>> robust_limits(np.array([3.0, np.nan, 3.0]))
    (3.0, 3.0)
    """
    if values.size == 0:
        return 0.0, 0.0
    if values.dtype.kind == "b":
        return 0.0, 1.0
    if values.dtype.kind in "ui" and values.dtype.itemsize <= 2:
        return _histogram_limits(values)
    return _sorted_limits(values.ravel())


def _as_index(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return 8 and 16 bit integers as unsigned ones of the machine, bits as they are."""
    native = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))
    unsigned: npt.NDArray[Any] = native.view(f"u{native.itemsize}")
    return unsigned


@lru_cache(maxsize=64)
def _table(dtype: np.dtype[Any], low: float, high: float) -> npt.NDArray[np.uint8]:
    """Return the grey value of every value of an integer type, in the order of its bits."""
    bits = np.arange(2 ** (8 * dtype.itemsize), dtype=f"u{dtype.itemsize}")
    table = _scaled(bits.view(dtype).astype(np.float32), low, high)
    table.setflags(write=False)
    return table


def _scaled(values: npt.NDArray[Any], low: float, high: float) -> npt.NDArray[np.uint8]:
    if low >= high:
        return _step(values, low)
    with np.errstate(over="ignore", invalid="ignore"):
        # Halves: the whole range of a float type does not fit into that type.
        grey = values * values.dtype.type(0.5) - values.dtype.type(low / 2)
        grey *= values.dtype.type(255 / (high / 2 - low / 2))
        np.rint(grey, out=grey)
        np.clip(grey, 0, 255, out=grey)
    if values.dtype.kind == "f":
        grey[~np.isfinite(values)] = 0
    found: npt.NDArray[np.uint8] = grey.astype(np.uint8)
    return found


def _step(values: npt.NDArray[Any], at: float) -> npt.NDArray[np.uint8]:
    """Return the grey values of an image without contrast: mid-grey where it is even."""
    grey = np.full(values.shape, MID_GREY, dtype=np.uint8)
    grey[values < at] = 0
    grey[values > at] = 255
    grey[~np.isfinite(values)] = 0
    return grey


def to_uint8(values: npt.NDArray[Any], limits: tuple[float, float]) -> npt.NDArray[np.uint8]:
    """Return intensities as grey values: `limits` become 0 and 255, values beyond are clipped.

    NaN and infinite values become 0. With equal limits, values at the limit become mid-grey.

    Parameters
    ----------
    values : (...) array of bool, integers or floats
        Intensities.
    limits : (low, high)
        What becomes black and white.

    Examples
    --------
    >>> to_uint8(np.array([5, 10, 20, 99], np.uint16), (10, 20))
    array([  0,   0, 255, 255], dtype=uint8)
    """
    low, high = limits
    if values.dtype.kind == "b":
        values = values.view(np.uint8)
    if values.dtype == np.uint8 and (low, high) == (0.0, 255.0):
        return values
    if values.dtype.kind in "ui" and values.dtype.itemsize <= 2:
        native = values.dtype.newbyteorder("=")
        shown: npt.NDArray[np.uint8] = _table(native, low, high)[_as_index(values)]
        return shown
    return _scaled(values.astype(_working_type(values.dtype, low, high)), low, high)


def _working_type(dtype: np.dtype[Any], low: float, high: float) -> npt.DTypeLike:
    """Return the float type that keeps the steps between the limits apart."""
    if dtype.kind != "f" or dtype.itemsize > 4:
        return np.float64
    # A narrow range far from 0 loses its steps in single precision.
    largest, room = max(abs(low), abs(high)), high - low
    return np.float32 if largest < 1e30 and room > largest * 1e-4 else np.float64
