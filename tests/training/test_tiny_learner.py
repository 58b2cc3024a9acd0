from __future__ import annotations

import numpy as np
import pytest
import torch
from training_samples import grid_of_objects

from napari_segmate.core.labels.instances import instances_from_dense
from napari_segmate.core.numbers.metrics import segmentation_accuracy
from napari_segmate.models._tiny_network import TinyConfig, TinyNetwork
from napari_segmate.training.data import Annotation, Knowledge
from napari_segmate.training.entries import KEPT, make_entry, stack_features, stack_truth
from napari_segmate.training.presets import Preset
from napari_segmate.training.tiny_learner import TinyLearner
from napari_segmate.training.views import View


def _learner(flow: int = 8, preset: Preset = Preset.FULL) -> TinyLearner:
    torch.manual_seed(0)
    learner = TinyLearner(TinyNetwork(TinyConfig(width=32, detail=16, flow=flow)), preset, "cpu")
    learner.size = 64
    return learner


def _view(annotation: Annotation = Annotation.PLANES) -> View:
    sample = grid_of_objects(shape=(64, 64), annotation=annotation)
    return View(sample.image.astype(np.float32), sample.labels, sample.known)


def _loss(learner, entries) -> torch.Tensor:
    maps = learner.maps(learner.features(stack_features(entries, "cpu")))
    return learner.dense_loss(maps.float(), stack_truth(entries, "cpu"))


@pytest.mark.parametrize("preset", [Preset.QUICK, Preset.FULL])
def test_flow_maps_learn_to_tell_objects_apart(preset) -> None:
    learner, view = _learner(preset=preset), _view()
    entry = make_entry(view, learner)
    parameters = [parameter for _, parameter in learner.learning()]
    optimizer = torch.optim.AdamW(parameters, 5e-3)
    first = _loss(learner, [entry, entry])
    for _ in range(40):
        optimizer.zero_grad()
        _loss(learner, [entry, entry]).backward()
        optimizer.step()
    assert _loss(learner, [entry, entry]) < 0.8 * first


def test_perfect_flow_maps_have_the_least_loss_and_give_the_objects() -> None:
    learner, view = _learner(), _view()
    truth = stack_truth([make_entry(view, learner)], "cpu")
    foreground, distance, *flow_yx, _ = truth.flow[0]
    likely = torch.logit(foreground, eps=1e-4)
    fine = torch.stack([likely, distance, *flow_yx])[None]
    coarse = torch.cat(
        [
            torch.logit(truth.foreground, eps=1e-4)[:, None],
            truth.distance[:, None],
            truth.offset_yx,
            torch.zeros_like(truth.distance)[:, None],
        ],
        dim=1,
    )
    maps = torch.cat([coarse, torch.nn.functional.pixel_unshuffle(fine, 2)], dim=1)
    best = learner.dense_loss(maps, truth)
    for channel in range(5, 21):
        worse = maps.clone()
        worse[:, channel] += 0.5
        assert learner.dense_loss(worse, truth) > best
    found = instances_from_dense(learner.dense_maps(maps[0], 64))
    assert segmentation_accuracy(view.labels, found) > 0.9


def test_where_nothing_is_known_the_network_before_training_says_it() -> None:
    learner, view = _learner(), _view(Annotation.OBJECTS)
    teacher = _learner()
    flow = make_entry(view, learner, teacher).truth.flow
    teacher_maps = teacher.teach_flow(
        teacher.maps(
            teacher.features({"images": torch.from_numpy(view.image).permute(2, 0, 1)[None]})
        )[0]
    )
    certain = torch.from_numpy(view.known[1::2, 1::2] == Knowledge.ALL)
    assert certain.any()
    assert not certain.all()
    torch.testing.assert_close(flow[:4, ~certain], teacher_maps[:, ~certain], atol=0.02, rtol=0.02)
    assert set(flow[4].unique().tolist()) == {np.float32(KEPT).item(), 1.0}


def test_networks_without_flow_maps_have_no_flow_truth() -> None:
    learner = _learner(flow=0)
    entry = make_entry(_view(), learner)
    assert entry.truth.flow.numel() == 0
    assert torch.isfinite(_loss(learner, [entry, entry]))
