"""Intensities to display values: robust limits, the same for every tile of a plane."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.errors import ImageError

__all__ = ["Contrast", "ContrastMode", "robust_limits", "to_uint8"]

PERCENTILES = (0.5, 99.8)
"""Leaves out hot pixels, which would flatten everything else."""


class ContrastMode(StrEnum):
    """Where the limits of the contrast come from."""

    PLANE = "plane"
    STACK = "stack"
    LAYER = "layer"


@dataclass(frozen=True)
class Contrast:
    """Intensities shown as black and as white.

    Parameters
    ----------
    limits : tuple of (low, high)
        One pair per channel of the data.

    Raises
    ------
    ImageError
        A limit is not finite, or ``low > high``.
    """

    limits: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        for low, high in self.limits:
            if not (np.isfinite(low) and np.isfinite(high)) or low > high:
                raise ImageError(
                    f"contrast limits ({low}, {high}) must be finite, the lower one first"
                )


def robust_limits(samples: Iterable[npt.NDArray[Any]]) -> tuple[float, float]:
    """Return the intensities to show as black and white, whatever a few hot pixels are.

    Parameters
    ----------
    samples : iterable of ndarray
        Parts of one channel, of any shape; NaN and infinite values are ignored.

    Returns
    -------
    (low, high)
        The 0.5 and 99.8 percentiles; ``(0, 1)`` when no finite value exists. Equal when all values
        are.

    Examples
    --------
    >>> robust_limits([np.array([0.0, 1.0, np.nan])])
    (0.005..., 0.998...)
    """
    parts = [np.asarray(part).ravel() for part in samples]
    values = np.concatenate([_finite(part) for part in parts]) if parts else np.zeros(0)
    if values.size == 0:
        return 0.0, 1.0
    low, high = np.percentile(values.astype(np.float64), PERCENTILES)
    if low == high:
        # More than 99 % of the pixels are equal: the few others are the picture.
        low, high = float(values.min()), float(values.max())
    return float(low), float(high)


def _finite(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return values[np.isfinite(values)] if values.dtype.kind == "f" else values


def to_uint8(values: npt.NDArray[Any], limits: tuple[float, float]) -> npt.NDArray[np.uint8]:
    """Return intensities as 0 (at or below the lower limit) to 255.

    NaN becomes 0, infinite values the nearer end; a channel without contrast becomes 0.

    Examples
    --------
    >>> to_uint8(np.array([0, 5, 10, 99], np.uint16), (0, 10))
    array([  0, 128, 255, 255], dtype=uint8)
    >>> to_uint8(np.array([np.nan, 1.0, np.inf]), (0.0, 1.0))
    array([  0, 255, 255], dtype=uint8)
    """
    if values.dtype == bool:
        values = values.view(np.uint8)
    if values.dtype in (np.uint8, np.uint16) and values.size > 4096:
        table = _scaled(np.arange(np.iinfo(values.dtype).max + 1), limits)
        return table[values]
    return _scaled(values, limits)


def _scaled(values: npt.NDArray[Any], limits: tuple[float, float]) -> npt.NDArray[np.uint8]:
    low, high = limits
    if high <= low:
        return np.zeros(values.shape, np.uint8)
    # Half precision overflows at 65,504 and long integers lose digits in single precision.
    wide = values.dtype.itemsize > 4 or max(abs(low), abs(high)) > 2**24
    scaled = values.astype(np.float64 if wide else np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        scaled -= low
        scaled *= 255.0 / (high - low)
    np.nan_to_num(scaled, copy=False, nan=0.0, posinf=255.0, neginf=0.0)
    np.clip(scaled, 0.0, 255.0, out=scaled)
    scaled += 0.5
    return scaled.astype(np.uint8)
