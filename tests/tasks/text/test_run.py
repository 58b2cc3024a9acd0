from __future__ import annotations

import json
import math

import numpy as np
import pytest
from bright_detector import BrightDetector
from fakes import ArrayPlane

from napari_segmate.core.context import Context
from napari_segmate.core.errors import Cancelled, ParameterError, PromptError
from napari_segmate.core.images.image_source import ContrastMode, ImageAxes, ImageSource, guess_axes
from napari_segmate.core.masks.coarse_masks import CoarseMask, MaskSource
from napari_segmate.core.text.detections import Detections
from napari_segmate.inference.detection.search import Tiling
from napari_segmate.io.provenance import to_json
from napari_segmate.tasks.text.run import Params, find, run, run_stack

BLOBS = [(8, 8, 20, 22), (6, 36, 18, 50), (28, 20, 42, 40)]


@pytest.fixture
def detector() -> BrightDetector:
    return BrightDetector()


class Says(BrightDetector):
    """Answers with given boxes, whatever it is shown."""

    def __init__(self, boxes, scores, masks=None) -> None:
        super().__init__()
        self.boxes, self.scores = np.reshape(boxes, (-1, 4)).astype(float), np.float32(scores)
        self.masks = masks

    def detect(self, image, phrases, *, detail=800, context=None):
        scores = np.tile(self.scores.reshape(-1, 1), (1, len(phrases)))
        shape = image.shape[:2]
        return Detections(self.boxes, scores, tuple(phrases), shape, "says", self.masks)


def bar(y0, x0, y1, x1) -> CoarseMask:
    """A mask of whole pixels that no image shows."""
    return CoarseMask.of(np.ones((y1 - y0, x1 - x0)), (y0 - 0.5, x0 - 0.5, y1 - 0.5, x1 - 0.5))


def test_words_become_labels_with_classes(detector, fake_model, blobs) -> None:
    found = run(blobs, "Nucleus, dark spot", detector, fake_model)
    assert found.labels.shape == blobs.shape and found.labels.dtype == np.int32
    assert found.classes == ("nucleus", "dark spot", "nucleus")
    assert found.scores == pytest.approx((0.9, 0.89, 0.88))
    for number, (y0, x0, y1, x1) in enumerate([BLOBS[1], BLOBS[0], BLOBS[2]], start=1):
        inside = np.zeros(blobs.shape, bool)
        inside[y0:y1, x0:x1] = True
        assert (inside & (found.labels == number)).sum() > 0.8 * inside.sum()
    assert found.advice == ""


def test_boxes_know_their_labels(detector, fake_model, blobs) -> None:
    (plane,) = run(blobs, "cell", detector, fake_model).planes
    assert plane.labels == (1, 2, 3)
    assert plane.boxes[0].box_yx == (5.5, 35.5, 17.5, 49.5)
    assert [box.concept for box in plane.boxes] == ["cell"] * 3
    assert plane.best == pytest.approx((0.9,))


def test_each_object_keeps_how_it_came_about(detector, fake_model, blobs) -> None:
    found = run(blobs, "cell; nucleus", detector, fake_model)
    stories = {one["label"]: one["view"]["text"] for one in to_json(found.records)}
    assert stories[2]["concept"] == "nucleus"
    assert stories[2] == {
        "prompt": "cell; nucleus",
        "concept": "nucleus",
        "detector": "bright",
        "origin": "found",
        "score": pytest.approx(0.89),
    }
    assert json.dumps(stories)


def test_sizes_and_scores_filter(detector, fake_model, blobs) -> None:
    assert run(blobs, "cell", detector, fake_model, Params(score=0.885)).count == 2
    assert run(blobs, "cell", detector, fake_model, Params(min_size=15)).count == 1
    assert run(blobs, "cell", detector, fake_model, Params(max_size=15)).count == 2


def test_where_boxes_overlap_the_better_one_keeps_the_pixels(fake_model, blobs) -> None:
    y0, x0, y1, x1 = BLOBS[2]
    boxes = [(y0, x0, y1, x0 + 14), (y0, x0 + 6, y1, x1)]
    found = run(blobs, "cell", Says(boxes, [0.5, 0.8]), fake_model)
    assert found.scores == pytest.approx((0.8, 0.5))
    overlap = found.labels[y0 + 2 : y1 - 2, x0 + 8 : x0 + 12]
    assert (overlap == 1).all()


def test_masks_of_the_detector_become_objects_and_the_model_draws_the_rest(
    fake_model, blobs
) -> None:
    says = Says(BLOBS, [0.9, 0.8, 0.7], (bar(9, 8, 12, 20), None, bar(30, 22, 40, 24)))
    found = run(blobs, "cell", says, fake_model)
    assert np.argwhere(found.labels == 1).min(axis=0).tolist() == [9, 8]
    assert (found.labels == 1).sum() == 36 and (found.labels == 3).sum() == 20
    assert (found.labels == 2).sum() > 0.8 * 12 * 14
    assert [len(prompts) for prompts, _ in fake_model.decoded] == [1]
    assert found.scores == pytest.approx((0.9, 0.8, 0.7))
    by = [(one.label, one.model, len(one.steps)) for one in found.records]
    assert by == [(1, "bright", 0), (2, "fake", 1), (3, "bright", 0)]
    assert {one.view["text"]["concept"] for one in found.records} == {"cell"}


