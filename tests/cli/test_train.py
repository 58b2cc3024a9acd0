from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from training_samples import grid_of_objects

from napari_segmate.cli import main
from napari_segmate.core.errors import ImageError, LabelsError
from napari_segmate.training.data import Annotation
from napari_segmate.training.files import expand, pair_files, read_pairs

SMALL = ["--epochs", "1", "--views", "2", "--batch", "2", "--objects", "2", "--size", "64"]


@pytest.fixture
def folders(tmp_path, monkeypatch) -> tuple[Path, Path]:
    monkeypatch.setenv("NAPARI_SEGMATE_MODELS", str(tmp_path / "own"))
    images, labels = tmp_path / "images", tmp_path / "labels"
    images.mkdir()
    labels.mkdir()
    for number, name in enumerate("ab"):
        sample = grid_of_objects(seed=number)
        tifffile.imwrite(images / f"{name}.tif", sample.image[..., 0])
        tifffile.imwrite(labels / f"{name}_labels.tif", sample.labels.astype(np.uint16))
    return images, labels


def test_folders_are_paired_by_name(folders) -> None:
    images, labels = folders
    pairs = pair_files(expand([images]), expand([labels]))
    assert [(one.name, two.name) for one, two in pairs] == [
        ("a.tif", "a_labels.tif"),
        ("b.tif", "b_labels.tif"),
    ]


def test_patterns_find_files(folders) -> None:
    images, _ = folders
    assert [path.name for path in expand([str(images / "*.tif")])] == ["a.tif", "b.tif"]


def test_a_place_without_images_is_named(tmp_path) -> None:
    with pytest.raises(ImageError, match="nothing_here"):
        expand([tmp_path / "nothing_here"])


def test_two_labels_of_one_image_are_refused() -> None:
    with pytest.raises(LabelsError, match="several"):
        pair_files([Path("a.tif"), Path("b.tif")], [Path("a_mask.tif"), Path("a_labels.tif")])


def test_images_without_any_labels_are_refused() -> None:
    with pytest.raises(LabelsError, match="name them alike"):
        pair_files([Path("a.tif"), Path("b.tif")], [Path("x.tif"), Path("y.tif")])


def test_planes_of_a_stack_without_labels_are_left_out(tmp_path) -> None:
    sample = grid_of_objects()
    stack = np.stack([sample.image[..., 0]] * 3)
    labels = np.stack([sample.labels, np.zeros_like(sample.labels), sample.labels])
    tifffile.imwrite(tmp_path / "s.tif", stack, photometric="minisblack", metadata={"axes": "ZYX"})
    np.save(tmp_path / "l.npy", labels)
    found = list(read_pairs([(tmp_path / "s.tif", tmp_path / "l.npy")]))
    assert [one.name for one in found] == ["s.tif [0]", "s.tif [2]"]
    assert len({one.group for one in found}) == 1


def test_labels_of_another_stack_are_refused(tmp_path) -> None:
    sample = grid_of_objects()
    stack = np.stack([sample.image[..., 0]] * 3)
    tifffile.imwrite(tmp_path / "s.tif", stack, photometric="minisblack", metadata={"axes": "ZYX"})
    np.save(tmp_path / "l.npy", np.stack([sample.labels] * 2))
    with pytest.raises(LabelsError, match=r"\(2, 96, 128\).*\(3, 96, 128\)"):
        list(read_pairs([(tmp_path / "s.tif", tmp_path / "l.npy")], Annotation.PLANES))


def test_train_and_evaluate_from_files(folders, capsys) -> None:
    images, labels = folders
    data = ["--images", str(images), "--labels", str(labels)]
    assert main(["train", *data, "-o", "mine", "--device", "cpu", *SMALL]) == 0
    out = capsys.readouterr().out
    assert "before" in out and "ap50" in out
    assert main(["evaluate", *data, "-m", "mine", "--objects", "2", "--clicks", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["planes"] == 2 and found["objects"] == 4
    assert main(["models", "path", "mine"]) == 0
    assert capsys.readouterr().out.strip().endswith("mine.safetensors")
    assert main(["train", *data, "-o", "mine", *SMALL]) == 1
    assert "already" in capsys.readouterr().err


def test_an_estimate_says_time_and_memory_and_trains_nothing(folders, tmp_path, capsys) -> None:
    images, labels = folders
    data = ["--images", str(images), "--labels", str(labels)]
    assert main(["train", *data, "--estimate", "--polarity", "--device", "cpu", *SMALL]) == 0
    said = capsys.readouterr().out
    assert "at most about" in said and "GB" in said
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_preset_that_is_none_names_those_there_are(folders, capsys) -> None:
    images, labels = folders
    data = ["--images", str(images), "--labels", str(labels)]
    assert main(["train", *data, "--preset", "fast"]) == 1
    assert "quick" in capsys.readouterr().err


def test_without_data_the_usage_is_shown(capsys) -> None:
    assert main(["train"]) == 2
    assert "--images" in capsys.readouterr().err
