"""The state of an image on disk, to tell whether it changed while it was read."""

from __future__ import annotations

import os
from dataclasses import astuple, dataclass
from pathlib import Path

from napari_segmate.core.errors import ImageError

__all__ = ["InputState", "check_unchanged", "input_state", "metadata_state"]

METADATA = ("zarr.json", ".zattrs", ".zarray", ".zgroup")


@dataclass(frozen=True)
class InputState:
    """What changes on disk when an image does.

    Parameters
    ----------
    files : int
        Number of files; 0 when the image is gone.
    size : int
        Bytes of all of them.
    newest_ns : int
        Last change of any of them, nanoseconds.
    """

    files: int
    size: int
    newest_ns: int

    def as_list(self) -> list[int]:
        """Return it as JSON has it."""
        return list(astuple(self))


def input_state(path: str | os.PathLike[str]) -> InputState:
    """Return the state of a file, or of all files of a folder.

    Examples
    --------
    >>> input_state("no such file.tif")
    InputState(files=0, size=0, newest_ns=0)
    """
    path = Path(path)
    if not path.is_dir():
        return _state_of([path])
    return _state_of([Path(folder, name) for folder, _, names in os.walk(path) for name in names])


def metadata_state(path: str | os.PathLike[str]) -> InputState:
    """Return the state of a file, or of the metadata of a Zarr folder: cheap, however large it is.

    Pieces that are missing from a folder are not noticed.
    """
    path = Path(path)
    return _state_of([path / name for name in METADATA] if path.is_dir() else [path])


def check_unchanged(path: str | os.PathLike[str], before: InputState) -> None:
    """Make sure that an image is what it was when it was opened.

    Raises
    ------
    ImageError
        It was removed or changed: missing parts of it would have been read as zeros.
    """
    now = input_state(path)
    if now == before:
        return
    what = "was removed" if not now.files else "lost files" if now.files < before.files else ""
    raise ImageError(
        f"{path} {what or 'changed'} while it was read, so that no result is written; see that it "
        "is complete and that nothing else writes to it, and start again"
    )


def _state_of(paths: list[Path]) -> InputState:
    files = size = newest = 0
    for path in paths:
        try:
            found = path.stat()
        except OSError:
            continue
        files, size = files + 1, size + found.st_size
        newest = max(newest, found.st_mtime_ns)
    return InputState(files, size, newest)
