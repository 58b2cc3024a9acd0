"""What keeps a path from being read, found before it is opened: pipes and devices would hang."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

__all__ = ["LONGEST_NAME", "path_problem"]

LONGEST_NAME = 255
"""Bytes of a name; file systems allow no more."""
PROBLEMS = {
    errno.ENAMETOOLONG: f"has a name of more than {LONGEST_NAME} bytes; shorten it",
    errno.ELOOP: "is a link that leads back to itself; give the file itself",
    errno.EACCES: "lies in a folder that you may not open; change its permissions",
    errno.ENOTDIR: "lies in something that is no folder; check the path",
}


def path_problem(path: Path) -> str | None:
    """Return why a file or folder cannot be read, to be put after its path; None if it can.

    Only regular files and folders can be read: pipes, sockets and devices may never end.

    Examples
    --------
    >>> path_problem(Path("no such file.tif"))
    'does not exist; check the name and the folder'
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            return f"is a link to {path.readlink()}, which does not exist"
        return "does not exist; check the name and the folder"
    except OSError as error:
        return PROBLEMS.get(error.errno or 0, f"cannot be read ({error.strerror or error})")
    except ValueError:
        return "is no path: it holds a null character"
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return "is a pipe, socket or device; give a regular file"
    if not os.access(path, os.R_OK):
        return "may not be read by you; change its permissions"
    return None
