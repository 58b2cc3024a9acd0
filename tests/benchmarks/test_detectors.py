"""The benchmark of detectors runs with networks of few weights, in this process."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
from benchmarks import _report, detectors


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(_report, "RESULTS", tmp_path)
    return tmp_path


@pytest.fixture
def small(monkeypatch):
    text = {
        **detectors.SIZES["text_config"],
        "vocab_size": 1100,
        "hidden_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "intermediate_size": 37,
    }
    less = {
        "text_config": text,
        "num_queries": 20,
        "encoder_layers": 1,
        "decoder_layers": 2,
        "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64,
    }
    monkeypatch.setattr(detectors, "SIZES", {**detectors.SIZES, **less})
    monkeypatch.setattr(detectors, "DETAIL", 128)
    monkeypatch.setattr(detectors, "BOXES", 4)
    monkeypatch.setattr(detectors, "SIDE", 256)
    monkeypatch.setattr(detectors, "run_case", lambda case, *values: detectors.CASES[case](*values))


def rows(text: str) -> dict[str, list[str]]:
    cells = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| ")]
    return {one[0].strip(): [cell.strip() for cell in one[1:]] for one in cells}


def test_filters_and_outlines_are_timed(results, small):
    detectors.main(["--no-network"])
    found = rows((results / "detectors.md").read_text())
    assert float(found["filter 900 boxes x 20 concepts"][0].removesuffix(" ms")) > 0
    assert float(found["4 boxes to labels on 256 x 256"][1].removesuffix(" s")) > 0
    assert "transformers" not in found


@pytest.mark.skipif(find_spec("transformers") is None, reason="transformers is not installed")
@pytest.mark.parametrize("official", [False, True], ids=["transformers alone", "both backends"])
def test_backends_are_timed(results, small, monkeypatch, official):
    if official and find_spec("groundingdino") is None:
        pytest.skip("groundingdino-py is not installed")
    if not official:
        real = detectors.find_spec
        monkeypatch.setattr(
            detectors, "find_spec", lambda name: None if name == "groundingdino" else real(name)
        )
    detectors.main(["--repeats", "1"])
    text = (results / "detectors.md").read_text()
    found = rows(text)
    assert found["transformers"][0].endswith(" s") and found["transformers"][3].endswith(" GB")
    assert ("groundingdino" in found) == official
    if official:
        assert "20 of 20 boxes of both backends agree" in text
