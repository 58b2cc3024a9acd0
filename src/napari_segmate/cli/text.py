"""``segmate text``: words and images in, boxes and the labels of what they name out."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_segmate.cli._batch import Reading, Work, expand, jobs_for, run_all
from napari_segmate.cli._progress import progress
from napari_segmate.core.context import Context
from napari_segmate.core.errors import LabelsError, SegmateError

if TYPE_CHECKING:
    from napari_segmate.detectors.base import Detector
    from napari_segmate.models.base import Segmenter
    from napari_segmate.tasks.text import Found, Params

__all__ = ["text"]

EXAMPLES = """
Examples:

    segmate text smear.png --prompt "red blood cell, white blood cell" -o labels.tif

    segmate text images/ --prompt "round bright blob" -o labels/ --boxes boxes/

    segmate text cells.tif --prompt nucleus -o labels.tif --diameter 20 --score 0.2

    segmate text stack.tif --prompt embryo -o labels.tif --detector my-detector/
"""
FACTS = ".segmate-text.json"


def text(
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT...", help="Images, folders of images, patterns.")
    ],
    prompt: Annotated[
        str,
        typer.Option("--prompt", "-p", help="What to look for: concepts, separated by commas."),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Label file (.tif, .npy, .zarr, .png) for one image, a folder for several.",
        ),
    ],
    boxes: Annotated[
        Path | None,
        typer.Option(help="JSON file for the boxes of one image, a folder for those of several."),
    ] = None,
    detector: Annotated[
        str,
        typer.Option(
            "--detector",
            "-d",
            help="Name of a detector ('segmate detectors'), or a folder or file of your own.",
        ),
    ] = "auto",
    model: Annotated[
        str, typer.Option("--model", "-m", help="Name of a model, or a weights file.")
    ] = "tiny",
    score: Annotated[float, typer.Option(help="Least score of a box, 0 to 1.")] = 0.3,
    min_size: Annotated[
        float, typer.Option(help="Smallest box: side in pixels of a square of its area.")
    ] = 0.0,
    max_size: Annotated[
        float | None, typer.Option(help="Largest box, likewise.  [default: no limit]")
    ] = None,
    max_area: Annotated[
        float, typer.Option(help="Largest part of the image that one box may fill, 0 to 1.")
    ] = 0.5,
    overlap: Annotated[
        float, typer.Option(help="Largest overlap (IoU) of two boxes, 0 to 1.")
    ] = 0.5,
    diameter: Annotated[
        float, typer.Option(help="Typical object in pixels: small ones are searched in tiles, too.")
    ] = 0.0,
    tile: Annotated[
        int | None,
        typer.Option(
            help="Side of the tiles in pixels, 0 for no tiles.  [default: follows from --diameter]"
        ),
    ] = None,
    detail: Annotated[
        int, typer.Option(help="Shorter side in pixels of what the detector sees; less is faster.")
    ] = 800,
    one_by_one: Annotated[
        bool, typer.Option("--one-by-one", help="One pass per concept: slower, less mixed up.")
    ] = False,
    link: Annotated[
        bool, typer.Option(help="Objects that go on from plane to plane of a stack are one.")
    ] = True,
    anisotropy: Annotated[
        float | None,
        typer.Option(
            help="Distance of the planes of a stack over that of pixels.  [default: as an OME-Zarr "
            "says, or 1]"
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
    fast: Annotated[
        bool, typer.Option("--fast", help="Allow lower precision where outlines are drawn.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Do it again where there are labels already.")
    ] = False,
) -> None:
    """Label the objects that words name.

    Beside the labels lie the class of each object (.classes.csv) and how it came about (.json).
    """
    from napari_segmate.core.phrases import split_phrases
    from napari_segmate.inference.search import Tiling
    from napari_segmate.tasks.text import Params

    split_phrases(prompt)
    params = Params(
        score=score,
        min_size=min_size,
        max_size=max_size,
        max_area_share=max_area,
        nms=overlap,
        diameter=diameter,
        tiling=Tiling.AUTO if tile is None else Tiling.ALWAYS if tile else Tiling.NEVER,
        tile=tile or 0,
        detail=detail,
        separately=one_by_one,
    )
    jobs = jobs_for(expand(inputs), output)
    reading = Reading(axes, channels, link, anisotropy)
    targets = _box_files([image for image, _ in jobs], boxes)
    with progress() as context:
        searcher = _Searcher.load(detector, model, device, fast, prompt, params, reading, context)
        searcher.box_files.update(targets)
        made_with = searcher.made_with | {"boxes": boxes is not None}
        work = Work(FACTS, made_with, searcher.run)
        done = run_all(jobs, work, overwrite=overwrite, context=context)
    for line in (*searcher.notices, *done.errors):
        typer.echo(f"segmate: {line}", err=True)
    typer.echo(done.as_text())
    if done.errors:
        raise typer.Exit(1)


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


@dataclass
class _Searcher:
    """What is done to each image."""

    detector: Detector
    model: Segmenter
    origin: str
    prompt: str
    params: Params
    reading: Reading
    context: Context
    box_files: dict[Path, Path] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)

    @classmethod
    def load(
        cls,
        detector: str,
        model: str,
        device: str,
        fast: bool,
        prompt: str,
        params: Params,
        reading: Reading,
        context: Context,
    ) -> _Searcher:
        from napari_segmate.models import load_model
        from napari_segmate.tasks.text import ready

        finder = ready(detector, device=device, context=context)
        segmenter = load_model(model, device=device, fast=fast, context=context)
        path = Path(detector)
        origin = str(path.resolve()) if path.exists() else finder.info.name
        return cls(finder, segmenter, origin, prompt, params, reading, context)

    @property
    def made_with(self) -> dict[str, Any]:
        return {
            "detector": self.origin,
            "model": self.model.key,
            "prompt": self.prompt,
            "params": asdict(self.params),
            "reading": asdict(self.reading),
        }

    def run(self, image: Path, target: Path) -> dict[str, Any]:
        """Label one image and write what belongs to it; return facts on the result."""
        from napari_segmate.io.labels import write_labels

        found = self._found(image)
        labels = found.labels
        write_labels(target, labels, axes=None if labels.ndim > 3 else "ZYX"[3 - labels.ndim :])
        self._write_rest(image, target, found)
        if found.advice:
            self.notices.append(f"{image}: {found.advice}")
        return {
            "objects": found.count,
            "classes": dict(Counter(found.classes)),
            "boxes_found": sum(len(plane.boxes) for plane in found.planes),
            "shape": list(labels.shape),
        }

    def _found(self, image: Path) -> Found:
        from napari_segmate.tasks.text import run_stack

        found = run_stack(
            self.reading.source(image),
            self.prompt,
            self.detector,
            self.model,
            self.params,
            link=self.reading.link,
            anisotropy=self.reading.anisotropy_of(image),
            context=self.context,
        )
        return found.as_plane() if all(size == 1 for size in found.labels.shape[:-2]) else found

    def _write_rest(self, image: Path, target: Path, found: Found) -> None:
        from napari_segmate.io.provenance import save_sidecar
        from napari_segmate.io.tables import write_whole
        from napari_segmate.tasks.text_files import boxes_as_json, classes_as_csv

        write_whole(target.with_suffix(".classes.csv"), classes_as_csv(found))
        if image in self.box_files:
            content = boxes_as_json(found, image.name, self.detector.info.name)
            write_whole(self.box_files[image], json.dumps(content) + "\n")
        try:
            save_sidecar(target, found.records)
        except OSError as error:
            raise SegmateError(
                f"{target} is written, but not how it came about ({error.strerror or error}); free "
                "some space and try again"
            ) from error
