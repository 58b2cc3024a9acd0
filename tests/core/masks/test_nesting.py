from __future__ import annotations

import numpy as np

from napari_segmate.core.masks.nesting import Nesting, labels_of_masks
from napari_segmate.core.types import Instance, IntBoxYX


def block(box: IntBoxYX, score: float = 1.0) -> Instance:
    return Instance(box, np.ones((box[2] - box[0], box[3] - box[1]), bool), score)


CELL = block((0, 0, 10, 10), 0.8)
NUCLEUS = block((2, 2, 6, 6), 0.9)
NUCLEOLUS = block((3, 3, 5, 5), 0.95)
NEIGHBOUR = block((0, 10, 10, 14), 0.7)
ALL = [NUCLEOLUS, CELL, NEIGHBOUR, NUCLEUS]


def kept(nesting: Nesting) -> list[int]:
    return labels_of_masks(ALL, (12, 16), nesting)[1].tolist()


def test_whole_keeps_the_outermost_masks() -> None:
    labels, numbers = labels_of_masks(ALL, (12, 16), Nesting.WHOLE)
    assert numbers.tolist() == [1, 2]
    assert np.bincount(labels.ravel()).tolist() == [12 * 16 - 140, 100, 40]


def test_part_keeps_the_innermost_masks() -> None:
    assert kept(Nesting.PART) == [0, 2]


def test_smallest_keeps_all_with_smaller_masks_on_top() -> None:
    labels, numbers = labels_of_masks(ALL, (12, 16), Nesting.SMALLEST)
    assert numbers.tolist() == [0, 1, 2, 3]
    assert np.bincount(labels.ravel()).tolist()[1:] == [4, 100 - 16, 40, 12]


def test_the_better_of_two_overlapping_masks_gets_the_pixels() -> None:
    left, right = block((0, 0, 4, 6), 0.9), block((0, 4, 4, 10), 0.5)
    for pair in ([left, right], [right, left]):
        labels, numbers = labels_of_masks(pair, (4, 10))
        assert len(numbers) == 2
        assert np.unique(labels[:, 4:6]).tolist() == [pair.index(left) + 1]


def test_a_mask_without_a_pixel_of_its_own_gets_no_number() -> None:
    same = [block((0, 0, 4, 4), 0.5), block((0, 0, 4, 4), 0.9)]
    labels, numbers = labels_of_masks(same, (4, 4), Nesting.SMALLEST)
    assert numbers.tolist() == [1]
    assert np.unique(labels).tolist() == [1]


def test_no_masks_give_an_empty_label_image() -> None:
    labels, numbers = labels_of_masks([], (3, 5))
    assert labels.shape == (3, 5)
    assert not labels.any()
    assert numbers.size == 0
