"""Embeddings on disk: one zarr archive each, whole or not there at all."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.types import Embedding

__all__ = ["DiskCache"]

SUFFIX = ".embedding.zip"
ABANDONED_S = 3600.0
"""Age at which a half-written file can only be what a dead process left."""


def _digest(arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    digest = blake2b(digest_size=16)
    for name in sorted(arrays):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return digest.hexdigest()


def _write(path: Path, embedding: Embedding) -> None:
    import zarr
    from zarr.storage import ZipStore

    with ZipStore(path, mode="w") as store:
        root = zarr.create_group(store=store, zarr_format=3)
        for name, array in embedding.arrays.items():
            stored = root.create_array(
                name, shape=array.shape, dtype=array.dtype, chunks=array.shape, compressors=None
            )
            stored[...] = array
        # Written last: an archive with this group holds everything that belongs to it.
        root.create_group(
            "complete",
            attributes={
                "digest": _digest(embedding.arrays),
                "image_shape": list(embedding.image_shape),
                "model_key": embedding.model_key,
            },
        )


def _read(path: Path) -> Embedding:
    import zarr
    from zarr.storage import ZipStore

    with ZipStore(path, mode="r") as store:
        root = zarr.open_group(store=store, mode="r")
        facts: dict[str, Any] = dict(root["complete"].attrs.asdict())
        arrays = {name: np.asarray(array[...]) for name, array in root.arrays()}
    if _digest(arrays) != facts["digest"]:
        raise ValueError(f"the content of {path} is not what was written")
    height, width = facts["image_shape"]
    return Embedding(arrays, (int(height), int(width)), str(facts["model_key"]))


def _move(part: Path, target: Path) -> None:
    try:
        part.replace(target)
    except PermissionError:
        # Windows, while another process reads the same entry: what it reads is as good.
        if not target.exists():
            raise


@dataclass(frozen=True)
class DiskCache:
    """A folder of embeddings that several processes may share.

    A file appears under its name only once it is complete, so a reader never sees half of one. A
    damaged file is removed and reads as absent. When the folder grows beyond its limit the files
    used longest ago go first.

    Parameters
    ----------
    folder : Path
        Where the files lie; made when needed.
    limit_bytes : int
        Largest size of all files together.
    """

    folder: Path
    limit_bytes: int

    def path(self, key: str) -> Path:
        """Return where the embedding of `key` lies."""
        return self.folder / f"{key}{SUFFIX}"

    def load(self, key: str) -> Embedding | None:
        """Return a stored embedding; None when there is none or it is damaged."""
        path = self.path(key)
        if not path.is_file():
            return None
        try:
            embedding = _read(path)
        except Exception:
            # Whatever a damaged archive raises (zip, JSON, zarr and codec errors), the cure is one.
            with suppress(OSError):
                path.unlink()
            return None
        with suppress(OSError):
            os.utime(path)
        return embedding

    def save(self, key: str, embedding: Embedding) -> None:
        """Store an embedding, then make room.

        Raises
        ------
        OSError
            The folder cannot be written or the disk is full.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.folder / f"{uuid.uuid4().hex}.part"
        try:
            _write(part, embedding)
            _move(part, self.path(key))
        finally:
            part.unlink(missing_ok=True)
        self._evict(keep=self.path(key))

    def clear(self) -> None:
        """Remove every stored embedding."""
        for path in self.folder.glob(f"*{SUFFIX}"):
            with suppress(OSError):
                path.unlink()

    @property
    def nbytes(self) -> int:
        """Size of all stored embeddings."""
        return sum(size for _, size, _ in self._files())

    def _files(self) -> list[tuple[float, int, Path]]:
        """Return time of last use, size and path of every file, oldest first."""
        files = []
        for path in self.folder.glob(f"*{SUFFIX}"):
            with suppress(OSError):  # another process may have removed it meanwhile
                status = path.stat()
                files.append((status.st_mtime, status.st_size, path))
        return sorted(files)

    def _evict(self, keep: Path) -> None:
        files = self._files()
        excess = sum(size for _, size, _ in files) - self.limit_bytes
        for _, size, path in files:
            if excess <= 0:
                break
            if path != keep:
                with suppress(OSError):
                    path.unlink()
                    excess -= size
        self._sweep()

    def _sweep(self) -> None:
        """Remove what processes that died while writing left behind."""
        for part in self.folder.glob("*.part"):
            with suppress(OSError):
                if time.time() - part.stat().st_mtime > ABANDONED_S:
                    part.unlink()
