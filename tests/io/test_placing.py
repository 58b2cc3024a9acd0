from pathlib import Path

import pytest

from napari_segmate.io.placing import put_in_place, remove


def make(path: Path, kind: str, content: str) -> Path:
    if kind == "folder":
        path.mkdir()
        (path / "content").write_text(content)
    elif kind == "file":
        path.write_text(content)
    return path


def read(path: Path) -> str:
    return ((path / "content") if path.is_dir() else path).read_text()


@pytest.mark.parametrize("part", ["file", "folder"])
@pytest.mark.parametrize("target", ["nothing", "file", "folder"])
def test_the_new_stands_where_the_old_stood(tmp_path, part, target):
    new = make(tmp_path / "new.part", part, "new")
    place = make(tmp_path / "place", target, "old")
    put_in_place(new, place)
    assert read(place) == "new"
    assert place.is_dir() == (part == "folder")
    assert [one.name for one in tmp_path.iterdir()] == ["place"]


@pytest.mark.parametrize("target", ["file", "folder"])
def test_what_cannot_be_moved_leaves_the_old(tmp_path, target):
    place = make(tmp_path / "place", target, "old")
    with pytest.raises(OSError, match=r"missing\.part"):
        put_in_place(tmp_path / "missing.part", place)
    assert read(place) == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["place"]


def test_removing_what_is_not_there_is_no_error(tmp_path):
    remove(tmp_path / "nothing")
    remove(make(tmp_path / "folder", "folder", "old"))
    assert not list(tmp_path.iterdir())
