"""Every benchmark that needs no window runs, and reports what it measured."""

from __future__ import annotations

import json
import os
import sys
import threading

import numpy as np
import pytest
import tifffile
from benchmarks import (
    _report,
    accuracy,
    automask,
    click_latency,
    detectors,
    finetune,
    finetune_vit,
    first_mask,
    memory,
    sam_encoder,
    small_model,
    text_boxes,
    unseen,
)
from benchmarks._images import scene
from benchmarks._looks import granular_cells
from benchmarks._timing import alternate, repeat
from recipes.tiny import pack
from scipy import ndimage

from napari_segmate.core.synthetic import nuclei


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(_report, "RESULTS", tmp_path)
    return tmp_path


def cells(text: str, row: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {row} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_click_latency_reports_milliseconds(results):
    click_latency.main(["--repeats", "1", "--no-upstream"])
    text = (results / "click_latency.md").read_text()
    assert float(cells(text, "first click")[1].removesuffix(" ms")) > 0


def test_first_mask_reports_seconds(results):
    first_mask.main(["--repeats", "1", "--cold-starts", "1"])
    text = (results / "first_mask.md").read_text()
    assert float(cells(text, "**new process to first mask**")[1].removesuffix(" s")) > 0
    assert float(cells(text, "first mask, model loaded")[1].removesuffix(" s")) > 0


def test_automask_reports_planes_stacks_and_settings(results, monkeypatch):
    monkeypatch.setattr(automask, "run_case", lambda case, value: automask.CASES[case](value))
    automask.main(["--sides", "400", "--planes", "2", "--repeats", "1"])
    text = (results / "automask.md").read_text()
    assert int(cells(text, "400 x 400")[-1]) > 40
    assert float(cells(text, "2 x 512 x 512")[1].removesuffix(" s")) > 0
    assert "Live settings" in text


def test_a_click_into_a_lazy_image_takes_little_memory():
    found = memory.click_lazy_plane()
    assert 0 <= found["bytes"] < 2 * 2**30


def test_peak_memory_sees_what_was_held_in_between():
    held, seen = [100], threading.Event()

    def read() -> int:
        now = held[0]
        if now == 500:
            seen.set()
        return now

    with memory.Peak(read).watch() as peak:
        held[0] = 500
        assert seen.wait(10)
        held[0] = 200
    assert peak.over_start == 400


def test_accuracy_without_data_says_so_and_ends(results, monkeypatch, capsys):
    monkeypatch.delenv(accuracy.VARIABLE, raising=False)
    accuracy.main([])
    assert "skipped: no folder of data" in capsys.readouterr().out
    assert list(results.iterdir()) == []


def test_accuracy_measures_the_held_out_images_of_a_folder(results, tmp_path):
    folder = tmp_path / "data" / "dsb2018"
    group = next(name for name in map(str, range(99)) if pack.is_held_out("dsb2018", name))
    other = next(name for name in map(str, range(99)) if not pack.is_held_out("dsb2018", name))
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    image, labels = nuclei()
    tifffile.imwrite(folder / "images" / "one.tif", image[:128, :128])
    tifffile.imwrite(folder / "labels" / "one.tif", labels[:128, :128])
    manifest = f"name,modality,group\none,nuclei,{group}\ntwo,nuclei,{other}\n"
    (folder / "manifest.csv").write_text(manifest)
    card = tmp_path / "card.md"
    card.write_text("before\n<!-- scores -->\nold\n<!-- end of scores -->\nafter\n")
    accuracy.main(
        ["--data", str(tmp_path / "data"), "--objects", "2", "--no-parts", "--card", str(card)]
    )
    row = cells((results / "accuracy.md").read_text(), "nuclei")
    assert row[1] == "1"
    assert all(0 <= float(cell) <= 1 for cell in row[2:])
    text = card.read_text()
    assert text.startswith("before") and text.endswith("after\n") and "old" not in text
    assert "| nuclei | 1 |" in text


def test_a_card_without_marks_is_left_alone(tmp_path):
    card = tmp_path / "card.md"
    card.write_text("nothing here\n")
    with pytest.raises(SystemExit, match="end of scores"):
        _report.put_between(card, "scores", "new")
    assert card.read_text() == "nothing here\n"


def test_unseen_kinds_are_judged_by_the_boxes_drawn_there(results, tmp_path):
    folder = tmp_path / "bccd"
    (folder / "images").mkdir(parents=True)
    (folder / "boxes").mkdir()
    image, labels = nuclei()
    tifffile.imwrite(folder / "images" / "one.tif", image)
    boxes = unseen.boxes_of(labels)[:, [1, 0, 3, 2]].tolist()
    (folder / "boxes" / "one.json").write_text(json.dumps({"boxes": boxes}))
    unseen.main(["--data", str(tmp_path)])
    row = cells((results / "unseen.md").read_text(), "blood smear, 640 x 480")
    assert row[1:3] == ["1", str(len(boxes))]
    assert all(float(cell) > 0.6 for cell in row[3:])


def test_boxes_overlap_as_their_areas_say():
    one, other = np.array([[0.0, 0, 10, 10]]), np.array([[0.0, 5, 10, 15], [20, 20, 30, 30]])
    np.testing.assert_allclose(unseen.overlaps(one, other), [[1 / 3, 0]])


def test_calls_are_timed_in_turn_and_warm_up_is_not_counted():
    order = []
    times = alternate([lambda n: order.append("a"), lambda n: order.append("b")], 2, warmup=1)
    assert order == ["a", "b"] * 3
    assert [len(one.seconds) for one in times] == [2, 2]


def test_what_prepares_a_call_is_not_part_of_its_time():
    quick = repeat(lambda n: None, 3, prepare=lambda n: sum(range(200_000)))
    slow = repeat(lambda n: sum(range(200_000)), 3)
    assert quick.median_ms < slow.median_ms


def test_cells_of_a_scene_are_brighter_than_their_surroundings():
    found = scene((200, 200))
    at_centres = found.image[tuple(found.centres_yx.T)]
    assert at_centres.min() > np.median(found.image) + 300


def test_cells_of_the_granular_look_are_as_bright_as_their_surroundings():
    image, labels = granular_cells(side=192, seed=1)
    inside = ndimage.binary_erosion(labels > 0, iterations=3)
    assert labels.max() > 5
    assert abs(image[inside].mean() - image[labels == 0].mean()) < 6


def test_every_benchmark_has_help(capsys):
    modules = (
        accuracy,
        automask,
        click_latency,
        detectors,
        finetune,
        finetune_vit,
        first_mask,
        memory,
        sam_encoder,
        small_model,
        text_boxes,
        unseen,
    )
    for module in modules:
        with pytest.raises(SystemExit):
            module.main(["--help"])
    assert capsys.readouterr().out.count("usage:") == len(modules)


@pytest.mark.viewer
@pytest.mark.skipif(
    sys.platform.startswith("linux") and not os.environ.get("DISPLAY"), reason="needs a screen"
)
def test_frozen_window_is_measured_in_a_process_of_its_own(results):
    pytest.importorskip("napari")
    import subprocess

    command = [sys.executable, "-m", "benchmarks.gui_block", "--clicks", "1", "--no-save"]
    command += ["--download-bytes", str(2**20), "--epochs", "1", "--views", "4"]
    done = subprocess.run(command, cwd=first_mask.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "committing objects" in done.stdout
    assert "training: steps" in done.stdout


@pytest.mark.viewer
@pytest.mark.skipif(
    sys.platform.startswith("linux") and not os.environ.get("DISPLAY"), reason="needs a screen"
)
def test_text_dock_is_measured_in_a_process_of_its_own(results):
    pytest.importorskip("napari")
    import subprocess

    command = [sys.executable, "-m", "benchmarks.text_window", "--seconds", "0.1", "--no-save"]
    done = subprocess.run(command, cwd=first_mask.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "moving the score slider" in done.stdout
