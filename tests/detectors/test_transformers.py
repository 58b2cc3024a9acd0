from __future__ import annotations

import json

import numpy as np
import pytest
from small_dino import build

from napari_segmate.core.context import Context
from napari_segmate.core.errors import Cancelled, ModelError, OfflineError, UnknownNameError
from napari_segmate.detectors import (
    _dino_checks,
    folder_of,
    get_detector,
    list_detectors,
    load_detector,
    missing_files,
)
from napari_segmate.detectors._files import offline

pytest.importorskip("transformers")

IMAGE = np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build(tmp_path_factory.mktemp("dino") / "mine")


@pytest.fixture(scope="module")
def detector(folder):
    return load_detector(folder, device="cpu")


def test_every_query_has_a_box_and_a_score_per_phrase(detector) -> None:
    found = detector.detect(IMAGE, ("red blood cell", "dark nucleus"), detail=64)
    assert found.boxes_yx.shape == (20, 4)
    assert found.scores.shape == (20, 2)
    assert found.phrases == ("red blood cell", "dark nucleus")
    assert (found.boxes_yx[:, :2] <= found.boxes_yx[:, 2:]).all()
    assert found.boxes_yx.min() >= -0.5
    assert (found.boxes_yx[:, 2:] <= [59.5, 89.5]).all()
    assert found.scores.min() > 0 and found.scores.max() < 1


def test_scores_are_those_of_the_tokens_of_a_phrase(detector) -> None:
    alone = detector.detect(IMAGE, ("cell",), detail=64)
    again = detector.detect(IMAGE, ("cell",), detail=64)
    np.testing.assert_array_equal(alone.scores, again.scores)
    both = detector.detect(IMAGE, ("nucleus", "cell"), detail=64)
    assert not np.allclose(both.scores[:, 0], both.scores[:, 1])


def test_hundreds_of_phrases_are_asked_in_several_passes(detector) -> None:
    phrases = tuple(
        "cell " * (1 + n % 3) + f"nucleus {'dark ' * (n // 3)}".strip() for n in range(60)
    )
    found = detector.detect(IMAGE, phrases, detail=64)
    assert found.scores.shape[1] == 60
    assert len(found) > 20


def test_cancelled_between_passes(detector) -> None:
    with pytest.raises(Cancelled):
        detector.detect(IMAGE, ("cell",), detail=64, context=Context(cancelled=lambda: True))


def test_words_only(detector) -> None:
    with pytest.raises(ModelError, match="only understands words"):
        detector.detect_similar(IMAGE, (0, 0, 9, 9), "cell")


def test_folder_of_something_else_is_refused(tmp_path) -> None:
    with pytest.raises(ModelError, match="holds no GroundingDINO"):
        load_detector(tmp_path, device="cpu")


def test_missing_files_are_named_with_their_place(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("NAPARI_SEGMATE_CACHE", str(tmp_path))
    info = list_detectors()[0]
    assert missing_files(info) == info.files
    with pytest.raises(OfflineError, match=r"put config\.json, model\.safetensors"):
        load_detector(info.name, device="cpu")
    assert str(folder_of(info)) in str(offline(info))


def test_detector_with_its_files_is_taken_first(tmp_path, monkeypatch, folder) -> None:
    monkeypatch.setenv("NAPARI_SEGMATE_CACHE", str(tmp_path))
    base = get_detector("grounding-dino-base")
    folder_of(base).parent.mkdir(parents=True)
    folder_of(base).symlink_to(folder)
    assert missing_files(base) == ()
    assert get_detector("auto") == base
    assert load_detector("auto", device="cpu").info == base


def test_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="grounding-dino-tiny"):
        get_detector("grounding-dino-tin")


@pytest.mark.parametrize("found", ["5.0.0", "5.22.2"])
def test_versions_that_compute_wrong_boxes_are_refused(monkeypatch, found) -> None:
    monkeypatch.setattr(_dino_checks, "version", lambda name: found)
    with pytest.raises(ModelError, match="wrong boxes"):
        load_detector("grounding-dino-tiny", device="cpu")


@pytest.mark.parametrize("found", ["4.57.6", "5.23.0", "6.0.1"])
def test_other_versions_are_taken(monkeypatch, found) -> None:
    monkeypatch.setattr(_dino_checks, "version", lambda name: found)
    _dino_checks.check_version()


