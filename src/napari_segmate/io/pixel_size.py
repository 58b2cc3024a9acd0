"""How large the pixels of an image file are, where it says so."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy.typing as npt

from napari_segmate.core.files.paths import path_problem
from napari_segmate.core.numbers.lengths import parse_length, parse_pixel_size, unit_um
from napari_segmate.io.ome_zarr import open_ome

__all__ = ["diameter_of", "pixel_size_um", "sizes_um"]

TIFF = (".tif", ".tiff")


def pixel_size_um(path: str | os.PathLike[str]) -> float | None:
    """Return how many micrometres a pixel of an image file is wide; None where it does not say.

    Where pixels are no squares it is the mean of both sides.
    """
    sizes = sizes_um(path)
    sides = [sizes[axis] for axis in "yx" if axis in sizes]
    return sum(sides) / len(sides) if sides else None


def sizes_um(path: str | os.PathLike[str]) -> dict[str, float]:
    """Return the micrometres from one pixel to the next, for those of z, y and x that are known.

    Read are OME-Zarr scales with a unit, OME-XML in TIFF files, and what ImageJ writes into these.
    A resolution in dots per inch is not believed: most programs write one without being asked.

    Parameters
    ----------
    path : path
        An image file; what cannot be read is for `napari_segmate.io.images.read_image` to tell.
    """
    path = Path(path)
    try:
        if path_problem(path) is not None:
            return {}
        if path.is_dir():
            return _of_zarr(path)
        return _of_tiff(path) if path.suffix.lower() in TIFF else {}
    except Exception:
        # Readers raise what they like; reading the pixels will tell what is wrong with the file.
        return {}


def diameter_of(
    image: npt.ArrayLike | str | os.PathLike[str],
    diameter: float | str,
    pixel_size: float | str | None = None,
) -> float | None:
    """Return a diameter in pixels of an image; None for 0, which has it estimated.

    Parameters
    ----------
    image : array_like or path
        The image; a file may say how large its pixels are, an array does not.
    diameter : float or str
        See `napari_segmate.core.numbers.lengths.parse_length`.
    pixel_size : float or str, optional
        Side of a pixel in micrometres, whatever the file says.

    Raises
    ------
    ParameterError
        No size, or micrometres, and nobody says how large a pixel is.

    Examples
    --------
    >>> diameter_of("cells.npy", "12 µm", pixel_size=0.5)
    24.0
    """
    size = parse_length(diameter)
    if not size.micrometres:
        return size.value or None
    side = None
    if pixel_size is not None:
        side = parse_pixel_size(pixel_size)
    elif isinstance(image, (str, os.PathLike)):
        side = pixel_size_um(image)
    return size.pixels(side) or None


def _of_zarr(path: Path) -> dict[str, float]:
    image = open_ome(path)
    if image is None:
        return {}
    scales = dict(zip(image.axes, image.scale, strict=True))
    return _known({axis: (scales.get(axis), image.units.get(axis)) for axis in "zyx"})


def _of_tiff(path: Path) -> dict[str, float]:
    import tifffile

    with tifffile.TiffFile(path) as file:
        if file.ome_metadata:
            return _of_ome_xml(file.ome_metadata)
        if file.imagej_metadata:
            return _of_imagej(file.imagej_metadata, file.pages.first.tags)
    return {}


def _of_ome_xml(text: str) -> dict[str, float]:
    pixels = ElementTree.fromstring(text).find(".//{*}Pixels")
    given: Mapping[str, str] = {} if pixels is None else pixels.attrib
    axes = {axis: f"PhysicalSize{axis.upper()}" for axis in "zyx"}
    # Micrometres are the default of the format.
    return _known({a: (given.get(n), given.get(f"{n}Unit", "µm")) for a, n in axes.items()})


def _of_imagej(given: Mapping[str, Any], tags: Any) -> dict[str, float]:
    def side(name: str) -> float | None:
        pixels, units = tags[name].value if name in tags else (0, 0)
        return units / pixels if pixels else None

    unit = str(given.get("unit", ""))
    found = {"z": given.get("spacing"), "y": side("YResolution"), "x": side("XResolution")}
    return _known({axis: (size, unit) for axis, size in found.items()})


def _known(found: Mapping[str, tuple[Any, str | None]]) -> dict[str, float]:
    sizes = {}
    for axis, (size, unit) in found.items():
        factor = unit_um(unit or "")
        if size is not None and factor is not None and 0 < float(size) < float("inf"):
            sizes[axis] = float(size) * factor
    return sizes
