import json
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from napari_segmate.models._tiny_network import TinyConfig, TinyNetwork, load_tiny

SMALL = ["--scenes=3", "--crops=2", "--crop-size=64", "--width=32", "--threads=1"]
SMALL += ["--part-scenes=2", "--device=cpu"]


def test_pack_returns_what_was_read(recipe, data_sets, tmp_path):
    import pack

    items = list(pack.read_sets(data_sets))
    pack.write_pack(tmp_path / "images.npz", items)
    again = pack.read_pack(tmp_path / "images.npz")
    assert len(again) == len(items) == 11
    for before, after in zip(items, again, strict=True):
        assert (before.name, before.modality) == (after.name, after.modality)
        assert before.validation == after.validation
        np.testing.assert_array_equal(before.image, after.image)
        np.testing.assert_array_equal(before.layers, after.layers)
    assert not list(tmp_path.glob("*.part"))


def test_images_become_bytes_and_labels_are_numbered(recipe, data_sets):
    import pack

    for item in pack.read_sets(data_sets):
        assert item.image.dtype == np.uint8
        assert item.image.min() == 0 and item.image.max() == 255
        assert np.unique(item.labels).tolist() == list(range(item.labels.max() + 1))


def test_groups_are_held_out_for_good_and_rare_sets_are_not(recipe):
    import pack

    held_out = [pack.is_held_out("dsb2018", f"mosaic{i}") for i in range(700)]
    assert 60 < sum(held_out) < 140
    assert held_out == [pack.is_held_out("dsb2018", f"mosaic{i}") for i in range(700)]
    assert not any(pack.is_held_out("volumes_3d", f"g{i}") for i in range(50))
    assert pack.is_held_out("axon_sem", "crops256")


def test_a_folder_without_data_sets_is_refused(recipe, tmp_path):
    import pack

    with pytest.raises(SystemExit, match="none of the data sets"):
        list(pack.read_sets(tmp_path))


def test_batches_hold_prompts_for_their_objects(recipe, data_sets):
    import batches
    import pack

    from napari_segmate.training.augment import AugmentParams

    items = [*pack.read_sets(data_sets), *pack.synthetic_items(3, side=96)]
    params = batches.BatchParams(crops=3, augment=AugmentParams(size=64))
    batch = next(batches.load_batches(items, params, seed=0, workers=0))
    assert batch.images.shape == (3, 3, 64, 64)
    assert batch.offset_yx.shape == (3, 2, 16, 16)
    objects = len(batch.image_index)
    assert 3 <= objects <= 30
    assert batch.masks.shape == batch.others.shape == (objects, 64, 64)
    assert batch.whole.shape == (objects,)
    used = batch.point_labels == 1
    x, y = batch.points[used].long().T
    assert batch.masks[used.nonzero()[:, 0], y, x].all()
    # Every object has a click or a box.
    assert (used.any(1) | ~torch.isnan(batch.boxes[:, 0])).all()


def test_scenes_with_parts_are_drawn_more_often_and_say_what_a_click_may_mean(recipe):
    import batches
    import pack

    from napari_segmate.training.augment import AugmentParams

    items = list(pack.synthetic_items(12, side=128))
    kinds = {item.modality for item in items}
    assert kinds == {pack.SYNTHETIC, pack.SYNTHETIC_PARTS}
    for item in items:
        assert (item.modality == pack.SYNTHETIC_PARTS) == item.layers[1].any()
    params = batches.BatchParams(crops=4, augment=AugmentParams(size=128))
    parts = [item for item in items if item.modality == pack.SYNTHETIC_PARTS]
    drawn = batches.load_batches(parts, params, seed=0, workers=0)
    meant = 0
    for _, batch in zip(range(3), drawn, strict=False):
        known = batch.others.any(2).any(1)
        meant += int(known.sum())
        # The other object holds the click, too, and overlaps with the first.
        clicks = batch.points[known, 0].long()
        assert batch.others[known][torch.arange(len(clicks)), clicks[:, 1], clicks[:, 0]].all()
        assert not batch.whole.all()
    assert meant > 5


def test_empty_crops_make_a_batch_without_objects(recipe):
    import batches
    import pack

    from napari_segmate.training.augment import AugmentParams

    empty = pack.Item("e", "x", False, np.zeros((80, 80), np.uint8), np.zeros((1, 80, 80), int))
    params = batches.BatchParams(crops=2, augment=AugmentParams(size=64))
    batch = next(batches.load_batches([empty], params, seed=0, workers=0))
    assert len(batch.masks) == len(batch.points) == len(batch.boxes) == 0


def _trainer(train, **options):
    settings = train.Settings(60.0, network=TinyConfig(width=32), dense_only=0, **options)
    return train.Trainer(settings, "cpu")


@pytest.fixture
def batch(recipe, data_sets):
    import batches
    import pack

    from napari_segmate.training.augment import AugmentParams

    params = batches.BatchParams(crops=2, augment=AugmentParams(size=64))
    return next(batches.load_batches(list(pack.read_sets(data_sets)), params, seed=0, workers=0))


def test_steps_on_one_batch_lower_both_losses(recipe, batch):
    import train

    trainer = _trainer(train, ramp=1, rough_mask=0.0)
    losses = [trainer.train_step(batch) for _ in range(24)]
    for name in ("dense", "mask"):
        values = [entry[name] for entry in losses]
        assert np.mean(values[-6:]) < 0.95 * np.mean(values[:6])


