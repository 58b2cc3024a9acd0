from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_segmate.cli import main
from napari_segmate.core.errors import Cancelled
from napari_segmate.io.provenance import load_sidecar


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("NAPARI_SEGMATE_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture
def fake(monkeypatch, fake_model):
    monkeypatch.setattr("napari_segmate.models.load_model", lambda *args, **kwargs: fake_model)
    return fake_model


@pytest.fixture
def image(tmp_path, blobs):
    path = tmp_path / "blobs.tif"
    tifffile.imwrite(path, blobs.values)
    return path


@pytest.fixture
def stack(tmp_path, blobs):
    path = tmp_path / "stack.tif"
    planes = np.stack([np.zeros_like(blobs.values), blobs.values, np.zeros_like(blobs.values)])
    tifffile.imwrite(path, planes, photometric="minisblack", metadata={"axes": "ZYX"})
    return path


def run(*arguments) -> int:
    return main([str(argument) for argument in arguments])


def test_a_click_becomes_a_label_file(fake, image, tmp_path, capsys):
    assert run("segment", image, "--point", "14,15", "-o", tmp_path / "out.tif") == 0
    labels = tifffile.imread(tmp_path / "out.tif")
    assert labels.shape == (48, 60)
    assert labels[14, 15] == 1
    assert labels[0, 0] == 0
    captured = capsys.readouterr()
    assert captured.out == f"1 object written to {tmp_path / 'out.tif'}\n"
    assert captured.err == ""


def test_without_output_the_labels_lie_beside_the_image(fake, image):
    assert run("segment", image, "--point", "14,15") == 0
    assert image.with_name("blobs_labels.tif").is_file()


def test_boxes_are_one_object_each(fake, image, capsys):
    boxes = ["--box", "6,6,22,24", "--box", "4,34,20,52"]
    assert run("segment", image, *boxes, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert [one["id"] for one in answer["objects"]] == [1, 2]
    assert answer["shape"] == [48, 60]
    assert answer["missing"] == []
    labels = tifffile.imread(answer["labels"])
    assert (labels[14, 15], labels[12, 43], labels[35, 30]) == (1, 2, 0)


@pytest.mark.parametrize(("option", "count"), [([], 1), (["--each-point"], 2)])
def test_points_are_one_object_or_one_each(fake, image, capsys, option, count):
    assert run("segment", image, "--point", "14,15", "--point", "12,43", *option, "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["objects"]) == count


def test_a_negative_point_reaches_the_model(fake, image):
    assert run("segment", image, "--point", "14,15", "--negative", "12,43") == 0
    ((prompts,), _) = fake.decoded[0]
    assert prompts.points.positive.tolist() == [True, False]


@pytest.mark.parametrize("option", ["--index", "--plane"])
def test_a_plane_of_a_stack_is_chosen(fake, stack, option):
    assert run("segment", stack, option, "1", "--point", "14,15") == 0
    assert tifffile.imread(stack.with_name("stack_labels.tif"))[14, 15] == 1


def test_a_stack_without_index_is_wrong_usage_that_says_what_to_give(fake, stack, capsys):
    assert run("segment", stack, "--point", "14,15") == 2
    assert "--index 0" in capsys.readouterr().err


@pytest.mark.parametrize("index", ["3", "-1", "1,1"])
def test_a_plane_that_is_not_there_is_told_with_those_that_are(fake, stack, capsys, index):
    assert run("segment", stack, "--index", index, "--point", "14,15") == 1
    assert f"no plane {index} in the image; --index takes 0 to 2" in capsys.readouterr().err


def test_axes_given_count(fake, tmp_path, blobs):
    path = tmp_path / "a.npy"
    np.save(path, np.stack([blobs.values] * 2, axis=-1))
    arguments = ["--axes", "YXC", "--channels", "1", "--point", "14,15"]
    assert run("segment", path, *arguments, "-o", tmp_path / "out.npy") == 0
    assert np.load(tmp_path / "out.npy")[14, 15] == 1


def test_labels_that_are_there_are_kept_unless_they_may_be_replaced(fake, image, capsys):
    target = image.with_name("blobs_labels.tif")
    target.write_bytes(b"drawn by hand")
    assert run("segment", image, "--point", "14,15") == 1
    assert "--overwrite" in capsys.readouterr().err
    assert target.read_bytes() == b"drawn by hand"
    assert run("segment", image, "--point", "14,15", "--overwrite") == 0
    assert tifffile.imread(target)[14, 15] == 1


@pytest.mark.parametrize("more", [[], ["--overwrite"]])
def test_the_image_is_never_replaced(fake, image, capsys, more):
    before = image.read_bytes()
    assert run("segment", image, "--point", "14,15", "-o", image, *more) == 1
    assert "would replace an image" in capsys.readouterr().err
    assert image.read_bytes() == before


def test_micrometres_are_recorded_with_the_pixels_they_were(fake, image):
    size = ["--diameter", "6um", "--pixel-size", "0.5"]
    assert run("segment", image, "--point", "14,15", *size, "--provenance") == 0
    (record,) = load_sidecar(image.with_name("blobs_labels.tif"))
    assert record.options["diameter"] == 12
    assert record.view["size"] == {"asked": "6 µm", "pixel_size_um": 0.5, "pixels": 12.0}


def test_provenance_lies_beside_the_labels(fake, image):
    assert run("segment", image, "--point", "14,15", "--provenance") == 0
    (record,) = load_sidecar(image.with_name("blobs_labels.tif"))
    assert (record.label, record.model_key) == (1, "fake@1")


def test_an_object_that_is_not_found_is_told_on_stderr(fake, image, capsys):
    assert run("segment", image, "--box", "0,0,5,5", "--json") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["missing"] == [1]
    assert "object 1 has no pixel" in captured.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give at least one --point"),
        (["--point", "5"], "--point: '5' is not Y,X; give 2 numbers"),
        (["--point", "5,x"], "--point: '5,x' is not Y,X"),
        (["--point", "5,6,7"], "--point: '5,6,7' is not Y,X"),
        (["--point", "nan,5"], "--point: 'nan,5' is not Y,X"),
        (["--box", "1,2,3"], "--box: '1,2,3' is not Y0,X0,Y1,X1; give 4 numbers"),
        (["--negative", "5,5"], "give at least one --point"),
        (["--point", "5,5", "--channels", "1,2"], "--channels: '1,2' are no channels; give one"),
        (["--point", "5,5", "--channels", "red"], "--channels: 'red' are no channels"),
        (["--point", "5,5", "--index", "one"], "--index: 'one' is no index"),
        (["--point", "5,5", "--axes", "TY"], "--axes: 'TY' are no axes; give one letter per axis"),
        (["--point", "5,5", "--contrast", "layer"], "--contrast: no contrast 'layer'"),
        (["--point", "5,5", "--overlap", "kep"], "--overlap: no policy 'kep' (did you mean 'keep'"),
        (
            ["--point", "5,5", "--min-size", "-1"],
            "--min-size: '-1' cannot be taken; give a whole number of 0 or more",
        ),
        (["--point", "5,5", "--min-size", "1.5"], "--min-size: '1.5' cannot be taken"),
        (["--point", "5,5", "--diameter", "-3"], "--diameter: '-3' is no size; give pixels"),
        (["--point", "5,5", "--diameter", "3in"], "--diameter: '3in' is no size; give pixels"),
        (["--point", "5,5", "--diameter", "1e9"], "--diameter: 1e9 is too large"),
        (["--point", "5,5", "--pixel-size", "0"], "--pixel-size: '0' is no side of a pixel"),
        (["--point", "5,5", "--pixel-size", "2px"], "--pixel-size: '2px' is no side of a pixel"),
        (["--nothing"], "--nothing"),
        (["--point", "5,5", "more.tif"], "more.tif"),
    ],
)
def test_wrong_usage_is_told_in_one_line_and_ends_with_status_2(
    fake, image, capsys, arguments, message
):
    assert run("segment", image, *arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert captured.err.startswith("segmate: ") and message in captured.err
    assert "(segmate segment --help)" in captured.err
    assert fake.encoded == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["segment"], "IMAGE is missing; name it"),
        (["auto", "a.tif"], "--output is missing; give --output PATH"),
        (["auto", "a.tif", "-o", "b.tif", "--diametre", "9"], "did you mean '--diameter'?"),
        (["demo", "--zzz"], "no option '--zzz'; leave it out"),
        (["segment", "a.tif", "--point"], "'--point' requires an argument"),
        (["segmant"], "no command 'segmant' (did you mean 'segment'?); choose one of"),
        (["models", "liste"], "no command 'liste' (did you mean 'list'?)"),
        (["demo", "--sample", "nucleus"], "--sample: no sample 'nucleus' (did you mean 'nuclei'?)"),
    ],
)
def test_what_is_missing_or_unknown_is_named(capsys, arguments, message):
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--point", "500,5"], "outside the image"),
        (["--box", "5,5,5,20"], "at least 1 x 1 pixel"),
        (["--box", "100,100,120,120"], "outside the image"),
        (["--point", "5,5", "--axes", "TYX"], "one letter per axis"),
        (["--point", "5,5", "--diameter", "12um"], "--pixel-size"),
        (["--point", "5,5", "--index", "3"], "no plane 3 in the image; --index takes nothing"),
        (["--point", "5,5", "--channels", "4"], "no channel 4"),
        (["--point", "5,5", "-o", "out.jpg"], "end the name with"),
        (["--point", "5,5", "-o", "nowhere/out.tif"], "no folder"),
    ],
)
def test_bad_input_ends_with_status_1_and_a_sentence(fake, image, capsys, arguments, message):
    assert run("segment", image, *arguments) == 1
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.startswith("segmate: ")
    assert "Traceback" not in captured.err
    assert captured.out == ""


