from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_sam import small_sam
from training_samples import grid_of_objects

from napari_segmate.core.errors import MissingExtraError
from napari_segmate.core.training_events import Step
from napari_segmate.models import load_model
from napari_segmate.training.build import Views, judging_entries
from napari_segmate.training.control import Control
from napari_segmate.training.learners import learner_of
from napari_segmate.training.loop import Loop
from napari_segmate.training.presets import Preset, Schedule
from napari_segmate.training.prompting import Prompts

SCHEDULE = Schedule(rate=1e-4, epochs=1, patience=5, views=2, batch=1, objects=2)


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    path = tmp_path_factory.mktemp("sam") / "small.pth"
    torch.save(small_sam().state_dict(), path)
    return load_model(path, device="cpu")


def trained(start, preset, schedule=SCHEDULE):
    learner = learner_of(start, preset, "cpu")
    events: list = []
    loop = Loop(
        learner,
        Views([grid_of_objects()], learner, schedule, 1),
        judging_entries([grid_of_objects(seed=2)], learner)[:1],
        schedule,
        1,
        emit=events.append,
        control=Control(),
    )
    loop._epoch(1, 0)
    return learner, events


@pytest.mark.parametrize("preset", list(Preset))
def test_every_preset_learns_and_keeps_the_official_names(start, preset) -> None:
    if preset is Preset.BALANCED:
        pytest.importorskip("peft")
    learner, events = trained(start, preset)
    assert len([event for event in events if isinstance(event, Step)]) == 2
    before, after = start.network.state_dict(), learner.weights()
    assert set(after) == set(before)
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    in_encoder = {name for name in changed if name.startswith("image_encoder.")}
    assert any(name.startswith("mask_decoder.") for name in changed)
    if preset is Preset.QUICK:
        assert not in_encoder
    elif preset is Preset.BALANCED:
        assert in_encoder and all(".attn." in name for name in in_encoder)
    else:
        assert any(".mlp." in name for name in in_encoder)


def test_low_rank_updates_begin_as_nothing(start) -> None:
    pytest.importorskip("peft")
    learner = learner_of(start, Preset.BALANCED, "cpu")
    for name, value in learner.weights().items():
        assert torch.equal(value, start.network.state_dict()[name]), name


def test_merged_updates_answer_as_they_did_apart(start) -> None:
    pytest.importorskip("peft")
    learner, _ = trained(start, Preset.BALANCED, replace(SCHEDULE, rate=1e-2))
    image = torch.rand(1, 3, 128, 128) * 255
    with torch.no_grad():
        apart = learner.features(learner.prepare(image))["embedding"]
        network = small_sam()
        network.load_state_dict(learner.weights())
        whole = network.image_encoder(network.preprocess(image))
    torch.testing.assert_close(apart, whole, rtol=1e-3, atol=1e-3)


def test_without_the_extra_the_error_says_what_to_install(start, monkeypatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtraError, match=r"napari-segmate\[train\]"):
        learner_of(start, Preset.BALANCED, "cpu")


def test_training_sees_what_inference_sees(start) -> None:
    """Prompts of several kinds decoded at once answer like each one by itself in the adapter."""
    learner = learner_of(start, Preset.QUICK, "cpu")
    image = np.random.default_rng(0).integers(0, 255, (128, 128, 3)).astype(np.uint8)
    embedding = start.encode(image)
    tensor = torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32))[None]
    nan = float("nan")
    prompts = Prompts(
        torch.tensor([[[30.0, 40.0], [0, 0]], [[0, 0], [0, 0]], [[10.0, 20.0], [60, 70]]]),
        torch.tensor([[1, -1], [-1, -1], [1, 0]]),
        torch.tensor([[nan] * 4, [10.0, 12.0, 60.0, 70.0], [nan] * 4]),
    )
    with torch.no_grad():
        features = learner.features(learner.prepare(tensor))
        logits, scores = learner.decode(features, torch.zeros(3, dtype=torch.long), prompts)
    from napari_segmate.core.prompts import Box, ObjectPrompts, Points

    alone = [
        ObjectPrompts(Points(np.array([[40.0, 30.0]]))),
        ObjectPrompts(box=Box((12.0, 10.0, 70.0, 60.0))),
        ObjectPrompts(Points(np.array([[20.0, 10.0], [70.0, 60.0]]), np.array([True, False]))),
    ]
    found = start.decode(embedding, alone, multimask=True)
    np.testing.assert_allclose(logits[:, 1:].numpy(), found.logits, rtol=1e-2, atol=1e-2)
    clipped = np.clip(scores[:, 1:].numpy(), 0, 1)
    np.testing.assert_allclose(clipped, found.scores, rtol=1e-2, atol=1e-2)


def test_views_of_sam_fill_its_input(start) -> None:
    learner = learner_of(start, Preset.QUICK, "cpu")
    assert learner.size == 128
    assert learner.zoom(grid_of_objects(shape=(64, 96))) == pytest.approx(128 / 96)


def test_the_instance_head_of_a_model_learns_and_is_kept(tmp_path, monkeypatch) -> None:
    unetr = pytest.importorskip("napari_segmate.models._unetr")
    from napari_segmate.tasks.train.run import Params, run

    torch.manual_seed(1)
    head = unetr.InstanceDecoder(32, [64, 32, 16, 8])
    state = {f"instance_decoder.{name}": value for name, value in head.state_dict().items()}
    torch.save({**small_sam().state_dict(), **state}, tmp_path / "with_head.pth")
    model = load_model(tmp_path / "with_head.pth", device="cpu")
    learner, events = trained(model, Preset.QUICK)
    assert learner.dense
    after = learner.weights()
    assert any(not torch.equal(after[name], value) for name, value in state.items())
    assert all(np.isfinite(event.loss) for event in events if isinstance(event, Step))
    monkeypatch.setenv("NAPARI_SEGMATE_MODELS", str(tmp_path / "own"))
    sizes = {"epochs": 1, "views": 1, "batch": 1, "objects": 2, "device": "cpu"}
    pair = [grid_of_objects("a"), grid_of_objects("b", seed=5)]
    result = run(pair, Params(name="headed", **sizes), model=model)
    assert "ap50" in result.after
    assert load_model("headed", device="cpu").info.instance_head
