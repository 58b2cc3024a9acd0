"""Scores of label images and masks against the truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from napari_segmate.core.errors import LabelsError

__all__ = ["MSA_THRESHOLDS", "average_precision", "iou_matrix", "mask_iou", "segmentation_accuracy"]

Scores = npt.NDArray[np.float64]

MSA_THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
"""IoU 0.50, 0.55 .. 0.95: the thresholds that `segmentation_accuracy` averages over."""


def mask_iou(mask_a: npt.ArrayLike, mask_b: npt.ArrayLike) -> float:
    """Return the intersection over union of two masks of one shape; 1.0 when both are empty.

    Examples
    --------
    >>> mask_iou([[1, 1, 0]], [[0, 1, 1]])
    0.3333333333333333
    """
    a, b = np.asarray(mask_a, dtype=bool), np.asarray(mask_b, dtype=bool)
    _check_shapes(a, b)
    union = np.count_nonzero(a | b)
    return float(np.count_nonzero(a & b) / union) if union else 1.0


def iou_matrix(
    labels_true: npt.ArrayLike, labels_pred: npt.ArrayLike
) -> tuple[Scores, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the IoU of every true with every predicted object.

    Parameters
    ----------
    labels_true, labels_pred : (...) int
        Label images of one shape, any number of dimensions; 0 is background.

    Returns
    -------
    iou : (n_true, n_pred) float
    ids_true : (n_true,) int
        The label of each row.
    ids_pred : (n_pred,) int
        The label of each column.

    Raises
    ------
    LabelsError
        The shapes differ, or a label image does not hold integers.

    Examples
    --------
    >>> iou, ids_true, ids_pred = iou_matrix([[1, 1, 0, 7]], [[5, 5, 5, 0]])
    >>> iou.round(2).tolist(), ids_true.tolist(), ids_pred.tolist()
    ([[0.67], [0.0]], [1, 7], [5])
    """
    table = _Overlaps(labels_true, labels_pred)
    return table.iou, table.ids_true, table.ids_pred


def average_precision(
    labels_true: npt.ArrayLike,
    labels_pred: npt.ArrayLike,
    thresholds: Sequence[float] = (0.5,),
    *,
    ignore_min_area: int = 0,
) -> Scores:
    """Return AP = TP / (TP + FP + FN) at each IoU threshold.

    True and predicted objects are matched one to one; a pair counts as found when its IoU reaches
    the threshold. This is the "average precision" of the Data Science Bowl 2018, StarDist and
    Cellpose.

    Parameters
    ----------
    labels_true, labels_pred : (...) int
        Label images of one shape; 0 is background.
    thresholds : sequence of float
        IoU thresholds, above 0.
    ignore_min_area : int
        Objects of fewer pixels count neither as found, missed nor wrong; nor does a predicted
        object that lies mostly on such a true object.

    Returns
    -------
    (len(thresholds),) float
        1.0 where there is nothing to find and nothing was found.

    Raises
    ------
    LabelsError
        The shapes differ, or a label image does not hold integers.

    Examples
    --------
    >>> truth = [[1, 1, 1, 1, 0, 2, 2]]
    >>> found = [[4, 4, 4, 0, 0, 0, 9]]
    >>> average_precision(truth, found, (0.5, 0.75, 0.9)).round(2).tolist()
    [1.0, 0.33, 0.0]
    """
    table = _Overlaps(labels_true, labels_pred).without_small(ignore_min_area)
    n_true, n_pred = table.iou.shape
    if n_true + n_pred == 0:
        return np.ones(len(thresholds))
    found = np.array([_count_pairs(table.iou, threshold) for threshold in thresholds])
    return np.asarray(found / (n_true + n_pred - found), dtype=np.float64)


def segmentation_accuracy(
    labels_true: npt.ArrayLike, labels_pred: npt.ArrayLike, *, ignore_min_area: int = 0
) -> float:
    """Return mSA: the mean of `average_precision` at IoU 0.50, 0.55 .. 0.95.

    Examples
    --------
    >>> segmentation_accuracy([[1, 1, 1, 0]], [[1, 1, 1, 1]])  # IoU 0.75: found at 6 of 10
    0.6
    """
    scores = average_precision(
        labels_true, labels_pred, MSA_THRESHOLDS, ignore_min_area=ignore_min_area
    )
    return float(scores.mean())


def _check_shapes(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> None:
    if a.shape != b.shape:
        raise LabelsError(f"cannot compare arrays of shape {a.shape} and {b.shape}")


def _numbered(
    labels: npt.NDArray[Any],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the labels without 0, and the image renumbered 1 .. n in their order."""
    if labels.dtype.kind not in "iub":
        raise LabelsError(f"a label image holds integers, not {labels.dtype}")
    ids, inverse = np.unique(labels, return_inverse=True)
    number = np.cumsum(ids != 0)
    number[ids == 0] = 0
    return ids[ids != 0].astype(np.int64), number[inverse].reshape(labels.shape)


class _Overlaps:
    """Pixels that true and predicted objects share."""

    def __init__(self, labels_true: npt.ArrayLike, labels_pred: npt.ArrayLike) -> None:
        true, pred = np.asarray(labels_true), np.asarray(labels_pred)
        _check_shapes(true, pred)
        self.ids_true, true = _numbered(true)
        self.ids_pred, pred = _numbered(pred)
        rows, columns = len(self.ids_true) + 1, len(self.ids_pred) + 1
        pairs = np.bincount((true * columns + pred).ravel(), minlength=rows * columns)
        table = pairs.reshape(rows, columns)
        self.shared = table[1:, 1:]
        self.area_true, self.area_pred = table.sum(axis=1)[1:], table.sum(axis=0)[1:]

    @property
    def iou(self) -> Scores:
        union = self.area_true[:, None] + self.area_pred[None] - self.shared
        return np.asarray(self.shared / np.maximum(union, 1), dtype=np.float64)

    def without_small(self, area: int) -> _Overlaps:
        """Return self after leaving out what `ignore_min_area` says."""
        small = self.area_true < area
        on_small = 2 * self.shared[small].sum(axis=0) > self.area_pred
        keep = (self.area_pred >= area) & ~on_small
        self.shared = self.shared[~small][:, keep]
        self.ids_true, self.area_true = self.ids_true[~small], self.area_true[~small]
        self.ids_pred, self.area_pred = self.ids_pred[keep], self.area_pred[keep]
        return self


def _count_pairs(iou: Scores, threshold: float) -> int:
    """Return how many objects can be paired one to one with at least `threshold` IoU."""
    # Above 0.5 no object can have two partners: the pairs need no search.
    good = iou >= threshold
    if threshold > 0.5 or not good.any():
        return int(np.count_nonzero(good))
    rows, columns = linear_sum_assignment(-good.astype(float) - iou / (2 * max(iou.shape)))
    return int(np.count_nonzero(good[rows, columns]))
