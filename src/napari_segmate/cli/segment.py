"""``segmate segment``: prompts on an image file in, a label file out."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_segmate.cli._files import check_apart, check_free
from napari_segmate.cli._options import (
    AsJson,
    Axes,
    Channels,
    Device,
    Diameter,
    Fast,
    Model,
    Overwrite,
    PixelSize,
)
from napari_segmate.cli._parse import choice, numbers, plane_index, whole
from napari_segmate.cli._progress import progress
from napari_segmate.cli._reading import Reading
from napari_segmate.cli._words import counted
from napari_segmate.core.errors import LabelsError
from napari_segmate.core.images.image_source import ContrastMode
from napari_segmate.core.labels.commit import CommitPolicy

if TYPE_CHECKING:
    from napari_segmate.core.prompts import ObjectPrompts
    from napari_segmate.core.types import Shape2D
    from napari_segmate.tasks.segment import Segmentation

__all__ = ["segment"]

EXAMPLES = """
Examples:

    segmate segment cells.tif --point 120,340 -o labels.tif

    segmate segment cells.tif --point 120,340 --negative 90,300

    segmate segment cells.tif --box 10,20,80,95 --box 100,40,150,90 --json

    segmate segment stack.tif --index 12 --point 64,64 --model vit_b
"""


@dataclass(frozen=True)
class _Written:
    path: Path
    segmentation: Segmentation
    model: str

    def as_json(self) -> str:
        return json.dumps(
            {
                "labels": str(self.path),
                "model": self.model,
                "shape": list(self.segmentation.shape),
                "objects": [_described(record) for record in self._kept],
                "missing": list(self.segmentation.missing),
            }
        )

    @property
    def _kept(self) -> list[Any]:
        missing = self.segmentation.missing
        return [record for record in self.segmentation.records if record.label not in missing]

    def as_text(self) -> str:
        return f"{counted(len(self._kept), 'object')} written to {self.path}"


def _described(record: Any) -> dict[str, Any]:
    return {
        "id": record.label,
        "box_yx": list(record.box_yx),
        "score": round(record.score, 4),
        "stability": round(record.stability, 4),
    }


CONTRASTS = (ContrastMode.PLANE, ContrastMode.STACK)
YX, CORNERS = "Y,X", "Y0,X0,Y1,X1"


def segment(
    image: Annotated[
        Path,
        typer.Argument(
            metavar="IMAGE", help="A TIFF, PNG, JPEG or NumPy file, or a Zarr or OME-Zarr folder."
        ),
    ],
    point: Annotated[
        list[tuple] | None,  # type: ignore[type-arg]
        typer.Option(
            metavar=YX,
            parser=numbers(YX),
            help="A pixel of the object: row and column, from 0; repeat.",
        ),
    ] = None,
    negative: Annotated[
        list[tuple] | None,  # type: ignore[type-arg]
        typer.Option(
            metavar=YX, parser=numbers(YX), help="A pixel that is not of the object; repeat."
        ),
    ] = None,
    box: Annotated[
        list[tuple] | None,  # type: ignore[type-arg]
        typer.Option(
            metavar=CORNERS,
            parser=numbers(CORNERS),
            help="A box round an object, in pixels: rows and columns of two corners; repeat for "
            "more objects.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Label file: .tif, .npy, .zarr or .png.  [default: IMAGE_labels.tif, beside the "
            "image]",
        ),
    ] = None,
    each_point: Annotated[
        bool,
        typer.Option(
            "--each-point", help="Every point is an object of its own; all are one by default."
        ),
    ] = False,
    model: Model = "tiny",
    device: Device = "auto",
    fast: Fast = False,
    index: Annotated[
        str | None,
        typer.Option(
            "--index",
            "--plane",
            metavar="N,...",
            help="Plane of a stack: one number per axis, from 0.  [default: the only plane]",
        ),
    ] = None,
    axes: Axes = None,
    channels: Channels = None,
    contrast: Annotated[
        str,
        typer.Option(
            metavar="WHOSE",
            parser=choice("contrast", lambda: CONTRASTS),
            help="Whose intensities become black and white: those of the plane or of the stack.",
        ),
    ] = "plane",
    fill_holes: Annotated[bool, typer.Option(help="Whether to fill the holes of objects.")] = True,
    min_size: Annotated[
        int,
        typer.Option(
            metavar="PIXELS",
            parser=whole(0),
            help="Drop pieces of an object of fewer pixels; its largest always stays.",
        ),
    ] = 0,
    diameter: Diameter = None,
    pixel_size: PixelSize = None,
    overlap: Annotated[
        str,
        typer.Option(
            metavar="POLICY",
            parser=choice("policy", lambda: CommitPolicy),
            help="Whose are pixels of several objects: of the earlier (keep) or later (overwrite) "
            "one; background also leaves out objects mostly on earlier ones.",
        ),
    ] = "keep",
    provenance: Annotated[
        bool,
        typer.Option(
            "--provenance",
            help="Also write how each object came about, as .segmate.json beside the labels.",
        ),
    ] = False,
    as_json: AsJson = False,
    overwrite: Overwrite = False,
) -> None:
    """Segment the objects that points and boxes show."""
    if not point and not box:
        raise typer.BadParameter("give at least one --point Y,X or --box Y0,X0,Y1,X1")
    from napari_segmate.io.input_state import check_unchanged, input_state

    target = _target(image, output, overwrite, records=provenance)
    drawn = _Drawn(point or [], negative or [], box or [], each_point)
    reading = Reading(axes, channels, pixel_size=pixel_size)
    before = input_state(image)
    source = reading.source(image)
    for note in reading.notes(image):
        typer.echo(f"segmate: {note}", err=True)
    number = plane_index(index, source)
    size = reading.pixels(image, diameter) or 0.0
    prompts = drawn.objects(source.shape)
    with progress(quiet=as_json) as context:
        from napari_segmate.io.labels import write_labels
        from napari_segmate.models import load_model
        from napari_segmate.tasks.segment import Params, run

        plane = source.plane(number, source.estimate_contrast(ContrastMode(contrast), number))
        segmenter = load_model(model, device=device, fast=fast, context=context)
        params = Params(fill_holes, min_size, diameter=size, overlap=CommitPolicy(overlap))
        result = run(plane, prompts, segmenter, params=params, index=number, context=context)
        context.report(0, 0, "writing")
        check_unchanged(image, before)
        labels = result.labels()
        layout = reading.layout(image)
        write_labels(target, labels, layout and layout.of_ndim(labels.ndim))
    if provenance:
        _write_records(target, result, reading.size_facts(image, diameter))
    written = _Written(target, result, segmenter.key)
    typer.echo(written.as_json() if as_json else written.as_text())
    for missing in result.missing:
        typer.echo(f"segmate: object {missing} has no pixel; prompt it differently", err=True)


segment.__doc__ = f"{segment.__doc__}\n{EXAMPLES}"


def _target(image: Path, output: Path | None, overwrite: bool, *, records: bool) -> Path:
    """Return the file to write; with `records` another one is written beside it.

    Raises
    ------
    LabelsError
        It cannot be written, is there already, or is the image.
    """
    from napari_segmate.io.labels import check_target
    from napari_segmate.io.provenance import sidecar_path

    target = check_target(output or image.with_name(f"{image.stem}_labels.tif"))
    check_apart(target, [image])
    check_free([target, *([sidecar_path(target)] if records else [])], overwrite)
    return target


@dataclass(frozen=True)
class _Drawn:
    """The prompts as they were written."""

    points: list[tuple[float, ...]]
    negatives: list[tuple[float, ...]]
    boxes: list[tuple[float, ...]]
    each_point: bool

    def objects(self, shape: Shape2D) -> tuple[ObjectPrompts, ...]:
        import numpy as np

        from napari_segmate.core.prompts import Box, Points
        from napari_segmate.sessions.prompt_set import PointMode, PromptSet, resolve

        at = np.array([*self.points, *self.negatives], dtype=np.float64)
        positive = np.arange(len(at)) < len(self.points)
        drawn = PromptSet(
            points=Points(at, positive) if len(at) else None,
            boxes=tuple(Box((y0, x0, y1, x1)) for y0, x0, y1, x1 in self.boxes),
        )
        mode = PointMode.EACH_POINT if self.each_point else PointMode.ONE_OBJECT
        return resolve(drawn, mode, shape)


def _write_records(target: Path, result: Segmentation, sizes: dict[str, Any]) -> None:
    """Write how objects came about; `sizes`: what a diameter in micrometres meant."""
    from napari_segmate.io.provenance import save_sidecar

    records = [replace(one, view={**one.view, **sizes}) for one in result.records]
    try:
        save_sidecar(target, records)
    except OSError as error:
        raise LabelsError(
            f"{target} is written, but not its provenance ({error.strerror or error}); free some "
            "space and try again"
        ) from error
