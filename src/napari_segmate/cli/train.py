"""``segmate train``: images and labels in, a model out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_segmate.cli._parse import numbers
from napari_segmate.core.errors import Cancelled, SegmateError
from napari_segmate.core.training_events import (
    Event,
    Failure,
    Message,
    Result,
    Start,
    Validation,
    Work,
    to_line,
)
from napari_segmate.sessions.training import duration

if TYPE_CHECKING:
    from napari_segmate.training.data import Sample

__all__ = ["Images", "Labels", "read_data", "train"]

EXAMPLES = """
Examples:

    segmate train --images images/ --labels labels/ -o my-cells

    segmate train --images "raw/*.tif" --labels "raw/*_labels.tif" --preset balanced -o my-cells

    segmate train --images stack.tif --labels stack_labels.tif --annotated objects -o my-cells
"""

Images = Annotated[
    list[str] | None,
    typer.Option("--images", "-i", help="Image files, a folder or a pattern; repeat."),
]
Labels = Annotated[
    list[str] | None,
    typer.Option("--labels", "-l", help="Their labels, paired by name; repeat."),
]
Data = Annotated[
    Path | None, typer.Option("--data", help="A folder that napari's Train panel has written.")
]
Annotated_ = Annotated[
    str,
    typer.Option(
        "--annotated",
        help="What was labelled: every object of the planes, of a rectangle, or some objects.",
    ),
]
Rectangle = Annotated[
    str | None,
    typer.Option(metavar="Y0,X0,Y1,X1", help="The annotated part, with --annotated rectangle."),
]


def read_data(
    images: list[str] | None,
    labels: list[str] | None,
    data: Path | None,
    annotated: str,
    rectangle: str | None,
) -> tuple[Sample, ...]:
    """Return the annotated planes that the options name."""
    from napari_segmate.training.data import Annotation
    from napari_segmate.training.files import expand, pair_files, read_pairs
    from napari_segmate.training.snapshot import read_snapshot

    if data is not None:
        return read_snapshot(data)
    if not images or not labels:
        raise typer.BadParameter("give --images and --labels, or --data FOLDER")
    modes = [str(mode) for mode in Annotation]
    if annotated not in modes:
        raise typer.BadParameter(f"no --annotated {annotated!r}; choose one of {modes}")
    box = None
    if rectangle is not None:
        y0, x0, y1, x1 = (int(value) for value in numbers(rectangle, 4, "Y0,X0,Y1,X1"))
        box = y0, x0, y1, x1
    label_files = expand(labels)
    image_files = [path for path in expand(images) if path not in label_files]
    pairs = pair_files(image_files, label_files)
    return tuple(read_pairs(pairs, Annotation(annotated), box))


def train(
    images: Images = None,
    labels: Labels = None,
    output: Annotated[
        str, typer.Option("--output", "-o", help="Name of the new model, or a .safetensors file.")
    ] = "my-model",
    model: Annotated[
        str, typer.Option("--model", "-m", help="Model to begin with: a name, or a weights file.")
    ] = "tiny",
    preset: Annotated[
        str, typer.Option("--preset", "-p", help="quick (minutes), balanced, or full.")
    ] = "quick",
    data: Data = None,
    annotated: Annotated_ = "planes",
    rectangle: Rectangle = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Most epochs.")] = None,
    patience: Annotated[
        int | None, typer.Option(min=1, help="Epochs without improvement until it ends.")
    ] = None,
    rate: Annotated[float | None, typer.Option(help="Highest learning rate.")] = None,
    views: Annotated[int | None, typer.Option(min=1, help="Augmented views per epoch.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Views per step.")] = None,
    size: Annotated[
        int | None, typer.Option(help="Side of the views in pixels, a multiple of 32.")
    ] = None,
    objects: Annotated[
        int | None, typer.Option(min=1, help="Most prompted objects per view.")
    ] = None,
    held_out: Annotated[float, typer.Option(help="Part of the objects to judge by.")] = 0.2,
    polarity: Annotated[
        bool, typer.Option("--polarity", help="Also show bright as dark and dark as bright.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 17,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a model of the same name.")
    ] = False,
    estimate: Annotated[
        bool,
        typer.Option(
            "--estimate", help="Only say how long it would take and what memory it would need."
        ),
    ] = False,
    events: Annotated[
        bool,
        typer.Option(
            "--events",
            help="Print one JSON object per line, and take pause, resume, stop and cancel from "
            "standard input.",
        ),
    ] = False,
) -> None:
    """Train a model on your own labels.

    An interrupted training goes on where it was when the same command is given again.
    """
    emit = _print_line if events else _print_words
    try:
        from napari_segmate.core.registry import unknown_name
        from napari_segmate.tasks.train import Params, run, target_of
        from napari_segmate.tasks.train import estimate as estimate_of
        from napari_segmate.training.control import Control
        from napari_segmate.training.presets import Preset

        if preset not in set(Preset):
            raise unknown_name("preset", preset, [str(one) for one in Preset])
        if not estimate:
            target_of(output, overwrite)
        samples = read_data(images, labels, data, annotated, rectangle)
        params = Params(
            model=model,
            name=output,
            preset=Preset(preset),
            epochs=epochs,
            patience=patience,
            rate=rate,
            views=views,
            batch=batch,
            objects=objects,
            held_out=held_out,
            polarity=polarity,
            seed=seed,
            size=size,
            device=device,
        )
        control = Control()
        if events:
            from napari_segmate.cli._listening import listen

            listen(control)
        if estimate:
            emit(estimate_of(samples, params, emit=emit, control=control))
        else:
            run(samples, params, emit=emit, control=control, overwrite=overwrite)
    except Cancelled:
        raise
    except SegmateError as error:
        if events:
            emit(Failure(str(error)))
        raise


train.__doc__ = f"{train.__doc__}\n{EXAMPLES}"


def _print_line(event: Event) -> None:
    typer.echo(to_line(event))


def _print_words(event: Event) -> None:
    """Print what a person wants to know: not each step."""
    text = _words(event)
    if text:
        typer.echo(text, err=not isinstance(event, Start | Result))


def _words(event: Event) -> str:
    if isinstance(event, Start):
        return (
            f"{event.epochs} epochs of {event.steps // max(event.epochs, 1)} steps on "
            f"{event.device}, at most about {duration(event.estimate_s)}, "
            f"{event.memory_mb / 1024:.1f} GB"
        )
    if isinstance(event, Work):
        return f"{event.text} …" if event.done == 0 else ""
    if isinstance(event, Validation):
        best = "  best so far" if event.best else ""
        return f"epoch {event.epoch}: loss {event.loss:.3f}, {_scores(event)}{best}"
    if isinstance(event, Message | Failure):
        return event.text
    if isinstance(event, Result):
        return _table(event)
    return ""


def _scores(event: Validation) -> str:
    ap = "" if event.ap50 != event.ap50 else f", AP50 {event.ap50:.3f}"
    return f"IoU {event.iou:.3f}{ap}"


def _table(result: Result) -> str:
    lines = [f"{result.model}: {result.path}", f"{'':<12}{'before':>8}{'after':>8}"]
    for name, after in result.after.items():
        lines.append(f"{name:<12}{result.before.get(name, float('nan')):>8.3f}{after:>8.3f}")
    if result.worse:
        lines.append(
            "On balance of AP50, mean AP and overlap it is not better than the model it began "
            "with: better not use it."
        )
    if result.picture:
        lines.append(f"picture: {result.picture}")
    return "\n".join(lines)
