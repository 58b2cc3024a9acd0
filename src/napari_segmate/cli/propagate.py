"""``segmate propagate``: objects shown on some planes of a stack, followed through all of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_segmate.cli._files import check_apart, check_free
from napari_segmate.cli._options import (
    Anisotropy,
    Axes,
    Channels,
    Device,
    Diameter,
    Fast,
    Model,
    Overwrite,
    PixelSize,
)
from napari_segmate.cli._params import with_params
from napari_segmate.cli._parse import whole
from napari_segmate.cli._progress import progress
from napari_segmate.cli._reading import Reading
from napari_segmate.cli._stack_prompts import Position, read_prompts, seeds_of
from napari_segmate.cli._words import counted
from napari_segmate.core.errors import ImageError, LabelsError, PromptError
from napari_segmate.tasks.propagate.params import Params

if TYPE_CHECKING:
    from napari_segmate.core.images.image_source import ImageSource
    from napari_segmate.core.types import LabelArray
    from napari_segmate.tasks.propagate.run import Seed

__all__ = ["propagate"]

EXAMPLES = """
Examples:

    segmate propagate stack.tif --at 12,120,340 -o labels.tif

    segmate propagate stack.tif --box 12,10,20,80,95 --at 30,64,64 -o labels.tif

    segmate propagate stack.tif --prompts clicks.csv -o labels.tif

    segmate propagate stack.tif --seeds some_planes.tif -o labels.tif
