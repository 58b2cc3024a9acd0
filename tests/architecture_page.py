"""Reads which files and functions the pages about the code name, and finds them in the package."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "napari_segmate"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
PLACE = re.compile(r"`(?P<path>[\w/]+\.py):(?P<name>[\w.]+)`")
PATH = re.compile(r"`(?P<path>[\w/]+\.(?:py|yaml)|[\w/]+/)`")


@dataclass(frozen=True)
class Place:
    """A function, class, method or constant, as a page names it."""

    path: str
    name: str

    def __str__(self) -> str:
        return f"{self.path}:{self.name}"


def places(text: str) -> list[Place]:
    """Return every ``path.py:name`` of a text."""
    return [Place(found["path"], found["name"]) for found in PLACE.finditer(text)]


def paths(text: str) -> list[str]:
    """Return every file and folder that a text names without a function."""
    return [found["path"] for found in PATH.finditer(text)]


def section(title: str) -> str:
    """Return what the page about the architecture says below one of its headings."""
    parts = re.split(r"^## (.+)\n", ARCHITECTURE.read_text(encoding="utf-8"), flags=re.M)
    found = dict(zip(parts[1::2], parts[2::2], strict=True))
    return found[title]


def stations(walk: str) -> list[Place]:
    """Return what a walk through the code passes, "a click" for instance, in order."""
    lines = section(f"The stations of {walk}").splitlines()
    return places("\n".join(line for line in lines if line.startswith("|")))


@cache
def definitions(path: str) -> frozenset[str]:
    """Return the qualified names that a file of the package defines."""
    return frozenset(_names(ast.parse((PACKAGE / path).read_text(encoding="utf-8")).body))


def _names(body: list[ast.stmt], before: str = "") -> Iterator[str]:
    for node in body:
        match node:
            case ast.ClassDef(name=name):
                yield before + name
                yield from _names(node.body, f"{before}{name}.")
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield before + name
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield before + name
            case ast.Assign(targets=targets):
                yield from (before + one.id for one in targets if isinstance(one, ast.Name))
