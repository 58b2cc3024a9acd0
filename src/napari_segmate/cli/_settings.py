"""Settings of automask from a JSON file: names and types checked before anything runs."""

from __future__ import annotations

import json
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints

from napari_segmate.core.errors import ParameterError, UnknownNameError
from napari_segmate.core.files.json_reader import read_json
from napari_segmate.core.numbers.lengths import Length, parse_length
from napari_segmate.core.registry import unknown_name

if TYPE_CHECKING:
    from napari_segmate.tasks.automask.params import Params

__all__ = ["read_settings"]

LONGEST = 1 << 20
"""Bytes of a file of settings."""


def read_settings(path: Path) -> tuple[Params, Length | None]:
    """Return the settings in a file, and the typical size of objects.

    The size is not in the settings: where it is in micrometres, it depends on the image.

    Raises
    ------
    ParameterError
        The file cannot be read, or a value is of the wrong type or out of range.
    UnknownNameError
        A setting that does not exist.
    """
    from napari_segmate.inference.automask.grid_params import GridParams
    from napari_segmate.tasks.automask.params import Params

    values = _read(path)
    try:
        diameter = values.pop("diameter", None)
        size = None if diameter is None else parse_length(diameter)
        grid = values.pop("grid", None)
        points = GridParams(**({} if grid is None else _checked("grid", grid, GridParams)))
        return Params(**_checked("settings", values, Params), grid=points), size
    except (ParameterError, UnknownNameError) as error:
        raise type(error)(f"{path}: {error}") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        values = read_json(path, LONGEST)
    except OSError as error:
        raise ParameterError(
            f"cannot read the settings in {path}: {error.strerror or error}"
        ) from error
    except ValueError as error:
        raise ParameterError(f"cannot read the settings in {path}: no JSON ({error})") from error
    if not isinstance(values, dict):
        raise ParameterError(f'{path} must hold one JSON object of settings, as {{"min_area": 30}}')
    return values


def _checked(what: str, values: Any, kind: type) -> dict[str, Any]:
    """Return values for the fields of a dataclass, names of an enumeration as its members."""
    if not isinstance(values, dict):
        raise ParameterError(f"{what} must be a JSON object, not {shown(values)}")
    types = get_type_hints(kind)
    known = [one.name for one in fields(kind)]
    for name in values:
        if name not in known:
            raise unknown_name("setting", name, known)
    return {name: _value(name, value, types[name]) for name, value in values.items()}


def _value(name: str, value: Any, wanted: Any) -> Any:
    allowed = get_args(wanted) if get_origin(wanted) in (Union, UnionType) else (wanted,)
    for kind in allowed:
        if isinstance(kind, type) and issubclass(kind, StrEnum) and value is not None:
            names = [str(one) for one in kind]
            if value not in names:
                raise unknown_name(name, str(value), names)
            return kind(value)
    plain = [get_origin(kind) or kind for kind in allowed]
    if tuple in plain and isinstance(value, list):
        return tuple(value)
    exact = isinstance(value, bool) or value is None
    fits = type(value) in plain if exact else isinstance(value, tuple(plain))
    if not fits and not (float in plain and type(value) is int):
        words = " or ".join(WORDS[kind] for kind in plain)
        raise ParameterError(f"{name} must be {words}, not {shown(value)}")
    return value


def shown(value: Any) -> str:
    """Return a value for a message, shortened."""
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:80]} ..."


WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    tuple: "a list",
    NoneType: "null",
}
"""What JSON calls the types of settings."""
