"""Loading the authors' checkpoints needs neither their package nor a download."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from small_dino_checkpoint import save, sizes

from napari_segmate.core.errors import UnsafeFileError, WeightsError
from napari_segmate.detectors import _dino_checkpoint as checkpoints
from napari_segmate.detectors import load_detector
from napari_segmate.detectors._dino_conversion import convert

transformers = pytest.importorskip("transformers")
torch = pytest.importorskip("torch")

IMAGE = np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)
NAMES = Path(__file__).with_name("dino_names.txt")
"""Names and shapes of a small network, as the authors' own code has them."""


def _shapes() -> dict[str, tuple[int, ...]]:
    lines = (line.split() for line in NAMES.read_text().splitlines())
    return {name: tuple(map(int, shape.split("x"))) for name, shape in lines}


def _value(name: str, shape: tuple[int, ...]):
    if name.endswith("relative_position_index"):
        return torch.zeros(shape, dtype=torch.int64)
    # All layers share one head.
    part = re.sub(r".*\bbbox_embed\.\d\.", "", name)
    random = np.random.default_rng(list(part.encode()))
    return torch.from_numpy(random.normal(0, 0.05, shape).astype(np.float32))


@pytest.fixture(scope="module")
def state():
    return {name: _value(name, shape) for name, shape in _shapes().items()}


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """Names and shapes of the same network in a file of transformers."""
    from safetensors.torch import load_file

    parts = sizes()
    parts["backbone_config"] = transformers.SwinConfig(**parts["backbone_config"])
    parts["text_config"] = transformers.BertConfig(**parts["text_config"])
    model = transformers.GroundingDinoForObjectDetection(transformers.GroundingDinoConfig(**parts))
    folder = tmp_path_factory.mktemp("hub")
    model.save_pretrained(folder)
    names = load_file(folder / "model.safetensors").items()
    # The last norm of the backbone is not used.
    return {name: value.shape for name, value in names if ".swin.layernorm." not in name}


@pytest.fixture
def no_package(monkeypatch):
    from napari_segmate.detectors import groundingdino

    monkeypatch.setattr(groundingdino, "find_spec", lambda name: None)


def _saved_shapes(state, folder):
    return {
        name: value.shape
        for name, value in convert(checkpoints.read_state(save(state, folder))).items()
    }


def test_every_name_and_shape_is_that_of_transformers(state, expected, tmp_path) -> None:
    found = _saved_shapes(state, tmp_path)
    # Heads that are one and the same stand once in files of transformers; the index is computed.
    again = ("bbox_embed.1.", "model.decoder.bbox_embed.")
    found = {
        name: shape
        for name, shape in found.items()
        if not name.startswith(again) and not name.endswith("relative_position_index")
    }
    assert found == expected


def test_queries_keys_and_values_are_split_in_their_order() -> None:
    fused = torch.arange(12.0).reshape(6, 2)
    parts = convert({"transformer.decoder.layers.0.ca_text.in_proj_weight": fused})
    start = "model.decoder.layers.0.encoder_attn_text."
    assert parts[f"{start}query.weight"].tolist() == [[0, 1], [2, 3]]
    assert parts[f"{start}value.weight"].tolist() == [[8, 9], [10, 11]]


def test_sizes_are_measured_from_the_weights(state) -> None:
    assert checkpoints.measure(state) == sizes()


def test_checkpoint_of_the_authors_is_loaded_without_their_package(
    state, tmp_path, no_package
) -> None:
    detector = load_detector(save(state, tmp_path), device="cpu")
    assert detector.info.name == "mine"
    found = detector.detect(IMAGE, ("cell", "dark nucleus"), detail=64)
    assert found.scores.shape == (20, 2)
    assert np.isfinite(found.boxes_yx).all()


def test_folder_with_one_checkpoint_will_do(state, tmp_path, no_package) -> None:
    save(state, tmp_path)
    assert load_detector(tmp_path, device="cpu").info.name == tmp_path.name


def test_vocabulary_must_lie_beside_it(state, tmp_path) -> None:
    path = save(state, tmp_path)
    (tmp_path / "vocab.txt").unlink()
    with pytest.raises(WeightsError, match=r"needs the vocabulary .* save https://.*vocab\.txt"):
        load_detector(path, device="cpu")


def test_half_a_vocabulary_is_refused(state, tmp_path) -> None:
    path = save(state, tmp_path)
    words = (tmp_path / "vocab.txt").read_text().splitlines()
    (tmp_path / "vocab.txt").write_text("\n".join(words[:500]) + "\n")
    with pytest.raises(WeightsError, match="has 500 tokens, the checkpoint 1100"):
        load_detector(path, device="cpu")


def test_vocabulary_of_another_model_is_refused(state, tmp_path, no_package) -> None:
    path = save(state, tmp_path)
    words = (tmp_path / "vocab.txt").read_text().splitlines()
    words[1012], words[1013] = words[1013], words[1012]
    (tmp_path / "vocab.txt").write_text("\n".join(words) + "\n")
    with pytest.raises(WeightsError, match="bert-base-uncased"):
        load_detector(path, device="cpu")


def test_half_a_download_is_refused(state, tmp_path) -> None:
    path = save(state, tmp_path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(WeightsError, match="half a download"):
        load_detector(path, device="cpu")


def test_checkpoint_that_lacks_weights_is_refused(state, tmp_path) -> None:
    lacking = {name: value for name, value in state.items() if not name.startswith("feat_map.")}
    path = save(lacking, tmp_path)
    with pytest.raises(WeightsError, match="lacks 2 weights"):
        load_detector(path, device="cpu")


def test_checkpoint_of_another_network_is_refused(tmp_path) -> None:
    path = save({"image_encoder.pos_embed": torch.zeros(1)}, tmp_path, "sam_vit_b.pth")
    with pytest.raises(WeightsError, match=r"sam_vit_b\.pth holds no GroundingDINO"):
        load_detector(path, device="cpu")


def test_names_that_nobody_knows_are_refused() -> None:
    with pytest.raises(
        WeightsError, match=r"'neck\.convs\.0\.bn\.weight' belongs to no GroundingDINO"
    ):
        convert({"neck.convs.0.bn.weight": torch.zeros(1)})


class _Code:
    def __reduce__(self):
        return (print, ("run",))


def test_checkpoint_that_would_run_code_is_not_opened(tmp_path, capsys) -> None:
    torch.save({"model": _Code()}, tmp_path / "bad.pth")
    with pytest.raises(UnsafeFileError, match="could run code"):
        checkpoints.read_state(tmp_path / "bad.pth")
    assert capsys.readouterr().out == ""
