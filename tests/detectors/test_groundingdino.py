"""The authors' own code, through groundingdino-py."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from small_dino import write_vocabulary
from small_dino_checkpoint import save, sizes

from napari_segmate.core.context import Context
from napari_segmate.core.errors import (
    Cancelled,
    MissingExtraError,
    ModelError,
    OfflineError,
    WeightsError,
)
from napari_segmate.detectors import (
    folder_of,
    get_detector,
    groundingdino,
    load_detector,
    missing_files,
    usable,
)

NAME = "groundingdino-swint-ogc"
IMAGE = np.random.default_rng(0).integers(0, 255, (260, 300, 3), dtype=np.uint8)
installed = pytest.mark.skipif(
    find_spec("groundingdino") is None or find_spec("transformers") is None,
    reason="groundingdino-py is not installed",
)


def _random_state(folder: Path) -> dict:
    import torch

    from napari_segmate.detectors._dino_checkpoint import tokenizer_of
    from napari_segmate.detectors._groundingdino_compat import build

    torch.manual_seed(1)
    model = build(sizes(), tokenizer_of(write_vocabulary(folder), 1100))
    with torch.no_grad():
        # Many weights begin as zeros; only others let all paths matter.
        for weight in model.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    return model.state_dict()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("authors")
    return save(_random_state(folder), folder)


@pytest.fixture(scope="module")
def detector(checkpoint):
    return load_with(groundingdino, checkpoint)


def load_with(family, path):
    return family.load(get_detector(path), path, "cpu")


@installed
@pytest.mark.parametrize(
    "phrases",
    [("cell",), ("red blood cell", "dark nucleus"), ("round cells", "bright", "a nucleus", "dark")],
)
def test_transformers_computes_the_same_from_the_same_file(detector, checkpoint, phrases) -> None:
    from napari_segmate.detectors import transformers

    ours = load_with(transformers, checkpoint).detect(IMAGE, phrases, detail=256)
    theirs = detector.detect(IMAGE, phrases, detail=256)
    assert theirs.scores.std() > 0.1
    np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-3)
    np.testing.assert_allclose(ours.boxes_yx, theirs.boxes_yx, atol=1e-3 * max(IMAGE.shape))


@installed
def test_names_of_the_weights_are_those_that_conversion_is_tested_with(checkpoint) -> None:
    from napari_segmate.detectors._dino_checkpoint import UNUSED, read_state

    names = Path(__file__).with_name("dino_names.txt").read_text().splitlines()
    listed = {line.split()[0]: line.split()[1] for line in names}
    found = {
        name: "x".join(map(str, value.shape)) for name, value in read_state(checkpoint).items()
    }
    assert found == {name: shape for name, shape in listed.items() if not UNUSED.fullmatch(name)}


@installed
def test_every_query_has_a_box_and_a_score_per_phrase(detector) -> None:
    found = detector.detect(IMAGE, ("cell", "Dark nucleus."), detail=64)
    assert found.scores.shape == (20, 2)
    assert found.phrases == ("cell", "Dark nucleus.")
    assert found.boxes_yx.min() >= -0.5
    assert (found.boxes_yx[:, 2:] <= [259.5, 299.5]).all()


@installed
def test_hundreds_of_phrases_are_asked_in_several_passes(detector) -> None:
    phrases = tuple(f"{'dark ' * (n % 5)}cell {'nucleus ' * (n // 5)}".strip() for n in range(60))
    found = detector.detect(IMAGE, phrases, detail=64)
    assert found.scores.shape[1] == 60
    assert len(found) > 20


@installed
def test_cancelled_between_passes(detector) -> None:
    with pytest.raises(Cancelled):
        detector.detect(IMAGE, ("cell",), detail=64, context=Context(cancelled=lambda: True))


@installed
def test_own_checkpoint_is_read_by_whatever_is_installed(checkpoint, monkeypatch) -> None:
    monkeypatch.setattr(groundingdino, "_version", lambda name: (9, 9))
    assert load_detector(checkpoint, device="cpu").detect(IMAGE, ("cell",), detail=64)


@installed
def test_the_package_is_left_as_it_was(detector) -> None:
    from importlib import import_module

    from napari_segmate.detectors import _groundingdino_compat as shim

    network, words = import_module(shim.NETWORK), import_module(shim.TOKENIZER)
    assert network.BertModelWarper.__module__.startswith("groundingdino.")
    assert words.get_tokenlizer.__module__ == words.__name__
    assert shim.PICTURES not in sys.modules


@installed
def test_importing_it_loads_no_opencv_and_leaves_qt_alone(tmp_path) -> None:
    # Does what opencv does when it is imported.
    sets = "import os\nos.environ['QT_QPA_PLATFORM_PLUGIN_PATH'] = 'opencv'\n"
    (tmp_path / "cv2.py").write_text(sets)
    code = (
        "import os, sys\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "os.environ['QT_QPA_FONTDIR'] = 'mine'\n"
        "from napari_segmate.detectors import _groundingdino_compat as shim\n"
        "shim._import()\n"
        "assert 'cv2' not in sys.modules and 'matplotlib' not in sys.modules\n"
        "assert os.environ['QT_QPA_FONTDIR'] == 'mine'\n"
        "assert 'QT_QPA_PLATFORM_PLUGIN_PATH' not in os.environ\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_variables_that_an_import_sets_are_put_back(monkeypatch) -> None:
    from napari_segmate.detectors._groundingdino_compat import QT_VARIABLES, keep_environment

    plugins, fonts = QT_VARIABLES
    monkeypatch.setenv(fonts, "before")
    monkeypatch.delenv(plugins, raising=False)
    with keep_environment():
        monkeypatch.setenv(plugins, "opencv")
        monkeypatch.setenv(fonts, "opencv")
    assert plugins not in os.environ
    assert os.environ[fonts] == "before"


@installed
def test_text_encoder_that_computes_something_else_is_refused() -> None:
    from napari_segmate.detectors import _groundingdino_compat as shim

    right = shim._encoder_class()

    class Wrong(right):
        def forward(self, input_ids, attention_mask, **more):
            return super().forward(input_ids, attention_mask * 0 + 1, **more)

    shim.check_text_encoder(right)
    with pytest.raises(ModelError, match="text encoder of groundingdino-py computes something"):
        shim.check_text_encoder(Wrong)


@installed
def test_another_package_of_the_same_name_is_refused(monkeypatch) -> None:
    from napari_segmate.detectors import _groundingdino_compat as shim

    words = sys.modules.get(shim.TOKENIZER) or shim._import()[1]
    monkeypatch.delattr(words, "get_pretrained_language_model")
    with pytest.raises(ModelError, match=r"has no groundingdino.*language_model: it is another"):
        shim.build(sizes(), None)


@installed
def test_backbone_that_the_package_lacks_is_refused() -> None:
    from napari_segmate.detectors import _groundingdino_compat as shim

    other = {**sizes(), "backbone_config": {**sizes()["backbone_config"], "embed_dim": 32}}
    with pytest.raises(ModelError, match=r"no backbone of width 32, only \[96, 128\]"):
        shim.build(other, None)


@installed
def test_checkpoint_that_lacks_weights_is_refused(checkpoint, tmp_path) -> None:
    from napari_segmate.detectors._dino_checkpoint import read_state

    state = read_state(checkpoint)
    del state["feat_map.bias"]
    with pytest.raises(WeightsError, match=r"lacks 1 weights .*feat_map\.bias"):
        load_with(groundingdino, save(state, tmp_path))


@pytest.mark.parametrize(
    ("name", "found"),
    [("groundingdino-py", (0, 3, 0)), ("timm", (2, 0)), ("transformers", (4, 39))],
)
def test_versions_that_do_not_fit_are_refused(monkeypatch, name, found) -> None:
    monkeypatch.setattr(groundingdino, "find_spec", lambda name: True)
    monkeypatch.setattr(groundingdino, "_version", lambda asked: found if asked == name else ())
    with pytest.raises(ModelError, match=f"does not work with {name}"):
        groundingdino.check()


def test_missing_package_names_the_extra(monkeypatch) -> None:
    monkeypatch.setattr(groundingdino, "find_spec", lambda name: None)
    assert not usable(get_detector(NAME))
    with pytest.raises(MissingExtraError, match=r'pip install "napari-segmate\[groundingdino\]"'):
        load_detector(NAME, device="cpu")


def test_files_are_named_with_their_addresses(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("NAPARI_SEGMATE_CACHE", str(tmp_path))
    monkeypatch.setattr(groundingdino, "find_spec", lambda name: True)
    monkeypatch.setattr(groundingdino, "_version", lambda name: ())
    info = get_detector(NAME)
    assert missing_files(info) == ("groundingdino_swint_ogc.pth", "vocab.txt")
    with pytest.raises(OfflineError, match=r"ogc\.pth, vocab\.txt \(https://\S+bert-base-unc\S+\)"):
        load_detector(NAME, device="cpu")


def test_half_a_checkpoint_counts_as_missing(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("NAPARI_SEGMATE_CACHE", str(tmp_path))
    info = get_detector(NAME)
    folder_of(info).mkdir(parents=True)
    (folder_of(info) / "groundingdino_swint_ogc.pth").write_bytes(b"half")
    assert "groundingdino_swint_ogc.pth" in missing_files(info)


def test_auto_prefers_what_is_there(tmp_path, monkeypatch) -> None:
    pytest.importorskip("transformers")
    monkeypatch.setenv("NAPARI_SEGMATE_CACHE", str(tmp_path))
    monkeypatch.setattr(groundingdino, "find_spec", lambda name: True)
    monkeypatch.setattr(groundingdino, "_version", lambda name: ())
    assert get_detector("auto").name != NAME
    info = get_detector(NAME)
    folder_of(info).mkdir(parents=True)
    for file in info.weights:
        with (folder_of(info) / Path(file.filename).name).open("wb") as stream:
            stream.truncate(file.size)
    assert get_detector("auto") == info
