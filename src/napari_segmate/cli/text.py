"""``segmate text``: words and images in, boxes and the labels of what they name out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from napari_segmate.cli import FAILED
from napari_segmate.cli._batch import Work, run_all
from napari_segmate.cli._files import expand, jobs_for
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
from napari_segmate.cli._parse import choice, number, whole
from napari_segmate.cli._progress import progress
from napari_segmate.cli._reading import Reading
from napari_segmate.cli._searching import Searcher
from napari_segmate.core.errors import LabelsError, PromptError
from napari_segmate.core.masks.coarse_masks import MaskSource

__all__ = ["text"]

EXAMPLES = """
Examples:

    segmate text smear.png --prompt "red blood cell, white blood cell" -o labels.tif

    segmate text images/ --prompt "round bright blob" -o labels/ --boxes boxes/

    segmate text cells.tif --prompt nucleus -o labels.tif --diameter 20 --score 0.2

    segmate text stack.tif --prompt embryo -o labels.tif --detector my-detector/
"""
FACTS = ".segmate-text.json"
LEAST_PX = 64


def _prompt(text: Any) -> str:
    from napari_segmate.core.text.phrases import split_phrases

    try:
        split_phrases(str(text))
    except PromptError as error:
        raise typer.BadParameter(str(error)) from error
    return str(text)


def _tile(text: Any) -> int:
    return 0 if str(text) == "0" else whole(LEAST_PX)(text)


def text(
    inputs: Inputs,
    prompt: Annotated[
        str,
        typer.Option(
            "--prompt",
            "-p",
            metavar="WORDS",
            parser=_prompt,
            help="What to look for: concepts, separated by commas.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="Label file (.tif, .npy, .zarr, .png) for one image, a folder for several.",
        ),
    ],
    boxes: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="JSON file for the boxes of one image, a folder for those of several.  "
            "[default: boxes are not written]",
        ),
    ] = None,
    detector: Annotated[
        str,
        typer.Option(
            "--detector",
            "-d",
            metavar="NAME",
            help="Name of a detector that 'segmate detectors' lists, or a folder or file of your "
            "own; auto takes the first one whose files are there.",
        ),
    ] = "auto",
    model: Model = "tiny",
    score: Annotated[
        float,
        typer.Option(metavar="0..1", parser=number(0, 1), help="Least score of a box, 0 to 1."),
    ] = 0.3,
    min_size: Annotated[
        float,
        typer.Option(
            metavar="PIXELS",
            parser=number(0),
            help="Smallest box: side in pixels of a square of its area.",
        ),
    ] = 0.0,
    max_size: Annotated[
        float | None,
        typer.Option(
            metavar="PIXELS", parser=number(0), help="Largest box, likewise.  [default: no limit]"
        ),
    ] = None,
    max_area: Annotated[
        float,
        typer.Option(
            metavar="0..1",
            parser=number(0, 1),
            help="Largest part of the image that one box may fill, 0 to 1.",
        ),
    ] = 0.5,
    overlap: Annotated[
        float,
        typer.Option(
            metavar="0..1", parser=number(0, 1), help="Largest overlap (IoU) of two boxes, 0 to 1."
        ),
    ] = 0.5,
    diameter: Diameter = None,
    pixel_size: PixelSize = None,
    tile: Annotated[
        int | None,
        typer.Option(
            metavar="PIXELS",
            parser=_tile,
            help=f"Side of the tiles that are searched, {LEAST_PX} pixels or more; 0 for no tiles."
            "  [default: tiles where --diameter says that objects are small]",
        ),
    ] = None,
    detail: Annotated[
        int,
        typer.Option(
            metavar="PIXELS",
            parser=whole(LEAST_PX),
            help="Shorter side of what the detector sees, "
            f"{LEAST_PX} pixels or more; fewer are faster.",
        ),
    ] = 800,
    one_by_one: Annotated[
        bool,
        typer.Option(
            "--one-by-one", help="One pass per concept: slower, less mixed up; off by default."
        ),
    ] = False,
    masks: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            parser=choice("masks", lambda: list(MaskSource)),
            help="Who draws outlines where the detector can do so, too (SAM 3): detector, or "
            "model.",
        ),
    ] = MaskSource.DETECTOR,
    link: Link = True,
    anisotropy: Anisotropy = None,
    axes: Axes = None,
    channels: Channels = None,
    device: Device = "auto",
    fast: Fast = False,
    overwrite: Overwrite = False,
) -> None:
    """Label the objects that words name.

    Beside the labels lie the class of each object (.classes.csv) and how it came about (.json).
    """
    from napari_segmate.inference.detection.search import Tiling
    from napari_segmate.tasks.text.run import Params

    if max_size is not None and max_size < min_size:
        raise typer.BadParameter(
            f"--max-size: {max_size:g} is below --min-size {min_size:g}; raise or lower one"
        )
    params = Params(
        score=score,
        min_size=min_size,
        max_size=max_size,
        max_area_share=max_area,
        nms=overlap,
        tiling=Tiling.AUTO if tile is None else Tiling.ALWAYS if tile else Tiling.NEVER,
        tile=tile or 0,
        detail=detail,
        separately=one_by_one,
        masks=MaskSource(masks),
    )
    jobs = jobs_for(expand(inputs), output)
    reading = Reading(axes, channels, link, anisotropy, pixel_size)
    targets = _box_files([image for image, _ in jobs], boxes)
    with progress() as context:
        from napari_segmate.models import load_model
        from napari_segmate.tasks.text.run import ready

        finder = ready(detector, device=device, context=context)
        segmenter = load_model(model, device=device, fast=fast, context=context)
        path = Path(detector)
        origin = str(path.resolve()) if path.exists() else finder.info.name
        searcher = Searcher(
            finder, segmenter, origin, prompt, params, diameter, reading, context, targets
        )
        made_with = searcher.made_with | {"boxes": boxes is not None}
        work = Work(FACTS, made_with, searcher.run, beside=searcher.files)
        done = run_all(jobs, work, overwrite=overwrite, context=context)
    for line in (*searcher.notices, *done.errors):
        typer.echo(f"segmate: {line}", err=True)
    typer.echo(done.as_text())
    if done.errors:
        raise typer.Exit(FAILED)


text.__doc__ = f"{text.__doc__}\n{EXAMPLES}"


def _box_files(images: list[Path], boxes: Path | None) -> dict[Path, Path]:
    """Return where the boxes of each image go."""
    if boxes is None:
        return {}
    if boxes.suffix:
        if boxes.suffix != ".json":
            raise LabelsError(f"boxes are written as JSON: end the name {boxes} with .json")
        if len(images) > 1:
            raise LabelsError(
                f"the boxes of {len(images)} images cannot go into the one file {boxes}; give a "
                "folder"
            )
        if not boxes.parent.is_dir():
            raise LabelsError(f"there is no folder {boxes.parent}; make it first")
        return {images[0]: boxes}
    try:
        boxes.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabelsError(f"cannot make the folder {boxes}: {error.strerror or error}") from error
    return {image: boxes / f"{image.stem}_boxes.json" for image in images}
