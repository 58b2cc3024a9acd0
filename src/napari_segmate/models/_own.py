"""Models of the user's own: one self-describing file each, listed beside those that come along."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_segmate.core.errors import CacheError, ParameterError, WeightsError
from napari_segmate.core.files.atomic import replacing
from napari_segmate.core.files.json_reader import parse_json
from napari_segmate.core.files.paths import path_problem
from napari_segmate.core.files.weights import own_models_folder
from napari_segmate.core.numbers.lengths import LARGEST_PX
from napari_segmate.models.base import ModelInfo

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "FORMAT",
    "broken_models",
    "check_name",
    "check_version",
    "described",
    "own_models",
    "own_path",
    "read_header",
    "write_own",
]

FORMAT = "segmate-model"
VERSION = 1
LONGEST_HEADER = 1 << 24
DIGITS = 19
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.\-]{0,63}")


def own_path(name: str) -> Path:
    """Return where the file of a model of this name belongs."""
    return own_models_folder() / f"{name}.safetensors"


def own_models() -> tuple[ModelInfo, ...]:
    """Return the models in the user's folder, by name; files that are none are left out."""
    folder = own_models_folder()
    found = []
    for path in _files(folder):
        try:
            header = read_header(path)
            if header.get("format") == FORMAT:
                found.append(described(path, header))
        except WeightsError:
            continue
    return tuple(found)


def broken_models() -> Mapping[str, str]:
    """Return what in the user's folder cannot be used, by path, with the reason."""
    folder = own_models_folder()
    problem = path_problem(folder)
    if problem is not None:
        return {} if not folder.exists() and not folder.is_symlink() else {str(folder): problem}
    broken = {}
    for path in _files(folder):
        try:
            described(path, read_header(path))
        except WeightsError as error:
            broken[str(path)] = str(error)
    return broken


def _files(folder: Path) -> list[Path]:
    if path_problem(folder) is not None or not folder.is_dir():
        return []
    return sorted(one for one in folder.glob("*.safetensors") if not one.name.startswith("."))


def described(path: Path, header: Mapping[str, str]) -> ModelInfo:
    """Return what the header of a file says about the model in it."""
    base = header.get("base", "")
    return ModelInfo(
        name=path.stem,
        title=f"{path.stem} (own)",
        description=header.get("summary", "") or f"trained from {base}",
        architecture=header.get("architecture", ""),
        licence=header.get("licence", ""),
        source=str(path),
        parameters=_number(header.get("parameters")),
        instance_head=header.get("instance_head") == "true",
        diameter=_diameter(header.get("diameter")),
        base=base,
        path=path,
    )


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < DIGITS else 0


def _diameter(text: str | None) -> float:
    try:
        value = float(text or 0)
    except ValueError:
        return 0.0
    return value if 0 <= value <= LARGEST_PX else 0.0


def _printable(text: str) -> str:
    """Return a text without control codes, which could command the terminal that shows it."""
    return "".join(letter for letter in text if letter.isprintable() or letter == "\n")


def read_header(path: Path) -> dict[str, str]:
    """Return the metadata of a safetensors file without reading its tensors.

    Raises
    ------
    WeightsError
        Missing, damaged, or no safetensors file.
    """
    problem = path_problem(path)
    if problem is not None:
        raise WeightsError(f"{path} {problem}")
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 0 < length <= LONGEST_HEADER:
                raise ValueError("no header")
            content = file.read(length)
            if len(content) < length:
                raise ValueError(f"the header ends after {len(content)} of {length} bytes")
            header: Any = parse_json(content)
        metadata = header.get("__metadata__") or {}
        return {_printable(str(name)): _printable(str(value)) for name, value in metadata.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise WeightsError(
            f"{path} cannot be read as weights ({error}): it is damaged, only half there, or "
            "another kind of file"
        ) from error


def check_version(path: Path, metadata: Mapping[str, str]) -> None:
    """Refuse a model that a newer version has written.

    Raises
    ------
    WeightsError
        The file is newer than this program.
    """
    version = metadata.get("format_version", "1")
    if metadata.get("format") == FORMAT and _number(version) not in range(VERSION + 1):
        raise WeightsError(
            f"{path.name} was written by napari-segmate {metadata.get('plugin_version', '?')}, "
            "which is newer than this one; update with: pip install -U napari-segmate"
        )


def check_name(name: str, taken: Sequence[str], overwrite: bool = False) -> str:
    """Return a name for a new model.

    Parameters
    ----------
    name : str
        What the user typed.
    taken : sequence of str
        Names of models that come along.
    overwrite : bool
        Allow the name of an own model.

    Raises
    ------
    ParameterError
        Taken, or not usable as the name of a file.

    Examples
    --------
    >>> check_name("my cells", ["tiny"])
    'my cells'
    """
    stripped = name.strip()
    if not NAME.fullmatch(stripped):
        raise ParameterError(
            f"{name!r} cannot be the name of a model; use letters, digits, spaces, '-', '_' and "
            "'.', at most 64 of them, beginning with a letter or digit"
        )
    if stripped in taken:
        raise ParameterError(
            f"{stripped!r} is the name of a model that comes along; choose another name"
        )
    if own_path(stripped).exists() and not overwrite:
        raise ParameterError(
            f"there is a model {stripped!r} already ({own_path(stripped)}); choose another name, "
            "or replace it (--overwrite, overwrite=True)"
        )
    return stripped


def write_own(path: Path, weights: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a self-describing model, at once or not at all.

    Raises
    ------
    CacheError
        The disk is full or cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    header = {**metadata, "format": FORMAT, "format_version": str(VERSION)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            save_file({name: value.contiguous() for name, value in weights.items()}, part, header)
    except (OSError, SafetensorError) as error:
        raise CacheError(
            f"the model cannot be written to {path} ({error}); free some space or choose another "
            "folder with NAPARI_SEGMATE_MODELS"
        ) from error
