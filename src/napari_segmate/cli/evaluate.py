"""``segmate evaluate``: how good a model is on annotated images."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from napari_segmate.cli._progress import progress
from napari_segmate.cli.train import Annotated_, Data, Images, Labels, Rectangle, read_data

__all__ = ["evaluate"]

EXAMPLES = """
Examples:

    segmate evaluate --images images/ --labels labels/ --model my-cells

    segmate evaluate -i a.tif -l a_labels.tif -m tiny --json
"""


def evaluate(
    images: Images = None,
    labels: Labels = None,
    model: Annotated[
        str, typer.Option("--model", "-m", help="Name of a model, or a weights file.")
    ] = "tiny",
    data: Data = None,
    annotated: Annotated_ = "planes",
    rectangle: Rectangle = None,
    objects: Annotated[int, typer.Option(min=1, help="Most prompted objects per plane.")] = 24,
    clicks: Annotated[int, typer.Option(min=0, help="Most clicks per object.")] = 6,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON, nothing else.")
    ] = False,
) -> None:
    """Judge a model on annotated images."""
    samples = read_data(images, labels, data, annotated, rectangle)
    with progress(quiet=as_json) as context:
        from napari_segmate.models import load_model
        from napari_segmate.tasks.evaluate import Params, run

        segmenter = load_model(model, device=device, context=context)
        params = Params(objects=objects, clicks=clicks)
        scores = run(samples, segmenter, params, context=context)
    if as_json:
        found = {"model": segmenter.key, "planes": scores.planes, **scores.as_dict()}
        typer.echo(json.dumps(found))
        return
    typer.echo(f"{segmenter.key} on {scores.planes} planes")
    for name, value in scores.as_dict().items():
        typer.echo(f"{name:<12}{value:>8.3f}")


evaluate.__doc__ = f"{evaluate.__doc__}\n{EXAMPLES}"
