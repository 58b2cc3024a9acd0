from pathlib import Path

import pytest

from napari_segmate.core.files import atomic
from napari_segmate.core.files.atomic import (
    is_temporary,
    part_of,
    put_in_place,
    remove,
    replacing,
    restore_interrupted,
    write_text,
)


def make(path: Path, kind: str, content: str) -> Path:
    if kind == "folder":
        path.mkdir()
        (path / "content").write_text(content)
    elif kind == "file":
        path.write_text(content)
    return path


def read(path: Path) -> str:
    return ((path / "content") if path.is_dir() else path).read_text()


@pytest.fixture(params=["in one step", "in two steps"])
def steps(request, monkeypatch):
    """Whether the system can let two folders change places."""
    if request.param == "in two steps":
        monkeypatch.setattr(atomic, "_exchange", lambda part, target: False)


@pytest.mark.usefixtures("steps")
@pytest.mark.parametrize("part", ["file", "folder"])
@pytest.mark.parametrize("target", ["nothing", "file", "folder"])
def test_the_new_stands_where_the_old_stood(tmp_path, part, target):
    new = make(tmp_path / "new.part", part, "new")
    place = make(tmp_path / "place", target, "old")
    put_in_place(new, place)
    assert read(place) == "new"
    assert place.is_dir() == (part == "folder")
    assert [one.name for one in tmp_path.iterdir()] == ["place"]


@pytest.mark.usefixtures("steps")
@pytest.mark.parametrize("target", ["file", "folder"])
def test_what_cannot_be_moved_leaves_the_old(tmp_path, target):
    place = make(tmp_path / "place", target, "old")
    with pytest.raises(OSError, match="missing"):
        put_in_place(tmp_path / "missing.part", place)
    assert read(place) == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["place"]


def test_removing_what_is_not_there_is_no_error(tmp_path):
    remove(tmp_path / "nothing")
    remove(make(tmp_path / "folder", "folder", "old"))
    assert not list(tmp_path.iterdir())


class Killed(BaseException):
    """The process ends here."""


def test_a_folder_set_aside_by_a_killed_replacement_comes_back(tmp_path, monkeypatch):
    place = make(tmp_path / "place.zarr", "folder", "old")
    new = make(tmp_path / "new", "folder", "new")
    rename = Path.rename

    def killed_after_the_first(self, target):
        rename(self, target)
        raise Killed

    monkeypatch.setattr(atomic, "_exchange", lambda part, target: False)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Path, "rename", killed_after_the_first)
        put_in_place(new, place)
    assert not place.exists()
    assert restore_interrupted(place)
    assert read(place) == "old"
    assert not restore_interrupted(place)
    put_in_place(new, place)
    assert read(place) == "new"
    assert [one.name for one in tmp_path.iterdir()] == ["place.zarr"]


def test_what_a_finished_replacement_left_aside_is_removed(tmp_path):
    place = make(tmp_path / "place", "folder", "new")
    make(part_of(place, "old"), "folder", "old")
    other = make(part_of(tmp_path / "place2", "old"), "folder", "of another")
    assert not restore_interrupted(place)
    assert read(place) == "new"
    assert {one.name for one in tmp_path.iterdir()} == {"place", other.name}


def test_a_link_planted_at_a_guessed_name_is_not_followed(tmp_path, monkeypatch):
    victim = make(tmp_path / "victim", "file", "mine")
    target = tmp_path / "labels.tif"
    monkeypatch.setattr(atomic.secrets, "token_hex", lambda count: "0" * 2 * count)
    part_of(target).symlink_to(victim)
    with pytest.raises(FileExistsError):
        write_text(target, "theirs")
    assert victim.read_text() == "mine"
    assert not target.exists()


def test_a_link_in_the_place_is_replaced_and_what_it_names_stays(tmp_path):
    elsewhere = make(tmp_path / "elsewhere", "folder", "mine")
    link = tmp_path / "labels.zarr"
    link.symlink_to(elsewhere)
    put_in_place(make(tmp_path / "new", "folder", "new"), link)
    assert read(link) == "new" and not link.is_symlink()
    assert read(elsewhere) == "mine"


def test_an_error_while_writing_leaves_the_old_file_and_nothing_else(tmp_path):
    target = make(tmp_path / "labels.tif", "file", "old")

    def write():
        with replacing(target) as part:
            part.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write()
    assert read(target) == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["labels.tif"]


def test_file_and_folder_are_synced_before_and_after_the_rename(tmp_path, monkeypatch):
    order = []
    replace, sync = Path.replace, atomic._sync_one

    def replaced(self, target):
        order.append("rename")
        return replace(self, target)

    def synced(path):
        order.append("folder" if path.is_dir() else "file")
        sync(path)

    monkeypatch.setattr(Path, "replace", replaced)
    monkeypatch.setattr(atomic, "_sync_one", synced)
    write_text(tmp_path / "labels.json", "{}")
    assert order == ["file", "rename", "folder"]


def test_a_disk_that_refuses_to_sync_is_an_error_and_the_old_file_stays(tmp_path, monkeypatch):
    target = make(tmp_path / "labels.json", "file", "old")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_text(target, "new")
    assert read(target) == "old"


@pytest.mark.parametrize("name", ["a" * 251 + ".tif", "ü" * 120 + ".zarr", ".hidden", "no ending"])
def test_temporary_names_are_known_and_no_longer_than_file_systems_allow(tmp_path, name):
    for kind in ("part", "old"):
        path = part_of(tmp_path / name, kind)
        assert len(path.name.encode()) <= 255
        assert path.name.startswith(".") and is_temporary(path)
    assert not is_temporary(tmp_path / name)