def test_model_draws_everything_when_it_is_asked_to(fake_model, blobs) -> None:
    says = Says(BLOBS, [0.9, 0.8, 0.7], tuple(bar(*blob) for blob in BLOBS))
    found = run(blobs, "cell", says, fake_model, Params(masks=MaskSource.MODEL))
    assert sum(len(prompts) for prompts, _ in fake_model.decoded) == 3
    assert {one.model for one in found.records} == {"fake"}
    run(blobs, "cell", says, fake_model)
    assert sum(len(prompts) for prompts, _ in fake_model.decoded) == 3


def test_masks_are_cleaned_and_overlap_as_those_of_the_model_do(fake_model, blobs) -> None:
    ring = np.ones((10, 10), bool)
    ring[3:7, 3:7] = False
    mask = CoarseMask.of(ring, (9.5, 9.5, 19.5, 19.5))
    says = Says([(10, 10, 19, 19), (15, 5, 25, 30)], [0.5, 0.8], (mask, bar(15, 5, 25, 30)))
    found = run(blobs, "cell", says, fake_model)
    assert (found.labels == 1).sum() == 250 and (found.labels == 2).sum() == 50
    assert found.labels[13, 13] == 2
    hollow = run(blobs, "cell", says, fake_model, Params(fill_holes=False))
    assert hollow.labels[13, 13] == 0


def test_masks_are_linked_from_plane_to_plane(fake_model) -> None:
    says = Says([(5, 5, 16, 16)], [0.9], (bar(5, 5, 17, 17),))
    found = run_stack(ImageSource(stack(), ImageAxes(y=1, x=2)), "cell", says, fake_model)
    assert found.count == 1 and (found.labels[:, 5:17, 5:17] == 1).all()
    assert fake_model.encoded == []


@pytest.mark.parametrize("prompt", ["", " , ;\n. ", "??", "[] ()"])
def test_no_words_are_refused_before_anything_runs(detector, fake_model, blobs, prompt) -> None:
    with pytest.raises(PromptError, match="nothing to look for"):
        run(blobs, prompt, detector, fake_model)
    assert detector.shapes == []


def test_nothing_found_says_what_to_try(detector, fake_model) -> None:
    dark = ArrayPlane(np.zeros((40, 50), np.uint8))
    found = run(dark, "cell, nucleus", detector, fake_model)
    assert not found.labels.any() and found.labels.shape == (40, 50)
    assert "no box scores 0.3 or more, the best 0.10" in found.advice
    assert "lower the score" in found.advice


def test_filters_that_leave_nothing_are_told_from_low_scores(detector, fake_model, blobs) -> None:
    found = run(blobs, "cell", detector, fake_model, Params(min_size=40))
    assert "score up to 0.90 ('cell'), but sizes" in found.advice


def test_boxes_without_an_object_say_so(fake_model, blobs) -> None:
    found = run(blobs, "cell", Says([(20, 0, 27, 15)], [0.9]), fake_model)
    assert found.count == 0 and found.planes[0].labels == (0,)
    assert "finds no object in the boxes" in found.advice


def test_boxes_outside_the_image_are_left_out_and_others_cut(fake_model, blobs) -> None:
    outside = [(-30, -30, -5, -5), (60, 70, 90, 90), (-20, 3, 0.2, 9), (math.nan, 0, 9, 9)]
    says = Says([*outside, (28, 20, 99, 99)], [0.9, 0.9, 0.9, 0.9, 0.8])
    found = run(blobs, "cell", says, fake_model, Params(max_area_share=1))
    assert found.classes == ("cell",)
    assert len(found.planes[0].boxes) == 1
    assert found.labels[35, 30] == 1


def images() -> dict[str, np.ndarray]:
    grey = np.zeros((60, 80), np.uint8)
    grey[10:30, 15:40] = 200
    rgb = np.stack([grey, grey, grey], axis=-1)
    return {
        "gray": grey,
        "uint16": grey.astype(np.uint16) * 300,
        "float": grey.astype(np.float32) / 1000 - 5,
        "with nan": np.where(grey > 0, 7, np.nan).astype(np.float64),
        "bool": grey > 0,
        "rgb": rgb,
        "rgba": np.concatenate([rgb, np.full((60, 80, 1), 255, np.uint8)], axis=-1),
    }


@pytest.mark.parametrize("kind", images())
def test_images_of_every_kind(detector, fake_model, kind) -> None:
    values = images()[kind]
    if kind == "with nan":
        values = np.nan_to_num(values)
        values[0, 0] = np.nan
    source = ImageSource(values, guess_axes(values.shape, values.dtype))
    found = run_stack(source, "cell", detector, fake_model)
    assert detector.shapes == [(60, 80)]
    assert found.labels.shape == (60, 80) and found.count == 1
    assert found.labels[20, 25] == 1 and found.labels[50, 60] == 0


