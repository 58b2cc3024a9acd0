"""Objects by name, from the modules of a package and from entry points."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from napari_segmate.core import registry as registry_module
from napari_segmate.core.errors import SegmateError, UnknownNameError
from napari_segmate.core.registry import Registry

MODULE = """
class Thing:
    name = {name!r}
THING = Thing()
"""


@dataclass(frozen=True)
class Other:
    name: str


MakeRegistry = Callable[..., Registry[Other]]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeRegistry]:
    """Makes a registry over a package with the given modules."""
    monkeypatch.syspath_prepend(tmp_path)

    def registry(*entries: EntryPoint, **modules: str) -> Registry[Other]:
        package = tmp_path / "some_things"
        package.mkdir()
        (package / "__init__.py").write_text("")
        for name, text in modules.items():
            (package / f"{name}.py").write_text(text)
        monkeypatch.setattr(registry_module, "entry_points", lambda group: entries)
        return Registry("thing", "some_things", "THING", "some.things")

    yield registry
    for name in [name for name in sys.modules if name.startswith("some_things")]:
        del sys.modules[name]


def test_modules_with_the_attribute_are_found_in_order(make: MakeRegistry) -> None:
    found = make(b=MODULE.format(name="second"), a=MODULE.format(name="first"), c="x = 1")
    assert list(found) == ["first", "second"]
    assert len(found) == 2
    assert found["second"].name == "second"


def test_private_modules_are_left_alone(make: MakeRegistry) -> None:
    assert list(make(_broken="raise ValueError('imported')", a=MODULE.format(name="a"))) == ["a"]


def test_nothing_is_imported_before_the_first_question(make: MakeRegistry) -> None:
    found = make(broken="raise RuntimeError('imported')")
    with pytest.raises(RuntimeError, match="imported"):
        list(found)


def test_other_distributions_add_theirs(make: MakeRegistry) -> None:
    entry = EntryPoint("theirs", "some_things._theirs:THING", "some.things")
    found = make(entry, a=MODULE.format(name="a"), _theirs=MODULE.format(name="theirs"))
    assert list(found) == ["a", "theirs"]


def test_two_of_the_same_name_are_an_error(make: MakeRegistry) -> None:
    found = make(a=MODULE.format(name="same"), b=MODULE.format(name="same"))
    with pytest.raises(SegmateError, match="two objects register the thing 'same'"):
        list(found)


def test_an_unknown_name_gets_the_nearest_and_all_names(make: MakeRegistry) -> None:
    found = make(a=MODULE.format(name="vit_b"), b=MODULE.format(name="tiny"))
    with pytest.raises(UnknownNameError) as raised:
        found["vitb"]
    assert str(raised.value) == (
        "no thing 'vitb' (did you mean 'vit_b'?); choose one of ['vit_b', 'tiny']"
    )
    assert "vitb" not in found
