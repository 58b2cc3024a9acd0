"""``segmate auto``: images in, labels of all their objects out."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from napari_segmate.cli._batch import (
    DEFAULT_FORMAT,
    Jobs,
    Reading,
    Work,
    expand,
    jobs_for,
    ome_of,
    run_all,
)
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

    segmate auto huge.zarr -o labels.zarr

    segmate auto huge.zarr -o labels.zarr --scheduler tcp://10.0.0.5:8786
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
            help="Label file (.tif, .npy, .png; .zarr for OME-Zarr, of any size) for one image, "
            "a folder for several.",
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
        float | None,
        typer.Option(
            help="Distance of the planes of a stack over that of pixels.  [default: what OME-Zarr "
            "says, else 1]"
        ),
    ] = None,
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
    block: Annotated[
        int | None,
        typer.Option(help="Side of the blocks in pixels of .zarr labels.  [default: 2048]"),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Label the blocks of .zarr labels on this dask cluster; its workers must find "
            "the files.",
        ),
    ] = None,
    table: Annotated[bool, typer.Option("--csv", help="Measure the objects, too.")] = False,
    coco: Annotated[bool, typer.Option("--coco", help="Write COCO JSON, too.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Do it again where there are labels already.")
    ] = False,
) -> None:
    """Label all objects of images."""
    settings = _settings(params, mode, diameter, tile)
    jobs = jobs_for(expand(inputs), output, DEFAULT_FORMAT if scheduler is None else ".zarr")
    _check_scheduler(scheduler, jobs)
    reading = Reading(axes, channels, link, anisotropy)
    blocks = _Blocks(block, scheduler, (model, device, fast))
    writing = _Writing(table, coco)
    with progress() as context:
        from napari_segmate.models import load_model

        segmenter = load_model(model, device=device, fast=fast, context=context)
        work = Work(
            FACTS,
            {"model": segmenter.key, "params": asdict(settings)},
            lambda image, target: _run_one(
                image, target, segmenter, settings, reading, writing, blocks, context
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
class _Blocks:
    """How labels of any size are made, and the name, device and precision of the model."""

    side: int | None
    scheduler: str | None
    model: tuple[str, str, bool]


@dataclass(frozen=True)
class _Writing:
    """What is written beside the labels."""

    table: bool
    coco: bool


def _check_scheduler(scheduler: str | None, jobs: Jobs) -> None:
    other = [target.name for _, target in jobs if not _is_blocks(target)]
    if scheduler is not None and other:
        raise ParameterError(
            f"a cluster writes OME-Zarr, not {other[0]!r}; end the name with .zarr, or leave out "
            "--scheduler"
        )


def _is_blocks(target: Path) -> bool:
    return target.suffix.lower() == ".zarr"


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
    reading: Reading,
    writing: _Writing,
    blocks: _Blocks,
    context: Context,
) -> dict[str, Any]:
    """Label one image and write what belongs to it; return facts on the result."""
    from napari_segmate.io.tables import write_coco, write_measurements

    if _is_blocks(target):
        labels = _label_blocks(image, target, model, params, reading, blocks, context)
    else:
        labels = _label_whole(image, target, model, params, reading, context)
    if writing.table:
        write_measurements(target.with_suffix(".csv"), np.asarray(labels))
    if writing.coco:
        write_coco(target.with_suffix(".coco.json"), np.asarray(labels), image.name)
    return {"objects": _largest(labels), "shape": list(labels.shape)}


def _largest(labels: Any) -> int:
    """Return the highest number in labels that may be larger than memory."""
    if isinstance(labels, np.ndarray):
        return int(labels.max(initial=0))
    rows = labels.chunks[-2]
    bands = product(*map(range, labels.shape[:-2]), range(0, labels.shape[-2], rows))
    return max(
        int(np.max(labels[(*place, slice(row, row + rows))], initial=0)) for *place, row in bands
    )


def _label_whole(
    image: Path,
    target: Path,
    model: Segmenter,
    params: Params,
    reading: Reading,
    context: Context,
) -> LabelArray:
    """Return the labels of an image that fit into memory, once they are written."""
    from napari_segmate.io.labels import write_labels

    source = reading.source(image)
    labels = _labels(source, model, params, reading, reading.anisotropy_of(image), context)
    write_labels(target, labels, axes=None if labels.ndim > 3 else "ZYX"[3 - labels.ndim :])
    return labels


def _label_blocks(
    image: Path,
    target: Path,
    model: Segmenter,
    params: Params,
    reading: Reading,
    blocks: _Blocks,
    context: Context,
) -> Any:
    """Return the labels of an image of any size, not read yet, once they are written."""
    from napari_segmate.io.ome_zarr import open_ome
    from napari_segmate.tasks.block_work import ImageFile, ModelHandle
    from napari_segmate.tasks.blocks import BLOCK, Output, label_blocks

    file = ImageFile(str(image.resolve()), reading.axes, channel_map(reading.channels))
    planes = len(file.open().index_shape)
    known = None if reading.axes else ome_of(image)
    output = Output(
        link_axis=planes - 1 if planes and reading.link else None,
        anisotropy=reading.anisotropy_of(image),
    )
    if known is not None:
        kept = [at for at, letter in enumerate(known.axes) if letter != "c"]
        letters = "".join(known.axes[at] for at in kept)
        scale = tuple(known.scale[at] for at in kept)
        output = replace(output, axes=letters, scale=scale, units=known.units)
    written = label_blocks(
        file,
        ModelHandle(*blocks.model, model=model),
        target,
        params,
        output=output,
        block=BLOCK if blocks.side is None else blocks.side,
        scheduler=blocks.scheduler,
        overwrite=True,  # what was there is already known to be given up
        context=context,
    )
    result = open_ome(written.path)
    assert result is not None, "just written"
    return result.levels[0]


def _labels(
    source: ImageSource,
    model: Segmenter,
    params: Params,
    reading: Reading,
    anisotropy: float,
    context: Context,
) -> LabelArray:
    from napari_segmate.tasks.auto import run, run_stack

    sizes = source.index_shape
    if all(size == 1 for size in sizes):
        index = (0,) * len(sizes)
        contrast = source.estimate_contrast(ContrastMode.PLANE, index)
        return run(source.plane(index, contrast), model, params, context=context).labels
    return run_stack(
        source, model, params, link=reading.link, anisotropy=anisotropy, context=context
    )
