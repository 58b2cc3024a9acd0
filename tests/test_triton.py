"""Triton and a window that was drawn with Mesa do not go together in one process."""

from __future__ import annotations

import sys

import pytest

from napari_segmate._torch import keep_triton_out


@pytest.fixture
def without_triton(monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)
    del sys.modules["triton"]


@pytest.mark.usefixtures("without_triton")
def test_triton_is_kept_out_of_a_process_that_has_loaded_llvm(tmp_path):
    maps = tmp_path / "maps"
    maps.write_text("7f00 r-xp 00000000 /usr/lib/x86_64-linux-gnu/libLLVM-15.so.1\n")
    assert keep_triton_out(maps)
    with pytest.raises(ImportError):
        __import__("triton")


@pytest.mark.usefixtures("without_triton")
def test_triton_is_left_alone_where_nothing_else_brings_llvm(tmp_path):
    maps = tmp_path / "maps"
    maps.write_text("7f00 r-xp 00000000 /usr/lib/x86_64-linux-gnu/libc.so.6\n")
    assert not keep_triton_out(maps)
    assert "triton" not in sys.modules


@pytest.mark.usefixtures("without_triton")
def test_there_is_nothing_to_look_at_outside_linux(tmp_path):
    assert not keep_triton_out(tmp_path / "absent")


def test_triton_that_is_there_already_stays(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "triton", sys)
    maps = tmp_path / "maps"
    maps.write_text("libLLVM")
    assert not keep_triton_out(maps)
    assert sys.modules["triton"] is sys
