"""``segmate segment``: prompts on an image file in, a label file out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_segmate.cli._parse import channel_map, numbers, plane_index
from napari_segmate.cli._progress import progress
from napari_segmate.core.image import ContrastMode, ImageSource
from napari_segmate.core.labels import CommitPolicy

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
        count = len(self._kept)
        return f"{count} object{'' if count == 1 else 's'} written to {self.path}"


def _described(record: Any) -> dict[str, Any]:
    return {
        "id": record.label,
        "box_yx": list(record.box_yx),
        "score": round(record.score, 4),
        "stability": round(record.stability, 4),
    }


def segment(
    image: Annotated[Path, typer.Argument(help="TIFF, PNG, JPEG, NumPy or Zarr file.")],
    point: Annotated[
        list[str] | None,
        typer.Option(metavar="Y,X", help="A pixel of the object, in rows and columns; repeat."),
    ] = None,
    negative: Annotated[
        list[str] | None, typer.Option(metavar="Y,X", help="A pixel outside the object; repeat.")
    ] = None,
    box: Annotated[
        list[str] | None,
        typer.Option(metavar="Y0,X0,Y1,X1", help="A box round an object; repeat for more objects."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Label file: .tif, .npy, .zarr or .png. [default: IMAGE_labels.tif]",
        ),
    ] = None,
    each_point: Annotated[
        bool, typer.Option("--each-point", help="Every point is an object of its own.")
    ] = False,
    model: Annotated[
        str, typer.Option("--model", "-m", help="Name of a model, or a weights file.")
    ] = "tiny",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    fast: Annotated[bool, typer.Option("--fast", help="Allow lower precision.")] = False,
    index: Annotated[
        str | None,
        typer.Option(
            "--index",
            "--plane",
            metavar="N,...",
            help="Plane of a stack: one number per axis, from 0.",
        ),
    ] = None,
    axes: Annotated[
        str | None,
        typer.Option(metavar="LETTERS", help="What the axes of the file are, as in TZCYX or YXS."),
    ] = None,
    channels: Annotated[
        str | None,
        typer.Option(metavar="R,G,B", help="Channels shown as red, green, blue; one for grey."),
    ] = None,
    contrast: Annotated[
        str, typer.Option(help="Whose intensities become black and white: plane or stack.")
    ] = "plane",
    fill_holes: Annotated[bool, typer.Option(help="Fill the holes of objects.")] = True,
    min_size: Annotated[
        int, typer.Option(min=0, help="Drop pieces of fewer pixels from an object.")
    ] = 0,
    diameter: Annotated[
        float, typer.Option(min=0, help="Typical object in pixels; 0 estimates it.")
    ] = 0.0,
    overlap: Annotated[
        CommitPolicy,
        typer.Option(
            help="Pixels of several objects: to the earlier (keep) or later (overwrite) "
            "one; background leaves out objects mostly on earlier ones."
        ),
    ] = CommitPolicy.KEEP_OBJECTS,
    provenance: Annotated[
        bool,
        typer.Option("--provenance", help="Write how each object came about beside the labels."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON, nothing else.")
    ] = False,
) -> None:
    """Segment the objects that points and boxes show."""
    from napari_segmate.io.images import read_image
    from napari_segmate.io.labels import check_target, write_labels

    target = check_target(output or image.with_name(f"{image.stem}_labels.tif"))
    mode = _mode(contrast)
    drawn = _Drawn.parse(point, negative, box, each_point)
    data, found_axes = read_image(image, axes)
    source = ImageSource(data, found_axes, channel_map(channels))
    number = plane_index(index, source)
    prompts = drawn.objects(source.shape)
    with progress(quiet=as_json) as context:
        from napari_segmate.models import load_model
        from napari_segmate.tasks.segment import Params, run

        plane = source.plane(number, source.estimate_contrast(mode, number))
        segmenter = load_model(model, device=device, fast=fast, context=context)
        params = Params(
            fill_holes=fill_holes, min_size=min_size, diameter=diameter, overlap=overlap
        )
        result = run(plane, prompts, segmenter, params=params, index=number, context=context)
        context.report(0, 0, "writing")
        write_labels(target, result.labels(), axes="YX")
    if provenance:
        _write_records(target, result)
    written = _Written(target, result, segmenter.key)
    typer.echo(written.as_json() if as_json else written.as_text())
    for missing in result.missing:
        typer.echo(f"segmate: object {missing} has no pixel; prompt it differently", err=True)


segment.__doc__ = f"{segment.__doc__}\n{EXAMPLES}"


@dataclass(frozen=True)
class _Drawn:
    """The prompts as they were written."""

    points: list[tuple[float, ...]]
    negatives: list[tuple[float, ...]]
    boxes: list[tuple[float, ...]]
    each_point: bool

    @classmethod
    def parse(
        cls,
        point: list[str] | None,
        negative: list[str] | None,
        box: list[str] | None,
        each_point: bool,
    ) -> _Drawn:
        if not point and not box:
            raise typer.BadParameter("give at least one --point Y,X or --box Y0,X0,Y1,X1")
        return cls(
            [numbers(text, 2, "Y,X") for text in point or []],
            [numbers(text, 2, "Y,X") for text in negative or []],
            [numbers(text, 4, "Y0,X0,Y1,X1") for text in box or []],
            each_point,
        )

    def objects(self, shape: Shape2D) -> tuple[ObjectPrompts, ...]:
        import numpy as np

        from napari_segmate.core.prompts import Box, Points
        from napari_segmate.sessions.objects import resolve
        from napari_segmate.sessions.prompt_set import PointMode, PromptSet

        at = np.array([*self.points, *self.negatives], dtype=np.float64)
        positive = np.arange(len(at)) < len(self.points)
        drawn = PromptSet(
            points=Points(at, positive) if len(at) else None,
            boxes=tuple(Box((y0, x0, y1, x1)) for y0, x0, y1, x1 in self.boxes),
        )
        mode = PointMode.EACH_POINT if self.each_point else PointMode.ONE_OBJECT
        return resolve(drawn, mode, shape)


def _mode(text: str) -> ContrastMode:
    allowed = [ContrastMode.PLANE.value, ContrastMode.STACK.value]
    if text not in allowed:
        raise typer.BadParameter(f"no contrast {text!r}; choose one of {allowed}")
    return ContrastMode(text)


def _write_records(target: Path, result: Segmentation) -> None:
    from napari_segmate.core.errors import LabelsError
    from napari_segmate.io.provenance import save_sidecar

    try:
        save_sidecar(target, result.records)
    except OSError as error:
        raise LabelsError(
            f"{target} is written, but not its provenance ({error.strerror or error}); free some "
            "space and try again"
        ) from error
