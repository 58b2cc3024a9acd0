"""Commands that arrive on the standard input while a job runs."""

from __future__ import annotations

import os
import stat
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_segmate.training.control import Control

__all__ = ["listen"]


def listen(control: Control) -> None:
    """Let whoever started this process command it, if it holds the other end of a pipe."""
    try:
        kind = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError, AttributeError):
        return
    if stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind):
        thread = threading.Thread(target=control.listen, args=(sys.stdin,), daemon=True)
        thread.start()