def stack() -> np.ndarray:
    """Two objects: one in planes 0 to 2, one in planes 2 to 3."""
    values = np.zeros((4, 48, 60), np.uint8)
    values[0:3, 5:17, 5:17] = 220
    values[2:4, 30:42, 30:46] = 220
    return values


def test_objects_are_linked_from_plane_to_plane(detector, fake_model) -> None:
    source = ImageSource(stack(), ImageAxes(y=1, x=2))
    found = run_stack(source, "cell", detector, fake_model)
    assert found.labels.shape == (4, 48, 60) and found.count == 2
    assert [np.unique(plane)[1:].tolist() for plane in found.labels] == [[1], [1], [1, 2], [2]]
    assert found.classes == ("cell", "cell")
    assert {record.index for record in found.records} == {(0,), (1,), (2,), (3,)}


def test_unlinked_objects_have_numbers_of_their_own(detector, fake_model) -> None:
    source = ImageSource(stack(), ImageAxes(y=1, x=2))
    found = run_stack(source, "cell", detector, fake_model, link=False)
    assert np.unique(found.labels).tolist() == [0, 1, 2, 3, 4, 5]


def test_only_the_planes_that_were_asked_for(detector, fake_model) -> None:
    source = ImageSource(stack(), ImageAxes(y=1, x=2))
    found = run_stack(source, "cell", detector, fake_model, indices=[(3,), (2,)])
    assert len(detector.shapes) == 2
    assert found.labels[2:].any() and not found.labels[:2].any()
    with pytest.raises(ParameterError, match="no plane"):
        run_stack(source, "cell", detector, fake_model, indices=[(4,)])


def test_objects_of_different_concepts_stay_apart(fake_model) -> None:
    class Changes(BrightDetector):
        def detect(self, image, phrases, **options):
            seen = super().detect(image, phrases, **options)
            scores = seen.scores[:, ::-1] if len(self.shapes) > 1 else seen.scores
            return Detections(seen.boxes_yx, scores, seen.phrases, seen.shape)

    source = ImageSource(stack()[:2], ImageAxes(y=1, x=2))
    found = run_stack(source, "cell, nucleus", Changes(), fake_model)
    assert found.classes == ("cell", "nucleus")


def test_the_other_axes_are_not_linked(detector, fake_model) -> None:
    values = np.stack([stack()[:1], stack()[:1]])
    source = ImageSource(values, ImageAxes(y=2, x=3))
    found = run_stack(source, "cell", detector, fake_model)
    assert found.labels.shape == (2, 1, 48, 60) and found.count == 2
    assert run_stack(source, "cell", detector, fake_model, z_axis=0).count == 1


def test_progress_never_goes_back(detector, fake_model) -> None:
    told: list[tuple[int, int, str]] = []
    source = ImageSource(stack(), ImageAxes(y=1, x=2))
    context = Context(progress=lambda *one: told.append(one))
    params = Params(tile=64, tiling=Tiling.ALWAYS)
    run_stack(source, "cell", detector, fake_model, params, context=context)
    done = [at for at, _, _ in told]
    assert done == sorted(done) and {total for _, total, _ in told} == {1000}
    assert told[0][2].startswith("plane 1 of 4: ")
    assert done[-1] == 1000


def test_cancelled_after_the_tile_at_hand(detector, fake_model, blobs) -> None:
    context = Context(cancelled=lambda: len(detector.shapes) >= 2)
    big = ArrayPlane(np.zeros((300, 300), np.uint8))
    with pytest.raises(Cancelled):
        run(big, "cell", detector, fake_model, Params(tile=100), context=context)
    assert len(detector.shapes) == 2


def test_cancelled_while_outlines_are_drawn(detector, fake_model, blobs) -> None:
    context = Context(cancelled=lambda: bool(fake_model.encoded))
    with pytest.raises(Cancelled):
        run(blobs, "cell", detector, fake_model, context=context)


def test_boxes_alone_need_no_model(detector, blobs) -> None:
    found = find(blobs, ("cell",), detector)
    assert [box.score for box in found.boxes] == pytest.approx([0.9, 0.89, 0.88])
    assert found.labels == (0, 0, 0)


def test_pixels_are_read_once_with_the_contrast_of_the_stack(detector, fake_model) -> None:
    values = np.stack([stack()[0], stack()[0] // 4])
    source = ImageSource(values, ImageAxes(y=1, x=2))
    assert run_stack(source, "cell", detector, fake_model).labels[1].max() == 0
    contrast = source.estimate_contrast(ContrastMode.PLANE, (1,))
    bright = run_stack(source, "cell", detector, fake_model, contrast=contrast)
    assert bright.labels[1].max() == 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"score": 1.5}, "score must be 0 to 1"),
        ({"min_size": 9, "max_size": 3}, "in order"),
        ({"detail": 5}, "detail must be"),
        ({"tile": 5}, "tile must be"),
        ({"diameter": -1.0}, "diameter"),
        ({"min_pixels": -1}, "smallest size"),
    ],
)
def test_settings_out_of_range_are_refused(wrong, said) -> None:
    with pytest.raises((ParameterError, PromptError), match=said):
        Params(**wrong)
