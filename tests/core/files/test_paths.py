from __future__ import annotations

import os
from pathlib import Path

import pytest

from napari_segmate.core.files.paths import path_problem


def test_files_and_folders_have_no_problem(tmp_path):
    (tmp_path / "a").touch()
    assert path_problem(tmp_path) is None
    assert path_problem(tmp_path / "a") is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [("none", "does not exist"), ("x" * 300, "255 bytes"), ("a/b", "no folder"), ("\0", "null")],
)
def test_names_that_cannot_be_opened(tmp_path, name, reason):
    (tmp_path / "a").touch()
    assert reason in path_problem(tmp_path / name)


def test_links_that_lead_nowhere_or_back(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "broken").symlink_to(tmp_path / "none")
    assert "leads back" in path_problem(tmp_path / "loop")
    assert "which does not exist" in path_problem(tmp_path / "broken")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
def test_pipes_and_devices_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "regular file" in path_problem(tmp_path / "pipe")
    assert "regular file" in path_problem(Path("/dev/null"))


def test_what_may_not_be_read_is_said(tmp_path, monkeypatch):
    (tmp_path / "a").touch()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "permissions" in path_problem(tmp_path / "a")
