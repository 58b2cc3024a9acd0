"""Files and folders that appear complete or not at all, and are still there after a power cut.

What is written goes to a hidden name beside its place that nobody can guess, so that no link
planted there is followed; it is synced to the disk and then renamed. A folder changes places with
the one that stood there in one step where the system can do that. Where it cannot, the old one is
set aside under a hidden name first; `restore_interrupted` brings it back if the process was killed
in between.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = [
    "is_temporary",
    "part_of",
    "put_in_place",
    "remove",
    "replacing",
    "restore_interrupted",
    "write_text",
]

NAME_BYTES = 200
"""Of a name that goes on into a temporary one: file systems allow 255 bytes in all."""
TEMPORARY = re.compile(r"\..*\.[0-9a-f]{16}\.(part|old)(\.[^.]+)?")
EXCHANGE = 2
"""RENAME_EXCHANGE of Linux and RENAME_SWAP of macOS."""
AT_FDCWD = -100
NO_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EACCES, errno.EROFS})
NO_EXCHANGE = frozenset(
    {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM, errno.ENOTTY}
)


@contextmanager
def replacing(target: Path, *, folder: bool = False) -> Iterator[Path]:
    """Give a place to write to; what was written takes the place of `target` at the end.

    Parameters
    ----------
    target : Path
        Where it belongs; what stands there is replaced once the block ends without an error.
    folder : bool
        A folder is written, which the block makes; otherwise an empty file is there to be filled.

    Yields
    ------
    Path
        In the folder of `target`, with its ending.

    Raises
    ------
    OSError
        Something cannot be written; what stood in the place still does.
    """
    part = part_of(target)
    try:
        if not folder:
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0)
            os.close(os.open(part, flags, 0o666))
        yield part
        put_in_place(part, target)
    finally:
        remove(part)


def write_text(target: Path, text: str) -> None:
    """Write a text file in UTF-8, at once or not at all.

    Raises
    ------
    OSError
        It cannot be written; what stood there still does.
    """
    with replacing(target) as part:
        part.write_text(text, encoding="utf-8")


def part_of(target: Path, kind: str = "part") -> Path:
    """Return a hidden name beside a file or folder that nothing has and nobody can guess.

    Examples
    --------
    >>> part = part_of(Path("labels.tif"))
    >>> part.suffix, is_temporary(part), is_temporary(Path("labels.tif"))
    ('.tif', True, False)
    """
    stem = target.name.encode()[:NAME_BYTES].decode(errors="ignore")
    suffix = target.suffix if kind == "part" and len(target.suffix.encode()) < 20 else ""
    return target.with_name(f".{stem}.{secrets.token_hex(8)}.{kind}{suffix}")


def is_temporary(path: Path) -> bool:
    """Tell whether a name is one that only unfinished or set-aside work has."""
    return TEMPORARY.fullmatch(path.name) is not None


def put_in_place(part: Path, target: Path) -> None:
    """Sync a finished file or folder, and move it to its place.

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
    restore_interrupted(target)
    _sync(part)
    if not (_is_folder(target) or (target.exists() and _is_folder(part))):
        part.replace(target)
    elif _exchange(part, target):
        remove(part)
    else:
        _set_aside_and_move(part, target)
    _sync_one(target.parent)


def _set_aside_and_move(part: Path, target: Path) -> None:
    """Replace a folder in two steps, where there is no way to do so in one."""
    old = part_of(target, "old")
    target.rename(old)
    try:
        part.rename(target)
    except OSError:
        old.rename(target)
        raise
    remove(old)


def restore_interrupted(target: Path) -> bool:
    """Bring back what was set aside by a replacement that was killed half-way.

    Returns
    -------
    bool
        True when `target` was missing and is there again. Leftovers of a replacement that did end
        are removed.
    """
    name = re.escape(part_of(target, "old").name.rsplit(".", 2)[0])
    pattern = re.compile(rf"{name}\.[0-9a-f]{{16}}\.old")
    try:
        found = [one for one in target.parent.iterdir() if pattern.fullmatch(one.name)]
    except OSError:
        return False
    left = sorted(found, key=_modified)
    restored = False
    if left and not target.exists():
        left.pop().rename(target)
        restored = True
    for one in left:
        remove(one)
    return restored


def remove(path: Path) -> None:
    """Remove a file or folder as far as that can be done; a link is removed, not what it names."""
    if _is_folder(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _sync(path: Path) -> None:
    """Have the disk keep a file, or a folder with all that is in it."""
    if _is_folder(path):
        for folder, _, files in os.walk(path, topdown=False):
            for name in files:
                _sync_one(Path(folder, name))
            _sync_one(Path(folder))
    else:
        _sync_one(path)


def _sync_one(path: Path) -> None:
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folders; NTFS logs renames itself.
    try:
        handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        # Some network disks know no syncing; there is nothing more that could be done there.
        if error.errno not in NO_SYNC:
            raise


def _exchange(part: Path, target: Path) -> bool:
    """Let two paths change places in one step; False where the system cannot do that."""
    first, second = os.fsencode(part), os.fsencode(target)
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "linux":
            failed = library.renameat2(AT_FDCWD, first, AT_FDCWD, second, EXCHANGE)
        elif sys.platform == "darwin":
            failed = library.renamex_np(first, second, EXCHANGE)
        else:
            return False
    except (OSError, AttributeError, TypeError):
        return False
    if not failed:
        return True
    code = ctypes.get_errno()
    if code in NO_EXCHANGE:
        return False
    raise OSError(code, os.strerror(code), str(target))
