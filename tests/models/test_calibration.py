from __future__ import annotations

import json
from importlib.resources import files

import numpy as np
import pytest

from napari_segmate.core.prompts import ObjectPrompts, Points
from napari_segmate.models import _calibration, load_model
from napari_segmate.models._calibration import Calibration, sharpness

NUMBERS = {"constant": -0.2, "score": 0.5, "sharpness": 0.6, "again": 0.1, "again_score": -0.2}


def test_a_sure_mask_is_sharp_and_an_unsure_one_is_not():
    y, x = np.indices((40, 40))
    depth = (10 - np.hypot(y - 20, x - 20)).astype(np.float32)
    found = sharpness(np.stack([[9 * depth, depth, 0.1 * depth]]))
    assert found.shape == (1, 3)
    assert 1 > found[0, 0] > 0.95 > found[0, 1] > found[0, 2] > 0


def test_sharpness_of_many_masks_is_taken_in_strips(monkeypatch):
    logits = np.random.default_rng(0).normal(0, 4, (5, 3, 8, 9)).astype(np.float32)
    whole = sharpness(logits)
    monkeypatch.setattr(_calibration, "STRIP", 150)
    np.testing.assert_array_equal(sharpness(logits), whole)


def test_weights_without_calibration_have_none():
    assert Calibration.from_facts({"sha256": "0"}) is None
    assert Calibration.from_facts({"calibration": NUMBERS}) == Calibration(**NUMBERS)


def test_later_answers_are_trusted_differently():
    calibration = Calibration(**NUMBERS)
    assert calibration.value(0.8, 0.9, again=False) == pytest.approx(-0.2 + 0.4 + 0.54)
    assert calibration.value(0.8, 0.9, again=True) == pytest.approx(-0.1 + 0.24 + 0.54)
    assert calibration.value(1.0, 2.0, again=False) == 1


def test_a_calibrated_model_answers_with_the_scores_to_expect():
    model = load_model("tiny", device="cpu")
    model.calibration = None
    image = np.zeros((96, 96, 3), np.uint8)
    image[30:60, 30:60] = 200
    embedding = model.encode(image)
    click = ObjectPrompts(Points([(45, 45)]))
    raw = model.decode(embedding, [click])
    again = ObjectPrompts(Points([(45, 45)]), logits=raw.logits[0, 0])
    raw_later = model.decode(embedding, [again])
    model.calibration = calibration = Calibration(**NUMBERS)
    for prompts, before, later in ((click, raw, False), (again, raw_later, True)):
        found = model.decode(embedding, [prompts])
        np.testing.assert_array_equal(found.logits, before.logits)
        wanted = calibration.expected(before.scores, before.logits, again=later)
        np.testing.assert_allclose(found.scores, wanted, atol=1e-6)


def test_the_calibration_belongs_to_the_weights_that_come_along(tmp_path):
    stored = files("napari_segmate") / "weights" / "tiny.json"
    facts = json.loads(stored.read_text())
    assert Calibration.from_facts(facts) == load_model("tiny", device="cpu").calibration
    weights = tmp_path / "mine.safetensors"
    weights.write_bytes((files("napari_segmate") / "weights" / "tiny.safetensors").read_bytes())
    assert load_model(weights, device="cpu").calibration is None
