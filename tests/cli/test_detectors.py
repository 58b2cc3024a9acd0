"""``segmate detectors`` as a user calls it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from napari_segmate.cli import main
from napari_segmate.core.errors import MissingExtraError, ModelError
from napari_segmate.detectors import DETECTORS, folder_of, get_detector, list_detectors


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAPARI_SEGMATE_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def lacking(monkeypatch: pytest.MonkeyPatch):
    """Make the family of transformers say that something is missing."""

    def make(error: Exception) -> None:
        def check() -> None:
            raise error

        family = DETECTORS["transformers"]
        monkeypatch.setitem(DETECTORS._found, "transformers", replace(family, check=check))

    return make


@pytest.fixture
def able(monkeypatch: pytest.MonkeyPatch) -> None:
    family = DETECTORS["transformers"]
    monkeypatch.setitem(DETECTORS._found, "transformers", replace(family, check=lambda: None))


def row(out: str, name: str) -> str:
    return next(line for line in out.splitlines() if line.split()[0] == name)


@pytest.mark.parametrize("arguments", [[], ["list"]])
def test_the_table_names_every_detector(able, capsys, arguments):
    assert main(["detectors", *arguments]) == 0
    out = capsys.readouterr().out
    assert {line.split()[0] for line in out.splitlines()} == {one.name for one in list_detectors()}
    tiny = row(out, "grounding-dino-tiny")
    assert "to download" in tiny and "690 MB" in tiny and "Apache-2.0" in tiny
    assert "GroundingDINO tiny" in tiny


@pytest.mark.parametrize("arguments", [["--json"], ["list", "--json"]])
def test_json_says_what_is_missing_and_where_it_belongs(able, cache, capsys, arguments):
    assert main(["detectors", *arguments]) == 0
    found = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    tiny = found["grounding-dino-tiny"]
    assert tiny["state"] == "to download" and "model.safetensors" in tiny["missing"]
    assert tiny["path"].startswith(str(cache))


def test_a_detector_with_its_files_is_present(able, capsys):
    info = get_detector("grounding-dino-tiny")
    folder_of(info).mkdir(parents=True)
    for name in info.files:
        (folder_of(info) / name).touch()
    assert main(["detectors"]) == 0
    assert "present" in row(capsys.readouterr().out, info.name)


def test_a_missing_extra_is_named_with_the_command(lacking, capsys):
    lacking(MissingExtraError.for_feature("GroundingDINO", "text"))
    assert main(["detectors"]) == 0
    assert "needs extra 'text'" in row(capsys.readouterr().out, "grounding-dino-tiny")
    assert main(["detectors", "info", "grounding-dino-tiny"]) == 0
    assert 'pip install "napari-segmate[text]"' in capsys.readouterr().out


def test_a_version_that_computes_wrong_results_is_named(lacking, capsys):
    lacking(ModelError("transformers 5.0.0 computes wrong boxes"))
    assert main(["detectors", "info", "grounding-dino-tiny"]) == 0
    out = capsys.readouterr().out
    assert "cannot run here" in out and "wrong boxes" in out


def test_revision_is_shown_once_it_is_settled(able, capsys):
    info = get_detector("mm-grounding-dino-tiny")
    commit = "0123456789" * 4
    assert main(["detectors"]) == 0
    before = capsys.readouterr().out
    assert " main " in row(before, info.name) and " a2bb814 " in row(before, "grounding-dino-tiny")
    folder_of(info).mkdir(parents=True)
    note = {"repository": info.repository, "revision": "main", "commit": commit}
    (folder_of(info) / "revision.json").write_text(json.dumps(note))
    assert main(["detectors"]) == 0
    assert " 0123456 " in row(capsys.readouterr().out, info.name)
    assert main(["detectors", "info", info.name]) == 0
    out = capsys.readouterr().out
    assert f"revision:     {commit}\n" in out and "asked for:    main\n" in out
    assert main(["detectors", "--json"]) == 0
    found = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert found[info.name]["commit"] == commit and found[info.name]["revision"] == "main"


def test_path_says_what_to_put_there(able, capsys):
    assert main(["detectors", "path", "grounding-dino-tiny"]) == 0
    shown = capsys.readouterr()
    assert shown.out.strip() == str(folder_of(get_detector("grounding-dino-tiny")))
    assert "model.safetensors" in shown.err and "huggingface.co/IDEA-Research" in shown.err


def test_download_gets_what_is_missing(able, capsys, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "napari_segmate.detectors.download", lambda info, context: asked.append(info.name)
    )
    assert main(["detectors", "download", "grounding-dino-base"]) == 0
    assert asked == ["grounding-dino-base"]
    assert "grounding-dino-base" in capsys.readouterr().out


def test_an_unknown_name_is_answered_with_the_nearest(capsys):
    assert main(["detectors", "info", "grounding-dino-tinny"]) == 1
    assert "did you mean 'grounding-dino-tiny'" in capsys.readouterr().err
