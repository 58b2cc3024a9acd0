"""Objects that a label image has already."""

from __future__ import annotations

import numpy as np

from napari_segmate.core.labels.commit import LabelPlane
from napari_segmate.core.types import Instance

__all__ = ["MOST_COVERED", "SAME_IOU", "twin"]

SAME_IOU = 0.7
"""Two clicks at one object give masks that agree better than this; neighbours never do."""
MOST_COVERED = 0.5
"""Of many objects at once, one that lies on others by more than this part is there already."""


def twin(labels_plane: LabelPlane, instance: Instance, least_iou: float = SAME_IOU) -> int:
    """Return the label of the object that is the same as an instance; 0 when there is none.

    Only the surroundings of the instance are read.

    Parameters
    ----------
    labels_plane : (H, W) array of integers
        What is there.
    instance : Instance
        An object, in plane pixels.
    least_iou : float
        How well they have to agree, 0 to 1.

    Examples
    --------
    >>> labels = np.zeros((8, 8), np.uint8)
    >>> labels[1:5, 1:6] = 3
    >>> twin(labels, Instance((1, 1, 5, 5), np.ones((4, 4), bool)))
    3
    >>> twin(labels, Instance((3, 1, 7, 5), np.ones((4, 4), bool)))
    0
    """
    top, left, bottom, right = instance.box_yx
    # An object that goes on beyond this margin is much larger than the instance.
    y0, x0 = max(0, top - (bottom - top)), max(0, left - (right - left))
    y1, x1 = bottom + (bottom - top), right + (right - left)
    around = np.asarray(labels_plane[slice(y0, y1), slice(x0, x1)])
    under = around[top - y0 : bottom - y0, left - x0 : right - x0][instance.mask]
    values, counts = np.unique(under[under > 0], return_counts=True)
    if values.size == 0:
        return 0
    most = int(np.argmax(counts))
    label, common = int(values[most]), int(counts[most])
    union = np.count_nonzero(around == label) + instance.area - common
    return label if common >= least_iou * union else 0
