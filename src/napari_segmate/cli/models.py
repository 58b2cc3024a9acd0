"""``segmate models``: which models there are, and their weights."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_segmate.cli._options import AsJson
from napari_segmate.cli._progress import progress
from napari_segmate.core.errors import ModelError

if TYPE_CHECKING:
    from napari_segmate.models.base import ModelInfo

__all__ = ["models"]

models = typer.Typer(
    invoke_without_command=True,
    help="List models, show what they are, download their weights, add your own.",
)

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of a model that 'segmate models' lists.")
]


def _place(info: ModelInfo) -> Path | None:
    """Return where the weights are, None when they must be downloaded."""
    from napari_segmate.core.files.weights import locate

    return info.path if info.weights is None else locate(info.weights)


def _state(info: ModelInfo) -> str:
    if info.path is not None:
        return "own"
    if info.weights is None:
        return "embedded"
    return "downloaded" if _place(info) else "to download"


def _as_dict(info: ModelInfo) -> dict[str, Any]:
    place = _place(info)
    return {**asdict(info), "state": _state(info), "path": str(place) if place else None}


@models.callback()
def _main(context: typer.Context, as_json: AsJson = False) -> None:
    if context.invoked_subcommand is None:
        list_(as_json)


@models.command("list")
def list_(as_json: AsJson = False) -> None:
    """List all models.

    Example:

        segmate models list --json
    """
    from napari_segmate.models import left_out, list_models

    infos = list_models()
    for name, reason in left_out().items():
        typer.echo(f"segmate: left out, {name}: {reason}", err=True)
    if as_json:
        typer.echo(json.dumps([_as_dict(info) for info in infos]))
        return
    rows = [(info.name, _state(info), info.download_size, info.description) for info in infos]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:3], widths, strict=True)]
        typer.echo("  ".join([*cells, row[3]]).rstrip())


@models.command()
def info(name: Name, as_json: AsJson = False) -> None:
    """Show what a model is, where it comes from and its licence.

    Example:

        segmate models info vit_b
    """
    from napari_segmate.models import get_model

    found = get_model(name)
    if as_json:
        typer.echo(json.dumps(_as_dict(found)))
        return
    lines = {
        "name": found.name,
        "title": found.title,
        "description": found.description,
        "architecture": found.architecture,
        "parameters": f"{found.parameters:,}" if found.parameters else "",
        "trained from": found.base,
        "licence": found.licence,
        "source": found.source,
        "weights": _state(found),
        "size": found.download_size,
        "file": str(_place(found) or ""),
        "address": found.weights.url if found.weights else "",
    }
    for key, value in lines.items():
        if value:
            typer.echo(f"{key + ':':<14}{value}")


@models.command()
def download(
    name: Name,
    mirror: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Address of a folder that holds the weights files.  [default: what "
            "NAPARI_SEGMATE_MIRROR says, else the official one]",
        ),
    ] = None,
) -> None:
    """Download the weights of a model, to use it offline later.

    An interrupted download goes on where it stopped.

    Example:

        segmate models download vit_b
    """
    from napari_segmate.core.files.weights import fetch
    from napari_segmate.models import get_model

    found = get_model(name)
    if found.weights is None:
        where = "is your own" if found.path else "ships inside the package"
        typer.echo(f"{name} {where}: nothing to download")
        return
    with progress() as context:
        place = fetch(found.weights, context, mirror)
        for file in found.extra:
            fetch(file, context, mirror)
    typer.echo(str(place))


@models.command()
def path(name: Name) -> None:
    """Print where the weights of a model are, or where to put them by hand.

    Example:

        segmate models path vit_b
    """
    from napari_segmate.core.files.weights import weights_path
    from napari_segmate.models import get_model

    found = get_model(name)
    if found.path is not None:
        typer.echo(str(found.path))
        return
    if found.weights is None:
        typer.echo(f"{name} ships inside the package", err=True)
        return
    if _place(found) is None:
        typer.echo(f"not downloaded; save {found.weights.url} as", err=True)
    typer.echo(str(weights_path(found.weights)))


@models.command()
def export(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of a SAM, or its weights file.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The .pth file to write.")
    ],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that is there; off by default.")
    ] = False,
) -> None:
    """Write a SAM in the layout of its official checkpoints, for other programs.

    Example:

        segmate models export my-cells -o my-cells.pth
    """
    from napari_segmate.core.files.weights import fetch
    from napari_segmate.models import get_model
    from napari_segmate.models._exchange import export_official

    path = Path(name)
    if not path.is_file():
        found = get_model(name)
        place = found.path or (fetch(found.weights) if found.weights else None)
        if place is None:
            raise ModelError(
                f"{name!r} is no SAM, and SAM's format cannot hold it; choose one that is"
            )
        path = place
    typer.echo(str(export_official(path, output, overwrite)))


@models.command("import")
def import_(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="A weights file, .safetensors, .pth or .pt, such as SAM's."
        ),
    ],
    name: Annotated[
        str,
        typer.Option(
            "--name", "-n", metavar="NAME", help="What it is to be called in your list of models."
        ),
    ],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a model of the same name; off by default.")
    ] = False,
) -> None:
    """Add a weights file to your own models.

    Example:

        segmate models import finetuned.pth --name my-cells
    """
    from napari_segmate.models import FAMILIES, load_model
    from napari_segmate.models._exchange import import_weights

    info = load_model(source, device="cpu").info
    taken = tuple(one.name for family in FAMILIES.values() for one in family.models)
    typer.echo(str(import_weights(source, name, info, taken, overwrite)))
