from __future__ import annotations

import json
import os

import pytest

from napari_segmate.core.files.json_reader import parse_json, read_json


@pytest.mark.parametrize("value", [{"a": [1, -2.5, None, True, "ü\n[{"]}, [], "x", 0])
def test_what_json_writes_is_read(tmp_path, value):
    (tmp_path / "a.json").write_text(json.dumps(value))
    assert read_json(tmp_path / "a.json") == value


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[" * 100_000, "nested"),
        (b'{"a":' * 200 + b"1" + b"}" * 200, "nested"),
        (b"1" * 5000, "digits"),
        (b"1e999", "not finite"),
        (b"Infinity", "not finite"),
        (b"\xff\xfe", "utf-8"),
        (b"", "Expecting value"),
        (b"{", "Expecting"),
        (b'"\\ud800', "Unterminated|escape"),
    ],
)
def test_what_is_beyond_a_limit_or_no_json_is_a_value_error(content, reason):
    with pytest.raises(ValueError, match=reason):
        parse_json(content)


def test_brackets_in_texts_are_no_levels():
    text = "[" * 1000 + '"'
    assert parse_json(json.dumps([text]).encode()) == [text]


def test_files_that_are_too_large_are_not_read(tmp_path):
    (tmp_path / "a.json").write_text("[1, 2, 3]")
    with pytest.raises(ValueError, match="at most 5 are read"):
        read_json(tmp_path / "a.json", longest=5)


def test_folders_and_pipes_are_an_os_error(tmp_path):
    with pytest.raises(OSError, match="folder"):
        read_json(tmp_path)
    with pytest.raises(OSError, match="does not exist"):
        read_json(tmp_path / "none")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(OSError, match="pipe"):
            read_json(tmp_path / "pipe")
