from __future__ import annotations

import re
import subprocess
import sys

import pytest

from napari_segmate.core.errors import ModelError, UnknownNameError, WeightsError
from napari_segmate.models import DEFAULT_MODEL, FAMILIES, get_model, list_models, load_model


def test_default_model_comes_first_and_needs_no_download():
    first = list_models()[0]
    assert first.name == DEFAULT_MODEL
    assert first.weights is None


def test_names_are_unique_across_families():
    names = [info.name for info in list_models()]
    assert len(set(names)) == len(names)
    assert {"vit_b", "vit_l", "vit_h", "vit_b_lm"} <= set(names)


@pytest.mark.parametrize("info", [i for i in list_models() if i.weights], ids=lambda i: i.name)
def test_downloads_name_an_address_and_a_whole_digest(info):
    assert info.weights.url.startswith("https://")
    assert re.fullmatch(r"sha256:[0-9a-f]{64}|xxh128:[0-9a-f]{32}", info.weights.digest)


@pytest.mark.parametrize("info", [i for i in list_models() if i.weights], ids=lambda i: i.name)
def test_every_download_tells_its_size(info):
    assert re.fullmatch(r"(about )?\d+(\.\d)? [MG]B", info.download_size)
    # What is not known to the byte is near what weights of 4 bytes take.
    weights = info.weights.size or info.weights.about
    assert weights == pytest.approx(4 * info.parameters, rel=0.01)
    assert info.download_size.startswith("about") is not bool(info.weights.size)


def test_the_embedded_model_has_nothing_to_download():
    assert get_model("tiny").download_size == ""


def test_unknown_name_offers_the_nearest():
    with pytest.raises(UnknownNameError, match=r"did you mean 'vit_b'"):
        get_model("vit_bb")


def test_unknown_device_names_the_allowed_ones():
    with pytest.raises(ModelError, match=r"no device 'tpu' here; choose one of \['auto'"):
        load_model("tiny", device="tpu")


def test_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(WeightsError, match="no weights file"):
        load_model(tmp_path / "none.pth")


def test_families_are_listed_without_torch():
    code = (
        "import sys; from napari_segmate.models import list_models; list_models();"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_each_family_is_known_by_its_file():
    assert set(FAMILIES) >= {"sam", "tiny"}
