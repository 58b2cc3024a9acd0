"""`GroundingDINO`, and `SegMate` asked with words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tifffile
from bright_detector import BrightDetector

from napari_segmate import GroundingDINO, SegMate
from napari_segmate.core.errors import ImageError, ParameterError, PromptError, UnknownNameError
from napari_segmate.core.masks.coarse_masks import CoarseMask
from napari_segmate.tasks.text.run import Params

BLOBS = [(8, 8, 20, 22), (6, 36, 18, 50), (28, 20, 42, 40)]
BOXES_XYXY = [(x0 - 0.5, y0 - 0.5, x1 - 0.5, y1 - 0.5) for y0, x0, y1, x1 in BLOBS]


@pytest.fixture
def bright(monkeypatch) -> BrightDetector:
    found = BrightDetector()
    monkeypatch.setattr("napari_segmate.grounding.ready", lambda *names, **options: found)
    return found


@pytest.fixture
def dino(bright) -> GroundingDINO:
    return GroundingDINO()


@pytest.fixture
def segmate(monkeypatch, fake_model, bright) -> SegMate:
    monkeypatch.setattr("napari_segmate.api.load_model", lambda *args, **kwargs: fake_model)
    return SegMate()


@pytest.fixture
def image(blobs) -> np.ndarray:
    return blobs.values


def test_boxes_scores_and_phrases(dino, image):
    boxes, scores, phrases = dino.predict(image, "Nucleus. Dark spot.")
    assert sorted(map(tuple, boxes.tolist())) == sorted(BOXES_XYXY)
    assert scores.tolist() == pytest.approx([0.9, 0.89, 0.88])
    assert phrases == ["nucleus", "dark spot", "nucleus"]
    assert boxes[0].tolist() == list(BOXES_XYXY[1])


def test_thresholds(dino, image):
    assert len(dino.predict(image, "cell", box_threshold=0.885)[0]) == 2
    assert len(dino.predict(image, "cell", 0.895, 0.25)[0]) == 1
    _, _, phrases = dino.predict(image, "nucleus, dark spot", 0.3, 0.05)
    assert phrases == ["nucleus, dark spot", "dark spot, nucleus", "nucleus, dark spot"]


def test_settings_of_the_search(dino, bright, image):
    boxes, _, _ = dino.predict(image, "cell", params=Params(min_size=15))
    assert boxes.tolist() == [list(BOXES_XYXY[2])]
    assert bright.shapes == [(48, 60)]
    dino.predict(np.kron(image, np.ones((4, 4), np.uint8)), "cell", diameter=2)
    assert {(192, 240), (64, 64)} == set(bright.shapes[1:])


def test_detect_is_the_name_of_earlier_programs(dino, image):
    assert dino.detect(image, "cell", 0.3, 0.25)[2] == ["cell"] * 3


@pytest.mark.parametrize(
    "make",
    [
        lambda grey: grey.astype(np.uint16) * 200,
        lambda grey: grey / 1e6,
        lambda grey: np.stack([grey] * 3, axis=-1),
        lambda grey: np.stack([grey, grey, grey, np.full_like(grey, 255)], axis=-1),
        lambda grey: grey.tolist(),
    ],
    ids=["uint16", "float", "rgb", "rgba", "list"],
)
def test_pictures_of_every_kind(dino, bright, image, make):
    assert len(dino.predict(make(image), "cell")[0]) == 3
    assert bright.shapes == [(48, 60)]


def test_a_file_is_read_and_a_stack_refused(dino, image, tmp_path):
    tifffile.imwrite(tmp_path / "one.tif", image)
    tifffile.imwrite(tmp_path / "stack.tif", np.stack([image] * 5), metadata={"axes": "ZYX"})
    assert len(dino.predict(tmp_path / "one.tif", "cell")[0]) == 3
    with pytest.raises(ImageError, match="stack"):
        dino.predict(tmp_path / "stack.tif", "cell")


@pytest.mark.parametrize("words", ["", " . , "])
def test_no_words_are_refused(dino, segmate, image, words):
    with pytest.raises(PromptError, match="nothing to look for"):
        dino.predict(image, words)
    with pytest.raises(PromptError, match="nothing to look for"):
        segmate.segment(image, text_prompt=(words, 0.3, 0.25))


@pytest.mark.parametrize("thresholds", [(1.2, 0.25), (0.3, -1), (float("nan"), 0.2)])
def test_thresholds_out_of_range_are_refused(dino, image, thresholds):
    with pytest.raises(ParameterError, match="must be 0 to 1"):
        dino.predict(image, "cell", *thresholds)


def test_nothing_found_warns_with_what_to_try(dino, segmate, image):
    with pytest.warns(UserWarning, match=r"no box scores 0\.95 or more.*lower the score"):
        boxes, scores, phrases = dino.predict(image, "cell", 0.95)
    assert boxes.shape == (0, 4) and scores.shape == (0,) and phrases == []
    with pytest.warns(UserWarning, match="no box scores"):
        masks = segmate.segment(image, text_prompt=("cell", 0.95, 0.25))
    assert masks.shape == (0, 3, 48, 60) and masks.dtype == np.uint8


def test_words_become_masks(segmate, image):
    masks = segmate.segment(image, text_prompt=("cell", 0.3, 0.25), multimask_output=False)
    assert masks.shape == (3, 1, 48, 60)
    for mask, number in zip(masks[:, 0], (1, 0, 2), strict=True):
        truth = np.zeros(image.shape, bool)
        y0, x0, y1, x1 = BLOBS[number]
        truth[y0:y1, x0:x1] = True
        assert (truth & (mask > 0)).sum() / (truth | (mask > 0)).sum() > 0.8


def test_words_alone_use_the_usual_thresholds_and_one_detector(segmate, bright, image):
    assert segmate.segment(image, text_prompt="cell").shape[0] == 3
    first = segmate.object_detector
    assert segmate.segment(image, text_prompt="nucleus").shape[0] == 3
    assert segmate.object_detector is first
    assert bright.phrases == [("cell",), ("nucleus",)]


class Draws(BrightDetector):
    """Draws the left half of every object, except of the one that it is least sure of."""

    def detect(self, image, phrases, **options):
        seen = super().detect(image, phrases, **options)
        masks = []
        for y0, x0, y1, x1 in seen.boxes_yx.tolist():
            cells = np.ones((1, 2))
            cells[:, 1] = 0
            masks.append(CoarseMask.of(cells, (y0, x0, y1, x1)))
        masks[2] = None
        return replace(seen, masks=tuple(masks))


@pytest.fixture
def draws(monkeypatch) -> None:
    monkeypatch.setattr("napari_segmate.grounding.ready", lambda *names, **options: Draws())


def test_masks_of_the_detector(draws, image):
    dino = GroundingDINO()
    boxes, scores, phrases, masks = dino.predict_masks(image, "cell")
    for one, other in zip((boxes, scores), dino.predict(image, "cell"), strict=False):
        np.testing.assert_array_equal(one, other)
    assert phrases == ["cell"] * 3 and masks[2] is None
    for mask, number in zip(masks[:2], (1, 0), strict=True):
        y0, x0, y1, x1 = BLOBS[number]
        assert mask.shape == (48, 60) and mask[y0:y1, x0 : (x0 + x1) // 2].all()
        assert mask.sum() == (y1 - y0) * ((x1 - x0) // 2)


def test_detector_without_masks_gives_none(dino, image):
    assert dino.predict_masks(image, "cell")[3] == [None, None, None]


@pytest.mark.parametrize("multimask", [True, False])
def test_segment_takes_masks_of_the_detector_and_asks_the_model_for_the_rest(
    segmate, draws, fake_model, image, multimask
):
    masks = segmate.segment(image, text_prompt="cell", multimask_output=multimask)
    assert masks.shape == (3, 3 if multimask else 1, 48, 60)
    _, _, _, drawn = segmate.object_detector.predict_masks(image, "cell")
    for at in (0, 1):
        assert (masks[at] == drawn[at]).all()
    y0, x0, y1, x1 = BLOBS[2]
    assert masks[2, -2 if multimask else 0, y0 + 2 : y1 - 2, x0 + 2 : x1 - 2].all()
    assert sum(len(prompts) for prompts, _ in fake_model.decoded) == 1


def test_segment_leaves_masks_to_the_model_when_told_so(segmate, draws, fake_model, image):
    segmate.segment(image, text_prompt="cell", text_masks="model")
    assert sum(len(prompts) for prompts, _ in fake_model.decoded) == 3
    with pytest.raises(ParameterError, match="no text_masks 'mine'; choose one of"):
        segmate.segment(image, text_prompt="cell", text_masks="mine")


def test_large_pictures_are_read_piece_by_piece(dino, bright):
    class Lazy:
        shape, dtype, most = (6000, 5000), np.dtype(np.uint16), 0

        def __getitem__(self, index):
            rows, columns = (
                len(range(size)[one]) for one, size in zip(index, self.shape, strict=True)
            )
            self.most = max(self.most, rows * columns)
            return np.full((rows, columns), 7, np.uint16)

    lazy = Lazy()
    with pytest.warns(UserWarning, match="no box scores"):
        dino.predict(lazy, "cell", 0.95, params=Params(tile=2000))
    assert bright.shapes[0] == (1920, 1600) and set(bright.shapes[1:]) == {(2000, 2000)}
    assert lazy.most <= 1 << 25


def test_another_detector_is_asked(segmate, image):
    asked = []

    class Mine:
        def predict(self, image, text_prompt, box_threshold, text_threshold):
            asked.append((image.shape, text_prompt, box_threshold, text_threshold))
            return [BOXES_XYXY[0]], [0.5], ["cell"]

    segmate.set_object_detector(Mine())
    assert segmate.segment(image, text_prompt=("Cell", 0.2, 0.1)).shape == (1, 3, 48, 60)
    assert asked == [((48, 60, 3), "Cell", 0.2, 0.1)]


def test_words_go_alone(segmate, image):
    with pytest.raises(PromptError, match="not both"):
        segmate.segment(image, boxes_prompt=BOXES_XYXY, text_prompt="cell")


@pytest.mark.parametrize("wrong", [("cell", 0.3), 7, ("cell", 0.3, 0.2, 0.1)])
def test_a_text_prompt_of_another_form_is_refused(segmate, image, wrong):
    with pytest.raises(PromptError, match="text_prompt is"):
        segmate.segment(image, text_prompt=wrong)


def test_a_detector_of_transformers(tmp_path, image):
    pytest.importorskip("transformers")
    from small_dino import build

    dino = GroundingDINO(build(tmp_path / "mine"), device="cpu")
    options = Params(detail=128, max_area_share=1)
    boxes, scores, phrases = dino.predict(image, "red blood cell, nucleus", 0, params=options)
    assert 1 <= len(boxes) == len(scores) == len(phrases) <= 20
    assert (boxes[:, :2] < boxes[:, 2:]).all()
    assert boxes.min() >= -0.5 and (boxes[:, 2:] <= [59.5, 47.5]).all()


def test_unknown_detectors_are_answered_with_the_known_ones():
    with pytest.raises(UnknownNameError, match="grounding-dino-tiny"):
        GroundingDINO("grounding-dino-tinny")
