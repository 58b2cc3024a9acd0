"""The viewer, from the command line: in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from napari_segmate.core.errors import MissingExtraError, SegmateError

__all__ = ["check_viewer", "open_viewer"]

PROGRAM = "napari_segmate.plugin"


def check_viewer() -> None:
    """Make sure that a window can open.

    Raises
    ------
    MissingExtraError
        napari is not installed.
    SegmateError
        There is no screen.
    """
    if find_spec("napari") is None:
        raise MissingExtraError.for_feature("the viewer", "all")
    if not _has_screen():
        raise SegmateError("there is no screen to open a window on; leave out --view")


def _has_screen() -> bool:
    if not sys.platform.startswith("linux"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def open_viewer(files: Sequence[Path]) -> None:
    """Open napari on an image and its labels, and wait until the window is closed.

    Raises
    ------
    SegmateError
        napari ended with an error.
    """
    command = [sys.executable, "-m", PROGRAM, *map(str, files)]
    status = subprocess.run(command, check=False).returncode
    if status:
        raise SegmateError(f"napari ended with status {status}; what it said stands above")
