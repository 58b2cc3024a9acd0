"""``segmate auto``: images in, labels of all their objects out."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_segmate.cli._parse import channel_map
from napari_segmate.cli._progress import progress
from napari_segmate.core.context import Context
from napari_segmate.core.errors import Cancelled, LabelsError, ParameterError, SegmateError
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
IMAGES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".npy", ".zarr")
FACTS = ".segmate-auto.json"
DEFAULT_FORMAT = ".tif"


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
    images = _expand(inputs)
    jobs = _jobs(images, output)
    reading = _Reading(axes, channels, link, anisotropy)
    writing = _Writing(table, coco)
    with progress() as context:
        from napari_segmate.models import load_model

        segmenter = load_model(model, device=device, fast=fast, context=context)
        done = _run_all(jobs, segmenter, settings, reading, writing, overwrite, context)
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


@dataclass(frozen=True)
class _Done:
    """What came of it."""

    objects: int
    images: int
    skipped: int
    errors: tuple[str, ...]

    def as_text(self) -> str:
        parts = [f"{_count(self.objects, 'object')} in {_count(self.images, 'image')}"]
        if self.skipped:
            parts.append(f"{self.skipped} done before (--overwrite does them again)")
        if self.errors:
            parts.append(f"{len(self.errors)} failed")
        return ", ".join(parts)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


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


def _expand(inputs: Sequence[str]) -> list[Path]:
    """Return the images that files, folders and patterns name, in order, each once."""
    found: dict[Path, None] = {}
    for text in inputs:
        path = Path(text)
        if path.is_dir() and path.suffix != ".zarr":
            names = sorted(one for one in path.iterdir() if one.suffix.lower() in IMAGES)
            if not names:
                raise LabelsError(f"the folder {path} has no image; known are {', '.join(IMAGES)}")
        else:
            names = [path] if path.exists() else sorted(path.parent.glob(path.name))
            if not names:
                raise LabelsError(f"there is no file {text}")
        found.update(dict.fromkeys(names))
    return list(found)


def _jobs(images: Sequence[Path], output: Path) -> list[tuple[Path, Path]]:
    """Return where the labels of each image go."""
    from napari_segmate.io.labels import check_target

    if output.suffix:
        if len(images) > 1:
            raise LabelsError(
                f"{len(images)} images cannot go into the one file {output}; give a folder"
            )
        return [(images[0], check_target(output))]
    jobs = [(image, output / f"{image.stem}_labels{DEFAULT_FORMAT}") for image in images]
    names = [target.name for _, target in jobs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise LabelsError(
            f"several images would be written to {twice[0]}; give folders of their own to images "
            "of the same name"
        )
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabelsError(f"cannot make the folder {output}: {error.strerror or error}") from error
    return jobs


def _run_all(
    jobs: Sequence[tuple[Path, Path]],
    model: Segmenter,
    params: Params,
    reading: _Reading,
    writing: _Writing,
    overwrite: bool,
    context: Context,
) -> _Done:
    objects = skipped = 0
    errors = []
    for number, (image, target) in enumerate(jobs):
        context.report(number, len(jobs), image.name)
        if target.exists() and not overwrite:
            if _is_finished(target, image, model, params):
                skipped += 1
            else:
                errors.append(f"{target} exists and is of other settings; --overwrite replaces it")
            continue
        try:
            objects += _run_one(image, target, model, params, reading, writing, context)
        except Cancelled:
            raise
        except (SegmateError, OSError, MemoryError) as error:
            errors.append(f"{image}: {error}")
    context.report(len(jobs), len(jobs), "done")
    return _Done(objects, len(jobs) - skipped - len(errors), skipped, tuple(errors))


def _run_one(
    image: Path,
    target: Path,
    model: Segmenter,
    params: Params,
    reading: _Reading,
    writing: _Writing,
    context: Context,
) -> int:
    """Label one image and write what belongs to it; return the number of objects."""
    from napari_segmate.io.images import read_image
    from napari_segmate.io.labels import write_labels
    from napari_segmate.io.tables import write_coco, write_measurements, write_whole

    started = time.monotonic()
    data, axes = read_image(image, reading.axes)
    source = ImageSource(data, axes, channel_map(reading.channels))
    labels = _labels(source, model, params, reading, context)
    write_labels(target, labels, axes=None if labels.ndim > 3 else "ZYX"[3 - labels.ndim :])
    if writing.table:
        write_measurements(target.with_suffix(".csv"), labels)
    if writing.coco:
        write_coco(target.with_suffix(".coco.json"), labels, image.name)
    count = int(labels.max(initial=0))
    facts = _facts(image, model, params) | {
        "objects": count,
        "shape": list(labels.shape),
        "seconds": round(time.monotonic() - started, 2),
    }
    # Written last: its presence says that everything else is there.
    write_whole(_facts_path(target), json.dumps(facts, indent=1) + "\n")
    return count


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


def _facts_path(target: Path) -> Path:
    return target.with_name(target.name + FACTS)


def _facts(image: Path, model: Segmenter, params: Params) -> dict[str, Any]:
    from napari_segmate.io.provenance import package_version

    state = image.stat()
    return {
        "input": str(image.resolve()),
        "input_bytes": state.st_size,
        "input_changed": state.st_mtime_ns,
        "model": model.key,
        "params": json.loads(json.dumps(asdict(params))),
        "version": package_version(),
    }


def _is_finished(target: Path, image: Path, model: Segmenter, params: Params) -> bool:
    """Tell whether labels were made from this image, with this model and these settings."""
    try:
        stored = json.loads(_facts_path(target).read_text(encoding="utf-8"))
        wanted = _facts(image, model, params)
    except (OSError, ValueError):
        return False
    same = [name for name in wanted if name != "version"]
    return isinstance(stored, dict) and all(stored.get(name) == wanted[name] for name in same)
