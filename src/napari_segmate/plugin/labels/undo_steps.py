"""Pixels written to a labels layer, with what they held before; napari keeps them as undo steps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Labels

__all__ = ["Step", "is_there", "restore", "write"]

Indices = tuple[npt.NDArray[Any], ...]


@dataclass(frozen=True, eq=False)
class Step:
    """What was written, and what was there before.

    Parameters
    ----------
    indices : tuple of (N,) int
        The pixels, one array per axis of the layer.
    before, after : (N,) int
        Their values.
    """

    indices: Indices
    before: npt.NDArray[Any]
    after: npt.NDArray[Any]


def write(layer: Labels, indices: Indices, before: npt.NDArray[Any], values: Any) -> Step:
    """Write values, one or one per pixel, and return what was done."""
    after = np.broadcast_to(np.asarray(values).astype(layer.data.dtype), before.shape)
    layer.data_setitem(indices, after.copy())
    return Step(indices, before, after)


def restore(layer: Labels, step: Step) -> None:
    """Give the pixels back what they had before, unless somebody has painted there since."""
    ours = np.asarray(layer.data[step.indices]) == step.after
    if ours.any():
        layer.data_setitem(tuple(axis[ours] for axis in step.indices), step.before[ours])


def is_there(layer: Labels, steps: Iterable[Step]) -> bool:
    """Tell whether steps have not been undone already, with Ctrl+Z for instance.

    Objects count; where none got pixels, the pixels that were emptied.
    """
    done = tuple(steps)
    filled = tuple(step for step in done if step.after.any())
    return any(_holds(layer, step, emptied=not filled) for step in filled or done)


def _holds(layer: Labels, step: Step, *, emptied: bool) -> bool:
    ours = np.asarray(layer.data[step.indices]) == step.after
    return bool(ours.any() if emptied else ours[step.after != 0].any())
