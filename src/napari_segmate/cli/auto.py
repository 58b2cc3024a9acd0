"""``segmate auto``: images in, labels of all their objects out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_segmate.cli import FAILED
from napari_segmate.cli._batch import Work, run_all
from napari_segmate.cli._files import DEFAULT_FORMAT, Jobs, expand, jobs_for
from napari_segmate.cli._labelling import Blocks, Labeller, Writing, is_blocks
from napari_segmate.cli._options import (
    Anisotropy,
    Axes,
    Channels,
    Device,
    Diameter,
    Fast,
    Inputs,
    Link,
    Model,
    Overwrite,
    PixelSize,
)
from napari_segmate.cli._parse import choice, whole
from napari_segmate.cli._progress import progress
from napari_segmate.cli._reading import Reading
from napari_segmate.core.numbers.lengths import Length

if TYPE_CHECKING:
    from napari_segmate.tasks.automask.run import Params

__all__ = ["auto"]

EXAMPLES = """
Examples:

    segmate auto cells.tif -o labels.tif

    segmate auto images/ -o labels/ --csv

    segmate auto stack.tif -o labels.tif --diameter 12um --pixel-size 0.32

    segmate auto cells.tif -o labels.tif --model vit_b --mode grid

    segmate auto huge.zarr -o labels.zarr

    segmate auto huge.zarr -o labels.zarr --scheduler tcp://10.0.0.5:8786
"""
FACTS = ".segmate-auto.json"
LEAST_TILE, LEAST_BLOCK = 32, 64


def _modes() -> list[str]:
    from napari_segmate.tasks.automask.params import Mode

    return list(Mode)


def _volumes() -> list[str]:
    from napari_segmate.tasks.automask.volume import Volume

    return ["auto", *Volume]


def auto(
    inputs: Inputs,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="Label file (.tif, .npy, .png; .zarr for OME-Zarr, of any size) for one image, "
            "a folder for several.",
        ),
    ],
    mode: Annotated[
        str | None,
        typer.Option(
            metavar="MODE",
            parser=choice("mode", _modes),
            help="How objects are found: objects (fast), refined (better outlines, slower) or grid "
            "(whatever lies under a grid of points).  [default: objects, or grid for models "
            "that have no instance head]",
        ),
    ] = None,
    model: Model = "tiny",
    diameter: Diameter = None,
    pixel_size: PixelSize = None,
    tile: Annotated[
        int | None,
        typer.Option(
            metavar="PIXELS",
            parser=whole(LEAST_TILE),
            help=f"Side of the tiles that the model looks at, {LEAST_TILE} pixels or more.  "
            "[default: what suits the model]",
        ),
    ] = None,
    params: Annotated[
        Path | None,
        typer.Option(
            "--params",
            metavar="FILE",
            help='JSON file with settings of automask, as {"min_area": 30, "diameter": "12um"}; '
            "options given here win.",
        ),
    ] = None,
    link: Link = True,
    volume: Annotated[
        str,
        typer.Option(
            metavar="HOW",
            parser=choice("volume", _volumes),
            help="How objects of a stack are found: planes (each on its own, then linked), views "
            "(planes of three directions in one field) or auto (what suits --anisotropy).",
        ),
    ] = "planes",
    anisotropy: Anisotropy = None,
    axes: Axes = None,
    channels: Channels = None,
    device: Device = "auto",
    fast: Fast = False,
    block: Annotated[
        int | None,
        typer.Option(
            metavar="PIXELS",
            parser=whole(LEAST_BLOCK),
            help="Side of the blocks in which .zarr labels are made, "
            f"{LEAST_BLOCK} pixels or more.  [default: 2048]",
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Make the blocks of .zarr labels on this dask cluster (tcp://HOST:PORT), whose "
            "workers must find the files.  [default: threads of this machine]",
        ),
    ] = None,
    table: Annotated[
        bool,
        typer.Option(
            "--csv", help="Also measure the objects, into a .csv beside the labels (pixels)."
        ),
    ] = False,
    coco: Annotated[
        bool, typer.Option("--coco", help="Also write the objects as .coco.json beside the labels.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Label all objects of images."""
    settings, size = _settings(params, mode, diameter, tile)
    jobs = jobs_for(expand(inputs), output, DEFAULT_FORMAT if scheduler is None else ".zarr")
    _check_scheduler(scheduler, jobs)
    _check_volume(volume, jobs)
    reading = Reading(axes, channels, link, anisotropy, pixel_size, volume)
    blocks = Blocks(block, scheduler, (model, device, fast))
    writing = Writing(table, coco)
    with progress() as context:
        from napari_segmate.models import load_model

        segmenter = load_model(model, device=device, fast=fast, context=context)
        labeller = Labeller(segmenter, settings, size, reading, writing, blocks, context)
        work = Work(FACTS, labeller.made_with, labeller.run, writing.complete, writing.files)
        done = run_all(jobs, work, overwrite=overwrite, context=context)
    for line in (*labeller.notices, *done.errors):
        typer.echo(f"segmate: {line}", err=True)
    typer.echo(done.as_text())
    if done.errors:
        raise typer.Exit(FAILED)


auto.__doc__ = f"{auto.__doc__}\n{EXAMPLES}"


def _check_volume(volume: str, jobs: Jobs) -> None:
    other = [target.name for _, target in jobs if is_blocks(target)]
    if volume == "views" and other:
        raise typer.BadParameter(
            f"--volume views: {other[0]!r} is made block by block, from planes; end the name with "
            ".tif or .npy, or leave it out"
        )


def _check_scheduler(scheduler: str | None, jobs: Jobs) -> None:
    other = [target.name for _, target in jobs if not is_blocks(target)]
    if scheduler is not None and other:
        raise typer.BadParameter(
            f"--scheduler: a cluster writes OME-Zarr, not {other[0]!r}; end the name with .zarr, "
            "or leave it out"
        )


def _settings(
    path: Path | None, mode: str | None, diameter: Length | None, tile: int | None
) -> tuple[Params, Length | None]:
    """Return the settings of a file, with those of the command line on top, and the diameter."""
    from napari_segmate.cli._settings import read_settings
    from napari_segmate.tasks.automask.run import Mode, Params

    settings, size = (Params(), None) if path is None else read_settings(path)
    if mode is not None:
        settings = replace(settings, mode=Mode(mode))
    if tile is not None:
        settings = replace(settings, tile=tile)
    return settings, size if diameter is None else diameter
