from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from small_owl import PATCH, SIDE, build

from napari_segmate.core.context import Context
from napari_segmate.core.errors import (
    Cancelled,
    ImageError,
    MissingExtraError,
    ModelError,
    OfflineError,
    PromptError,
    WeightsError,
)
from napari_segmate.detectors import (
    _pretrained,
    folder_of,
    get_detector,
    load_detector,
    missing_files,
    owl,
)

pytest.importorskip("transformers")

IMAGE = np.random.default_rng(0).integers(0, 255, (40, 80, 3), dtype=np.uint8)
ACROSS = SIDE // PATCH


@pytest.fixture(scope="module", params=["Owlv2", "OwlViT"])
def folder(request, tmp_path_factory):
    return build(tmp_path_factory.mktemp("owl") / request.param.lower(), request.param)


@pytest.fixture
def detector(folder):
    return load_detector(folder, device="cpu")


def plain(detector):
    """Make boxes depend on the place of a patch alone, and scores on likeness alone."""
    import torch

    model = detector._model
    with torch.no_grad():
        for head in (model.box_head, model.class_head.logit_shift, model.class_head.logit_scale):
            for weight in head.parameters():
                weight.zero_()
    return detector


def test_own_ones_take_examples(folder) -> None:
    assert get_detector(folder).examples


def test_every_patch_has_a_box_and_a_score_per_phrase(detector) -> None:
    found = detector.detect(IMAGE, ("cell", "dark nucleus", "cell"))
    assert found.boxes_yx.shape == (ACROSS**2, 4)
    assert found.scores.shape == (ACROSS**2, 3)
    assert found.phrases == ("cell", "dark nucleus", "cell")
    assert found.boxes_yx.min() >= -0.5
    assert (found.boxes_yx[:, 2:] <= [39.5, 79.5]).all()
    np.testing.assert_array_equal(found.scores[:, 0], found.scores[:, 2])
    assert not np.allclose(found.scores[:, 0], found.scores[:, 1])


def test_boxes_and_scores_are_those_of_the_library(detector, folder) -> None:
    import torch
    from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

    texts = [["a photo of a cell", "a photo of a a b"]]
    processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
    model = AutoModelForZeroShotObjectDetection.from_pretrained(folder, local_files_only=True)
    inputs = processor(
        text=texts, images=IMAGE, return_tensors="pt", padding="max_length", max_length=16
    )
    with torch.no_grad():
        seen = model.eval()(**inputs)
    wanted = processor.post_process_grounded_object_detection(
        seen, threshold=0.0, target_sizes=[IMAGE.shape[:2]]
    )[0]
    found = detector.detect(IMAGE, ("cell", "a b"))
    np.testing.assert_allclose(found.scores, seen.logits[0].sigmoid().numpy(), atol=1e-5)
    x0, y0, x1, y1 = wanted["boxes"].numpy().T - 0.5
    corners = np.stack([y0, x0, y1, x1], axis=1).clip(-0.5, [39.5, 79.5, 39.5, 79.5])
    np.testing.assert_allclose(found.boxes_yx, corners, atol=1e-3)


def test_boxes_lie_where_their_patches_do_in_an_oblong_image(detector, folder) -> None:
    found = plain(detector).detect(IMAGE, ("cell",))
    # A patch's box is centred at its far corner. What is filled up below is no part of the image.
    scale = 80 / ACROSS if folder.name == "owlv2" else 40 / ACROSS
    first = found.boxes_yx[0]
    centre_y, centre_x = (first[:2] + first[2:]) / 2
    assert centre_y == pytest.approx(scale - 0.5, abs=0.1)
    assert centre_x == pytest.approx(80 / ACROSS - 0.5, abs=0.1)
    outside = (found.boxes_yx[:, 2] - found.boxes_yx[:, 0] <= 0).sum()
    assert outside == (2 * ACROSS if folder.name == "owlv2" else 0)


def test_more_of_what_is_in_a_box_is_found(detector) -> None:
    import torch

    plain(detector)
    with torch.no_grad():
        # Alike patches are told apart by their places alone.
        detector._clip.vision_model.embeddings.position_embedding.weight.zero_()
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    same = [0, 6, 13]
    for patch in same:
        y, x = (PATCH * at for at in divmod(patch, ACROSS))
        image[y : y + PATCH, x : x + PATCH] = 255
    found = detector.detect_similar(image, (7.5, 7.5, 23.5, 23.5), "colony")
    assert found.phrases == ("colony",)
    order = np.argsort(-found.scores[:, 0])
    assert sorted(order[:3].tolist()) == same
    assert found.scores[order[2], 0] > found.scores[order[3], 0] + 1e-3