"""
AT, CORNERS = "Z,Y,X", "Z,Y0,X0,Y1,X1"


def _coordinates(least: int, form: str):  # type: ignore[no-untyped-def]
    def parse(text: object) -> tuple[float, ...]:
        try:
            values = tuple(float(one) for one in str(text).split(","))
        except ValueError:
            values = ()
        if len(values) < least:
            raise typer.BadParameter(f"{str(text)!r} is not of the form {form}; give pixels from 0")
        return values

    return parse


def _propagate(
    image: Annotated[
        Path,
        typer.Argument(metavar="STACK", help="A TIFF or NumPy file, or a Zarr or OME-Zarr folder."),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Label file: .tif, .npy or .zarr, as the stack."
        ),
    ],
    at: Annotated[
        list[tuple] | None,  # type: ignore[type-arg]
        typer.Option(
            metavar=AT,
            parser=_coordinates(3, AT),
            help="A pixel of an object: plane, row and column, from 0; one object each; repeat. "
            "With more axes, as in T,Z,Y,X, one number for each.",
        ),
    ] = None,
    box: Annotated[
        list[tuple] | None,  # type: ignore[type-arg]
        typer.Option(
            metavar=CORNERS,
            parser=_coordinates(5, CORNERS),
            help="A box round an object: plane, then rows and columns of two corners; repeat.",
        ),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Objects in a .csv file with columns z, y, x, and perhaps id and positive, or in "
            'a .json file: [{"plane": 3, "points": [[y, x]], "negative": [], "box": '
            '[y0, x0, y1, x1], "id": 1}, ...]; beside or instead of other options.',
        ),
    ] = None,
    seeds: Annotated[
        Path | None,
        typer.Option(
            metavar="LABELS",
            help="Labels of some planes, as large as the stack: these objects are followed, too, "
            "and keep their numbers; beside or instead of other options.",
        ),
    ] = None,
    axis: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            parser=whole(0),
            help="Which axis beside rows, columns and channels to follow, from 0.  "
            "[default: the last one]",
        ),
    ] = None,
    model: Model = "tiny",
    diameter: Diameter = None,
    pixel_size: PixelSize = None,
    anisotropy: Anisotropy = None,
    axes: Axes = None,
    channels: Channels = None,
    device: Device = "auto",
    fast: Fast = False,
    overwrite: Overwrite = False,
    *,
    params: Params,
) -> None:
    """Follow objects of one plane of a stack through the other planes.

    A run that was stopped goes on where it was when it is started again.
    """
    if not at and not box and prompts is None and seeds is None:
        raise typer.BadParameter(
            "show at least one object: --at Z,Y,X, --box Z,Y0,X0,Y1,X1, --prompts or --seeds"
        )
    target = _target(output, [image, *([seeds] if seeds else [])], overwrite)
    reading = Reading(axes, channels, anisotropy=anisotropy, pixel_size=pixel_size)
    source = reading.source(image)
    params = replace(params, diameter=reading.pixels(image, diameter) or 0.0)
    position = _position(source, axis)
    placed = seeds_of(at or [], box or [], position)
    if prompts is not None:
        placed += read_prompts(prompts, position)
    labels = None if seeds is None else _read_labels(seeds, source)
    rest = _stack(placed, labels, position)
    with progress() as context:
        from napari_segmate.io.labels import write_labels
        from napari_segmate.models import load_model
        from napari_segmate.tasks.propagate.planes import StackPlanes
        from napari_segmate.tasks.propagate.run import run

        index = (*rest[: position.axis], 0, *rest[position.axis :])
        planes = StackPlanes(
            source,
            position.axis,
            index,
            anisotropy=reading.anisotropy_of(image),
            smooth_z=params.smooth_z,
        )
        segmenter = load_model(model, device=device, fast=fast, context=context)
        where: tuple[int | slice, ...] = (
            *rest[: position.axis],
            slice(None),
            *rest[position.axis :],
        )
        kept = target.with_name(f"{target.name}.propagate.json")
        state = run(
            planes,
            segmenter,
            [seed for seed, _ in placed],
            labels=None if labels is None else labels[where],
            params=params,
            context=context,
            keep=kept,
        )
        context.report(0, 0, "writing")
        layout = reading.layout(image)
        write_labels(target, _in_place(state.labels(), source, where), layout)
        kept.unlink(missing_ok=True)
    objects = sum(bool(masks) for masks in state.masks.values())
    typer.echo(f"{counted(objects, 'object')} written to {target}")


def _position(source: ImageSource, axis: int | None) -> Position:
    sizes = source.index_shape
    if not sizes:
        raise ImageError("this image has one plane only; 'segmate segment' segments planes")
    if axis is not None and axis >= len(sizes):
        raise ImageError(f"no axis {axis} to follow; the image has {len(sizes)} of sizes {sizes}")
    return Position(sizes, len(sizes) - 1 if axis is None else axis)


def _target(output: Path, inputs: list[Path], overwrite: bool) -> Path:
    from napari_segmate.io.labels import check_target

    target = check_target(output)
    check_apart(target, inputs)
    if target.suffix.lower() == ".png":
        raise LabelsError(f"{target.name!r} holds one plane only; write a .tif, .npy or .zarr file")
    check_free([target], overwrite)
    return target


def _read_labels(path: Path, source: ImageSource) -> LabelArray:
    """Return labels as large as an image.

    Raises
    ------
    LabelsError
        Another shape, or no integers.
    """
    import numpy as np

    from napari_segmate.io.images import read_image

    data, _ = read_image(path)
    labels = np.asarray(data[0] if isinstance(data, list) else data)
    wanted = (*source.index_shape, *source.shape)
    if labels.shape != wanted or labels.dtype.kind not in "iu":
        raise LabelsError(
            f"{path} holds {labels.dtype} of shape {labels.shape}; labels of this image are "
            f"integers of shape {wanted}"
        )
    return labels


def _stack(
    placed: list[tuple[Seed, tuple[int, ...]]],
    labels: LabelArray | None,
    position: Position,
) -> tuple[int, ...]:
    """Return the position along the axes that are not followed: the same for all prompts."""
    others = tuple(n for at, n in enumerate(position.sizes) if at != position.axis)
    found = {rest for _, rest in placed}
    if not placed and labels is not None:
        along = tuple(range(labels.ndim))
        kept = [at for at in range(len(position.sizes)) if at != position.axis]
        used = (labels > 0).any(axis=tuple(at for at in along if at not in kept))
        import numpy as np

        found = {tuple(int(n) for n in index) for index in np.argwhere(used)} if others else {()}
    if len(found) > 1:
        raise PromptError(
            f"the prompts lie at {sorted(found)} along the axes that are not followed; follow the "
            "objects of one of them at a time"
        )
    rest = found.pop() if found else (0,) * len(others)
    if any(not 0 <= at < size for at, size in zip(rest, others, strict=True)):
        raise PromptError(f"a prompt at {rest} of axes of sizes {others}, counted from 0")
    return rest


def _in_place(stack: LabelArray, source: ImageSource, where: tuple[int | slice, ...]) -> LabelArray:
    """Return labels of the whole image, empty beside one stack of it."""
    import numpy as np

    whole_shape = (*source.index_shape, *source.shape)
    if whole_shape == stack.shape:
        return stack
    labels = np.zeros(whole_shape, stack.dtype)
    labels[where] = stack
    return labels


propagate = with_params(Params)(_propagate)
propagate.__name__ = "propagate"
propagate.__doc__ = f"{_propagate.__doc__}\n{EXAMPLES}"
