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


def _batch_params(size, **options):
    import batches

    from napari_segmate.training.augment import AugmentParams

    return batches.BatchParams(augment=AugmentParams(size=size), **options)


def test_batches_hold_prompts_for_their_objects(recipe, data_sets):
    import batches
    import pack

    items = [*pack.read_sets(data_sets), *pack.synthetic_items(3, side=96)]
    params = _batch_params(128, crops=3, window=64)
    batch = next(batches.load_batches(items, params, seed=0, workers=0))
    assert batch.images.shape == (3, 3, 128, 128)
    assert batch.offset_yx.shape == (3, 2, 32, 32)
    assert batch.fine.shape == (3, 4, 64, 64)
    assert (batch.known == 1).all()
    assert 3 <= len(batch.near) + len(batch.wide) <= 30
    for objects, side in ((batch.near, 64), (batch.wide, 128)):
        assert len(objects) > 0
        assert objects.masks.shape == objects.others.shape == (len(objects), side, side)
        assert objects.whole.shape == (len(objects),)
        used = objects.point_labels == 1
        x, y = objects.points[used].long().T
        assert objects.masks[used.nonzero()[:, 0], y, x].all()
        # Every object has a click or a box.
        assert (used.any(1) | ~torch.isnan(objects.boxes[:, 0])).all()


