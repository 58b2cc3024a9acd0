"""Checkpoints of the user's, and what is wrong with them."""

from __future__ import annotations

import json

import pytest
from small_dino import build

from napari_segmate.core.errors import ModelError, ParameterError, UnknownNameError, WeightsError
from napari_segmate.detectors import folder_of, get_detector, load_detector, missing_files, usable


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    pytest.importorskip("transformers")
    return build(tmp_path_factory.mktemp("own") / "mine")


@pytest.fixture
def folder(model, tmp_path):
    """A copy to spoil."""
    for path in model.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_folder_is_taken_as_text_and_as_path(model, kind) -> None:
    info = get_detector(kind(model))
    assert (info.name, folder_of(info), missing_files(info)) == ("mine", model, ())
    assert usable(info)
    assert load_detector(kind(model), device="cpu").info == info


def test_path_where_nothing_is_is_named(tmp_path) -> None:
    with pytest.raises(WeightsError, match=r"no detector at .*nothing\.pth; check the path"):
        get_detector(str(tmp_path / "nothing.pth"))


def test_repository_needs_its_revision() -> None:
    with pytest.raises(ParameterError, match="write someone/colonies@ and the number"):
        get_detector("someone/colonies")


def test_other_names_are_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'grounding-dino-base'"):
        get_detector("grounding-dino-bas")


def test_folder_of_another_kind_of_model_is_refused(folder) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "sam"}))
    with pytest.raises(ModelError, match="a model of type 'sam' and no other detector"):
        load_detector(folder, device="cpu")
    assert not usable(get_detector(folder))


def test_half_a_download_is_refused(folder) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(WeightsError, match="half a download"):
        load_detector(folder, device="cpu")


def test_folder_without_weights_is_refused(folder) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"put config\.json, model\.safetensors"):
        load_detector(folder, device="cpu")


def test_folder_without_vocabulary_is_refused(folder) -> None:
    for name in ("vocab.txt", "tokenizer.json"):
        (folder / name).unlink(missing_ok=True)
    with pytest.raises(WeightsError, match=r"put tokenizer\.json or vocab\.txt of the model there"):
        load_detector(folder, device="cpu")


def test_weights_that_do_not_fit_their_settings_are_refused(folder) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "decoder_layers": 3}))
    with pytest.raises(WeightsError, match=r"lacks \d+ weights"):
        load_detector(folder, device="cpu")


def test_relative_that_needs_code_of_its_own_is_refused(folder) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    strange = {"class_embed.0.bias": weights["model.text_projection.bias"].clone()}
    save_file({**weights, **strange}, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"class_embed\.0\.bias, which config\.json's model has"):
        load_detector(folder, device="cpu")
