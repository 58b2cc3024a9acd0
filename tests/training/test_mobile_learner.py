from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small_mobile_sam import small_mobile_sam
from training_samples import grid_of_objects

from napari_segmate.core.training_events import Step
from napari_segmate.models import load_model
from napari_segmate.training.build import Views, judging_entries
from napari_segmate.training.control import Control
from napari_segmate.training.estimate import needed_mb
from napari_segmate.training.learners import learner_of
from napari_segmate.training.loop import Loop
from napari_segmate.training.presets import Preset, Schedule

SCHEDULE = Schedule(rate=1e-3, epochs=1, patience=5, views=2, batch=1, objects=2)


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    path = tmp_path_factory.mktemp("sam") / "small.pt"
    torch.save(small_mobile_sam(), path)
    return load_model(path, device="cpu")


@pytest.mark.parametrize("preset", list(Preset))
def test_every_preset_learns_and_keeps_the_published_names(start, preset, tmp_path) -> None:
    if preset is Preset.BALANCED:
        pytest.importorskip("peft")
    learner = learner_of(start, preset, "cpu")
    events: list = []
    loop = Loop(
        learner,
        Views([grid_of_objects()], learner, SCHEDULE, 1),
        judging_entries([grid_of_objects(seed=2)], learner)[:1],
        SCHEDULE,
        1,
        emit=events.append,
        control=Control(),
    )
    loop._epoch(1, 0)
    assert len([event for event in events if isinstance(event, Step)]) == 2
    before, after = small_mobile_sam(), learner.weights()
    assert set(after) == set(before)
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    in_encoder = {name for name in changed if name.startswith("image_encoder.")}
    assert any(name.startswith("mask_decoder.") for name in changed)
    if preset is Preset.QUICK:
        assert not in_encoder
    elif preset is Preset.BALANCED:
        assert in_encoder and all(".attn." in name for name in in_encoder)
    else:
        for part in ("patch_embed.seq.0.c", "attention_biases", "downsample.conv2.c", "neck.2"):
            assert any(part in name for name in in_encoder), part
    assert not any("running_" in name for name in changed)
    torch.save(after, tmp_path / "trained.pt")
    assert load_model(tmp_path / "trained.pt", device="cpu").info.architecture.startswith("vit_t")


def test_learning_encodes_as_inference_does(start) -> None:
    learner = learner_of(start, Preset.FULL, "cpu")
    images = torch.rand(1, 3, 1024, 1024, generator=torch.Generator().manual_seed(0)) * 255
    with torch.no_grad():
        expected = learner.features({"images": images})["embedding"]
    found = learner.features({"images": images})["embedding"]
    assert found.requires_grad
    torch.testing.assert_close(found.detach(), expected, rtol=1e-4, atol=1e-4)


def test_memory_grows_with_the_images_whose_encoder_learns(start) -> None:
    two = replace(SCHEDULE, batch=2)
    grows = {}
    for preset in (Preset.QUICK, Preset.FULL):
        learner = learner_of(start, preset, "cpu")
        grows[preset] = needed_mb(learner, two) - needed_mb(learner, SCHEDULE)
    assert grows[Preset.FULL] > grows[Preset.QUICK]
