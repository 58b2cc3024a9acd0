"""Recovery files: what was committed is on disk within seconds, and offered after a crash.

A file is a journal: each change appends the boxes it touched, so that a commit costs the size of
its objects and not that of the label image. A session holds a lock on its file; a file without one
was left behind.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Lock
from time import monotonic
from typing import IO

from filelock import FileLock, Timeout

from napari_segmate.core.errors import CacheError
from napari_segmate.sessions.journal import (
    Entry,
    Header,
    Patch,
    Recovered,
    entry_line,
    header_line,
    read_journal,
)

__all__ = [
    "Entry",
    "Header",
    "Leftover",
    "Patch",
    "Recovered",
    "RecoveryWriter",
    "discard",
    "leftovers",
    "read_journal",
]

SUFFIX = ".segmate-recovery"
INTERVAL_S = 2.0

Waiting = Entry | Callable[[], Entry]
Submit = Callable[[Callable[[], None]], object]


def _ignore(message: str) -> None:
    """Drop a warning."""


class RecoveryWriter:
    """Appends changes to a recovery file, in the background and not too often.

    `add`, `close` and `discard` are called on one thread; writing happens wherever `submit` runs
    it, one job at a time.

    Parameters
    ----------
    folder : Path
        Where recovery files lie; made when needed.
    header : Header
        Which label image this is.
    submit : callable
        ``submit(job)`` runs a job without arguments on another thread. The job may wait up to
        `interval_s` before it writes.
    interval_s : float
        Least time between two writes, seconds.
    warn : callable
        Called once, from the writing thread, with a sentence for the user when nothing can be
        written (disk full, read-only folder).
    """

    def __init__(
        self,
        folder: Path,
        header: Header,
        submit: Submit,
        *,
        interval_s: float = INTERVAL_S,
        warn: Callable[[str], None] = _ignore,
    ) -> None:
        self.path = Path(folder) / f"{uuid.uuid4().hex}{SUFFIX}"
        self._header = header
        self._submit = submit
        self._interval_s = interval_s
        self._warn = warn
        self._lock = Lock()
        self._write_lock = Lock()
        self._hurry = Event()
        self._waiting: list[Waiting] = []
        self._scheduled = False
        self._failed = False
        self._last_write = -interval_s
        self._file: IO[str] | None = None
        self._owner = _lock_of(self.path)

    @property
    def failed(self) -> bool:
        """True once something could not be written; nothing is written from then on."""
        return self._failed

    def add(self, entry: Waiting) -> None:
        """Take a change; it is on disk after `interval_s` at the latest.

        Parameters
        ----------
        entry : Entry or callable
            What changed; or what returns that, called without arguments by the writing thread.
        """
        with self._lock:
            if self._failed or self._hurry.is_set():
                return
            self._waiting.append(entry)
            start = not self._scheduled
            self._scheduled = True
        if start:
            self._submit(self._job)

    def flush(self) -> None:
        """Write what waits, now, on this thread."""
        with self._write_lock:
            with self._lock:
                waiting, self._waiting = self._waiting, []
            if waiting and not self._failed:
                self._write(waiting)

    def close(self) -> None:
        """Write what waits and leave the file for the next start."""
        self._hurry.set()
        self.flush()
        self._close_file()

    def discard(self) -> None:
        """Remove the file: the session ended as it should."""
        self._hurry.set()
        with self._lock:
            self._waiting = []
        self._close_file()
        with suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _job(self) -> None:
        self._hurry.wait(max(0.0, self._last_write + self._interval_s - monotonic()))
        with self._lock:
            self._scheduled = False
        self.flush()

    def _write(self, waiting: list[Waiting]) -> None:
        try:
            entries = [one() if callable(one) else one for one in waiting]
            lines = [entry_line(one) for one in entries if not one.empty]
            if not lines:
                return
            file = self._opened()
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        except Exception as error:  # labels that live elsewhere may raise anything when read
            self._failed = True
            self._warn(
                f"The recovery file {self.path} cannot be written ({error}); save your labels "
                "often, and free some space or choose another folder in the settings."
            )
        self._last_write = monotonic()

    def _opened(self) -> IO[str]:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Before the file is there: no other process may take it for one left behind.
            with suppress(NotImplementedError):  # a file system without locks
                self._owner.acquire()
            self._file = self.path.open("a", encoding="utf-8")
            self._file.write(header_line(self._header))
        return self._file

    def _close_file(self) -> None:
        with self._write_lock:
            if self._file is not None:
                with suppress(OSError):  # a full disk fails here once more
                    self._file.close()
                self._file = None
                _release(self._owner)


@dataclass(frozen=True)
class Leftover:
    """A recovery file that no running session owns.

    Parameters
    ----------
    path : Path
        The file.
    header : Header
        Which label image it belongs to.
    n_objects : int
        Objects with a record.
    n_changes : int
        Changes in the file.
    modified : datetime
        Time of the last change, UTC.
    """

    path: Path
    header: Header
    n_objects: int
    n_changes: int
    modified: datetime


def leftovers(folder: str | os.PathLike[str]) -> tuple[Leftover, ...]:
    """Return the recovery files that crashed sessions left behind, newest first.

    Files of sessions that are still running, here or in another process, are left out; so are
    files that cannot be read.
    """
    found = []
    for path in Path(folder).glob(f"*{SUFFIX}"):
        if _abandoned(path):
            with suppress(CacheError, OSError):
                found.append(_leftover(path))
    return tuple(sorted(found, key=lambda one: one.modified, reverse=True))


def discard(path: str | os.PathLike[str]) -> None:
    """Remove a recovery file.

    Raises
    ------
    OSError
        It cannot be removed.
    """
    Path(path).unlink(missing_ok=True)


def _lock_of(path: Path) -> FileLock:
    """Return the lock that says that a running process writes a recovery file."""
    return FileLock(f"{path}.lock", timeout=0, thread_local=False)


def _release(lock: FileLock) -> None:
    lock.release()
    with suppress(OSError):
        Path(lock.lock_file).unlink(missing_ok=True)


def _abandoned(path: Path) -> bool:
    lock = _lock_of(path)
    try:
        lock.acquire()
    except NotImplementedError:  # a file system without locks: nothing can be known there
        return True
    except (Timeout, OSError):
        return False
    _release(lock)
    return True


def _leftover(path: Path) -> Leftover:
    recovered = read_journal(path)
    modified = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return Leftover(
        path, recovered.header, len(recovered.records), len(recovered.entries), modified
    )
