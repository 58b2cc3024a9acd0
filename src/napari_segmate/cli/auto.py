"""``segmate auto``: images in, labels of all their objects out."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_segmate.cli._batch import Work, expand, jobs_for, run_all
from napari_segmate.cli._parse import channel_map
from napari_segmate.cli._progress import progress
from napari_segmate.core.context import Context
from napari_segmate.core.errors import ParameterError
from napari_segmate.core.image import ContrastMode, ImageSource
from napari_segmate.core.registry import unknown_name

if TYPE_CHECKING:
    from napari_segmate.core.types import LabelArray
    from napari_segmate.models.base import Segmenter
    from napari_segmate.tasks.auto import Params

__all__ = ["auto"]

EXAMPLES = """
Examples:

    segmate auto cells.tif -o labels.tif

    segmate auto images/ -o labels/ --csv

    segmate auto stack.tif -o labels.tif --diameter 12

    segmate auto cells.tif -o labels.tif --model vit_b --mode grid
"""
FACTS = ".segmate-auto.json"


def auto(
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT...", help="Images, folders of images, patterns.")
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Label file (.tif, .npy, .zarr, .png) for one image, a folder for several.",
        ),
    ],
    mode: Annotated[
        str | None,
        typer.Option(help="objects, refined or grid.  [default: what suits the model]"),
    ] = None,
    model: Annotated[
        str, typer.Option("--model", "-m", help="Name of a model, or a weights file.")
    ] = "tiny",
    diameter: Annotated[
        float | None, typer.Option(help="Typical object in pixels.  [default: estimated]")
    ] = None,
    tile: Annotated[int | None, typer.Option(help="Side of a tile in pixels.")] = None,
    params: Annotated[
        Path | None, typer.Option("--params", help="JSON file with settings of automask.")
    ] = None,
    link: Annotated[
        bool, typer.Option(help="Objects that go on from plane to plane of a stack are one.")
    ] = True,
    anisotropy: Annotated[
        float, typer.Option(help="Distance of the planes of a stack over that of pixels.")
    ] = 1.0,
    axes: Annotated[
        str | None,
        typer.Option(metavar="LETTERS", help="What the axes of the files are, as in TZCYX."),
    ] = None,
    channels: Annotated[
        str | None,
        typer.Option(metavar="R,G,B", help="Channels shown as red, green, blue; one for grey."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    fast: Annotated[bool, typer.Option("--fast", help="Allow lower precision.")] = False,
    table: Annotated[bool, typer.Option("--csv", help="Measure the objects, too.")] = False,
    coco: Annotated[bool, typer.Option("--coco", help="Write COCO JSON, too.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Do it again where there are labels already.")
    ] = False,
) -> None:
    """Label all objects of images."""
    settings = _settings(params, mode, diameter, tile)
    jobs = jobs_for(expand(inputs), output)
    reading = _Reading(axes, channels, link, anisotropy)
    writing = _Writing(table, coco)
    with progress() as context:
        from napari_segmate.models import load_model

        segmenter = load_model(model, device=device, fast=fast, context=context)
        work = Work(
            FACTS,
            {"model": segmenter.key, "params": asdict(settings)},
            lambda image, target: _run_one(
                image, target, segmenter, settings, reading, writing, context
            ),
        )
        done = run_all(jobs, work, overwrite=overwrite, context=context)
    for line in done.errors:
        typer.echo(f"segmate: {line}", err=True)
    typer.echo(done.as_text())
    if done.errors:
        raise typer.Exit(1)


auto.__doc__ = f"{auto.__doc__}\n{EXAMPLES}"


@dataclass(frozen=True)
class _Reading:
    """How files become stacks of planes."""

    axes: str | None
    channels: str | None
    link: bool
    anisotropy: float


@dataclass(frozen=True)
class _Writing:
    """What is written beside the labels."""

    table: bool
    coco: bool


def _settings(
    path: Path | None, mode: str | None, diameter: float | None, tile: int | None
) -> Params:
    """Return the settings of a file, with those of the command line on top."""
    from napari_segmate.tasks.auto import Mode, Params

    settings = Params() if path is None else _read_params(path)
    if mode is not None:
        if mode not in list(Mode):
            raise unknown_name("mode", mode, [str(one) for one in Mode])
        settings = replace(settings, mode=Mode(mode))
    if diameter is not None:
        settings = replace(settings, diameter=diameter)
    return settings if tile is None else replace(settings, tile=tile)


def _read_params(path: Path) -> Params:
    from napari_segmate.inference.grid_params import GridParams
    from napari_segmate.tasks.auto import Mode, Nesting, Params

    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ParameterError(f"cannot read the settings in {path}: {error}") from error
    if not isinstance(values, dict):
        raise ParameterError(f"{path} must hold one JSON object of settings, such as {{}}")
    _check_names(values, Params)
    grid = values.pop("grid", None)
    if isinstance(grid, dict):
        _check_names(grid, GridParams)
        values["grid"] = GridParams(**grid)
    for name, kind in (("mode", Mode), ("nesting", Nesting)):
        if values.get(name) is not None:
            if values[name] not in list(kind):
                raise unknown_name(name, str(values[name]), [str(one) for one in kind])
            values[name] = kind(values[name])
    try:
        return Params(**values)
    except TypeError as error:
        raise ParameterError(f"a setting in {path} has another type: {error}") from error


def _check_names(values: dict[str, Any], kind: type) -> None:
    known = [one.name for one in fields(kind)]
    for name in values:
        if name not in known:
            raise unknown_name("setting", name, known)


def _run_one(
    image: Path,
    target: Path,
    model: Segmenter,
    params: Params,
    reading: _Reading,
    writing: _Writing,
    context: Context,
) -> dict[str, Any]:
    """Label one image and write what belongs to it; return facts on the result."""
    from napari_segmate.io.images import read_image
    from napari_segmate.io.labels import write_labels
    from napari_segmate.io.tables import write_coco, write_measurements

    data, axes = read_image(image, reading.axes)
    source = ImageSource(data, axes, channel_map(reading.channels))
    labels = _labels(source, model, params, reading, context)
    write_labels(target, labels, axes=None if labels.ndim > 3 else "ZYX"[3 - labels.ndim :])
    if writing.table:
        write_measurements(target.with_suffix(".csv"), labels)
    if writing.coco:
        write_coco(target.with_suffix(".coco.json"), labels, image.name)
    return {"objects": int(labels.max(initial=0)), "shape": list(labels.shape)}


def _labels(
    source: ImageSource, model: Segmenter, params: Params, reading: _Reading, context: Context
) -> LabelArray:
    from napari_segmate.tasks.auto import run, run_stack

    sizes = source.index_shape
    if all(size == 1 for size in sizes):
        index = (0,) * len(sizes)
        contrast = source.estimate_contrast(ContrastMode.PLANE, index)
        return run(source.plane(index, contrast), model, params, context=context).labels
    return run_stack(
        source, model, params, link=reading.link, anisotropy=reading.anisotropy, context=context
    )
