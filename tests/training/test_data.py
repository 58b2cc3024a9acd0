from __future__ import annotations

import numpy as np
import pytest

from napari_segmate.core.errors import LabelsError
from napari_segmate.training.data import Annotation, Knowledge, sample_of
from napari_segmate.training.snapshot import read_snapshot, write_snapshot


def squares(shape=(48, 64)) -> np.ndarray:
    labels = np.zeros(shape, np.uint16)
    labels[4:14, 4:14], labels[20:30, 40:52], labels[34:44, 10:20] = 3, 70, 900
    return labels


def picture(shape=(48, 64)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)


def test_numbers_with_gaps_become_1_to_n() -> None:
    sample = sample_of(picture(), squares())
    assert np.unique(sample.labels).tolist() == [0, 1, 2, 3]
    assert sample.objects == 3


def test_labels_of_another_shape_are_refused_with_both_shapes() -> None:
    with pytest.raises(LabelsError, match=r"\(48, 60\).*\(48, 64\)"):
        sample_of(picture(), squares((48, 60)))


def test_floats_that_are_whole_numbers_are_taken() -> None:
    assert sample_of(picture(), squares().astype(np.float32)).objects == 3


def test_floats_with_fractions_are_refused_with_an_example() -> None:
    with pytest.raises(LabelsError, match=r"0\.5"):
        sample_of(picture(), squares() + 0.5)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_floats_that_are_no_numbers_are_refused_with_the_cure(value) -> None:
    labels = np.zeros((8, 8))
    labels[2, 2] = value
    with pytest.raises(LabelsError, match="must be 0"):
        sample_of(np.zeros((8, 8)), labels)


def test_label_values_beyond_32_bits_are_kept_apart() -> None:
    labels = np.zeros((8, 8), np.uint64)
    labels[1, 1], labels[4, 4] = 2**40, 2**40 + 1
    assert sample_of(np.zeros((8, 8)), labels).objects == 2


def test_negative_labels_are_refused() -> None:
    with pytest.raises(LabelsError, match="-1"):
        sample_of(picture(), squares().astype(int) - 1)


def test_not_a_number_in_the_image_is_black() -> None:
    image = picture().astype(np.float32)
    image[:5] = np.nan
    assert (sample_of(image, squares()).image[:5] == 0).all()


def test_whole_planes_are_known_everywhere() -> None:
    assert (sample_of(picture(), squares()).known == Knowledge.ALL).all()


def test_a_rectangle_is_known_inside_and_nothing_outside() -> None:
    sample = sample_of(picture(), squares(), Annotation.RECTANGLE, rectangle=(0, 0, 20, 30))
    assert (sample.known[:20, :30] == Knowledge.ALL).all()
    assert (sample.known[20:] == Knowledge.NOTHING).all()


def test_a_rectangle_outside_the_image_is_refused() -> None:
    with pytest.raises(LabelsError, match="does not touch"):
        sample_of(picture(), squares(), Annotation.RECTANGLE, rectangle=(60, 0, 80, 30))


def test_background_of_sparse_labels_is_unknown_but_for_a_rim() -> None:
    sample = sample_of(picture(), squares(), Annotation.OBJECTS)
    assert (sample.known[sample.labels > 0] == Knowledge.ALL).all()
    assert sample.known[15, 8] == Knowledge.ALL
    assert sample.known[0, 63] == Knowledge.OBJECT


def test_a_snapshot_gives_back_what_was_written(tmp_path) -> None:
    sample = sample_of(picture(), squares(), Annotation.OBJECTS, name="a", group="g")
    write_snapshot(tmp_path / "data", [sample])
    (back,) = read_snapshot(tmp_path / "data")
    assert (back.name, back.group) == ("a", "g")
    for one, other in ((back.image, sample.image), (back.labels, sample.labels)):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(back.known, sample.known)


def test_a_damaged_snapshot_is_named(tmp_path) -> None:
    write_snapshot(tmp_path, [sample_of(picture(), squares())])
    (tmp_path / "00000.npz").write_bytes(b"PK broken")
    with pytest.raises(LabelsError, match=str(tmp_path)):
        read_snapshot(tmp_path)
