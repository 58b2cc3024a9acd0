from __future__ import annotations

import numpy as np
import pytest
import tifffile
from blob_images import BOXES, blob_image, blob_labels
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_segmate.core.context import Context
from napari_segmate.core.errors import LabelsError
from napari_segmate.plugin.train.pairs import (
    Pair,
    pair_from_files,
    pair_from_layers,
    parse_planes,
    summary_text,
)
from napari_segmate.training.data import Annotation, Knowledge

pytestmark = pytest.mark.gui


def pair_of(image: Image, labels: Labels) -> Pair:
    viewer = ViewerModel()
    viewer.add_layer(image)
    viewer.add_layer(labels)
    return pair_from_layers(image, labels, viewer.dims)


def samples(pair, annotation=Annotation.PLANES, planes=None, rectangle=None) -> list:
    return list(pair.samples(annotation, planes, rectangle, Context()))


def test_plane_is_counted_and_read_with_gaps_in_the_numbers() -> None:
    pair = pair_of(Image(blob_image(), name="cells"), Labels(blob_labels()))
    assert summary_text(pair.summarise(Context()), None) == "3 objects"
    (sample,) = samples(pair)
    assert sample.name == "cells"
    assert sample.labels.max() == 3
    assert sample.image.shape == (48, 60, 3)
    assert (sample.known == Knowledge.ALL).all()


def test_labels_edited_afterwards_do_not_count() -> None:
    labels = Labels(blob_labels())
    pair = pair_of(Image(blob_image()), labels)
    labels.data[:] = 0
    assert samples(pair)[0].objects == 3


def test_stack_gives_the_planes_with_labels_or_those_named() -> None:
    stack = np.stack([blob_image()] * 6)
    labels = np.zeros(stack.shape, np.uint16)
    labels[2], labels[4] = blob_labels(), blob_labels()
    pair = pair_of(Image(stack, name="stack"), Labels(labels))
    summary = pair.summarise(Context())
    assert summary_text(summary, None) == "6 objects on planes 2, 4 of 6"
    assert summary_text(summary, (3, 4)) == "3 objects on planes 3–4 of 6"
    assert [sample.name for sample in samples(pair)] == ["stack [2]", "stack [4]"]
    assert [sample.objects for sample in samples(pair, planes=(3, 4))] == [0, 3]
    assert {sample.group for sample in samples(pair)} == {"stack"}


def test_labels_of_a_part_say_nothing_about_the_rest() -> None:
    labels = Labels(blob_labels()[:30], translate=(0, 0))
    pair = pair_of(Image(blob_image()), labels)
    assert "part of the image" in summary_text(pair.summarise(Context()), None)
    (sample,) = samples(pair)
    assert (sample.known[:30] == Knowledge.ALL).all()
    assert (sample.known[30:] == Knowledge.NOTHING).all()


def test_rectangle_of_a_large_plane_is_copied_with_a_margin_only() -> None:
    image = np.zeros((2000, 3000), np.uint8)
    image[1000:1010, 1000:1010] = 255
    labels = (image > 0).astype(np.uint8)
    pair = pair_of(Image(image), Labels(labels))
    (sample,) = samples(pair, Annotation.RECTANGLE, rectangle=(900, 950, 1100, 1050))
    assert sample.shape == (200 + 512, 100 + 512)
    assert np.count_nonzero(sample.known == Knowledge.ALL) == 200 * 100
    assert sample.objects == 1
    (sample,) = samples(pair, Annotation.OBJECTS)
    assert sample.shape == (10 + 512, 10 + 512)
    assert not (sample.known == Knowledge.NOTHING).any()


def test_channels_are_seen_as_colours() -> None:
    image = np.stack([blob_image(), 255 - blob_image()])
    pair = pair_of(Image(image), Labels(blob_labels()))
    (sample,) = samples(pair)
    y, x = BOXES[0][0] + 2, BOXES[0][1] + 2
    assert sample.image[y, x].tolist() == [255, 0, 0]


def test_not_a_number_in_the_image_is_no_obstacle() -> None:
    image = blob_image().astype(float)
    image[0, :10] = np.nan
    (sample,) = samples(pair_of(Image(image), Labels(blob_labels())))
    assert sample.image.dtype == np.uint8


def test_nothing_labelled_is_said() -> None:
    pair = pair_of(Image(blob_image()), Labels(np.zeros((48, 60), int)))
    summary = pair.summarise(Context())
    assert summary.count() == 0
    assert summary_text(summary, None) == "No object is labelled yet"


def test_files_are_read_as_pairs(tmp_path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", blob_image())
    tifffile.imwrite(tmp_path / "a_labels.tif", blob_labels())
    pair = pair_from_files(tmp_path / "a.tif", tmp_path / "a_labels.tif")
    assert samples(pair)[0].objects == 3


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.zeros((40, 60), np.uint8), "40 x 60"),
        (np.full((48, 60), 0.5, np.float32), "fractions"),
        (np.zeros((48, 60, 3), np.uint8), "colour picture"),
    ],
)
def test_files_that_are_no_labels_are_refused(tmp_path, labels, words) -> None:
    tifffile.imwrite(tmp_path / "a.tif", blob_image())
    rgb = {"photometric": "rgb"} if labels.ndim == 3 else {}
    tifffile.imwrite(tmp_path / "b.tif", labels, **rgb)
    with pytest.raises(LabelsError, match=words):
        pair_from_files(tmp_path / "a.tif", tmp_path / "b.tif").summarise(Context())


@pytest.mark.parametrize("text", ["x", "3-", "9", "4-2", "-1", "1,,2"])
def test_planes_that_are_none_are_refused(text) -> None:
    with pytest.raises(LabelsError):
        parse_planes(text, 5)
