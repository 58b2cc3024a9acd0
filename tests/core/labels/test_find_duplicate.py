from __future__ import annotations

import numpy as np
import pytest

from napari_segmate.core.labels.commit import find_duplicate
from napari_segmate.core.types import Instance


def plane() -> np.ndarray:
    labels = np.zeros((40, 40), np.uint16)
    labels[10:20, 10:20] = 7
    labels[10:20, 20:30] = 9
    return labels


def rectangle(y0, x0, y1, x1) -> Instance:
    return Instance((y0, x0, y1, x1), np.ones((y1 - y0, x1 - x0), bool))


@pytest.mark.parametrize("box", [(10, 10, 20, 20), (11, 10, 20, 20), (9, 9, 20, 20)])
def test_nearly_the_same_mask_is_the_same_object(box):
    assert find_duplicate(plane(), rectangle(*box)) == 7


@pytest.mark.parametrize(
    "box",
    [(25, 10, 35, 20), (10, 15, 20, 25), (12, 12, 16, 16), (5, 5, 35, 35)],
    ids=["background", "half on each of two", "part of an object", "much larger"],
)
def test_another_mask_is_another_object(box):
    assert find_duplicate(plane(), rectangle(*box)) == 0


def test_an_object_that_goes_on_far_beyond_is_another_one():
    labels = np.full((40, 40), 7, np.uint16)
    assert find_duplicate(labels, rectangle(10, 10, 20, 20)) == 0


def test_objects_at_the_border_of_the_plane_are_found():
    labels = np.zeros((12, 12), np.uint16)
    labels[:5, 8:] = 3
    assert find_duplicate(labels, rectangle(0, 8, 5, 12)) == 3


def test_how_alike_they_must_be_can_be_set():
    loose = rectangle(10, 10, 20, 16)
    assert find_duplicate(plane(), loose) == 0
    assert find_duplicate(plane(), loose, least_iou=0.5) == 7
