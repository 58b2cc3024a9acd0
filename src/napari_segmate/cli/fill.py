"""``segmate fill``: objects labelled on some planes, drawn on the planes between them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_segmate.cli._files import check_apart, check_free
from napari_segmate.cli._options import Anisotropy, Axes, Channels, Device, Model, Overwrite
from napari_segmate.cli._parse import whole
from napari_segmate.cli._progress import progress
from napari_segmate.cli._reading import Reading

if TYPE_CHECKING:
    from napari_segmate.core.context import Context
    from napari_segmate.core.types import LabelArray

__all__ = ["fill"]

EXAMPLES = """
Examples:

    segmate fill every_third_plane.tif -o labels.tif

    segmate fill every_third_plane.tif --image stack.tif -o labels.tif
"""


def fill(
    labels: Annotated[
        Path, typer.Argument(metavar="LABELS", help="A label file with three axes, planes first.")
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="Label file: .tif, .npy or .zarr."),
    ],
    image: Annotated[
        Path | None,
        typer.Option(
            metavar="STACK",
            help="The image, as large as the labels: outlines are pulled to it.  "
            "[default: shapes alone, without a model]",
        ),
    ] = None,
    most_gap: Annotated[
        int | None,
        typer.Option(
            metavar="PLANES",
            parser=whole(1),
            help="Most planes that may lie between two given ones.  [default: any number]",
        ),
    ] = None,
    model: Model = "tiny",
    anisotropy: Anisotropy = None,
    axes: Axes = None,
    channels: Channels = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Draw objects that are labelled on some planes on the planes between them."""
    import numpy as np

    from napari_segmate.core.labels.interpolate import fill_between
    from napari_segmate.io.images import read_image
    from napari_segmate.io.labels import check_target, write_labels
    from napari_segmate.io.layout import label_layout

    target = check_target(output)
    check_apart(target, [labels, *([image] if image else [])])
    check_free([target], overwrite)
    data, _ = read_image(labels)
    given = np.asarray(data[0] if isinstance(data, list) else data)
    with progress() as context:
        if image is None:
            filled = fill_between(given, most_gap=most_gap)
        else:
            reading = Reading(axes, channels, anisotropy=anisotropy)
            filled = _pulled(given, image, reading, (model, device), most_gap, context)
        write_labels(target, filled, label_layout(labels))
    added = int(np.count_nonzero(filled) - np.count_nonzero(given))
    typer.echo(f"{added} voxels filled in, written to {target}")


def _pulled(
    given: LabelArray,
    image: Path,
    reading: Reading,
    model: tuple[str, str],
    most_gap: int | None,
    context: Context,
) -> LabelArray:
    from napari_segmate.models import load_model
    from napari_segmate.tasks.propagate.fill import fill_with_image
    from napari_segmate.tasks.propagate.planes import StackPlanes

    planes = StackPlanes(reading.source(image), anisotropy=reading.anisotropy_of(image))
    segmenter = load_model(model[0], device=model[1], context=context)
    return fill_with_image(planes, given, segmenter, most_gap=most_gap, context=context)


fill.__doc__ = f"{fill.__doc__}\n{EXAMPLES}"
