"""Which commit of a repository the files of a detector are of."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from napari_segmate.core.files.atomic import write_text
from napari_segmate.core.files.weights import cache_folder
from napari_segmate.detectors.base import DetectorInfo

__all__ = ["NOTE", "commit_of", "folder_of", "note_commit", "write_note"]

NOTE = "revision.json"
"""File beside the others that says which commit they are of."""
COMMIT = re.compile(r"[0-9a-f]{40}")


def folder_of(info: DetectorInfo) -> Path:
    """Return where the files of a detector belong; of one of the user's, where it lies."""
    return info.path or cache_folder() / "models" / info.name.replace("/", "--")


def commit_of(info: DetectorInfo) -> str:
    """Return the commit that the files of a detector are, or will be, of; empty if unknown.

    A name such as ``main`` stands for another commit from one day to the next: the first download
    asks for it once, and what it says holds from then on.
    """
    if info.path is not None or not info.repository:
        return ""
    if COMMIT.fullmatch(info.revision):
        return info.revision
    with suppress(OSError, ValueError, KeyError, TypeError):
        note = json.loads((folder_of(info) / NOTE).read_text())
        if (note["repository"], note["revision"]) == (info.repository, info.revision):
            return str(note["commit"])
    return ""


def note_commit(info: DetectorInfo, commit: object) -> None:
    """Write down which commit is about to be downloaded, unless that is known.

    Where files lie already nobody knows which commit those are of, and nothing is written.
    """
    folder = folder_of(info)
    if commit_of(info) or not isinstance(commit, str) or not COMMIT.fullmatch(commit):
        return
    if folder.is_dir() and any(path.suffix != ".part" for path in folder.iterdir()):
        return
    note = {"repository": info.repository, "revision": info.revision, "commit": commit}
    write_note(folder / NOTE, note)


def write_note(path: Path, content: Any) -> None:
    """Write a small file of our own, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(content))
