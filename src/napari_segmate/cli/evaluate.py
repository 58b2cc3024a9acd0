"""``segmate evaluate``: how good a model is on annotated images."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from napari_segmate.cli._annotated import Data, Images, Kind, Labels, Rectangle, read_data
from napari_segmate.cli._options import AsJson, Device, Model
from napari_segmate.cli._parse import whole
from napari_segmate.cli._progress import progress
from napari_segmate.cli._words import counted
from napari_segmate.core.errors import LabelsError

__all__ = ["evaluate"]

EXAMPLES = """
Examples:

    segmate evaluate --images images/ --labels labels/ --model my-cells

    segmate evaluate -i a.tif -l a_labels.tif -m tiny --json
"""


def evaluate(
    images: Images = None,
    labels: Labels = None,
    model: Model = "tiny",
    data: Data = None,
    annotated: Kind = "planes",
    rectangle: Rectangle = None,
    objects: Annotated[
        int,
        typer.Option(metavar="N", parser=whole(1), help="Most objects per plane to prompt for."),
    ] = 24,
    clicks: Annotated[
        int,
        typer.Option(
            metavar="N",
            parser=whole(0),
            help="Most clicks per object, to reach an IoU of 0.85; 0 leaves that out.",
        ),
    ] = 6,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Judge a model on annotated images.

    Means over objects (IoU after one click, for a box, clicks to IoU 0.85) and, for models that
    find objects by themselves, average precision (ap50; msa: mean of IoU 0.50 to 0.95).
    """
    samples = read_data(
        images, labels, data, annotated, rectangle, lambda text: typer.echo(text, err=True)
    )
    if not any(sample.objects for sample in samples):
        raise LabelsError(
            "there is no labelled object to judge by; label some objects first, or check that "
            "these are the right labels"
        )
    with progress(quiet=as_json) as context:
        from napari_segmate.models import load_model
        from napari_segmate.tasks.evaluate.run import Params, run

        segmenter = load_model(model, device=device, context=context)
        params = Params(objects=objects, clicks=clicks)
        scores = run(samples, segmenter, params, context=context)
    if as_json:
        found = {"model": segmenter.key, "planes": scores.planes, **scores.as_dict()}
        typer.echo(json.dumps(found))
        return
    typer.echo(f"{segmenter.key} on {counted(scores.planes, 'plane')}")
    for name, value in scores.as_dict().items():
        typer.echo(f"{name:<12}{value:>8.3f}")


evaluate.__doc__ = f"{evaluate.__doc__}\n{EXAMPLES}"
