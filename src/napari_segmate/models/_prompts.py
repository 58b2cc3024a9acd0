"""Prompts of several objects as the arrays that networks take: the only place with (x, y)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_segmate.core.prompts import ObjectPrompts
from napari_segmate.core.types import FloatArray

__all__ = ["PromptArrays", "batches", "prompt_arrays"]


@dataclass(frozen=True, eq=False)
class PromptArrays:
    """Prompts of N objects that have the same kinds of prompts.

    Parameters
    ----------
    points_xy : (N, P, 2) float, optional
        Pixels of the encoded image.
    labels : (N, P) int, optional
        1 includes, 0 excludes, -1 is padding.
    boxes_xyxy : (N, 4) float, optional
        x0, y0, x1, y1.
    logits : (N, 1, h, w) float32, optional
        Low-resolution mask input.
    """

    points_xy: npt.NDArray[np.float64] | None = None
    labels: npt.NDArray[np.int64] | None = None
    boxes_xyxy: npt.NDArray[np.float64] | None = None
    logits: FloatArray | None = None


def batches(prompts: Sequence[ObjectPrompts], size: int) -> Iterator[list[int]]:
    """Return the numbers of objects that can be decoded together, at most `size` at a time.

    Only objects with as many points and the same kinds of prompts go together: padding would change
    the answer, and with it what a user gets from one box among many.
    """
    groups: dict[tuple[int, bool, bool], list[int]] = {}
    for number, one in enumerate(prompts):
        count = 0 if one.points is None else len(one.points)
        kinds = count, one.box is not None, one.logits is not None
        groups.setdefault(kinds, []).append(number)
    for numbers in groups.values():
        for start in range(0, len(numbers), size):
            yield numbers[start : start + size]


def prompt_arrays(prompts: Sequence[ObjectPrompts]) -> PromptArrays:
    """Return the prompts of objects that `batches` put together."""
    points = [one.points for one in prompts if one.points is not None]
    boxes = [one.box.box_yx for one in prompts if one.box is not None]
    logits = [one.logits for one in prompts if one.logits is not None]
    return PromptArrays(
        np.stack([one.points_yx[:, ::-1] for one in points]) if points else None,
        np.stack([one.positive for one in points]).astype(np.int64) if points else None,
        np.array(boxes)[:, [1, 0, 3, 2]] if boxes else None,
        np.stack(logits)[:, None] if logits else None,
    )
