"""A lock on an open file that ends with its process, however that ends."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import IO, Any

__all__ = ["try_lock"]

FAR = 1 << 40
"""Byte that Windows locks: beyond any content, because its locks also keep readers out."""


def try_lock(file: IO[Any]) -> bool:
    """Lock a file that is open for writing; False when another process holds the lock.

    On a file system without locks the answer is True: nothing can be known there.
    """
    if sys.platform == "win32":
        return _lock_windows(file)
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _lock_windows(file: IO[Any]) -> bool:
    import msvcrt

    position = file.tell()
    try:
        file.seek(FAR)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
    except OSError:
        return False
    finally:
        with suppress(OSError):
            file.seek(position)
    return True
