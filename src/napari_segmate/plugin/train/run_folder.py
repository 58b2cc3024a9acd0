"""Folders of trainings under way: what they learn from, and how to go on with them."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from napari_segmate.core.errors import CacheError
from napari_segmate.core.files.atomic import write_text
from napari_segmate.training.presets import Preset

__all__ = ["Order", "TrainingFolder", "interrupted_trainings"]

ORDER, LOCK, DATA, LOG = "order.json", "lock", "data", "log.txt"
STALE_S = 30 * 24 * 3600
"""What was left behind longer ago is not offered any more."""


@dataclass(frozen=True)
class Order:
    """What is to be trained, besides the data.

    Parameters
    ----------
    name : str
        Of the new model.
    model : str
        To begin with.
    preset : Preset
        How much of it learns.
    device : str
        Where.
    architecture : str
        Of the model: what its trainings take, that of its descendants takes.
    polarity : bool
        Also learn from bright and dark exchanged.
    """

    name: str
    model: str
    preset: Preset = Preset.QUICK
    device: str = "auto"
    architecture: str = ""
    polarity: bool = False


@dataclass(eq=False)
class TrainingFolder:
    """The folder of one training; locked while somebody looks after it.

    Parameters
    ----------
    path : Path
        The folder.
    order : Order
        What is trained.
    """

    path: Path
    order: Order
    _lock: FileLock | None = field(default=None, repr=False)

    @property
    def data(self) -> Path:
        """What is learnt from."""
        return self.path / DATA

    @property
    def log(self) -> Path:
        """What the process says besides events."""
        return self.path / LOG

    @classmethod
    def create(cls, root: Path, order: Order) -> TrainingFolder:
        """Make a folder for a new training.

        Raises
        ------
        CacheError
            The disk cannot be written.
        """
        path = root / f"{order.name}-{time.time_ns():x}"
        folder = cls(path, order)
        try:
            path.mkdir(parents=True)
            folder.lock()
            write_text(path / ORDER, json.dumps(asdict(order)))
        except OSError as error:
            raise CacheError(
                f"cannot write to {root} ({error.strerror or error}). Free some space or give "
                "write access, or set NAPARI_SEGMATE_CACHE to another folder"
            ) from error
        return folder

    def lock(self) -> bool:
        """Take it over; False when another program looks after it."""
        if self._lock is None:
            lock = FileLock(self.path / LOCK, timeout=0, thread_local=False)
            try:
                lock.acquire()
            except Timeout:
                return False
            self._lock = lock
        return True

    def release(self) -> None:
        """Unlock it for other programs."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def remove(self) -> None:
        """Delete it with everything in it."""
        self.release()
        shutil.rmtree(self.path, ignore_errors=True)


def interrupted_trainings(root: Path) -> list[TrainingFolder]:
    """Return the trainings that nobody looks after, the last one first; old ones are deleted."""
    found = []
    for path in sorted(root.glob(f"*/{ORDER}"), key=lambda one: one.stat().st_mtime, reverse=True):
        folder = _read(path)
        if folder is None or not folder.lock():
            continue
        complete = (folder.data / "manifest.json").is_file()
        if not complete or time.time() - path.stat().st_mtime > STALE_S:
            folder.remove()
            continue
        folder.release()
        found.append(folder)
    return found


def _read(path: Path) -> TrainingFolder | None:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        order = Order(**{**values, "preset": Preset(values["preset"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return TrainingFolder(path.parent, order)
