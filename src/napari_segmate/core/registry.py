"""Find things by name: one object per module of a package, plus entry points of third parties."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from enum import StrEnum
from functools import cached_property
from importlib.metadata import entry_points
from typing import Generic, Protocol, TypeVar

from napari_segmate.core.errors import SegmateError, UnknownNameError

__all__ = ["Named", "Registry", "as_member", "unknown_name"]


class Named(Protocol):
    """Anything with a name."""

    @property
    def name(self) -> str:
        """The name it is registered under."""
        ...


T = TypeVar("T", bound=Named)
Member = TypeVar("Member", bound=StrEnum)
LONGEST_SHOWN = 80
"""Letters of a wrong name that a message repeats."""


def unknown_name(kind: str, name: str, known: list[str]) -> UnknownNameError:
    """Return the error for a name that is not known, with the nearest and all allowed names."""
    if len(name) > LONGEST_SHOWN:
        name = f"{name[:LONGEST_SHOWN]}..."
    near = get_close_matches(name, known, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return UnknownNameError(f"no {kind} {name!r}{hint}; choose one of {known}")


def as_member(kind: str, value: object, members: type[Member]) -> Member:
    """Return a member of an enumeration of names, given itself or as a text.

    Raises
    ------
    UnknownNameError
        No such name; gives the nearest and all others.
    """
    names = [str(one) for one in members]
    if not isinstance(value, str) or str(value) not in names:
        raise unknown_name(kind, str(value), names)
    return members(value)


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
        self._broken: dict[str, str] = {}

    @cached_property
    def _found(self) -> dict[str, T]:
        found: dict[str, T] = {}
        for item in self._from_package():
            if item.name in found:
                raise SegmateError(f"two objects register the {self._kind} {item.name!r}")
            found[item.name] = item
        for entry in entry_points(group=self._group):
            try:
                item = entry.load()
                if item.name in found:
                    raise SegmateError(f"there is a {self._kind} {item.name!r} already")
                found[item.name] = item
            except (Exception, SystemExit) as error:
                # One broken neighbour must not take all others away.
                self._broken[entry.name] = f"{type(error).__name__}: {error}"
        return found

    @property
    def broken(self) -> Mapping[str, str]:
        """What other distributions add and cannot be used, by name, with the reason."""
        _ = self._found
        return self._broken

    def _from_package(self) -> Iterator[T]:
        package = importlib.import_module(self._package)
        for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
            if not info.name.startswith("_"):
                module = importlib.import_module(f"{self._package}.{info.name}")
                if hasattr(module, self._attribute):
                    yield getattr(module, self._attribute)

    def __getitem__(self, name: str) -> T:
        try:
            return self._found[name]
        except KeyError:
            raise unknown_name(self._kind, name, list(self._found)) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)
