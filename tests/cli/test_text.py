"""``segmate text`` as a user calls it, with a small real detector of random weights and a fake."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from bright_detector import BrightDetector

from napari_segmate.cli import main
from napari_segmate.core.synthetic import nuclei, stack_3d
from napari_segmate.io.provenance import load_sidecar


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NAPARI_SEGMATE_CACHE", str(tmp_path / "cache"))
    image, _ = nuclei((128, 128), count=6)
    (tmp_path / "images").mkdir()
    for name in ("a", "b"):
        tifffile.imwrite(tmp_path / "images" / f"{name}.tif", image)
    return tmp_path


@pytest.fixture
def bright(monkeypatch: pytest.MonkeyPatch) -> BrightDetector:
    found = BrightDetector()
    monkeypatch.setattr("napari_segmate.tasks.text.run.ready", lambda *names, **options: found)
    return found


def text(*arguments: object) -> int:
    return main(["text", *map(str, arguments)])


def test_one_image_gets_labels_boxes_classes_and_their_story(folder, bright, capsys):
    prompt = "nucleus, dark spot"
    options = ("--boxes", "boxes.json", "--min-size", 5)
    assert text("images/a.tif", "-p", prompt, "-o", "labels.tif", *options) == 0
    labels = tifffile.imread("labels.tif")
    shown = capsys.readouterr()
    assert f"{labels.max()} objects in 1 image" in shown.out and shown.err == ""
    rows = list(csv.DictReader(Path("labels.classes.csv").read_text().splitlines()))
    assert [int(row["label"]) for row in rows] == np.unique(labels)[1:].tolist()
    assert {row["class"] for row in rows} == {"nucleus", "dark spot"}
    boxes = json.loads(Path("boxes.json").read_text())
    assert boxes["image"] == "a.tif" and boxes["shape"] == [128, 128] and "planes" not in boxes
    for (x0, y0, x1, y1), label in zip(boxes["boxes"], boxes["objects"], strict=True):
        y, x = np.argwhere(labels == label).mean(axis=0)
        assert y0 - 2 < y < y1 + 2 and x0 - 2 < x < x1 + 2
    by_label = dict(zip(boxes["objects"], boxes["labels"], strict=True))
    assert by_label == {int(row["label"]): row["class"] for row in rows}
    stories = {one.label: one.view["text"]["concept"] for one in load_sidecar("labels.tif")}
    assert stories == by_label
    facts = json.loads(Path("labels.tif.segmate-text.json").read_text())
    assert facts["prompt"] == prompt and facts["detector"] == "bright"
    assert facts["model"].startswith("tiny@") and facts["classes"]["nucleus"] >= 2
    assert facts["params"]["max_size"] is None


def test_a_folder_gets_folders_and_is_not_done_twice(folder, bright, capsys):
    assert text("images", "-p", "cell", "-o", "out", "--boxes", "found") == 0
    assert sorted(path.name for path in Path("found").iterdir()) == ["a_boxes.json", "b_boxes.json"]
    assert {path.name for path in Path("out").glob("*.tif")} == {"a_labels.tif", "b_labels.tif"}
    looked = len(bright.shapes)
    capsys.readouterr()
    assert text("images", "-p", "cell", "-o", "out", "--boxes", "found") == 0
    assert "2 done before" in capsys.readouterr().out
    assert len(bright.shapes) == looked == 2


@pytest.mark.parametrize(
    "other", [("-p", "nucleus"), ("-p", "cell", "--score", "0.5"), ("-p", "cell", "--no-link")]
)
def test_other_words_or_settings_do_not_overwrite_unasked(folder, bright, capsys, other):
    assert text("images/a.tif", "-p", "cell", "-o", "labels.tif") == 0
    assert text("images/a.tif", *other, "-o", "labels.tif") == 1
    assert "--overwrite" in capsys.readouterr().err
    assert text("images/a.tif", *other, "-o", "labels.tif", "--overwrite") == 0


def test_a_bad_file_does_not_stop_the_others(folder, bright, capsys):
    Path("images/aa.tif").write_bytes(b"no image")
    assert text("images", "-p", "cell", "-o", "out") == 1
    shown = capsys.readouterr()
    assert "aa.tif" in shown.err and "1 failed" in shown.out
    assert Path("out/b_labels.tif").exists() and not Path("out/aa_labels.tif").exists()


def test_a_stack_keeps_its_shape_and_objects_are_linked(folder, bright):
    image, _ = stack_3d(shape=(4, 96, 96))
    tifffile.imwrite("stack.tif", image, photometric="minisblack", metadata={"axes": "ZYX"})
    assert text("stack.tif", "-p", "cell", "-o", "linked.tif", "--boxes", "boxes.json") == 0
    assert text("stack.tif", "-p", "cell", "-o", "single.tif", "--no-link") == 0
    linked, single = tifffile.imread("linked.tif"), tifffile.imread("single.tif")
    assert linked.shape == single.shape == image.shape
    assert 0 < len(np.unique(linked)) < len(np.unique(single))
    boxes = json.loads(Path("boxes.json").read_text())
    assert len(boxes["planes"]) == len(boxes["boxes"])
    assert {tuple(index) for index in boxes["planes"]} <= {(0,), (1,), (2,), (3,)}


def test_nothing_found_is_no_failure_and_says_what_to_try(folder, bright, capsys):
    options = ("--boxes", "boxes.json", "--score", "0.95")
    assert text("images/a.tif", "-p", "cell", "-o", "labels.tif", *options) == 0
    shown = capsys.readouterr()
    assert "a.tif: no box scores 0.95 or more, the best 0.90 ('cell')" in shown.err
    assert "0 objects in 1 image" in shown.out
    assert not tifffile.imread("labels.tif").any()
    assert json.loads(Path("boxes.json").read_text())["boxes"] == []
    assert Path("labels.classes.csv").read_text() == "label,class,score\n"


def test_filters_reach_the_detector_and_the_boxes(folder, bright):
    more = ("--one-by-one", "--tile", "64", "--detail", "256", "--max-size", "0.5")
    assert text("images/a.tif", "-p", "cell, nucleus", "-o", "labels.tif", *more) == 0
    assert {len(phrases) for phrases in bright.phrases} == {1}
    assert (64, 64) in bright.shapes
    assert not tifffile.imread("labels.tif").any()
    params = json.loads(Path("labels.tif.segmate-text.json").read_text())["params"]
    assert (params["tiling"], params["tile"], params["detail"]) == ("always", 64, 256)


def test_micrometres_are_pixels_and_both_are_recorded(folder, bright):
    size = ("--diameter", "2um", "--pixel-size", "0.1")
    assert text("images/a.tif", "-p", "cell", "-o", "x.tif", *size) == 0
    facts = json.loads(Path("x.tif.segmate-text.json").read_text())
    assert facts["params"]["diameter"] == "2 µm"
    assert facts["size"] == {"asked": "2 µm", "pixel_size_um": 0.1, "pixels": 20.0}
    assert {record.options["diameter"] for record in load_sidecar("x.tif")} == {20.0}


def test_boxes_of_someone_else_are_kept(folder, bright, capsys):
    Path("boxes.json").write_text("mine")
    options = ("images/a.tif", "-p", "cell", "-o", "x.tif", "--boxes", "boxes.json")
    assert text(*options) == 1
    assert "boxes.json exists" in capsys.readouterr().err
    assert Path("boxes.json").read_text() == "mine" and not Path("x.tif").exists()
    assert text(*options, "--overwrite") == 0


def test_no_tiles_when_they_are_turned_off(folder, bright):
    assert text("images/a.tif", "-p", "cell", "-o", "x.tif", "--tile", 0, "--diameter", 2) == 0
    assert bright.shapes == [(128, 128)]


def test_wrong_input_is_refused_before_anything_runs(folder, bright, capsys):
    good = ("images/a.tif", "-p", "cell", "-o", "x.tif")
    cases = {
        ("images/a.tif", "-p", "", "-o", "x.tif"): (2, "an argument is empty"),
        ("images/a.tif", "-p", " ,;. ", "-o", "x.tif"): (2, "--prompt: nothing to look for"),
        ("images", "-p", "cell", "-o", "x.tif"): (1, "give a folder"),
        ("nothing.tif", "-p", "cell", "-o", "x.tif"): (1, "there is no file"),
        (*good, "--score", "2"): (
            2,
            "--score: '2' cannot be taken; give a number 0 or more and at most 1",
        ),
        (*good, "--min-size", "9", "--max-size", "3"): (2, "--max-size: 3 is below --min-size 9"),
        (*good, "--tile", "3"): (
            2,
            "--tile: '3' cannot be taken; give a whole number of 64 or more",
        ),
        (*good, "--detail", "3"): (
            2,
            "--detail: '3' cannot be taken; give a whole number of 64 or more",
        ),
        (*good, "--diameter", "-3"): (2, "--diameter: '-3' is no size"),
        (*good, "--diameter", "3um"): (1, "--pixel-size"),
        (*good, "--boxes", "boxes.txt"): (1, "end the name"),
        (*good, "--boxes", "missing/boxes.json"): (1, "there is no folder missing"),
        ("images", "-p", "cell", "-o", "out", "--boxes", "boxes.json"): (1, "give a folder"),
    }
    for arguments, (status, said) in cases.items():
        assert text(*arguments) == status, arguments
        assert said in capsys.readouterr().err
    assert bright.shapes == [] and not Path("x.tif").exists()


def test_without_the_files_of_the_detector_the_message_says_where_they_belong(
    folder, capsys, monkeypatch
):
    pytest.importorskip("transformers")

    def unreachable(*arguments: object, **options: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("napari_segmate.detectors._files.urlopen", unreachable)
    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", unreachable)
    options = ("-p", "cell", "-o", "x.tif", "--detector", "grounding-dino-tiny")
    assert text("images/a.tif", *options) == 1
    error = capsys.readouterr().err
    assert "model.safetensors" in error and str(folder / "cache") in error


def test_a_sam3_from_a_folder_draws_its_own_masks(folder, tmp_path_factory):
    pytest.importorskip("transformers")
    from small_sam3 import build

    own = build(tmp_path_factory.mktemp("sam3") / "mine")
    options = ("images/a.tif", "-p", "cell", "--detector", own, "--score", "0", "--max-area", "1")
    assert text(*options, "-o", "theirs.tif") == 0
    assert text(*options, "-o", "ours.tif", "--masks", "model") == 0
    theirs, ours = (load_sidecar(name) for name in ("theirs.tif", "ours.tif"))
    assert "mine" in {one.model for one in theirs} and {one.model for one in ours} == {"tiny"}
    labels = tifffile.imread("theirs.tif")
    for record in theirs:
        y, x = np.nonzero(labels == record.label)
        y0, x0, y1, x1 = record.box_yx
        assert y0 <= y.min() and y.max() < y1 and x0 <= x.min() and x.max() < x1
    facts = json.loads(Path("theirs.tif.segmate-text.json").read_text())
    assert facts["params"]["masks"] == "detector" and facts["revision"] is None


def test_revision_of_the_detector_is_written_down(folder, monkeypatch):
    found = BrightDetector()
    commit = "0123456789" * 4
    found.info = replace(found.info, revision=commit)
    monkeypatch.setattr("napari_segmate.tasks.text.run.ready", lambda *names, **options: found)
    options = ("--boxes", "boxes.json")
    assert text("images/a.tif", "-p", "cell", "-o", "labels.tif", *options) == 0
    facts = json.loads(Path("labels.tif.segmate-text.json").read_text())
    assert facts["revision"] == commit
    boxes = json.loads(Path("boxes.json").read_text())
    assert (boxes["detector"], boxes["revision"]) == ("bright", commit)
    stories = [one.view["text"] for one in load_sidecar("labels.tif")]
    assert stories and {one["revision"] for one in stories} == {commit}
    found.info = replace(found.info, revision="9876543210" * 4)
    assert text("images/a.tif", "-p", "cell", "-o", "labels.tif") == 1, "another revision"


def test_a_detector_of_transformers_from_a_folder(folder, tmp_path_factory):
    pytest.importorskip("transformers")
    from small_dino import build

    own = build(tmp_path_factory.mktemp("dino") / "mine")
    options = ("-p", "cell, nucleus", "-o", "labels.tif", "--boxes", "boxes.json")
    more = ("--detector", own, "--score", "0", "--detail", "128", "--max-area", "1")
    assert text("images/a.tif", *options, *more) == 0
    boxes = json.loads(Path("boxes.json").read_text())
    assert 1 <= len(boxes["boxes"]) <= 20
    assert set(boxes["labels"]) <= {"cell", "nucleus"}
    facts = json.loads(Path("labels.tif.segmate-text.json").read_text())
    assert facts["detector"] == str(own) and facts["boxes_found"] == len(boxes["boxes"])
