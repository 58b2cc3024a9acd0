"""What is wrong with a command line, in one line: the option, the value, the cure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from napari_segmate.core.errors import ParameterError

__all__ = ["UsageError", "as_usage", "usage_line"]

# Typer has a copy of click in newer versions: the class is that of its own errors.
UsageError: Any = typer.BadParameter.__base__


@contextmanager
def as_usage() -> Iterator[None]:
    """Tell settings that do not fit together as wrong usage: they stand on the command line."""
    try:
        yield
    except ParameterError as error:
        raise typer.BadParameter(str(error)) from error


def usage_line(error: Any) -> str:
    """Return a usage error as a line for the user.

    Examples
    --------
    >>> usage_line(typer.BadParameter("give at least one --point Y,X"))
    'give at least one --point Y,X (segmate --help)'
    """
    path = error.ctx.command_path if getattr(error, "ctx", None) is not None else "segmate"
    return f"{_said(error)} ({path} --help)"


def _said(error: Any) -> str:
    param = getattr(error, "param", None)
    if type(error).__name__ == "MissingParameter" and param is not None:
        return f"{_name(param)} is missing; give it"
    if isinstance(error, typer.BadParameter):
        return str(error.message) if param is None else f"{_name(param)}: {error.message}"
    text = str(error.format_message()).rstrip(".")
    return text[:1].lower() + text[1:]


def _name(param: Any) -> str:
    """Return an option as it is typed in full, or an argument as the help shows it."""
    if param.param_type_name == "argument":
        return str(param.metavar or param.name.upper())
    return str(max(param.opts, key=len))
