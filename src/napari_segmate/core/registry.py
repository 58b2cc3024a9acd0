"""Find things by name: one object per module of a package, plus entry points of third parties."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cached_property
from importlib.metadata import entry_points
from typing import Generic, Protocol, TypeVar

from napari_segmate.core.errors import SegmateError, UnknownNameError

__all__ = ["Named", "Registry", "unknown_name"]


class Named(Protocol):
    """Anything with a name."""

    @property
    def name(self) -> str:
        """The name it is registered under."""
        ...


T = TypeVar("T", bound=Named)


def unknown_name(kind: str, name: str, known: list[str]) -> UnknownNameError:
    """Return the error for a name that is not known, with the nearest and all allowed names."""
    near = get_close_matches(name, known, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return UnknownNameError(f"no {kind} {name!r}{hint}; choose one of {known}")


class Registry(Mapping[str, T], Generic[T]):
    """Objects by name, collected on first use.

    Parameters
    ----------
    kind : str
        What the objects are, for messages: ``"model family"``.
    package : str
        Package whose public modules are searched.
    attribute : str
        Name that a module gives its object: ``FAMILY``.
    group : str
        Entry point group through which other distributions add theirs.
    """

    def __init__(self, kind: str, package: str, attribute: str, group: str) -> None:
        self._kind = kind
        self._package = package
        self._attribute = attribute
        self._group = group

    @cached_property
    def _found(self) -> dict[str, T]:
        found: dict[str, T] = {}
        for item in (*self._from_package(), *self._from_entry_points()):
            if item.name in found:
                raise SegmateError(f"two objects register the {self._kind} {item.name!r}")
            found[item.name] = item
        return found

    def _from_package(self) -> Iterator[T]:
        package = importlib.import_module(self._package)
        for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
            if not info.name.startswith("_"):
                module = importlib.import_module(f"{self._package}.{info.name}")
                if hasattr(module, self._attribute):
                    yield getattr(module, self._attribute)

    def _from_entry_points(self) -> Iterator[T]:
        for entry in entry_points(group=self._group):
            yield entry.load()

    def __getitem__(self, name: str) -> T:
        try:
            return self._found[name]
        except KeyError:
            raise unknown_name(self._kind, name, list(self._found)) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)