@pytest.mark.parametrize("kind", ["grounding_dino", "mm_grounding_dino"])
def test_wrong_token_positions_are_noticed(monkeypatch, tmp_path, kind) -> None:
    from importlib import import_module

    import torch

    modeling = import_module(f"transformers.models.{kind}.modeling_{kind}")
    wrong = torch.tensor([[0, 0, 1, 2, 0, 0, 1, 0, 0]])
    name = "generate_masks_with_special_tokens_and_transfer_map"
    monkeypatch.setattr(modeling, name, lambda ids: (None, wrong))
    with pytest.raises(ModelError, match="wrong positions"):
        load_detector(build(tmp_path, kind=kind), device="cpu")


def test_eager_attention_is_refused(tmp_path) -> None:
    folder = build(tmp_path / "eager")
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["attn_implementation"] = "eager"
    (folder / "config.json").write_text(json.dumps({**config, "attn_implementation": "eager"}))
    with pytest.raises(ModelError, match="'eager' GroundingDINO computes wrong boxes"):
        load_detector(folder, device="cpu")


def test_relatives_are_loaded_the_same_way(tmp_path) -> None:
    folder = build(tmp_path / "mm", kind="mm_grounding_dino")
    found = load_detector(folder, device="cpu").detect(IMAGE, ("dark nucleus",), detail=64)
    assert found.scores.shape == (20, 1)
    assert found.detector == "mm"


def test_every_layer_refines_boxes_with_its_own_head(tmp_path) -> None:
    folder = build(tmp_path / "llmdet", kind="mm_grounding_dino", shared=False)
    right = load_detector(folder, device="cpu").detect(IMAGE, ("cell",), detail=64)
    config = json.loads((folder / "config.json").read_text())
    # As those on the hub were written: before there was such a setting.
    old = {name: value for name, value in config.items() if not name.endswith("_share")}
    (folder / "config.json").write_text(json.dumps(old))
    again = load_detector(folder, device="cpu").detect(IMAGE, ("cell",), detail=64)
    np.testing.assert_array_equal(right.boxes_yx, again.boxes_yx)
    np.testing.assert_array_equal(right.scores, again.scores)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("kind", ["grounding_dino", "mm_grounding_dino"])
def test_heads_are_found_under_either_of_their_names(tmp_path, kind, shared) -> None:
    from safetensors.torch import load_file, save_file

    folder = build(tmp_path / "base", kind=kind, shared=shared)
    before = load_detector(folder, device="cpu").detect(IMAGE, ("cell",), detail=64)
    weights = load_file(folder / "model.safetensors")
    names = {name: name for name in weights}
    names |= {name: f"model.decoder.{name}" for name in weights if _dino_checks.HEAD.match(name)}
    moved = {names[name]: value for name, value in weights.items()}
    assert moved.keys() != weights.keys()
    save_file(moved, folder / "model.safetensors", metadata={"format": "pt"})
    after = load_detector(folder, device="cpu").detect(IMAGE, ("cell",), detail=64)
    np.testing.assert_array_equal(after.boxes_yx, before.boxes_yx)


def test_weights_of_half_precision_are_taken(tmp_path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    folder = build(tmp_path / "half")
    weights = {
        name: value.half() if value.dtype == torch.float32 else value
        for name, value in load_file(folder / "model.safetensors").items()
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "dtype": "float16"}))
    assert len(load_detector(folder, device="cpu").detect(IMAGE, ("cell",), detail=64)) == 20


def test_head_that_did_not_arrive_is_noticed(tmp_path, monkeypatch) -> None:
    import torch
    from transformers import GroundingDinoForObjectDetection

    folder = build(tmp_path / "base")
    real = GroundingDinoForObjectDetection.from_pretrained

    def forgetful(*args, **more):
        model, loaded = real(*args, **more)
        torch.nn.init.ones_(model.bbox_embed[0].layers[0].bias)
        return model, loaded

    monkeypatch.setattr(GroundingDinoForObjectDetection, "from_pretrained", forgetful)
    with pytest.raises(ModelError, match="loads the heads of"):
        load_detector(folder, device="cpu")


def test_heads_that_were_loaded_wrongly_are_noticed(tmp_path, monkeypatch) -> None:
    from napari_segmate.detectors import transformers as family

    folder = build(tmp_path / "llmdet", kind="mm_grounding_dino", shared=False)
    config = json.loads((folder / "config.json").read_text())
    old = {name: value for name, value in config.items() if not name.endswith("_share")}
    (folder / "config.json").write_text(json.dumps(old))
    monkeypatch.setattr(family, "own_heads", lambda saved: {})
    with pytest.raises(ModelError, match="loads the heads of"):
        load_detector(folder, device="cpu")