def test_a_window_shows_the_object_and_what_its_crop_shows_there(recipe, data_sets):
    import batches
    import pack

    params = _batch_params(128, crops=4, window=64)
    drawn = batches.load_batches(list(pack.read_sets(data_sets)), params, seed=1, workers=0)
    near, foreground = (batch := next(drawn)).near, batch.fine[:, 0]
    assert (near.corner % 8 == 0).all()
    for number, (y, x) in enumerate((near.corner // 2).tolist()):
        shown = foreground[near.image_index[number], y : y + 32, x : x + 32]
        mask = near.masks[number]
        # Nothing of the object is cut off that the crop has, and it lies where the crop shows it.
        assert (shown[mask[1::2, 1::2]] > 0).all()
        left, right = mask.any(0).nonzero()[[0, -1], 0].tolist()
        assert left > 0 or x == 0
        assert right < 63 or x == 32


def test_at_most_some_objects_are_decoded_on_the_whole_crop(recipe, data_sets):
    import batches
    import pack

    params = _batch_params(128, crops=2, window=24, widest=1.5)
    drawn = batches.load_batches(list(pack.read_sets(data_sets)), params, seed=0, workers=0)
    assert max(len(next(drawn).wide) for _ in range(4)) == 3


def test_far_from_labels_the_background_counts_less_where_labels_are_sparse(recipe):
    import batches
    import pack

    labels = np.zeros((1, 128, 128), np.int32)
    labels[0, 56:72, 56:72] = 1
    image = np.arange(128 * 128, dtype=np.uint8).reshape(128, 128)
    item = pack.Item("s", "cells", False, image, labels, sparse=True)
    batch = next(batches.load_batches([item], _batch_params(128, crops=1), seed=0, workers=0))
    objects = batch.fine[0, 0] > 0
    assert (batch.known[0][objects] == 1).all()
    assert batch.known.min() < 0.5
    assert objects.sum() < (batch.known[0] == 1).sum() < batch.known[0].numel() / 2


def test_windows_are_parts_of_the_features_and_give_their_gradients_back(recipe):
    from windows import windows_of

    from napari_segmate.models._tiny_network import TinyFeatures

    torch.manual_seed(0)
    maps = [torch.randn(2, 3, side, side, requires_grad=True) for side in (8, 16, 16)]
    index, corner = torch.tensor([1, 0, 1]), torch.tensor([[16, 0], [8, 24], [16, 8]])
    found = windows_of(TinyFeatures(*maps), index, corner, 32)
    assert torch.equal(found.embedding[1], maps[0][0, :, 1:5, 3:7])
    assert torch.equal(found.maps[2], maps[2][1, :, 4:12, 2:10])
    weights = torch.randn_like(found.detail)
    (found.detail * weights).sum().backward()
    plain = torch.zeros_like(maps[1])
    plain[1, :, 4:12, 0:8] += weights[0]
    plain[0, :, 2:10, 6:14] += weights[1]
    plain[1, :, 4:12, 2:10] += weights[2]
    assert torch.allclose(maps[1].grad, plain)


def _write_plain(folder, rows, arrays):
    import csv

    import tifffile

    for place, values in arrays.items():
        (folder / place).mkdir(parents=True)
        tifffile.imwrite(folder / place / f"{rows[0]['name']}.tif", values)
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_volumes_give_planes_of_all_directions_with_square_pixels(recipe, tmp_path):
    import pack

    labels = np.zeros((12, 40, 60), np.uint16)
    # One body with two arms: in planes across the arms it is two objects.
    labels[2:10, 5:35, 5:20] = labels[2:10, 5:35, 40:55] = 1
    labels[6:10, 5:35, 5:55] = 1
    row = {"name": "v", "modality": "em", "group": "v", "kind": "z_stack"}
    row["spacing_zyx"] = "2,1,1"
    image = np.arange(labels.size, dtype=np.uint16).reshape(labels.shape) % 999
    _write_plain(tmp_path / "gala_em", [row], {"images": image, "labels": labels})
    items = {item.name: item for item in pack.read_sets(tmp_path)}
    assert {name.split("_")[1][0] for name in items} == {"x", "y", "z"}
    assert items["v_z4"].image.shape == (40, 60)
    assert items["v_y4"].image.shape == (24, 60) if "v_y4" in items else True
    assert items["v_y9"].image.shape == items["v_y9"].labels.shape == (24, 60)
    assert items["v_z4"].labels.max() == 2
    assert items["v_y9"].labels.max() == 1


def test_nuclei_in_cells_are_a_second_layer_of_a_sparse_set(recipe, tmp_path):
    import pack

    cells = np.zeros((30, 40), np.uint16)
    cells[5:20, 5:20] = 7
    nuclei = np.where(np.indices(cells.shape).sum(0) % 40 < 20, cells, 0).astype(np.uint16)
    row = {"name": "t", "modality": "oblique_brightfield_cells", "group": "f"}
    arrays = {"images": cells * 3, "labels": cells, "labels_nuclei": nuclei}
    _write_plain(tmp_path / "ndev_scratch", [row], arrays)
    (item,) = pack.read_sets(tmp_path)
    assert item.layers.shape == (2, 30, 40) and item.sparse
    assert (item.layers[1] > 0).sum() == np.count_nonzero(nuclei)
    pack.write_pack(tmp_path / "images.npz", [item])
    assert pack.read_pack(tmp_path / "images.npz")[0].sparse


def test_every_source_names_its_licence(recipe):
    import pack

    assert all(source.licence for source in pack.SOURCES.values())


def test_scenes_with_parts_are_drawn_more_often_and_say_what_a_click_may_mean(recipe):
    import batches
    import pack

    items = list(pack.synthetic_items(12, side=128))
    kinds = {item.modality for item in items}
    assert kinds == {pack.SYNTHETIC, pack.SYNTHETIC_PARTS}
    for item in items:
        assert (item.modality == pack.SYNTHETIC_PARTS) == item.layers[1].any()
    params = _batch_params(128, crops=4, window=128)
    parts = [item for item in items if item.modality == pack.SYNTHETIC_PARTS]
    drawn = batches.load_batches(parts, params, seed=0, workers=0)
    meant = 0
    for _, batch in zip(range(3), drawn, strict=False):
        for objects in (batch.near, batch.wide):
            known = objects.others.any(2).any(1)
            meant += int(known.sum())
            # The other object holds the click, too, and overlaps with the first.
            clicks = objects.points[known, 0].long()
            rows = torch.arange(len(clicks))
            assert objects.others[known][rows, clicks[:, 1], clicks[:, 0]].all()
        assert not (batch.near.whole.all() and batch.wide.whole.all())
    assert meant > 5


def test_empty_crops_make_a_batch_without_objects(recipe):
    import batches
    import pack

    empty = pack.Item("e", "x", False, np.zeros((80, 80), np.uint8), np.zeros((1, 80, 80), int))
    batch = next(batches.load_batches([empty], _batch_params(64, crops=2), seed=0, workers=0))
    for objects in (batch.near, batch.wide):
        assert len(objects) == len(objects.points) == len(objects.boxes) == 0


def _trainer(train, **options):
    network = TinyConfig(width=32, flow=4)
    settings = train.Settings(60.0, network=network, dense_only=0, **options)
    return train.Trainer(settings, "cpu")


@pytest.fixture
def batch(recipe, data_sets):
    import batches
    import pack

    params = _batch_params(64, crops=2, window=40)
    return next(batches.load_batches(list(pack.read_sets(data_sets)), params, seed=0, workers=0))


def test_steps_on_one_batch_lower_both_losses(recipe, batch):
    import train

    trainer = _trainer(train, ramp=1, rough_mask=0.0)
    losses = [trainer.train_step(batch) for _ in range(32)]
    for name in ("dense", "flow", "mask"):
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
    short = ["--decay-minutes=0.0333", *SMALL]
    train.main([f"--data={data_sets}", f"--work={work}", "--budget-minutes=0.05", *short])
    facts = json.loads((work / "tiny.json").read_text())
    # Three steps at the full rate, two while it falls.
    assert facts["steps"] == "5"
    assert facts["config"]["width"] == 32
    assert "fluorescence_nuclei" in facts["validation"]
    network = load_tiny(work / "tiny.safetensors")
    assert sum(value.numel() for value in network.parameters()) == facts["parameters"]
    assert "| fluorescence_nuclei |" in (work / "scores.md").read_text()
    # The packs are enough to go on.
    train.main([f"--work={work}", "--budget-minutes=0.1", *short])
    again = json.loads((work / "tiny.json").read_text())
    # It went on from before the rate fell.
    assert again["steps"] == "8"
    assert again["sha256"] != facts["sha256"]


def test_the_rate_rises_stays_and_falls_when_the_end_is_decided_on(recipe):
    import train

    trainer = _trainer(train, ramp=10, rate=1e-3)
    rates = []
    for step, decayed_s in ((0, 0), (9, 0), (50_000, 0), (50_010, 15), (50_020, 60)):
        trainer.step, trainer.decayed_s = step, decayed_s
        rates.append(trainer.rate())
    assert rates == pytest.approx([1e-4, 1e-3, 1e-3, 7.5e-4, 1e-5])


def test_flow_maps_learn_at_a_rate_of_their_own(recipe, batch):
    import train

    trainer = _trainer(train, ramp=1, rate=1e-3, flow_rate=5.0, clip=1e9)
    before = {name: value.clone() for name, value in trainer.network.named_parameters()}
    trainer.train_step(batch)
    moved = {
        name: (value - before[name]).abs().max().item()
        for name, value in trainer.network.named_parameters()
    }
    # The first step of Adam is as long as the rate.
    assert moved["encoder.flow.maps.bias"] == pytest.approx(5e-3, rel=0.05)
    assert moved["encoder.head.2.bias"] == pytest.approx(1e-3, rel=0.05)
    plain = train.Trainer(train.Settings(network=TinyConfig(width=32)), "cpu")
    assert len(plain.optimizer.param_groups) == 1


def test_weights_without_flow_maps_begin_a_network_that_has_them(recipe, batch, tmp_path):
    import train

    from napari_segmate.models._tiny_network import save_tiny

    old = TinyNetwork(TinyConfig(width=32))
    save_tiny(tmp_path / "old.safetensors", old, {})
    trainer = _trainer(train)
    missing = trainer.start_from(tmp_path / "old.safetensors")
    assert missing and all(name.startswith("encoder.flow.") for name in missing)
    kept = trainer.network.state_dict()["encoder.neck.weight"]
    assert torch.allclose(kept, old.state_dict()["encoder.neck.weight"], atol=1e-3)
    trainer.train_step(batch)
    trainer.save(tmp_path / "checkpoint.pt")
    other = _trainer(train)
    assert other.start_from(tmp_path / "checkpoint.pt") == []
    assert torch.equal(other.average["encoder.neck.weight"], trainer.average["encoder.neck.weight"])


def test_some_steps_teach_the_maps_alone(recipe, batch):
    import train

    trainer = _trainer(train, prompted=0.4)
    with_prompts = ["mask" in trainer.train_step(batch) for _ in range(14)]
    assert 2 <= sum(with_prompts) <= 11


def test_a_run_that_is_asked_to_end_stores_its_state(recipe, data_sets, tmp_path, monkeypatch):
    import os
    import signal

    import train

    take, steps = train.Trainer.train_step, []

    def step(self, batch):
        steps.append(take(self, batch))
        if len(steps) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return steps[-1]

    monkeypatch.setattr(train.Trainer, "train_step", step)
    before = signal.getsignal(signal.SIGTERM)
    try:
        train.main([f"--data={data_sets}", f"--work={tmp_path}", *SMALL])
    finally:
        signal.signal(signal.SIGTERM, before)
    assert not (tmp_path / "tiny.safetensors").exists()
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 2


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
    common = [f"--data={data_sets}", "--decay-minutes=0", *SMALL]
    train.main([*common, f"--work={tmp_path / 'cold'}", "--budget-minutes=0.02"])
    assert steps and not any("mask" in step for step in steps)
    warm = [*common, f"--work={tmp_path / 'warm'}"]
    warm += [f"--start-from={tmp_path / 'cold' / 'tiny.safetensors'}"]
    for minutes in (0.02, 0.04):
        steps.clear()
        train.main([*warm, f"--budget-minutes={minutes}"])
        assert steps and any("mask" in step for step in steps)
