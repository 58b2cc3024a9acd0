"""``segmate propagate``, ``segmate fill`` and ``segmate auto --volume`` as a user calls them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_segmate.cli import main
from napari_segmate.core.numbers.metrics import mask_iou
from napari_segmate.core.synthetic import stack_3d
from napari_segmate.io.layout import label_layout

SHAPE = (12, 64, 64)
QUICK = ("--anisotropy", 2, "--no-sections")


@pytest.fixture(scope="module")
def stack():
    return stack_3d(SHAPE, count=4)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stack) -> Path:
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("stack.tif", stack[0], metadata={"axes": "ZYX"})
    return tmp_path


def segmate(*arguments: object) -> int:
    return main(list(map(str, arguments)))


def middle(truth, number):
    at = np.argwhere(truth == number)
    plane = int(np.median(at[:, 0]))
    on_plane = at[at[:, 0] == plane]
    return (plane, *np.rint(on_plane[:, 1:].mean(axis=0)).astype(int).tolist())


def test_a_point_gives_an_object_of_the_whole_stack(folder, stack, capsys):
    z, y, x = middle(stack[1], 1)
    assert (
        segmate("propagate", "stack.tif", "--at", f"{z},{y},{x}", "-o", "labels.tif", *QUICK) == 0
    )
    labels = tifffile.imread("labels.tif")
    assert labels.shape == SHAPE and np.unique(labels).tolist() == [0, 1]
    assert mask_iou(labels > 0, stack[1] == 1) > 0.5
    assert "1 object written to labels.tif" in capsys.readouterr().out
    assert sorted(path.name for path in folder.iterdir()) == ["labels.tif", "stack.tif"]


def test_points_boxes_and_files_of_prompts_go_together(folder, stack):
    points = [middle(stack[1], number) for number in (1, 2, 3)]
    z, y, x = points[0]
    plane, row, column = points[1]
    box = f"{plane},{row - 8},{column - 8},{row + 8},{column + 8}"
    Path("more.json").write_text(
        json.dumps([{"plane": points[2][0], "points": [points[2][1:]], "id": 9}])
    )
    arguments = ("--at", f"{z},{y},{x}", "--box", box, "--prompts", "more.json")
    assert segmate("propagate", "stack.tif", *arguments, "-o", "labels.npy", *QUICK) == 0
    labels = np.load("labels.npy")
    assert 9 in labels and len(np.unique(labels)) == 4


def test_a_table_of_clicks_names_objects_by_id(folder, stack):
    z, y, x = middle(stack[1], 1)
    Path("clicks.csv").write_text(f"id,z,y,x,positive\n5,{z},{y},{x},1\n5,{z},2,2,0\n")
    assert segmate("propagate", "stack.tif", "--prompts", "clicks.csv", "-o", "a.tif", *QUICK) == 0
    assert np.unique(tifffile.imread("a.tif")).tolist() == [0, 5]


def test_labels_of_some_planes_are_seeds_that_keep_their_numbers(folder, stack):
    seeds = np.zeros(SHAPE, np.uint16)
    z = middle(stack[1], 1)[0]
    seeds[z] = np.where(stack[1][z] == 1, 7, 0)
    tifffile.imwrite("seeds.tif", seeds)
    assert segmate("propagate", "stack.tif", "--seeds", "seeds.tif", "-o", "a.tif", *QUICK) == 0
    labels = tifffile.imread("a.tif")
    assert np.unique(labels).tolist() == [0, 7] and (labels[z] == seeds[z]).all()


def test_sizes_of_pixels_are_kept(folder, stack):
    sizes = {"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 1.0}
    tifffile.imwrite("sized.ome.tif", stack[0], metadata=sizes)
    z, y, x = middle(stack[1], 1)
    at = ("--at", f"{z},{y},{x}", "--no-sections")
    assert segmate("propagate", "sized.ome.tif", *at, "-o", "labels.tif") == 0
    assert segmate("fill", "labels.tif", "-o", "filled.tif") == 0
    for name in ("labels.tif", "filled.tif"):
        layout = label_layout(name)
        assert layout is not None and layout.axes == "zyx"
        assert layout.scale == pytest.approx((1.0, 0.5, 0.5))


def test_one_time_point_of_a_movie_of_stacks_keeps_all_axes(folder, stack):
    movie = np.stack([np.zeros_like(stack[0]), stack[0]])
    np.save("movie.npy", movie)
    z, y, x = middle(stack[1], 1)
    arguments = ("--axes", "TZYX", "--at", f"1,{z},{y},{x}", "-o", "labels.tif")
    assert segmate("propagate", "movie.npy", *arguments, *QUICK) == 0
    with tifffile.TiffFile("labels.tif") as file:
        labels, axes = file.asarray(), file.series[0].axes
    assert labels.shape == movie.shape and axes == "TZYX"
    assert labels[1].any() and not labels[0].any()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "show at least one object"),
        (("--at", "1,2"), "Z,Y,X"),
        (("--at", "a,b,c"), "Z,Y,X"),
        (("--at", "99,5,5"), "plane 99"),
        (("--at", "1.5,5,5"), "whole numbers"),
        (("--at", "1,500,5"), "outside"),
        (("--at", "1,1,5,5"), "coordinates"),
        (("--prompts", "none.csv"), "none.csv"),
        (("--seeds", "wrong.npy"), "shape"),
        (("--at", "1,5,5", "--misses", "0"), "misses"),
        (("--at", "1,5,5", "--axis", "1"), "axis 1"),
    ],
)
def test_what_cannot_be_followed_is_said_and_nothing_written(folder, capsys, arguments, words):
    np.save("wrong.npy", np.zeros((3, 4, 5), np.uint8))
    assert segmate("propagate", "stack.tif", "-o", "labels.tif", *arguments) in (1, 2)
    assert words in capsys.readouterr().err.replace("\n", " ")
    assert not Path("labels.tif").exists()


@pytest.mark.parametrize(
    "text", ["{}", "[1]", '[{"points": [[1, 2]]}]', "nonsense", '[{"plane": 1}]']
)
def test_files_that_hold_no_prompts_are_refused(folder, capsys, text):
    Path("bad.json").write_text(text)
    assert segmate("propagate", "stack.tif", "--prompts", "bad.json", "-o", "labels.tif") == 1
    assert "bad.json" in capsys.readouterr().err


def test_labels_that_are_there_are_not_replaced_unasked(folder, capsys):
    Path("labels.tif").write_text("mine")
    assert segmate("propagate", "stack.tif", "--at", "1,5,5", "-o", "labels.tif") == 1
    assert Path("labels.tif").read_text() == "mine"


def test_help_lists_every_gate_with_its_default(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert segmate("propagate", "--help") == 0
    text = capsys.readouterr().out
    assert "--least-iou" in text and "--most-growth" in text and "[default: 0.25]" in text


def test_fill_draws_the_planes_between(folder, stack, capsys):
    given = np.where((np.arange(SHAPE[0]) % 3 == 0)[:, None, None], stack[1], 0)
    tifffile.imwrite("given.tif", given.astype(np.uint16))
    assert segmate("fill", "given.tif", "-o", "filled.tif") == 0
    filled = tifffile.imread("filled.tif")
    assert (filled[::3] == given[::3]).all() and filled[4].any()
    assert segmate("fill", "given.tif", "--image", "stack.tif", "-o", "pulled.tif") == 0
    pulled = tifffile.imread("pulled.tif")
    assert (pulled[::3] == given[::3]).all()
    for result in (filled, pulled):
        assert mask_iou(result[3:9] > 0, stack[1][3:9] > 0) > 0.8


def test_fill_refuses_other_shapes(folder, capsys):
    np.save("flat.npy", np.zeros((4, 4), int))
    assert segmate("fill", "flat.npy", "-o", "a.tif") == 1
    np.save("small.npy", np.ones((2, 4, 4), int))
    assert segmate("fill", "small.npy", "--image", "stack.tif", "-o", "a.tif") == 1
    assert "shape" in capsys.readouterr().err


def test_auto_in_three_views(folder, stack):
    arguments = ("--volume", "views", "--anisotropy", 2, "--diameter", 22)
    assert segmate("auto", "stack.tif", "-o", "labels.tif", *arguments) == 0
    assert tifffile.imread("labels.tif").shape == SHAPE


def test_blocks_cannot_be_made_in_three_views(folder, capsys):
    assert segmate("auto", "stack.tif", "-o", "labels.zarr", "--volume", "views") == 2
    assert "planes" in capsys.readouterr().err
