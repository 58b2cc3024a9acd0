"""The command line: one file per command."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]

FAILED, WRONG_USAGE, CANCELLED = 1, 2, 130
"""Exit status; after Ctrl+C as shells have it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Parameters
    ----------
    arguments : sequence of str, optional
        What follows the name of the program; what the shell gave by default.

    Returns
    -------
    int
        0 done, 1 an error that the message on stderr explains, 2 wrong usage, 130 cancelled.
    """
    from napari_segmate.cli._app import run

    return run(sys.argv[1:] if arguments is None else list(arguments))
