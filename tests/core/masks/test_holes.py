import numpy as np

from napari_segmate.core.masks.holes import fill_holes


def ring(labels, number, y, x):
    labels[y : y + 5, x : x + 5] = number
    labels[y + 1 : y + 4, x + 1 : x + 4] = 0


def test_what_one_object_encloses_belongs_to_it():
    labels = np.zeros((14, 16), np.int32)
    ring(labels, 3, 1, 1)
    ring(labels, 8, 7, 9)
    filled = fill_holes(labels)
    assert (filled[1:6, 1:6] == 3).all()
    assert (filled[7:12, 9:14] == 8).all()
    assert np.count_nonzero(filled) == 50


def test_background_between_two_objects_stays():
    labels = np.full((7, 7), 2, np.int32)
    labels[:, 4:] = 9
    labels[3, 3:5] = 0
    assert fill_holes(labels)[3, 3:5].tolist() == [0, 0]


def test_background_at_the_border_of_the_image_stays():
    labels = np.ones((5, 5), np.int32)
    labels[:2, 2] = 0
    assert fill_holes(labels) is labels


def test_an_object_inside_the_hole_of_another_is_kept():
    labels = np.zeros((11, 11), np.int32)
    labels[1:10, 1:10] = 1
    labels[3:8, 3:8] = 0
    labels[5, 5] = 4
    filled = fill_holes(labels)
    assert filled[5, 5] == 4
    assert filled[4, 4] == 0


def test_an_image_without_objects_stays_empty():
    assert not fill_holes(np.zeros((6, 7), np.int32)).any()
