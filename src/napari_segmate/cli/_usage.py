"""What is wrong with a command line, in one line: the option, the value, the cure."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any

import typer

from napari_segmate.core.registry import unknown_name

__all__ = ["UsageError", "usage_line"]

# Typer has a copy of click in newer versions: the class is that of its own errors.
UsageError: Any = typer.BadParameter.__base__
NO_COMMAND = re.compile(r"No such command '(?P<name>[^']*)'")


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
        return _missing(param)
    if isinstance(error, typer.BadParameter):
        return str(error.message) if param is None else f"{_name(param)}: {error.message}"
    text = str(error.format_message()).rstrip(".")
    context = getattr(error, "ctx", None)
    command = NO_COMMAND.match(text)
    if command is not None and context is not None:
        return str(unknown_name("command", command["name"], list(context.command.commands)))
    return _unknown_option(error, context) or text[:1].lower() + text[1:]


def _missing(param: Any) -> str:
    if param.param_type_name == "argument":
        return f"{_name(param)} is missing; name it"
    return f"{_name(param)} is missing; give {_name(param)} {param.metavar}"


def _unknown_option(error: Any, context: Any) -> str | None:
    """Return what is said about an option that does not exist, with the nearest that does."""
    if type(error).__name__ != "NoSuchOption" or context is None:
        return None
    known = [one for param in context.command.params for one in param.opts + param.secondary_opts]
    near = get_close_matches(error.option_name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "leave it out"
    return f"no option {error.option_name!r}; {hint}"


def _name(param: Any) -> str:
    """Return an option as it is typed in full, or an argument as the help shows it."""
    if param.param_type_name == "argument":
        return str(param.metavar or param.name.upper())
    return str(max(param.opts, key=len))
