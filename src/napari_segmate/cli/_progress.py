"""Progress on a terminal, nothing elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from napari_segmate.core.context import Context

__all__ = ["progress"]


@contextmanager
def progress(quiet: bool = False) -> Iterator[Context]:
    """Give a context whose reports appear as a bar on stderr, if that is a terminal."""
    if quiet or not sys.stderr.isatty():
        yield Context()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def show(done: int, total: int, text: str) -> None:
            bar.update(task, description=text, completed=done, total=total or None)

        yield Context(progress=show)
