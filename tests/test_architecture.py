"""The pages about the code name rooms, walls and stations that exist."""

from __future__ import annotations

import tomllib

import pytest
from architecture_page import (
    ARCHITECTURE,
    PACKAGE,
    ROOT,
    definitions,
    paths,
    places,
    section,
    stations,
)

PAGES = [ARCHITECTURE, ROOT / "docs" / "glossary.md"]
WALKS = ["a click", "a commit", "an automask", "a training"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_and_functions_of_a_page_exist(page):
    found = places(page.read_text(encoding="utf-8"))
    assert len(found) > 20
    missing = [
        str(one)
        for one in found
        if not (PACKAGE / one.path).is_file() or one.name not in definitions(one.path)
    ]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_paths_of_a_page_exist(page):
    found = paths(page.read_text(encoding="utf-8"))
    # In lists of files the folder is said once.
    known = {one.name for one in PACKAGE.rglob("*.py")}
    missing = [one for one in found if not (PACKAGE / one).exists() and one not in known]
    assert missing == []


def test_every_room_is_in_the_table_of_rooms():
    folders = [one.parent for one in PACKAGE.rglob("__init__.py") if one.parent != PACKAGE]
    files = [one.name for one in PACKAGE.glob("*.py") if not one.name.startswith("__")]
    rooms = {f"{folder.relative_to(PACKAGE).as_posix()}/" for folder in folders} | set(files)
    assert rooms - set(paths(section("Rooms"))) == set()


def test_walls_are_those_that_imports_are_checked_against():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    walls = section("Walls")
    for contract in (one for one in contracts if one["type"] == "layers"):
        ladder = " → ".join(f"`{layer}`" for layer in contract["layers"])
        assert ladder in walls, contract["name"]


@pytest.mark.parametrize("walk", WALKS)
def test_a_walk_through_the_code_has_stations_in_several_rooms(walk):
    found = stations(walk)
    assert len(found) >= 10
    assert len({one.path.rpartition("/")[0] for one in found}) >= 5


def test_every_word_of_the_glossary_is_explained_once_in_a_sentence():
    lines = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line]
    words = [row for row in rows if row[0] not in ("word", "---")]
    assert len(words) > 50
    assert len({word for word, *_ in words}) == len(words)
    assert [word for word, text, _ in words if not text.endswith(".")] == []
