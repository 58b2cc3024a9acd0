"""Options of a command from the parameters of a task: one help text, one default."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields
from functools import wraps
from typing import Annotated, Any, get_type_hints

import typer

__all__ = ["with_params"]


METAVARS = {int: "N", float: "NUMBER"}
"""What follows an option, by its type."""


def with_params(params: type, name: str = "params") -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator that gives a command one option per field of a dataclass.

    The command gets them as one value, by the name of its parameter `name`. A field that the
    command has an option for already gets none.

    Examples
    --------
    >>> from napari_segmate.tasks.propagate.params import Params
    >>> def command(image: str, params: Params) -> int:
    ...     return params.misses
    >>> with_params(Params)(command)(image="a", misses=3)
    3
    """
    hints = get_type_hints(params)

    def decorate(command: Callable[..., Any]) -> Any:
        own = inspect.signature(command, eval_str=True)
        kept = [one for one in own.parameters.values() if one.name != name]
        options = [
            inspect.Parameter(
                one.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=one.default,
                annotation=Annotated[
                    hints[one.name],
                    typer.Option(
                        help=one.metadata["help"],
                        metavar=METAVARS.get(hints[one.name]),
                        rich_help_panel="Details",
                    ),
                ],
            )
            for one in fields(params)
            if one.default is not MISSING and one.name not in own.parameters
        ]
        names = {option.name for option in options}

        @wraps(command)
        def run(**given: Any) -> Any:
            chosen = {key: value for key, value in given.items() if key in names}
            rest = {key: value for key, value in given.items() if key not in names}
            return command(**rest, **{name: params(**chosen)})

        listed = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in kept] + options
        run.__signature__ = inspect.Signature(listed)  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in listed}
        del run.__wrapped__
        return run

    return decorate
