"""``segmate detectors``: what finds boxes for words, and its files."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_segmate.cli._options import AsJson
from napari_segmate.cli._progress import progress
from napari_segmate.core.errors import MissingExtraError, ModelError

if TYPE_CHECKING:
    from napari_segmate.detectors.base import DetectorInfo

__all__ = ["detectors"]

detectors = typer.Typer(
    invoke_without_command=True,
    help="List what finds boxes for words, show what it is, download its files.",
)

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="Name of a detector that 'segmate detectors' lists, or of your own."
    ),
]

SHORT = 7
"""Digits of a commit that tell it from others."""


def _lack(info: DetectorInfo) -> Exception | None:
    """Return what keeps a detector from running here; None if nothing does."""
    from napari_segmate.detectors import DETECTORS

    for family in DETECTORS.values():
        if info in family.detectors:
            try:
                family.check()
            except (ImportError, ModelError) as error:
                return error
    return None


def _state(info: DetectorInfo) -> str:
    from napari_segmate.detectors import missing_files

    lack = _lack(info)
    if isinstance(lack, MissingExtraError):
        return f"needs extra '{info.extra}'"
    if lack is not None:
        return "cannot run here"
    return "to download" if missing_files(info) else "present"


def _as_dict(info: DetectorInfo) -> dict[str, Any]:
    from napari_segmate.detectors import commit_of, folder_of, missing_files

    lack = _lack(info)
    more = {
        "commit": commit_of(info) or None,
        "state": _state(info),
        "lacks": str(lack) if lack else None,
        "missing": list(missing_files(info)),
        "path": str(folder_of(info)),
    }
    known: dict[str, Any] = json.loads(json.dumps(asdict(info), default=str))
    return known | more


def _revision(info: DetectorInfo) -> str:
    """Return what is known of the version: the commit, or the name that the download resolves."""
    from napari_segmate.detectors import commit_of

    return commit_of(info)[:SHORT] or (info.revision if info.repository else "")


def _megabytes(info: DetectorInfo) -> str:
    return f"{info.size_mb} MB" if info.size_mb else ""


@detectors.callback()
def _main(context: typer.Context, as_json: AsJson = False) -> None:
    if context.invoked_subcommand is None:
        list_(as_json)


@detectors.command("list")
def list_(as_json: AsJson = False) -> None:
    """List all detectors.

    Example:

        segmate detectors list --json
    """
    from napari_segmate.detectors import DETECTORS, list_detectors

    infos = list_detectors()
    for name, reason in DETECTORS.broken.items():
        typer.echo(f"segmate: left out, {name}: {reason}", err=True)
    if as_json:
        typer.echo(json.dumps([_as_dict(info) for info in infos]))
        return
    rows = [
        (
            one.name,
            _state(one),
            _megabytes(one),
            _revision(one),
            one.licence,
            f"{one.title}: {one.description}",
        )
        for one in infos
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:5], widths, strict=True)]
        typer.echo("  ".join([*cells, row[5]]).rstrip())


@detectors.command()
def info(name: Name, as_json: AsJson = False) -> None:
    """Show what a detector is, where it comes from and its licence.

    Example:

        segmate detectors info grounding-dino-tiny
    """
    from napari_segmate.detectors import commit_of, folder_of, get_detector, missing_files

    found = get_detector(name)
    commit = commit_of(found)
    asked = "" if commit == found.revision else found.revision
    if as_json:
        typer.echo(json.dumps(_as_dict(found)))
        return
    lines = {
        "name": found.name,
        "title": found.title,
        "description": found.description,
        "licence": found.licence,
        "source": found.repository and f"huggingface.co/{found.repository}",
        "revision": found.repository and (commit or asked),
        "asked for": commit and asked,
        "state": _state(found),
        "size": _megabytes(found),
        "folder": str(folder_of(found)),
        "missing": ", ".join(missing_files(found)),
        "lacks": str(_lack(found) or ""),
        "examples": "yes: finds more of what is in a box" if found.examples else "",
        "masks": "yes: draws the outlines of what it finds" if found.masks else "",
    }
    for key, value in lines.items():
        if value:
            typer.echo(f"{key + ':':<14}{value}")


@detectors.command()
def download(name: Name) -> None:
    """Download the files of a detector, to use it offline later.

    An interrupted download goes on where it stopped.

    Example:

        segmate detectors download grounding-dino-tiny
    """
    from napari_segmate.detectors import download as fetch
    from napari_segmate.detectors import folder_of, get_detector

    found = get_detector(name)
    with progress() as context:
        fetch(found, context)
    typer.echo(str(folder_of(found)))


@detectors.command()
def path(name: Name) -> None:
    """Print where the files of a detector are, or where to put them by hand.

    Example:

        segmate detectors path grounding-dino-tiny
    """
    from napari_segmate.detectors import commit_of, folder_of, get_detector, missing_files

    found = get_detector(name)
    missing = missing_files(found)
    if missing:
        at = commit_of(found) or found.revision
        source = f"https://huggingface.co/{found.repository}/tree/{at}"
        typer.echo(f"not downloaded; put {', '.join(missing)} from {source} into", err=True)
    typer.echo(str(folder_of(found)))
