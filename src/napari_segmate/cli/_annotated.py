"""Annotated images on the command line: for training and for judging."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_segmate.cli._parse import choice, numbers

if TYPE_CHECKING:
    from napari_segmate.training.data import Sample

__all__ = ["Data", "Images", "Kind", "Labels", "Rectangle", "read_data"]

CORNERS = "Y0,X0,Y1,X1"
NAMED = 3
"""So many images without labels are named; of more it is said how many there are."""


def _kinds() -> list[str]:
    from napari_segmate.training.data import Annotation

    return list(Annotation)


def _rectangle(text: Any) -> tuple[int, ...]:
    y0, x0, y1, x1 = numbers(CORNERS)(text)
    corners = tuple(int(one) for one in (y0, x0, y1, x1))
    if corners != (y0, x0, y1, x1) or not (0 <= y0 < y1 and 0 <= x0 < x1):
        raise typer.BadParameter(
            f"{str(text)!r} is no rectangle; give whole pixels from 0, the upper left corner first"
        )
    return corners


Images = Annotated[
    list[str] | None,
    typer.Option(
        "--images",
        "-i",
        metavar="PATH",
        help="Images: files, stacks, a folder or a pattern in quotes; repeat.",
    ),
]
Labels = Annotated[
    list[str] | None,
    typer.Option(
        "--labels",
        "-l",
        metavar="PATH",
        help="Their label images (0 is background, each object a number), paired by name: a.tif "
        "with a.tif, a_labels.tif or a_mask.tif; repeat.",
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="FOLDER",
        help="Instead of images and labels: a folder that napari's Train panel has written.",
    ),
]
Kind = Annotated[
    str,
    typer.Option(
        "--annotated",
        metavar="WHAT",
        parser=choice("kind of annotation", _kinds),
        help="What was labelled: every object of the planes, every object of a rectangle, or some "
        "objects (the rest is unknown): planes, rectangle or objects.",
    ),
]
Rectangle = Annotated[
    tuple | None,  # type: ignore[type-arg]
    typer.Option(
        "--rectangle",
        metavar=CORNERS,
        parser=_rectangle,
        help="With --annotated rectangle: its corners in pixels, the last row and column not in "
        "it.  [default: the box round all labels]",
    ),
]


def read_data(
    images: list[str] | None,
    labels: list[str] | None,
    data: Path | None,
    annotated: str,
    rectangle: tuple[int, ...] | None,
    tell: Callable[[str], None],
) -> tuple[Sample, ...]:
    """Return the annotated planes that the options name; `tell` hears what is left out.

    Raises
    ------
    typer.BadParameter
        Options that do not go together.
    LabelsError, ImageError
        No pair of image and labels, or files that do not fit.
    """
    from napari_segmate.training.data import Annotation
    from napari_segmate.training.files import expand, pair_files, read_pairs
    from napari_segmate.training.snapshot import read_snapshot

    if data is not None:
        if images or labels:
            raise typer.BadParameter("give --data, or --images and --labels, not both")
        return read_snapshot(data)
    if not images or not labels:
        raise typer.BadParameter("give --images and --labels, or --data FOLDER")
    if rectangle is not None and annotated != Annotation.RECTANGLE:
        raise typer.BadParameter("--rectangle goes with --annotated rectangle; give both")
    label_files = expand(labels)
    image_files = [path for path in expand(images) if path not in label_files]
    pairs = pair_files(image_files, label_files)
    _tell_missing(image_files, [image for image, _ in pairs], tell)
    box = None if rectangle is None else (rectangle[0], rectangle[1], rectangle[2], rectangle[3])
    return tuple(read_pairs(pairs, Annotation(annotated), box))


def _tell_missing(
    images: Sequence[Path], paired: Sequence[Path], tell: Callable[[str], None]
) -> None:
    missing = [path.name for path in images if path not in paired]
    if missing:
        more = " ..." if len(missing) > NAMED else ""
        tell(
            f"left out, without labels of the same name: {len(missing)} of {len(images)} images "
            f"({', '.join(missing[:NAMED])}{more})"
        )
