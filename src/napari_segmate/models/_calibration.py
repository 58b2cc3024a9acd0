"""What a predicted IoU is worth: a few numbers, fitted once for given weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from napari_segmate.core.types import FloatArray

__all__ = ["Calibration", "sharpness"]

_Value = TypeVar("_Value", float, FloatArray)

STRIP = 2**22
"""Logits looked at at a time: bounds the memory."""


def sharpness(logits: FloatArray) -> FloatArray:
    """Return the IoU of each mask with the probabilities it was cut from, 0 to 1.

    Parameters
    ----------
    logits : (N, M, h, w) float32
        Above 0 inside.

    Returns
    -------
    (N, M) float32
        The sum of the probabilities inside over that of the larger of mask and probability
        everywhere; 0 for an empty mask.

    Examples
    --------
    >>> sharpness(np.float32([[[[9, 9, -9]], [[0, 9, 0]], [[-1, -1, -1]]]])).round(2)
    array([[1. , 0.5, 0. ]], dtype=float32)
    """
    flat = logits.reshape(-1, logits.shape[-2] * logits.shape[-1])
    found = np.empty(len(flat), np.float32)
    rows = max(1, STRIP // max(flat.shape[1], 1))
    for start in range(0, len(flat), rows):
        part = flat[start : start + rows]
        inside = part > 0
        likely = 1 / (1 + np.exp(np.clip(-part, -30, 30)))
        shared = (likely * inside).sum(axis=1)
        either = inside.sum(axis=1) + likely.sum(axis=1) - shared
        found[start : start + rows] = shared / np.maximum(either, 1e-6)
    return found.reshape(logits.shape[:2])


@dataclass(frozen=True)
class Calibration:
    """How the IoU that a network predicts becomes the one to expect.

    A weighted sum of the predicted IoU and the sharpness of the mask. After an earlier answer
    networks trust themselves too much: then two more numbers count.

    Parameters
    ----------
    constant, score, sharpness : float
        What is added, and the weights of the predicted IoU and of the sharpness.
    again, again_score : float
        What is added to constant and weight of the score for a mask drawn from an earlier one.
    """

    constant: float
    score: float
    sharpness: float
    again: float
    again_score: float

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Calibration | None:
        """Return what the facts of a weights file hold, None if it was not calibrated."""
        stored = facts.get("calibration")
        if not stored:
            return None
        return cls(**{name: float(stored[name]) for name in cls.__dataclass_fields__})

    def value(self, score: _Value, sharp: _Value, again: bool) -> _Value:
        """Return the IoU to expect, 0 to 1, of one mask or of an array of them."""
        constant = self.constant + again * self.again
        weight = self.score + again * self.again_score
        found: _Value = np.clip(constant + weight * score + self.sharpness * sharp, 0, 1)
        return found

    def expected(self, scores: FloatArray, logits: FloatArray, again: bool) -> FloatArray:
        """Return the (N, M) IoU to expect of masks.

        Parameters
        ----------
        scores : (N, M) float32
            As the network predicts them.
        logits : (N, M, h, w) float32
            Of the masks.
        again : bool
            The masks were drawn from earlier ones.

        Examples
        --------
        >>> half = Calibration(0.1, 0.5, 0.4, 0.0, -0.5)
        >>> logits = np.full((1, 1, 2, 2), 9, np.float32)
        >>> [half.expected(np.float32([[0.8]]), logits, again).round(2) for again in (False, True)]
        [array([[0.9]], dtype=float32), array([[0.5]], dtype=float32)]
        """
        return self.value(scores, sharpness(logits), again).astype(np.float32)
