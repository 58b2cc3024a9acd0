"""Options that several commands have: the same name, meaning and default everywhere."""

from __future__ import annotations

from typing import Annotated

import typer

from napari_segmate.cli._parse import axis_letters, channel_map, number, side_of_pixel, size
from napari_segmate.core.images.image_source import ChannelMap
from napari_segmate.core.numbers.lengths import Length

__all__ = [
    "Anisotropy",
    "AsJson",
    "Axes",
    "Channels",
    "Device",
    "Diameter",
    "Fast",
    "Inputs",
    "Link",
    "Model",
    "Overwrite",
    "PixelSize",
]

Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT...",
        help="Images (.tif, .png, .jpg, .npy, .zarr), folders of images, patterns such as "
        '"raw/*.tif". Labels that segmate wrote are left out of folders and patterns.',
    ),
]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        help="Name of a model that 'segmate models list' shows, or a weights file.",
    ),
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="NAME",
        help="What computes: auto (the fastest there is), cpu, cuda, cuda:1 or mps.",
    ),
]
Fast = Annotated[
    bool,
    typer.Option(
        "--fast",
        help="Compute with lower precision (bfloat16) where that is faster; off by default.",
    ),
]
Diameter = Annotated[
    Length | None,
    typer.Option(
        "--diameter",
        metavar="SIZE",
        parser=size,
        help="How wide typical objects are: pixels (12 or 12px) or micrometres (12um or 12µm, "
        "where the file or --pixel-size says how large a pixel is).  [default: 0, estimated]",
    ),
]
PixelSize = Annotated[
    float | None,
    typer.Option(
        "--pixel-size",
        metavar="UM",
        parser=side_of_pixel,
        help="Side of a pixel in micrometres, for a --diameter in micrometres.  "
        "[default: what the file says: OME-XML, ImageJ, OME-Zarr]",
    ),
]
Link = Annotated[
    bool,
    typer.Option(
        "--link/--no-link",
        help="Whether objects that go on from plane to plane of a stack are one object.",
    ),
]
Anisotropy = Annotated[
    float | None,
    typer.Option(
        "--anisotropy",
        metavar="RATIO",
        parser=number(0, above=True),
        help="Distance of the planes of a stack over that of pixels, above 0.  "
        "[default: what the file says, else 1]",
    ),
]
Axes = Annotated[
    str | None,
    typer.Option(
        "--axes",
        metavar="LETTERS",
        parser=axis_letters,
        help="What the axes of the files are, a letter each, as in TZCYX or YXS.  "
        "[default: what the file says]",
    ),
]
Channels = Annotated[
    ChannelMap | None,
    typer.Option(
        "--channels",
        metavar="R,G,B",
        parser=channel_map,
        help="Numbers, from 0, of the channels shown as red, green and blue ('-' for none), or "
        "one number for grey.  [default: the first ones]",
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace labels that are there; off by default."),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON, nothing else; off by default.")
]
