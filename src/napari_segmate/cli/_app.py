"""The commands together, and what their errors mean for the shell."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

import typer
from typer.main import get_command

from napari_segmate.cli import CANCELLED, FAILED, WRONG_USAGE
from napari_segmate.cli._batch import DEBUG_VARIABLE, error_line
from napari_segmate.cli._usage import UsageError, usage_line
from napari_segmate.cli.auto import auto
from napari_segmate.cli.demo import demo
from napari_segmate.cli.detectors import detectors
from napari_segmate.cli.evaluate import evaluate
from napari_segmate.cli.fill import fill
from napari_segmate.cli.models import models
from napari_segmate.cli.propagate import propagate
from napari_segmate.cli.segment import segment
from napari_segmate.cli.text import text
from napari_segmate.cli.train import train
from napari_segmate.core.errors import Cancelled, SegmateError

__all__ = ["app", "run"]

app = typer.Typer(
    name="segmate",
    invoke_without_command=True,
    rich_markup_mode="markdown",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from napari_segmate.io.provenance import package_version

        typer.echo(f"segmate {package_version()}")
        raise typer.Exit


@app.callback()
def segmate(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Show the version and end."
        ),
    ] = False,
) -> None:
    """Segment microscopy images with Segment Anything.

    The embedded model works offline. In napari: **Plugins > SegMate**.
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(WRONG_USAGE)


app.command()(segment)
app.command()(auto)
app.command()(propagate)
app.command()(fill)
app.command()(text)
app.add_typer(models, name="models")
app.add_typer(detectors, name="detectors")
app.command()(train)
app.command()(evaluate)
app.command()(demo)


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit status; see `napari_segmate.cli.main`."""
    try:
        _check_arguments(arguments)
        status = get_command(app)(list(arguments), prog_name="segmate", standalone_mode=False)
    except (KeyboardInterrupt, Cancelled, typer.Abort):
        status = CANCELLED
    except UsageError as error:
        typer.echo(f"segmate: {usage_line(error)}", err=True)
        return WRONG_USAGE
    except (BrokenPipeError, SystemExit):
        # Typer ends the program when whoever read the output has left.
        _discard_output()
        return FAILED
    except Exception as error:
        if not isinstance(error, SegmateError) and os.environ.get(DEBUG_VARIABLE):
            raise
        _tell(f"segmate: {error_line(error)}")
        return FAILED
    if status == CANCELLED:
        _tell("segmate: cancelled")
    try:
        sys.stdout.flush()
    except OSError as error:
        _discard_output()
        _tell(f"segmate: the output cannot be written ({error.strerror or error})")
        return FAILED
    return status if isinstance(status, int) else 0


def _check_arguments(arguments: Sequence[str]) -> None:
    """Refuse empty arguments: an unset variable of a shell would mean the current folder."""
    if any(not one.strip() for one in arguments):
        raise typer.BadParameter(
            "an argument is empty; is a variable of the shell not set? Give '.' for this folder"
        )


def _tell(text: str) -> None:
    with suppress(OSError):
        typer.echo(text, err=True)


def _discard_output() -> None:
    """Keep Python from writing the rest of the output, and failing again, when it ends."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
