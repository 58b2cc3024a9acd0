"""The commands together, and what their errors mean for the shell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from typer.main import get_command

from napari_segmate.cli import CANCELLED, FAILED, WRONG_USAGE
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
        status = get_command(app)(list(arguments), prog_name="segmate", standalone_mode=False)
    except (KeyboardInterrupt, Cancelled, typer.Abort):
        status = CANCELLED
    except UsageError as error:
        typer.echo(f"segmate: {usage_line(error)}", err=True)
        return WRONG_USAGE
    except SegmateError as error:
        typer.echo(f"segmate: {error}", err=True)
        return FAILED
    if status == CANCELLED:
        typer.echo("segmate: cancelled", err=True)
    return status if isinstance(status, int) else 0
