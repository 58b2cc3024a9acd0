from __future__ import annotations

import numpy as np
import torch
from torchvision.ops import box_iou, nms

from napari_segmate.core.masks.boxes import box_nms, overlaps


def test_box_nms_keeps_what_torchvision_keeps() -> None:
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 60, (200, 2))
    boxes = np.concatenate([corners, corners + rng.integers(0, 40, (200, 2))], axis=1)
    scores = rng.integers(0, 20, 200) / 20
    for threshold in (0.1, 0.5, 0.9):
        wanted = nms(torch.tensor(boxes).float(), torch.tensor(scores).float(), threshold)
        assert box_nms(boxes, scores, threshold).tolist() == wanted.tolist()


def test_box_nms_takes_no_boxes() -> None:
    assert box_nms(np.empty((0, 4)), [], 0.5).size == 0


def test_boxes_without_area_overlap_nothing() -> None:
    assert box_nms([[3, 3, 3, 9], [3, 3, 3, 9]], [0.5, 0.6], 0.7).tolist() == [1, 0]


def test_overlaps_are_those_of_torchvision() -> None:
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 60, (2, 50, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(0, 40, (2, 50, 2))], axis=2)
    wanted = box_iou(*(torch.tensor(one) for one in boxes))
    np.testing.assert_allclose(overlaps(*boxes), wanted.numpy(), atol=1e-9)
