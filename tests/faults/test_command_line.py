"""Bad inputs on the command line: one line and a status, never a traceback, and never for ever."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_segmate.cli import main
from napari_segmate.core.synthetic import nuclei


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NAPARI_SEGMATE_MODELS", str(tmp_path / "own"))
    tifffile.imwrite("good.tif", nuclei((96, 96), count=4)[0])
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 1) -> str:
    """Run a command that must fail, and return its one line."""
    assert main(arguments) == status
    said = capsys.readouterr().err.strip()
    assert said.startswith("segmate: ")
    assert "Traceback" not in said
    assert len(said.splitlines()) == 1
    assert len(said) < 1000
    return said


def pipe(path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("there are no pipes")
    os.mkfifo(path)


@pytest.mark.parametrize("command", ["auto", "segment", "text"])
def test_an_empty_argument_is_refused(folder, capsys, command):
    assert "empty" in refused(capsys, command, "", "-o", "out", status=2)
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda p: p.symlink_to(p), "leads back"),
        (lambda p: p.symlink_to("nowhere"), "which does not exist"),
        (pipe, "pipe"),
        (lambda p: p.mkdir(), "folder"),
        (lambda p: p.write_bytes(b""), "cannot be read"),
        (lambda p: p.write_bytes(b"II*\0" + b"\xff" * 40), "a.tif"),
    ],
)
@pytest.mark.parametrize("command", ["auto", "segment"])
def test_paths_that_are_no_images(folder, capsys, command, make, reason):
    make(Path("a.tif"))
    options = ["-o", "out.npy", *(["--point", "5,5"] if command == "segment" else [])]
    assert main([command, "a.tif", *options]) == 1
    said = capsys.readouterr().err
    assert reason in said
    assert "Traceback" not in said
    assert not Path("out.npy").exists()


def test_names_that_are_too_long(folder, capsys):
    assert "255 bytes" in refused(capsys, "auto", "x" * 300 + ".tif", "-o", "out.tif")
    assert "255 bytes" in refused(capsys, "auto", "good.tif", "-o", "x" * 300 + ".tif")


def test_no_image_of_a_folder_stops_the_others(folder, capsys, monkeypatch):
    Path("in").mkdir()
    Path("good.tif").rename("in/z.tif")
    pipe(Path("in/a.tif"))
    Path("in/b.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"0" * 50)
    Path("in/c.tif").symlink_to("c.tif")
    Path("in/d.tif").write_bytes(b"II*\0" + b"\xff" * 40)
    np.save("in/e.npy", np.zeros((2, 2, 32, 32), np.uint8))
    Path("in/f.npy").write_bytes(b"\x93NUMPY\x01\x00\xff\xff{")
    assert main(["auto", "in", "-o", "out", "--csv", "--coco"]) == 1
    captured = capsys.readouterr()
    assert sorted(path.name for path in Path("out").glob("*.tif")) == [
        "e_labels.tif",
        "z_labels.tif",
    ]
    assert "in 2 images, 5 failed" in captured.out
    for name in ("a.tif", "b.png", "c.tif", "d.tif", "f.npy"):
        assert any(name in line for line in captured.err.splitlines())
    assert "Traceback" not in captured.err


@pytest.mark.parametrize("error", [ValueError, MemoryError, RecursionError, KeyError, IndexError])
def test_whatever_one_image_raises_the_others_are_done(folder, capsys, monkeypatch, error):
    from napari_segmate.cli._labelling import Labeller

    Path("bad.tif").write_bytes(Path("good.tif").read_bytes())
    done = Labeller.run

    def run(self, image, target):
        if image.name == "bad.tif":
            raise error("deep inside")
        return done(self, image, target)

    monkeypatch.setattr(Labeller, "run", run)
    assert main(["auto", "bad.tif", "good.tif", "-o", "out"]) == 1
    assert "bad.tif: " in capsys.readouterr().err
    assert Path("out/good_labels.tif").exists()


@pytest.mark.parametrize(
    "error", [MemoryError("full"), RecursionError("deep"), OSError(28, "full")]
)
def test_errors_outside_the_batch_are_a_line(folder, capsys, monkeypatch, error):
    def broken(*arguments, **options):
        raise error

    monkeypatch.setattr("napari_segmate.models.load_model", broken)
    refused(capsys, "auto", "good.tif", "-o", "out.tif")


def test_an_output_that_nobody_reads_ends_without_a_traceback(folder, capsys, monkeypatch):
    class Full(io.StringIO):
        def write(self, text):
            if text:
                raise self.error
            return 0

    for error in (BrokenPipeError(errno.EPIPE, "gone"), OSError(errno.ENOSPC, "full")):
        full = Full()
        full.error = error
        monkeypatch.setattr(sys, "stdout", full)
        assert main(["models", "list"]) == 1
        monkeypatch.undo()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[" * 100_000, "nested"),
        (b'{"min_area": ' + b"9" * 5000 + b"}", "digits"),
        (b'{"smoothing": 1e999}', "finite"),
        (b'{"smoothing": 100000}', "0 to 100"),
        (b'{"grid": {"crop_n_layers": 50}}', "0 to 5"),
        (b'{"mode": "' + b"x" * 100_000 + b'"}', "choose one of"),
        (b'{"min_area": "' + b"x" * 100_000 + b'"}', "whole number"),
        (b'{"' + b"x" * 100_000 + b'": 1}', "choose one of"),
    ],
)
def test_settings_that_are_absurd(folder, capsys, content, reason):
    Path("params.json").write_bytes(content)
    said = refused(capsys, "auto", "good.tif", "-o", "out.tif", "--params", "params.json")
    assert reason in said


def test_settings_from_a_pipe_do_not_hang(folder, capsys):
    pipe(Path("params.json"))
    assert "pipe" in refused(capsys, "auto", "good.tif", "-o", "o.tif", "--params", "params.json")


def header(content: bytes, length: int | None = None) -> bytes:
    return (len(content) if length is None else length).to_bytes(8, "little") + content


def own(**metadata: str) -> bytes:
    return header(json.dumps({"__metadata__": {"format": "segmate-model", **metadata}}).encode())


BAD_MODELS = {
    "nested": header(b"[" * 50_000),
    "empty": b"",
    "cut": header(b'{"__metadata__"', 500),
    "list": header(b"[1]"),
    "text": header(b'{"__metadata__": "x"}'),
    "absurd": own(diameter="wide", parameters="²", format_version="²"),
    "infinite": own(diameter="1e999", parameters="9" * 5000),
    "control": own(summary="\x1b[2Jgone"),
}


def test_bad_files_among_the_own_models_do_not_take_the_others_away(folder, capsys):
    Path("own").mkdir()
    for name, content in BAD_MODELS.items():
        Path(f"own/{name}.safetensors").write_bytes(content)
    Path("own/folder.safetensors").mkdir()
    Path("own/loop.safetensors").symlink_to("loop.safetensors")
    pipe(Path("own/pipe.safetensors"))
    assert main(["models", "list"]) == 0
    captured = capsys.readouterr()
    assert "tiny" in captured.out
    assert "\x1b" not in captured.out + captured.err
    for name in ("nested", "empty", "cut", "pipe", "loop"):
        assert f"{name}.safetensors" in captured.err
    assert main(["auto", "good.tif", "-o", "out.tif"]) == 0


def test_a_folder_of_models_that_cannot_be_opened_is_said(folder, capsys):
    Path("own").write_text("no folder")
    assert main(["models", "list"]) == 0
    Path("own").unlink()
    Path("own").symlink_to("own")
    assert main(["models", "list"]) == 0
    assert "leads back" in capsys.readouterr().err


@pytest.mark.parametrize("name", BAD_MODELS)
def test_weights_files_that_are_none(folder, capsys, name):
    Path("bad.safetensors").write_bytes(BAD_MODELS[name])
    refused(capsys, "auto", "good.tif", "-o", "out.tif", "--model", "bad.safetensors")


@pytest.mark.parametrize(
    "content", [b"", b"\x80", b"\x80\x02.", b"\x80\x02a.", b"PK\x03\x04", b"0"]
)
def test_checkpoints_that_are_none(folder, capsys, content):
    Path("bad.pth").write_bytes(content)
    refused(capsys, "auto", "good.tif", "-o", "out.tif", "--model", "./bad.pth")


def test_an_image_that_changes_while_it_is_labelled_gives_no_result(folder, capsys, monkeypatch):
    from napari_segmate.cli._labelling import Labeller

    label = Labeller._labels

    def run(self, source, image, params):
        labels = label(self, source, image, params)
        image.unlink()
        return labels

    monkeypatch.setattr(Labeller, "_labels", run)
    assert main(["auto", "good.tif", "-o", "out.tif"]) == 1
    assert "was removed while it was read" in capsys.readouterr().err
    assert not Path("out.tif").exists()


def test_an_empty_answer_is_explained(folder, capsys):
    tifffile.imwrite("black.tif", np.zeros((96, 96), np.uint8))
    assert main(["auto", "black.tif", "-o", "out.tif"]) == 0
    told = capsys.readouterr().err
    assert "no object found. Looked for objects of a size that was estimated" in told


def test_a_diameter_beyond_what_the_model_sees_is_said(folder, capsys):
    assert main(["auto", "good.tif", "-o", "out.tif", "--diameter", "9000"]) == 0
    assert "can see; make the image smaller" in capsys.readouterr().err


def test_an_unlikely_reading_is_questioned(folder, capsys):
    np.save("a.npy", np.zeros((64, 64, 2), np.uint8))
    assert main(["segment", "a.npy", "--point", "5,1", "-o", "out.tif"]) == 2
    assert "--axes" in capsys.readouterr().err
