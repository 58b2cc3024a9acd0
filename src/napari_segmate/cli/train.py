"""``segmate train``: images and labels in, a model out."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from napari_segmate.cli._annotated import Data, Images, Kind, Labels, Rectangle, read_data
from napari_segmate.cli._options import Device, Model
from napari_segmate.cli._parse import choice, number, whole
from napari_segmate.cli._training_words import Teller
from napari_segmate.core.errors import Cancelled, SegmateError
from napari_segmate.core.training_events import Event, Failure, Message, to_line

__all__ = ["train"]

EXAMPLES = """
Examples:

    segmate train --images images/ --labels labels/ -o my-cells

    segmate train --images "raw/*.tif" --labels "raw/*_labels.tif" --preset balanced -o my-cells

    segmate train --images stack.tif --labels stack_labels.tif --annotated objects -o my-cells
"""
USUAL = "  [default: what the preset says]"
SIDES = range(64, 1025, 32)
"""Sides of views that networks take."""


def _presets() -> list[str]:
    from napari_segmate.training.presets import Preset

    return list(Preset)


def _side(text: Any) -> int:
    if not str(text).isdecimal() or int(text) not in SIDES:
        raise typer.BadParameter(
            f"{str(text)!r} is no side of a view; give a multiple of {SIDES.step} pixels from "
            f"{SIDES[0]} to {SIDES[-1]}"
        )
    return int(text)


def train(
    images: Images = None,
    labels: Labels = None,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="NAME",
            help="Name of the new model in your list of models; or, with a / in it or .safetensors "
            "at its end, the file to write.",
        ),
    ] = "my-model",
    model: Model = "tiny",
    preset: Annotated[
        str,
        typer.Option(
            "--preset",
            "-p",
            metavar="PRESET",
            parser=choice("preset", _presets),
            help="What learns: quick (all but the encoder, minutes), balanced (a part of the "
            "encoder, too) or full (everything).",
        ),
    ] = "quick",
    data: Data = None,
    annotated: Kind = "planes",
    rectangle: Rectangle = None,
    epochs: Annotated[
        int | None,
        typer.Option(metavar="N", parser=whole(1, 10_000), help=f"Most epochs.{USUAL}"),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            parser=whole(1, 10_000),
            help=f"Epochs without improvement after which it ends.{USUAL}",
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            metavar="RATE",
            parser=number(0, 1, above=True),
            help=f"Highest learning rate, above 0 and at most 1.{USUAL}",
        ),
    ] = None,
    views: Annotated[
        int | None,
        typer.Option(
            metavar="N", parser=whole(1, 100_000), help=f"Augmented views per epoch.{USUAL}"
        ),
    ] = None,
    batch: Annotated[
        int | None, typer.Option(metavar="N", parser=whole(1, 1024), help=f"Views per step.{USUAL}")
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            metavar="PIXELS",
            parser=_side,
            help="Side of the views, a multiple of 32 from 64 to 1024; for tiny only.  "
            "[default: fits images and objects]",
        ),
    ] = None,
    objects: Annotated[
        int | None,
        typer.Option(
            metavar="N", parser=whole(1, 1024), help=f"Most prompted objects per view.{USUAL}"
        ),
    ] = None,
    held_out: Annotated[
        float,
        typer.Option(
            metavar="0..0.5",
            parser=number(0, 0.5, above=True),
            help="Part of the objects that is not learnt from, to judge by.",
        ),
    ] = 0.2,
    polarity: Annotated[
        bool,
        typer.Option(
            "--polarity", help="Also show bright as dark and dark as bright; off by default."
        ),
    ] = False,
    seed: Annotated[
        int,
        typer.Option(
            metavar="N",
            parser=whole(0, 2**32 - 1),
            help="Of all that is drawn by chance: the same seed and data give the same model.",
        ),
    ] = 17,
    device: Device = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a model of the same name; off by default.")
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
            help="For programs: print one JSON object per line, and take pause, resume, stop and "
            "cancel from standard input.",
        ),
    ] = False,
) -> None:
    """Train a model on your own labels.

    An interrupted training goes on where it was when the same command is given again.
    """
    emit = _print_line if events else Teller()
    try:
        from napari_segmate.tasks.train.run import Params, is_path, run, target_of
        from napari_segmate.tasks.train.run import estimate as estimate_of
        from napari_segmate.training.control import Control
        from napari_segmate.training.presets import Preset

        target = None if estimate else target_of(output, overwrite)
        samples = read_data(
            images, labels, data, annotated, rectangle, lambda text: emit(Message(text))
        )
        if target is not None and is_path(output):
            emit(Message(f"{output!r} is a path: the model goes to {target}, in no list of models"))
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
