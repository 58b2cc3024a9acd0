"""Finished files and folders take the place of older ones: at once, or not at all."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

__all__ = ["put_in_place", "remove"]


def put_in_place(part: Path, target: Path) -> None:
    """Move a finished file or folder to its place; what stood there goes only when it is done.

    Parameters
    ----------
    part : Path
        On the same disk as `target`.
    target : Path
        Where it belongs; a file, a folder, or nothing yet.

    Raises
    ------
    OSError
        It could not be moved; what stood there still does.
    """
    if not (target.is_dir() or (target.exists() and part.is_dir())):
        part.replace(target)
        return
    # A folder cannot be replaced in one step: the old one stays until the new one is there.
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    remove(old)
    target.rename(old)
    try:
        part.rename(target)
    except OSError:
        old.rename(target)
        raise
    remove(old)


def remove(path: Path) -> None:
    """Remove a file or folder as far as that can be done."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)
