"""Read weights files without running what is in them."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from napari_segmate.core.errors import UnsafeFileError, WeightsError
from napari_segmate.core.files.paths import path_problem
from napari_segmate.core.files.weights import digest_of
from napari_segmate.models.base import Checkpoint

__all__ = ["INSTANCE_DECODER", "file_sha256", "read_checkpoint"]

STATE_KEYS = ("model_state", "model_state_dict", "state_dict", "model")
"""Where training programs keep the weights; micro-sam and torch_em use the first."""
INSTANCE_DECODER = "instance_decoder."
"""What the names of the weights of an instance decoder begin with, beside those of SAM."""


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal; remembered while the file stays the same."""
    status = path.stat()
    return _sha256(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _sha256(path: Path, size: int, mtime_ns: int) -> str:
    del size, mtime_ns  # part of the key only
    return digest_of(path).partition(":")[2]


def read_checkpoint(path: Path) -> Checkpoint:
    """Return the tensors of a weights file.

    Reads safetensors, SAM's official ``.pth``, micro-sam's ``{"model_state": ...}`` with or without
    ``"decoder_state"``, and training checkpoints whose names begin with ``sam.``. Nothing in the
    file is ever run.

    Raises
    ------
    WeightsError
        Missing, damaged, or without weights.
    UnsafeFileError
        The file would run code when it is read in the usual way.
    """
    problem = path_problem(path)
    if problem is not None or not path.is_file():
        raise WeightsError(f"no weights file {path}: it {problem or 'is a folder'}")
    state, metadata = _read_safetensors(path) if _is_safetensors(path) else (_read_torch(path), {})
    tensors = {
        str(name).removeprefix("sam."): value
        for name, value in state.items()
        if isinstance(value, torch.Tensor)
    }
    if not tensors:
        raise WeightsError(f"{path} holds no weights; choose a checkpoint of a model")
    return Checkpoint(path, tensors, metadata, file_sha256(path))


def _is_safetensors(path: Path) -> bool:
    return path.suffix == ".safetensors"


def _read_safetensors(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    try:
        with safe_open(path, "pt") as file:
            names = list(file.keys())
            return {name: file.get_tensor(name) for name in names}, dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError, OverflowError, RecursionError) as error:
        raise _damaged(path, error) from error


def _read_torch(path: Path) -> Mapping[str, Any]:
    try:
        with warnings.catch_warnings():
            # About the age of the pickle format: nothing that the user of a file can change.
            warnings.simplefilter("ignore", UserWarning)
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if _is_damaged(path):
            # What torch says is a page of advice on how to run the code in a file.
            raise _damaged(path, ValueError("no checkpoint of torch")) from error
        raise UnsafeFileError(
            f"{path} holds more than weights and could run code, so it was not opened. Ask for the "
            "weights alone, as safetensors or as a state dict saved with torch.save."
        ) from error
    except Exception as error:
        # A damaged pickle raises what it likes: IndexError, AttributeError, MemoryError, ...
        raise _damaged(path, error) from error
    return _state_of(loaded, path)


def _is_damaged(path: Path) -> bool:
    """Tell a broken file from one that holds forbidden objects."""
    if zipfile.is_zipfile(path):
        return False
    with path.open("rb") as file:
        # A pickle begins with its protocol and ends with a full stop; a zip cut short does neither.
        head = file.read(2)
        file.seek(0, 2)
        if file.tell() == 0:
            return True
        file.seek(-1, 2)
        return head[:1] != b"\x80" or file.read(1) != b"."


def _damaged(path: Path, error: Exception) -> WeightsError:
    lines = str(error).splitlines() or [type(error).__name__]
    return WeightsError(
        f"{path} cannot be read as weights ({lines[0]}): it is damaged, only "
        "half there, or another kind of file. Download or export it again."
    )


def _state_of(loaded: Any, path: Path) -> Mapping[str, Any]:
    if not isinstance(loaded, Mapping):
        raise WeightsError(
            f"{path} holds a {type(loaded).__name__}, not the weights of a model by name"
        )
    decoder = loaded.get("decoder_state")
    extra = decoder if isinstance(decoder, Mapping) else {}
    for key in STATE_KEYS:
        inner = loaded.get(key)
        if isinstance(inner, Mapping):
            return {**inner, **{f"{INSTANCE_DECODER}{name}": at for name, at in extra.items()}}
    return loaded