def test_a_stored_trainer_goes_on_as_if_never_stopped(recipe, batch, tmp_path):
    import train

    trainer = _trainer(train)
    trainer.train_step(batch)
    trainer.save(tmp_path / "checkpoint.pt")
    straight = [trainer.train_step(batch) for _ in range(2)]
    resumed = _trainer(train)
    resumed.load(tmp_path / "checkpoint.pt")
    assert resumed.step == 1
    again = [resumed.train_step(batch) for _ in range(2)]
    for one, other in zip(straight, again, strict=True):
        assert one == pytest.approx(other, rel=0.02)


def test_recipe_runs_from_data_to_weights_and_resumes(recipe, data_sets, tmp_path, monkeypatch):
    import train

    # A clock of one second per step: how many steps a budget gives depends on no machine.
    monkeypatch.setattr(train, "time", SimpleNamespace(monotonic=count().__next__))
    work = tmp_path / "work"
    train.main([f"--data={data_sets}", f"--work={work}", "--budget-minutes=0.05", *SMALL])
    facts = json.loads((work / "tiny.json").read_text())
    assert facts["steps"] == "3"
    assert facts["config"]["width"] == 32
    assert "fluorescence_nuclei" in facts["validation"]
    network = load_tiny(work / "tiny.safetensors")
    assert sum(value.numel() for value in network.parameters()) == facts["parameters"]
    assert "| fluorescence_nuclei |" in (work / "scores.md").read_text()
    # The packs are enough to go on.
    train.main([f"--work={work}", "--budget-minutes=0.1", *SMALL])
    again = json.loads((work / "tiny.json").read_text())
    assert again["steps"] == "6"
    assert again["sha256"] != facts["sha256"]


def test_scores_are_fractions_and_the_same_each_time(recipe, data_sets):
    import evaluate
    import pack

    torch.manual_seed(0)
    network = TinyNetwork(TinyConfig(width=32)).eval()
    items = list(pack.read_sets(data_sets))[:2]
    table = evaluate.score(network, items, scenes=0)
    assert table == evaluate.score(network, items, scenes=0)
    scores = table["fluorescence_nuclei"]
    assert set(scores) == set(evaluate.COLUMNS)
    assert all(0 <= value <= 1 for name, value in scores.items() if name != "images")


def test_scores_become_a_table_with_what_is_missing_left_open(recipe):
    import evaluate

    scores = {"images": 3, "click": 0.801, "ap50": 0.5}
    parts = {"images": 2, "whole": 0.9}
    text = evaluate.as_markdown({"nuclei": scores, "synthetic parts": parts})
    assert "| nuclei | 3 | 0.80 |" in text
    assert "whole 0.90, part – (2 images)" in text


def test_calibration_learns_what_scores_are_worth(recipe):
    import calibrate

    rng = np.random.default_rng(0)
    rows = [
        calibrate.Answer("nuclei", f"n{number % 9}", score, sharp, again, 0.2 + 0.6 * score)
        for number, (score, sharp) in enumerate(rng.uniform(0.4, 1, (90, 2)).tolist())
        for again in (False, True)
    ]
    fitted = calibrate.fit(rows)
    assert fitted.constant == pytest.approx(0.2, abs=0.02)
    assert fitted.score == pytest.approx(0.6, abs=0.02)
    (before,), (after,) = (calibrate.errors(rows, one).values() for one in (None, fitted))
    assert after < 0.01 < before


def test_calibration_is_stored_with_the_weights_it_was_made_for(recipe, data_sets, tmp_path):
    import calibrate
    import pack

    from napari_segmate.models._calibration import Calibration
    from napari_segmate.models._checkpoint import file_sha256
    from napari_segmate.models._tiny_network import save_tiny

    weights, facts = tmp_path / "tiny.safetensors", tmp_path / "tiny.json"
    torch.manual_seed(0)
    save_tiny(weights, TinyNetwork(TinyConfig(width=32, detail=16)), {})
    facts.write_text(json.dumps({"sha256": file_sha256(weights), "steps": "3"}))
    pack.write_pack(tmp_path / "images.npz", pack.read_sets(data_sets))
    command = [f"--work={tmp_path}", f"--weights={weights}", f"--json={facts}"]
    command += ["--images=1", "--objects=1", "--threads=1"]
    calibrate.main(command)
    stored = json.loads(facts.read_text())
    assert stored["steps"] == "3"
    assert Calibration.from_facts(stored) is not None
    facts.write_text(json.dumps({"sha256": "of others"}))
    with pytest.raises(SystemExit, match="other weights"):
        calibrate.main(command)


def test_warm_weights_answer_prompts_from_the_first_step_and_after_a_break(
    recipe, data_sets, tmp_path, monkeypatch
):
    import train

    monkeypatch.setattr(train, "time", SimpleNamespace(monotonic=count().__next__))
    steps = []
    take = train.Trainer.train_step
    monkeypatch.setattr(
        train.Trainer,
        "train_step",
        lambda self, batch: steps.append(take(self, batch)) or steps[-1],
    )
    common = [f"--data={data_sets}", *SMALL]
    train.main([*common, f"--work={tmp_path / 'cold'}", "--budget-minutes=0.02"])
    assert steps and not any("mask" in step for step in steps)
    warm = [*common, f"--work={tmp_path / 'warm'}"]
    warm += [f"--start-from={tmp_path / 'cold' / 'tiny.safetensors'}"]
    for minutes in (0.02, 0.04):
        steps.clear()
        train.main([*warm, f"--budget-minutes={minutes}"])
        assert steps and any("mask" in step for step in steps)
