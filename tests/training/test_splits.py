from __future__ import annotations

import numpy as np
import pytest
from training_samples import grid_of_objects

from napari_segmate.core.errors import LabelsError
from napari_segmate.training.data import count_objects, sample_of
from napari_segmate.training.splits import split


def test_planes_of_one_group_are_never_on_both_sides() -> None:
    samples = [grid_of_objects(name=f"{group}{n}", group=group) for group in "abc" for n in "12"]
    parts = split(samples)
    training = {sample.group for sample in parts.training}
    held_out = {sample.group for sample in parts.held_out}
    assert training and held_out and not training & held_out


def test_the_last_planes_of_a_single_stack_are_held_out() -> None:
    samples = [grid_of_objects(name=str(number), group="stack") for number in range(5)]
    parts = split(samples)
    assert [sample.name for sample in parts.training] == ["0", "1", "2", "3"]
    assert [sample.name for sample in parts.held_out] == ["4"]


def test_the_only_plane_is_cut_so_that_no_pixel_is_on_both_sides() -> None:
    sample = grid_of_objects(name="only")
    parts = split([sample])
    (kept,), (out,) = parts.training, parts.held_out
    assert kept.shape[0] * kept.shape[1] + out.shape[0] * out.shape[1] == sample.labels.size
    assert kept.objects and out.objects


def test_objects_that_are_cut_are_counted_in_words() -> None:
    labels = np.zeros((96, 96), int)
    for number, (left, right) in enumerate(((2, 40), (44, 80), (84, 94)), 1):
        labels[:, left:right] = number
    parts = split([sample_of(np.zeros((96, 96)), labels)])
    assert count_objects([*parts.training, *parts.held_out]) == 4
    assert parts.how.endswith("; 1 object lies on both sides of the cut")
    labels[:, 44:] = 0
    labels[:, 44:46], labels[:, 84:94] = 2, 3
    assert "both sides" not in split([sample_of(np.zeros((96, 96)), labels)]).how


def test_one_object_leaves_nothing_to_hold_out() -> None:
    labels = np.zeros((32, 32), int)
    labels[8:20, 8:20] = 5
    parts = split([sample_of(np.zeros((32, 32)), labels)])
    assert len(parts.training) == 1 and not parts.held_out


def test_no_object_is_refused() -> None:
    with pytest.raises(LabelsError, match="no labelled object"):
        split([sample_of(np.zeros((32, 32)), np.zeros((32, 32), int))])


def test_about_the_wanted_share_is_held_out() -> None:
    samples = [grid_of_objects(name=str(number)) for number in range(10)]
    parts = split(samples, share=0.3)
    assert count_objects(parts.held_out) / count_objects(samples) == pytest.approx(0.3, abs=0.11)
