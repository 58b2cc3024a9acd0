"""``segmate auto`` as a user calls it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_segmate.cli import main
from napari_segmate.core.masks.rle import decode_rle
from napari_segmate.core.numbers.metrics import average_precision
from napari_segmate.core.synthetic import nuclei, stack_3d
from napari_segmate.io.ome_zarr import create_labels, open_ome


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    image, _ = nuclei((128, 128), count=6)
    (tmp_path / "images").mkdir()
    for name in ("a", "b"):
        tifffile.imwrite(tmp_path / "images" / f"{name}.tif", image)
    return tmp_path


def auto(*arguments: object) -> int:
    return main(["auto", *map(str, arguments)])


def test_one_image_gets_one_label_file(folder, capsys):
    assert auto("images/a.tif", "-o", "labels.tif") == 0
    labels = tifffile.imread("labels.tif")
    assert labels.shape == (128, 128)
    assert f"{labels.max()} objects in 1 image" in capsys.readouterr().out
    assert labels.max() >= 4


def test_a_folder_gets_a_folder_with_tables(folder):
    assert auto("images", "-o", "out", "--csv", "--coco") == 0
    labels = tifffile.imread("out/a_labels.tif")
    rows = list(csv.DictReader(Path("out/a_labels.csv").read_text().splitlines()))
    assert [int(row["label"]) for row in rows] == np.unique(labels)[1:].tolist()
    assert float(rows[0]["area"]) == (labels == int(rows[0]["label"])).sum()
    coco = json.loads(Path("out/b_labels.coco.json").read_text())
    one = coco["annotations"][0]
    assert (decode_rle(one["segmentation"]) == (labels == one["track_id"])).all()
    assert coco["images"][0]["file_name"] == "b.tif"


def test_what_is_done_is_not_done_again(folder, capsys):
    assert auto("images", "-o", "out") == 0
    before = Path("out/a_labels.tif").stat().st_mtime_ns
    capsys.readouterr()
    assert auto("images", "-o", "out") == 0
    assert "2 done before" in capsys.readouterr().out
    assert Path("out/a_labels.tif").stat().st_mtime_ns == before


def test_other_settings_do_not_overwrite_unasked(folder, capsys):
    assert auto("images/a.tif", "-o", "labels.tif") == 0
    assert auto("images/a.tif", "-o", "labels.tif", "--diameter", 9) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert auto("images/a.tif", "-o", "labels.tif", "--diameter", 9, "--overwrite") == 0
    facts = json.loads(Path("labels.tif.segmate-auto.json").read_text())
    assert facts["params"]["diameter"] == 9
    assert facts["model"].startswith("tiny@")


def test_labels_of_someone_else_are_kept(folder, capsys):
    Path("labels.tif").write_bytes(b"mine")
    assert auto("images/a.tif", "-o", "labels.tif") == 1
    assert Path("labels.tif").read_bytes() == b"mine"
    assert "exists" in capsys.readouterr().err


def test_a_bad_file_does_not_stop_the_others(folder, capsys):
    Path("images/aa.tif").write_bytes(b"no image")
    assert auto("images", "-o", "out") == 1
    shown = capsys.readouterr()
    assert "aa.tif" in shown.err and "1 failed" in shown.out
    assert Path("out/a_labels.tif").exists() and Path("out/b_labels.tif").exists()
    assert not Path("out/aa_labels.tif").exists()


def test_a_stack_keeps_its_shape_and_objects_are_linked(folder):
    image, _ = stack_3d(shape=(4, 96, 96))
    tifffile.imwrite("stack.tif", image, photometric="minisblack", metadata={"axes": "ZYX"})
    assert auto("stack.tif", "-o", "linked.tif") == 0
    assert auto("stack.tif", "-o", "single.tif", "--no-link") == 0
    linked, single = tifffile.imread("linked.tif"), tifffile.imread("single.tif")
    assert linked.shape == single.shape == image.shape
    assert ((linked > 0) == (single > 0)).all()
    assert 0 < len(np.unique(linked)) < len(np.unique(single))


def test_settings_come_from_a_file_and_the_command_line_wins(folder):
    Path("settings.json").write_text(json.dumps({"min_area": 30, "diameter": 50.0}))
    assert auto("images/a.tif", "-o", "x.tif", "--params", "settings.json", "--diameter", 20) == 0
    params = json.loads(Path("x.tif.segmate-auto.json").read_text())["params"]
    assert (params["min_area"], params["diameter"]) == (30, 20)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"min_aera": 3}', "did you mean 'min_area'"),
        ('{"mode": "object"}', "did you mean 'objects'"),
        ('{"grid": {"points": 3}}', "points_per_side"),
        ('{"seed": 7}', "seed"),
        ('{"grid": {"points_per_side": "x"}}', "points_per_side must be a whole number or null"),
        ('{"grid": 7}', "grid must be a JSON object, not 7"),
        ('{"tile": "x"}', 'tile must be a whole number or null, not "x"'),
        ('{"min_area": 5.5}', "min_area must be a whole number, not 5.5"),
        ('{"border": 1}', "border must be true or false, not 1"),
        ('{"seed": null}', "seed must be a number, not null"),
        ('{"diameter": "12 miles"}', "settings.json: '12 miles' is no size"),
        ("[1]", "one JSON object"),
        ("{", "cannot read the settings"),
    ],
)
def test_a_wrong_settings_file_is_refused_with_the_cure(folder, capsys, text, said):
    Path("settings.json").write_text(text)
    assert auto("images/a.tif", "-o", "x.tif", "--params", "settings.json") == 1
    assert said in capsys.readouterr().err
    assert not Path("x.tif").exists()


def test_whole_numbers_do_for_others_and_null_for_what_may_be_left_out(folder):
    Path("settings.json").write_text('{"score": 0, "max_area": null, "mode": null, "smoothing": 2}')
    assert auto("images/a.tif", "-o", "x.tif", "--params", "settings.json") == 0


def test_a_settings_file_that_is_not_there_is_told(folder, capsys):
    assert auto("images/a.tif", "-o", "x.tif", "--params", "none.json") == 1
    told = capsys.readouterr().err
    assert "none.json: it does not exist" in told and "Errno" not in told


def sized(name: str, micrometres: float) -> None:
    """Write the image a.tif with the size of its pixels, as ImageJ does."""
    tifffile.imwrite(
        name,
        tifffile.imread("images/a.tif"),
        imagej=True,
        resolution=(1 / micrometres, 1 / micrometres),
        metadata={"unit": "um"},
    )


def facts(name: str) -> dict:
    return json.loads(Path(f"{name}.segmate-auto.json").read_text())


def test_micrometres_are_pixels_by_what_the_file_says(folder, capsys):
    sized("fine.tif", 0.25)
    assert auto("fine.tif", "-o", "um.tif", "--diameter", "5um") == 0
    assert auto("fine.tif", "-o", "px.tif", "--diameter", "20px") == 0
    assert (tifffile.imread("um.tif") == tifffile.imread("px.tif")).all()
    written = facts("um.tif")
    assert written["params"]["diameter"] == "5 µm"
    assert written["size"] == {"asked": "5 µm", "pixel_size_um": 0.25, "pixels": 20.0}
    assert facts("px.tif")["params"]["diameter"] == 20 and "size" not in facts("px.tif")
    capsys.readouterr()
    assert auto("fine.tif", "-o", "um.tif", "--diameter", "5 µm") == 0
    assert "1 done before" in capsys.readouterr().out
    assert auto("fine.tif", "-o", "um.tif", "--diameter", "6um") == 1
    assert "other settings (diameter)" in capsys.readouterr().err


def test_planes_are_as_far_apart_as_the_file_says(folder):
    image, _ = stack_3d(shape=(4, 96, 96))
    metadata = {"unit": "um", "spacing": 2.0, "axes": "ZYX"}
    tifffile.imwrite("stack.tif", image, imagej=True, resolution=(2, 2), metadata=metadata)
    assert auto("stack.tif", "-o", "x.tif") == 0
    assert facts("x.tif")["anisotropy"] == 4
    assert auto("stack.tif", "-o", "y.tif", "--anisotropy", 2.5) == 0
    assert facts("y.tif")["anisotropy"] == 2.5


def test_each_image_of_a_folder_has_its_own_pixels(folder):
    Path("two").mkdir()
    sized("two/fine.tif", 0.25)
    sized("two/coarse.tif", 0.5)
    Path("settings.json").write_text('{"diameter": "5um"}')
    assert auto("two", "-o", "out", "--params", "settings.json") == 0
    assert facts("out/fine_labels.tif")["size"]["pixels"] == 20
    assert facts("out/coarse_labels.tif")["size"]["pixels"] == 10


def test_the_size_of_a_pixel_can_be_given_and_is_needed(folder, capsys):
    assert auto("images/a.tif", "-o", "x.tif", "--diameter", "5um") == 1
    told = capsys.readouterr().err
    assert "does not say how large a pixel is" in told and "--pixel-size 0.32" in told
    assert not Path("x.tif").exists()
    sized("fine.tif", 0.25)
    assert auto("fine.tif", "-o", "x.tif", "--diameter", "5um", "--pixel-size", "500nm") == 0
    assert facts("x.tif")["size"]["pixels"] == 10


def test_a_diameter_of_0_is_estimated(folder):
    assert auto("images/a.tif", "-o", "x.tif", "--diameter", "0") == 0
    assert auto("images/a.tif", "-o", "y.tif") == 0
    assert (tifffile.imread("x.tif") == tifffile.imread("y.tif")).all()


def test_tables_asked_for_later_are_written_from_the_labels_that_are_there(folder, capsys):
    assert auto("images/a.tif", "-o", "x.tif") == 0
    before = Path("x.tif").stat().st_mtime_ns
    assert auto("images/a.tif", "-o", "x.tif", "--csv", "--coco") == 0
    assert Path("x.tif").stat().st_mtime_ns == before
    rows = list(csv.DictReader(Path("x.csv").read_text().splitlines()))
    assert [int(row["label"]) for row in rows] == np.unique(tifffile.imread("x.tif"))[1:].tolist()
    assert json.loads(Path("x.coco.json").read_text())["images"][0]["file_name"] == "a.tif"


def test_tables_of_someone_else_are_kept(folder, capsys):
    Path("x.csv").write_text("mine")
    assert auto("images/a.tif", "-o", "x.tif", "--csv") == 1
    assert "x.csv exists; choose another --output" in capsys.readouterr().err
    assert Path("x.csv").read_text() == "mine" and not Path("x.tif").exists()
    assert auto("images/a.tif", "-o", "x.tif", "--csv", "--overwrite") == 0
    assert Path("x.csv").read_text().startswith("label,")


def test_other_ways_of_reading_are_other_settings(folder, capsys):
    assert auto("images/a.tif", "-o", "x.tif") == 0
    assert auto("images/a.tif", "-o", "x.tif", "--axes", "XY") == 1
    assert "other settings (axes)" in capsys.readouterr().err


def test_images_and_labels_may_share_a_folder(folder, capsys):
    assert auto("images", "-o", "images") == 0
    capsys.readouterr()
    assert auto("images", "-o", "images") == 0
    assert "2 done before" in capsys.readouterr().out
    assert not list(Path("images").glob("*_labels_labels*"))


def test_large_tiles_and_halos_are_taken_or_told(folder, capsys):
    assert auto("images/a.tif", "-o", "x.tif", "--tile", 5000) == 0
    Path("halo.json").write_text('{"halo": 500, "tile": 100}')
    assert auto("images/a.tif", "-o", "y.tif", "--params", "halo.json") == 1
    assert "choose a halo below 50 or larger tiles" in capsys.readouterr().err


def test_a_full_disk_is_told_and_nothing_half_written_stays(folder, capsys, monkeypatch):
    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tifffile.imwrite", full)
    assert auto("images/a.tif", "-o", "x.tif") == 1
    told = capsys.readouterr().err
    assert "No space left on device" in told and "free some space" in told
    assert not [path for path in folder.iterdir() if "x.tif" in path.name or "part" in path.name]


def test_an_image_that_vanishes_meanwhile_is_told(folder, capsys, monkeypatch):
    from napari_segmate.cli._reading import Reading

    source = Reading.source

    def vanishing(self: Reading, image: Path):
        found = source(self, image)
        image.unlink()
        return found

    monkeypatch.setattr(Reading, "source", vanishing)
    assert auto("images/a.tif", "-o", "x.tif") == 1
    assert "was removed while it was read" in capsys.readouterr().err


def test_wrong_inputs_and_outputs_are_refused_before_anything_runs(folder, capsys):
    cases = {
        ("nothing.tif", "-o", "x.tif"): "there is no file nothing.tif",
        ("images", "-o", "x.tif"): "give a folder",
        ("images/a.tif", "-o", "missing/x.tif"): "there is no folder",
        ("images/a.tif", "-o", "x.gif"): "end the name with",
        ("images/a.tif", "-o", "images/a.tif", "--overwrite"): "would replace an image",
    }
    (folder / "empty").mkdir()
    cases["empty", "-o", "out"] = "has no image"
    for arguments, said in cases.items():
        assert auto(*arguments) == 1, arguments
        assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--mode", "gird"), "--mode: no mode 'gird' (did you mean 'grid'?)"),
        (("--tile", "0"), "--tile: '0' cannot be taken; give a whole number of 32 or more"),
        (("--block", "-8"), "--block: '-8' cannot be taken; give a whole number of 64 or more"),
        (("--anisotropy", "0"), "--anisotropy: '0' cannot be taken; give a number above 0"),
        (("--anisotropy", "nan"), "--anisotropy: 'nan' cannot be taken; give a number above 0"),
        (("--diameter", "12 parsec"), "--diameter: '12 parsec' is no size; give pixels"),
        (
            ("--scheduler", "tcp://127.0.0.1:1"),
            "--scheduler: a cluster writes OME-Zarr, not 'x.tif'",
        ),
    ],
)
def test_wrong_options_are_wrong_usage(folder, capsys, options, said):
    assert auto("images/a.tif", "-o", "x.tif", *options) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not Path("x.tif").exists()


def test_images_of_the_same_name_do_not_overwrite_each_other(folder, capsys):
    (folder / "more").mkdir()
    tifffile.imwrite(folder / "more" / "a.tif", np.zeros((64, 64), np.uint8))
    assert auto("images", "more", "-o", "out") == 1
    assert "several images" in capsys.readouterr().err


def test_an_empty_image_has_no_objects(folder, capsys):
    tifffile.imwrite("empty.tif", np.full((64, 64), 3, np.uint16))
    assert auto("empty.tif", "-o", "labels.tif", "--csv") == 0
    said = capsys.readouterr()
    assert "0 objects in 1 image" in said.out
    assert "empty.tif: no object found" in said.err
    assert "--diameter" in said.err
    assert not tifffile.imread("labels.tif").any()
    assert len(Path("labels.csv").read_text().splitlines()) == 1


def test_a_pattern_names_several_images(folder):
    assert auto("images/*.tif", "-o", "out") == 0
    assert len(list(Path("out").glob("*.tif"))) == 2


def test_zarr_labels_are_ome_zarr_and_the_same_as_a_file(folder):
    assert auto("images/a.tif", "-o", "a.tif") == 0
    assert auto("images/a.tif", "-o", "a.zarr", "--csv", "--coco") == 0
    written = open_ome("a.zarr")
    labels = np.asarray(written.levels[0])
    assert average_precision(tifffile.imread("a.tif"), labels)[0] == 1
    assert len(json.loads(Path("a.coco.json").read_text())["annotations"]) == labels.max()
    assert Path("a.csv").read_text().count("\n") == labels.max() + 1
    assert auto("images/a.tif", "-o", "a.zarr", "--csv", "--coco") == 0


def test_a_zarr_stack_keeps_axes_and_sizes_of_ome_zarr(folder):
    image, _ = stack_3d(shape=(4, 96, 96))
    source = create_labels("in.zarr", image.shape, image.dtype, "zyx", scale=(2.0, 0.5, 0.5))
    source[...] = image
    assert auto("in.zarr", "-o", "out.zarr", "--block", 64) == 0
    written = open_ome("out.zarr")
    assert (written.axes, written.scale) == ("zyx", (2.0, 0.5, 0.5))
    linked = np.asarray(written.levels[0])
    facts = json.loads(Path("out.zarr.segmate-auto.json").read_text())
    assert facts["objects"] == linked.max() > 0
    assert auto("in.zarr", "-o", "single.zarr", "--no-link") == 0
    assert np.asarray(open_ome("single.zarr").levels[0]).max() > linked.max()


def test_an_unknown_scheduler_is_told_and_nothing_is_written(folder, capsys, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("napari_segmate.tasks.blockwise.execute.TIMEOUT_S", 1)
    assert auto("images/a.tif", "-o", "out", "--scheduler", "tcp://127.0.0.1:9") == 1
    assert "127.0.0.1:9" in capsys.readouterr().err
    assert not Path("out/a_labels.zarr").exists()


def test_an_image_that_vanished_and_wrong_axes_are_told(folder, capsys):
    Path("images/gone.tif").symlink_to("nowhere.tif")
    assert auto("images", "-o", "out") == 1
    assert "is a link to nowhere.tif, which does not exist" in capsys.readouterr().err
    assert sorted(path.name for path in Path("out").glob("*.tif")) == [
        "a_labels.tif",
        "b_labels.tif",
    ]
    assert auto("images/a.tif", "-o", "x.tif", "--axes", "TZYX") == 1
    assert "one letter per axis" in capsys.readouterr().err