def test_pattern_of_one_image_is_found_in_another(detector) -> None:
    pattern = detector.encode_pattern(IMAGE, (5, 5, 30, 30))
    assert pattern.shape == (1, 32) and pattern.dtype == np.float32
    at_once = detector.detect_similar(IMAGE, (5, 5, 30, 30), "colony")
    found = detector.detect_pattern(IMAGE, pattern, "colony")
    np.testing.assert_allclose(found.scores, at_once.scores, atol=1e-5)
    np.testing.assert_allclose(found.boxes_yx, at_once.boxes_yx, atol=1e-3)
    other = np.ascontiguousarray(IMAGE[::-1, :50])
    elsewhere = detector.detect_pattern(other, pattern, "colony")
    assert elsewhere.shape == (40, 50) and len(elsewhere) == ACROSS**2
    assert not np.allclose(elsewhere.scores, found.scores)
    with pytest.raises(ImageError, match="uint8"):
        detector.detect_pattern(IMAGE[..., 0], pattern, "colony")
    with pytest.raises(Cancelled):
        detector.detect_pattern(IMAGE, pattern, "colony", context=Context(cancelled=lambda: True))


def test_example_between_all_boxes_is_taken_where_it_lies(detector) -> None:
    boxes = np.array([[0, 0, 4, 4], [50, 50, 60, 60]], float)
    assert owl._best_patch(boxes, np.array([40.0, 40, 45, 45]), None) == 1
    assert len(plain(detector).detect_similar(IMAGE, (0, 0, 1, 1), "cell")) == ACROSS**2


@pytest.mark.parametrize("box", [(5, 5, 5, 9), (-20, -20, -10, -10), (90, 90, 99, 99)])
def test_example_without_area_in_the_image_is_refused(detector, box) -> None:
    with pytest.raises(PromptError, match="has no area in an image of 40 x 80"):
        detector.detect_similar(IMAGE, box, "cell")


def test_finer_detail_has_more_patches(detector) -> None:
    assert len(detector.detect(IMAGE, ("cell",), detail=2 * SIDE)) == 4 * ACROSS**2


def test_long_phrases_are_read_alone_and_longer_ones_are_refused(detector) -> None:
    assert detector._text("a b c") == "a photo of a a b c"
    assert detector._text("abcdefghijk") == "abcdefghijk"
    with pytest.raises(PromptError, match="reads 14 pieces of words"):
        detector.detect(IMAGE, ("abcdefghijklmnop",))


def test_hundreds_of_phrases_take_one_look(detector, monkeypatch) -> None:
    looks = []
    look = detector._encode_image
    monkeypatch.setattr(detector, "_encode_image", lambda *args: looks.append(1) or look(*args))
    phrases = tuple(f"{number}" for number in range(150))
    assert detector.detect(IMAGE, phrases).scores.shape == (ACROSS**2, 150)
    assert len(looks) == 1


def test_cancelled_before_the_look(detector) -> None:
    stop = Context(cancelled=lambda: True)
    with pytest.raises(Cancelled):
        detector.detect(IMAGE, ("cell",), context=stop)
    with pytest.raises(Cancelled):
        detector.detect_similar(IMAGE, (0, 0, 9, 9), "cell", context=stop)


def test_only_8_bit_rgb_is_looked_at(detector) -> None:
    with pytest.raises(ImageError, match="uint8"):
        detector.detect(IMAGE.astype(np.uint16), ("cell",))
    with pytest.raises(ImageError, match="uint8"):
        detector.detect_similar(IMAGE[..., 0], (0, 0, 9, 9), "cell")


def test_named_ones_are_loaded_from_the_cache(folder, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("NAPARI_SEGMATE_CACHE", str(tmp_path))
    info = get_detector("owlv2-base" if folder.name == "owlv2" else "owlvit-base")
    assert info.examples and info.licence == "Apache-2.0"
    with pytest.raises(OfflineError, match=r"merges\.txt"):
        load_detector(info.name, device="cpu")
    place = folder_of(info)
    place.mkdir(parents=True)
    for path in folder.iterdir():
        (place / path.name).write_bytes(path.read_bytes())
    for name in missing_files(info):
        # Here the tokenizer is one file, on the hub it is several: only their names count.
        (place / name).write_text(_settings(folder, name))
    assert load_detector(info.name, device="cpu").info == info


def _settings(folder: Path, name: str) -> str:
    if name == "preprocessor_config.json":
        return json.dumps(
            json.loads((folder / "processor_config.json").read_text())["image_processor"]
        )
    words = json.loads((folder / "tokenizer.json").read_text())["model"]
    if name == "vocab.json":
        return json.dumps(words["vocab"])
    return "#version: 0.2\n" if name == "merges.txt" else "{}"


def test_half_a_model_is_refused(folder, tmp_path) -> None:
    from safetensors.numpy import load_file, save_file

    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = load_file(folder / "model.safetensors")
    del weights["class_head.dense0.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsError, match="lacks 1 weights"):
        load_detector(tmp_path, device="cpu")
    (tmp_path / "model.safetensors").write_bytes(b"1234")
    with pytest.raises(ModelError, match="that can be loaded"):
        load_detector(tmp_path, device="cpu")


def test_other_models_are_refused(tmp_path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    with pytest.raises(ModelError, match="of type 'clip'"):
        owl.load(get_detector("owlv2-base"), tmp_path, "cpu")


def test_without_transformers_the_extra_is_named(monkeypatch) -> None:
    monkeypatch.setattr(_pretrained, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"napari-segmate\[text\]"):
        load_detector("owlv2-base", device="cpu")
