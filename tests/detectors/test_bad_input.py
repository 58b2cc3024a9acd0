"""What users give that a detector cannot read, or reads only with care."""

from __future__ import annotations

import numpy as np
import pytest
from small_dino import build

from napari_segmate.core.errors import ImageError, PromptError
from napari_segmate.core.images.pictures import as_rgb
from napari_segmate.detectors import load_detector

pytest.importorskip("transformers")

GREY = np.random.default_rng(0).integers(0, 4000, (60, 90))
IMAGE = as_rgb(GREY)
PICTURES = {
    "uint16": GREY.astype(np.uint16),
    "float": (GREY / 4000).astype(np.float32),
    "float with NaN": np.where(GREY < 100, np.nan, GREY),
    "grey": (GREY // 16).astype(np.uint8),
    "bool": GREY > 2000,
    "RGBA": np.dstack([IMAGE, np.full(GREY.shape, 255, np.uint8)]),
    "uint16 RGB": np.dstack([GREY] * 3).astype(np.uint16),
}


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    return load_detector(build(tmp_path_factory.mktemp("dino")), device="cpu")


@pytest.mark.parametrize("kind", PICTURES)
def test_pictures_that_are_not_8_bit_rgb_are_refused_with_the_cure(detector, kind) -> None:
    with pytest.raises(ImageError, match=r"uint8, not at .*as_rgb"):
        detector.detect(PICTURES[kind], ("cell",), detail=64)


@pytest.mark.parametrize("kind", PICTURES)
def test_the_cure_makes_them_readable(detector, kind) -> None:
    image = as_rgb(PICTURES[kind])
    assert len(detector.detect(image, ("cell",), detail=64)) == 20


def test_intensities_of_a_type_do_not_matter(detector) -> None:
    deep = detector.detect(as_rgb(PICTURES["uint16"]), ("cell",), detail=64)
    float_ = detector.detect(as_rgb(PICTURES["float"]), ("cell",), detail=64)
    # Rounding may move a pixel by one of 255 steps.
    np.testing.assert_allclose(deep.scores, float_.scores, atol=0.02)


@pytest.mark.parametrize("shape", [(1, 1), (1, 90), (300, 3)])
def test_tiny_and_thin_pictures_are_searched(detector, shape) -> None:
    found = detector.detect(np.zeros((*shape, 3), np.uint8), ("cell",), detail=128)
    assert (found.boxes_yx[:, 2:] <= np.array(shape) - 0.5).all()


def test_no_picture_is_refused(detector) -> None:
    with pytest.raises(ImageError, match=r"\(0, 90, 3\)"):
        detector.detect(np.zeros((0, 90, 3), np.uint8), ("cell",))


@pytest.mark.parametrize("phrases", [(), ("",), ("  ",), (" , ; . ?",), ("cell", "...")])
def test_nothing_to_look_for_is_answered_with_an_example(detector, phrases) -> None:
    with pytest.raises(PromptError, match=r"nothing to look for.*cell"):
        detector.detect(IMAGE, phrases, detail=64)


def test_several_concepts_in_one_are_refused(detector) -> None:
    with pytest.raises(PromptError, match=r"'cell\. nucleus' holds 2 concepts"):
        detector.detect(IMAGE, ("cell. nucleus",), detail=64)


def test_three_hundred_phrases_all_get_scores(detector) -> None:
    words = ("cell", "nucleus", "dark", "bright", "round", "red", "blood")
    phrases = tuple(f"{a} {b} {c}" for a in words for b in words for c in words)[:300]
    found = detector.detect(IMAGE, phrases, detail=64)
    assert found.phrases == phrases
    assert (found.scores.max(axis=0) > 0).all()
    assert len(found) % 20 == 0 and len(found) > 60


def test_same_concept_twice_gets_the_same_scores(detector) -> None:
    found = detector.detect(IMAGE, ("cell", "nucleus", "Cell."), detail=64)
    np.testing.assert_array_equal(found.scores[:, 0], found.scores[:, 2])


def test_phrase_that_is_too_long_is_named(detector) -> None:
    with pytest.raises(PromptError, match=r"'cell cell .* has 303 tokens, a detector reads 256"):
        detector.detect(IMAGE, ("nucleus", "cell " * 300), detail=64)


@pytest.mark.parametrize("phrase", ["细胞", "клетка", "κύτταρο", "خلية"])
def test_letters_that_the_network_does_not_know_are_refused(detector, phrase) -> None:
    with pytest.raises(PromptError, match=f"'{phrase}' has no letter .* use English words"):
        detector.detect(IMAGE, ("cell", phrase), detail=64)


def test_accents_are_read_as_plain_letters(detector) -> None:
    plain = detector.detect(IMAGE, ("cell",), detail=64)
    np.testing.assert_array_equal(detector.detect(IMAGE, ("Céll",), detail=64).scores, plain.scores)