def test_an_unknown_model_ends_with_status_1_and_names_the_others(image, capsys):
    assert run("segment", image, "--point", "5,5", "--model", "tinny") == 1
    assert "'tiny'" in capsys.readouterr().err


@pytest.mark.parametrize("error", [KeyboardInterrupt, Cancelled])
def test_a_cancelled_job_ends_with_status_130_and_leaves_no_file(fake, image, monkeypatch, error):
    def interrupted(*args, **kwargs):
        raise error

    monkeypatch.setattr(fake, "encode", interrupted)
    assert run("segment", image, "--point", "14,15") == 130
    assert list(image.parent.iterdir()) == [image]


def test_the_embedded_model_segments_without_a_network(image, capsys):
    assert run("segment", image, "--box", "6,6,22,24", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["model"].startswith("tiny@")


@pytest.mark.parametrize("command", [["models"], ["models", "list"]])
def test_models_are_listed(capsys, command):
    assert run(*command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["tiny", "embedded"]
    assert any(line.startswith("vit_b ") and "to download" in line for line in lines)


def test_models_are_listed_as_json(capsys):
    assert run("models", "list", "--json") == 0
    models = {model["name"]: model for model in json.loads(capsys.readouterr().out)}
    assert models["tiny"]["state"] == "embedded"
    assert models["vit_b"]["weights"]["size"] == 375042383


def test_a_model_is_described(capsys):
    assert run("models", "info", "vit_b") == 0
    told = capsys.readouterr().out
    assert "Apache-2.0" in told
    assert "375 MB" in told
    assert run("models", "info", "vit_b", "--json") == 0
    assert json.loads(capsys.readouterr().out)["licence"] == "Apache-2.0"


def test_the_path_says_where_to_put_a_file_by_hand(capsys):
    assert run("models", "path", "vit_b") == 0
    captured = capsys.readouterr()
    assert captured.out.strip().endswith("sam_vit_b_01ec64.pth")
    assert "https://" in captured.err


def test_the_embedded_model_needs_no_download(capsys):
    assert run("models", "download", "tiny") == 0
    assert "nothing to download" in capsys.readouterr().out
    assert run("models", "path", "tiny") == 0


def test_a_download_without_connection_ends_with_status_1_and_a_cure(capsys):
    assert run("models", "download", "vit_b", "--mirror", "http://127.0.0.1:9/weights") == 1
    told = capsys.readouterr().err
    assert "save it as" in told
    assert "http://127.0.0.1:9/weights/sam_vit_b_01ec64.pth" in told


def test_an_unknown_model_is_no_traceback(capsys):
    assert run("models", "info", "vit_z") == 1
    assert "choose one of" in capsys.readouterr().err


def test_the_demo_saves_a_picture_and_labels(fake, tmp_path, capsys):
    assert run("demo", "--output", tmp_path / "demo", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["of"] == 90
    assert tifffile.imread(answer["labels"]).max() <= 90
    assert (tmp_path / "demo" / "picture.png").stat().st_size > 1000
    assert tifffile.imread(answer["image"]).dtype == np.uint16


def test_a_demo_that_cannot_be_saved_says_so(fake, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert run("demo", "--output", tmp_path / "file") == 1
    assert "choose another --output" in capsys.readouterr().err
    assert fake.encoded == []


def test_the_demo_replaces_its_own_files_only(fake, tmp_path, capsys):
    assert run("demo", "--output", tmp_path) == 0
    assert run("demo", "--output", tmp_path, "--sample", "touching-cells") == 0
    tifffile.imwrite(tmp_path / "image.tif", np.ones((8, 9), np.uint8))
    assert run("demo", "--output", tmp_path) == 1
    assert "exists, of no demo; choose another --output" in capsys.readouterr().err
    assert tifffile.imread(tmp_path / "image.tif").shape == (8, 9)


def test_the_demo_opens_its_files_in_a_viewer_of_its_own(fake, tmp_path, monkeypatch):
    viewer = tmp_path / "viewer.py"
    viewer.write_text("import json, sys\njson.dump(sys.argv[1:], open('seen.json', 'w'))")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("napari_segmate.cli._viewer.PROGRAM", "viewer")
    monkeypatch.setattr("napari_segmate.cli.demo.check_viewer", lambda: None)
    assert run("demo", "--output", "demo", "--view") == 0
    names = [Path(name).name for name in json.loads(Path("seen.json").read_text())]
    assert names == ["image.tif", "labels.tif"]
    viewer.write_text("raise SystemExit(3)")
    assert run("demo", "--output", "demo", "--view") == 1


@pytest.mark.parametrize(
    ("napari", "platform", "message"),
    [(None, "win32", "napari-segmate[all]"), ("napari", "linux", "no screen")],
)
def test_a_viewer_that_cannot_open_is_told_before_the_work(
    fake, tmp_path, capsys, monkeypatch, napari, platform, message
):
    monkeypatch.setattr("napari_segmate.cli._viewer.find_spec", lambda name: napari)
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert run("demo", "--output", tmp_path / "demo", "--view") == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()


@pytest.mark.parametrize(
    "command", [["segment"], ["models", "list"], ["models", "download"], ["demo"]]
)
def test_help_has_an_example(command, capsys):
    assert run(*command, "--help") == 0
    assert "Example" in capsys.readouterr().out


def test_without_a_command_there_is_help(capsys):
    assert run() == 2
    captured = capsys.readouterr()
    assert "segment" in captured.out + captured.err


def test_the_version_is_shown(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out.startswith("segmate ")


def test_progress_appears_on_a_terminal_only(fake, image, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert run("segment", image, "--point", "14,15") == 0
    captured = capsys.readouterr()
    assert "\x1b[" in captured.err
    assert "\x1b[" not in captured.out
