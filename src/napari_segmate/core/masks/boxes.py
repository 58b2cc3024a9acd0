"""Boxes that overlap: how much, and which to keep."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_segmate.core.errors import PromptError
from napari_segmate.core.types import BoxYX, Shape2D

__all__ = ["box_nms", "example_in", "overlaps"]


def box_nms(
    boxes_yx: npt.ArrayLike, scores: npt.ArrayLike, threshold: float
) -> npt.NDArray[np.intp]:
    """Return which boxes to keep so that no two overlap by more than a threshold.

    Parameters
    ----------
    boxes_yx : (n, 4) array_like
        y0, x0, y1, x1; the area of a box is ``(y1 - y0) * (x1 - x0)``.
    scores : (n,) array_like
        Of two that overlap, the better one stays; of equals, the first.
    threshold : float
        Largest IoU of two boxes that stay.

    Returns
    -------
    (k,) int
        Positions in `boxes_yx`, best score first.

    Examples
    --------
    >>> box_nms([[0, 0, 10, 10], [0, 0, 10, 9], [20, 0, 30, 9]], [0.5, 0.8, 0.6], 0.7).tolist()
    [1, 2]
    """
    boxes = np.asarray(boxes_yx, dtype=np.float32).reshape(-1, 4)
    low, high = boxes[:, :2], boxes[:, 2:]
    areas = np.prod(high - low, axis=1)
    waiting = np.argsort(-np.asarray(scores), kind="stable")
    kept: list[int] = []
    while waiting.size:
        best, waiting = int(waiting[0]), waiting[1:]
        kept.append(best)
        sides = np.minimum(high[best], high[waiting]) - np.maximum(low[best], low[waiting])
        common = np.prod(np.maximum(sides, 0), axis=1)
        joined = areas[best] + areas[waiting] - common
        # Boxes without area overlap nothing: 0 > threshold x 0 is false.
        waiting = waiting[~(common > threshold * joined)]
    return np.array(kept, dtype=np.intp)


def overlaps(first: npt.ArrayLike, second: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the (n, m) intersection over union of (n, 4) and (m, 4) boxes.

    Examples
    --------
    >>> overlaps([[0, 0, 2, 2], [5, 5, 6, 6]], [[0, 0, 2, 1]]).tolist()
    [[0.5], [0.0]]
    """
    one, other = (np.asarray(boxes, float).reshape(-1, 4) for boxes in (first, second))
    one, other = one[:, None], other[None]
    sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    common = np.clip(sides, 0, None).prod(axis=-1)
    areas = [(boxes[..., 2:] - boxes[..., :2]).prod(axis=-1) for boxes in (one, other)]
    return np.asarray(common / np.maximum(areas[0] + areas[1] - common, 1e-9))


def example_in(box_yx: BoxYX, shape: Shape2D) -> npt.NDArray[np.float64]:
    """Return the part of a box that lies in an image.

    Parameters
    ----------
    box_yx : (y0, x0, y1, x1)
        Round one object, in pixels; pixel centres at integers.
    shape : (height, width)
        Size of the image.

    Raises
    ------
    PromptError
        It has no area there.

    Examples
    --------
    >>> example_in((5, 5, 30, 9), (20, 20)).tolist()
    [5.0, 5.0, 19.5, 9.0]
    """
    box = np.asarray(np.clip(box_yx, -0.5, np.array(shape * 2) - 0.5), dtype=np.float64)
    if not (box[2:] > box[:2]).all():
        raise PromptError(
            f"the example {tuple(round(float(value), 1) for value in box_yx)} has no area in an "
            f"image of {shape[0]} x {shape[1]} pixels; draw a box round one whole object"
        )
    return box
