from __future__ import annotations

import json
from itertools import pairwise
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


@pytest.fixture
def data(folders) -> list[str]:
    images, labels = folders
    return ["--images", str(images), "--labels", str(labels)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--preset", "fast"], "--preset: no preset 'fast'; choose one of ['quick'"),
        (
            ["--annotated", "plane"],
            "--annotated: no kind of annotation 'plane' (did you mean 'planes",
        ),
        (["--annotated", "rectangle", "--rectangle", "1,2,3"], "--rectangle: '1,2,3' is not Y0,X0"),
        (["--annotated", "rectangle", "--rectangle", "9,9,1,1"], "the upper left corner first"),
        (["--annotated", "rectangle", "--rectangle", "1.5,2,9,9"], "give whole pixels"),
        (["--rectangle", "1,2,30,40"], "--rectangle goes with --annotated rectangle"),
        (["--epochs", "0"], "--epochs: '0' cannot be taken; give a whole number of 1 to 10000"),
        (["--epochs", "x"], "--epochs: 'x' cannot be taken; give a whole number"),
        (["--rate", "5"], "--rate: '5' cannot be taken; give a number above 0 and at most 1"),
        (
            ["--held-out", "0.9"],
            "--held-out: '0.9' cannot be taken; give a number above 0 and at most 0.5",
        ),
        (["--size", "100"], "--size: '100' is no side of a view; give a multiple of 32"),
        (["--seed", "-1"], "--seed: '-1' cannot be taken; give a whole number of 0"),
        (["--data", "folder"], "give --data, or --images and --labels, not both"),
    ],
)
def test_wrong_options_of_a_training_are_wrong_usage(data, capsys, options, said) -> None:
    assert main(["train", *data, *options]) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1


def test_without_data_it_is_said_what_to_give(capsys) -> None:
    for command in ("train", "evaluate"):
        assert main([command]) == 2
        assert "give --images and --labels" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("my cells/1", "there is no folder 'my cells'"),
        ("images/", "is a folder; say what the model in it is called"),
        ("images", None),
        ("cells.pth", "models are written as .safetensors"),
        ("images/cells.pt", "models are written as .safetensors"),
    ],
)
def test_names_and_paths_of_models_are_not_mixed_up(
    data, tmp_path, capsys, monkeypatch, name, said
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["train", *data, "-o", name, "--device", "cpu", *SMALL]
    if said is None:
        assert main(arguments) == 0
        assert (tmp_path / "own" / f"{name}.safetensors").is_file()
        return
    assert main(arguments) == 1
    assert said in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_path_is_written_there_and_said(data, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", *data, "-o", "new/one.safetensors", "--device", "cpu", *SMALL]) == 0
    told = capsys.readouterr()
    assert "'new/one.safetensors' is a path" in told.err
    assert (tmp_path / "new/one.safetensors").is_file() and not (tmp_path / "own").exists()
    judged = ["evaluate", *data, "-m", "new/one.safetensors", "--objects", "1", "--clicks", "0"]
    assert main(judged) == 0


def test_a_picture_beside_the_model_is_not_replaced_unasked(
    data, tmp_path, capsys, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    picture = tmp_path / "cells.png"
    picture.write_bytes(b"mine")
    assert main(["train", *data, "-o", "./cells", "--device", "cpu", *SMALL]) == 1
    assert "cells.png already" in capsys.readouterr().err
    assert picture.read_bytes() == b"mine" and not (tmp_path / "cells.safetensors").exists()


def test_nothing_is_told_twice(data, capsys) -> None:
    assert main(["train", *data, "-o", "mine", "--device", "cpu", *SMALL]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert [one for one, two in pairwise(lines) if one == two] == []


def test_images_without_labels_are_named(folders, capsys) -> None:
    images, labels = folders
    (labels / "b_labels.tif").unlink()
    options = ["--objects", "1", "--clicks", "0"]
    data = ["--images", str(images), "--labels", str(labels)]
    sample = grid_of_objects(seed=3)
    tifffile.imwrite(labels / "x.tif", sample.labels.astype(np.uint16))
    assert main(["evaluate", *data, *options]) == 0
    told = capsys.readouterr()
    assert "left out, without labels of the same name: 1 of 2 images (b.tif)" in told.err
    assert "on 1 plane\n" in told.out


@pytest.mark.parametrize("command", ["train", "evaluate"])
@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.zeros((96, 128), np.uint16), "no labelled object"),
        (np.ones((50, 50), np.uint16), "the labels of 'a.tif' have the shape (50, 50)"),
        (np.full((96, 128), 0.5), "hold fractions, such as 0.5"),
        (np.full((96, 128), np.nan), "hold not-a-number"),
        (np.full((96, 128), -1), "hold the negative number -1"),
    ],
)
def test_bad_labels_are_told_in_one_line(folders, tmp_path, capsys, command, labels, said) -> None:
    images, _ = folders
    np.save(tmp_path / "labels.npy", labels)
    data = ["--images", str(images / "a.tif"), "--labels", str(tmp_path / "labels.npy")]
    assert main([command, *data]) == 1
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1


def test_not_a_number_in_an_image_does_no_harm(folders, tmp_path, capsys) -> None:
    images, labels = folders
    image = tifffile.imread(images / "a.tif").astype(np.float32)
    image[:9] = np.nan
    np.save(tmp_path / "a.npy", image)
    data = ["--images", str(tmp_path / "a.npy"), "--labels", str(labels / "a_labels.tif")]
    assert main(["evaluate", *data, "--objects", "1", "--clicks", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["planes"] == 1
