from __future__ import annotations

import numpy as np
import pytest
from small_sam3 import QUERIES, build

from napari_segmate.core.context import Context
from napari_segmate.core.errors import (
    Cancelled,
    ImageError,
    MissingExtraError,
    ModelError,
    PromptError,
)
from napari_segmate.core.masks.object_masks import paste
from napari_segmate.detectors import _pretrained, get_detector, list_detectors, load_detector, sam3

pytest.importorskip("transformers")

IMAGE = np.random.default_rng(0).integers(0, 255, (40, 80, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build(tmp_path_factory.mktemp("sam3") / "mine")


@pytest.fixture(scope="module")
def detector(folder):
    return load_detector(folder, device="cpu")


def test_only_the_users_own_files_are_offered(folder) -> None:
    assert not any("sam3" in info.name for info in list_detectors())
    assert get_detector(folder).examples and get_detector(folder).masks


def test_every_concept_has_its_own_boxes(detector) -> None:
    found = detector.detect(IMAGE, ("cell", "dark spot", "Cell."))
    assert found.boxes_yx.shape == (2 * QUERIES, 4)
    assert found.phrases == ("cell", "dark spot", "Cell.")
    assert (found.scores[:QUERIES, 0] > 0).all() and not found.scores[:QUERIES, 1].any()
    np.testing.assert_array_equal(found.scores[:, 0], found.scores[:, 2])
    assert found.boxes_yx.min() >= -0.5
    assert (found.boxes_yx[:, 2:] <= [39.5, 79.5]).all()


def test_boxes_and_scores_are_those_of_the_library(detector, folder) -> None:
    import torch
    from transformers import Sam3Model, Sam3Processor

    processor = Sam3Processor.from_pretrained(folder, local_files_only=True)
    model = Sam3Model.from_pretrained(folder, local_files_only=True).eval()
    with torch.no_grad():
        answer = model(**processor(images=IMAGE, text="cell", return_tensors="pt"))
    wanted = processor.post_process_instance_segmentation(
        answer, threshold=-1.0, target_sizes=[IMAGE.shape[:2]]
    )[0]
    found = detector.detect(IMAGE, ("cell",))
    np.testing.assert_allclose(found.scores[:, 0], wanted["scores"].numpy(), atol=1e-5)
    x0, y0, x1, y1 = wanted["boxes"].numpy().T - 0.5
    corners = np.stack([y0, x0, y1, x1], axis=1).clip(-0.5, [39.5, 79.5, 39.5, 79.5])
    np.testing.assert_allclose(found.boxes_yx, corners, atol=1e-3)


@pytest.mark.parametrize("shape", [(40, 80), (150, 97)])
def test_masks_are_those_of_the_library(detector, folder, shape) -> None:
    import torch
    from transformers import Sam3Model, Sam3Processor

    image = np.random.default_rng(1).integers(0, 255, (*shape, 3), dtype=np.uint8)
    processor = Sam3Processor.from_pretrained(folder, local_files_only=True)
    model = Sam3Model.from_pretrained(folder, local_files_only=True).eval()
    with torch.no_grad():
        answer = model(**processor(images=image, text="cell", return_tensors="pt"))
    wanted = processor.post_process_instance_segmentation(
        answer, threshold=-1.0, target_sizes=[shape]
    )[0]["masks"].numpy()
    likely = torch.nn.functional.interpolate(answer.pred_masks.sigmoid(), shape, mode="bilinear")
    # Probabilities are kept as 8 bits, and those of random weights hardly leave one half.
    sure = np.abs(likely[0].numpy() - 0.5) > 1 / 255
    assert sure.mean() > 0.5 and 0.05 < wanted.mean() < 0.95
    found = detector.detect(image, ("cell",))
    drawn = [mask and mask.instance(shape) for mask in found.masks]
    pixels = np.stack(
        [np.zeros(shape, bool) if one is None else paste(one, shape) for one in drawn]
    )
    np.testing.assert_array_equal(pixels[sure], wanted.astype(bool)[sure])


def test_masks_follow_their_boxes_through_several_concepts(detector) -> None:
    alone = detector.detect(IMAGE, ("dark spot",))
    both = detector.detect(IMAGE, ("cell", "dark spot"))
    assert len(both.masks) == 2 * QUERIES
    for one, other in zip(both.masks[QUERIES:], alone.masks, strict=True):
        assert (one and (one.area_yx, one.packed)) == (other and (other.area_yx, other.packed))
    assert len(detector.detect_similar(IMAGE, (9.5, 19.5, 29.5, 39.5), "cell").masks) == QUERIES


def test_example_is_given_as_part_of_the_image(detector, monkeypatch) -> None:
    given = []
    forward = detector._model.forward
    monkeypatch.setattr(
        detector._model, "forward", lambda **named: given.append(named) or forward(**named)
    )
    found = detector.detect_similar(IMAGE, (9.5, 19.5, 29.5, 39.5), "colony")
    np.testing.assert_allclose(given[0]["input_boxes"].numpy(), [[[0.375, 0.5, 0.25, 0.5]]])
    assert found.phrases == ("colony",) and len(found) == QUERIES
    other = detector.detect_similar(IMAGE, (0, 0, 9, 9), "colony")
    assert not np.allclose(found.scores, other.scores)


def test_what_cannot_be_asked_is_refused(detector) -> None:
    with pytest.raises(PromptError, match="reads 30 pieces of words"):
        detector.detect(IMAGE, ("abcdefghijklmnopqrstuvwxyzabcdef",))
    with pytest.raises(PromptError, match="has no area"):
        detector.detect_similar(IMAGE, (50, 0, 60, 9), "cell")
    with pytest.raises(ImageError, match="uint8"):
        detector.detect(IMAGE.astype(float), ("cell",))
    with pytest.raises(Cancelled):
        detector.detect(IMAGE, ("cell",), context=Context(cancelled=lambda: True))


def test_files_for_videos_hold_one_for_images(folder, tmp_path) -> None:
    from transformers import Sam3Model, Sam3Processor, Sam3VideoConfig

    detector = Sam3Model.from_pretrained(folder, local_files_only=True)
    names = {f"detector_model.{name}": one for name, one in detector.state_dict().items()}
    from safetensors.torch import save_file

    Sam3VideoConfig(detector_config=detector.config.to_dict()).save_pretrained(tmp_path)
    save_file(names, tmp_path / "model.safetensors", metadata={"format": "pt"})
    Sam3Processor.from_pretrained(folder, local_files_only=True).save_pretrained(tmp_path)
    found = load_detector(tmp_path, device="cpu").detect(IMAGE, ("cell",))
    wanted = load_detector(folder, device="cpu").detect(IMAGE, ("cell",))
    np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-6)


def test_other_files_are_refused(tmp_path, folder) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "sam2"}')
    with pytest.raises(ModelError, match="of type 'sam2'"):
        sam3.load(get_detector(folder), tmp_path, "cpu")
    (tmp_path / "config.json").write_text('{"model_type": "sam3"}')
    (tmp_path / "model.safetensors").write_bytes(b"1234")
    with pytest.raises(ModelError, match="holds no SAM 3"):
        load_detector(tmp_path, device="cpu")


def test_without_transformers_the_extra_is_named(monkeypatch, folder) -> None:
    monkeypatch.setattr(_pretrained, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"napari-segmate\[text\]"):
        load_detector(folder, device="cpu")
