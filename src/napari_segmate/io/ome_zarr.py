"""OME-Zarr: images with their axes and pixel sizes read, label images written as pyramids."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.errors import ImageError, LabelsError

__all__ = ["OmeImage", "add_pyramid", "create_labels", "ome_image", "open_ome", "other_images"]

CHUNK = 512
"""Side of the chunks of a label image."""
SMALLEST = 256
"""The last level of a pyramid is the first one that is at most so wide and high."""
FORMATS = {"0.4": 2, "0.5": 3}
"""Versions of OME-Zarr that are written, and the format of Zarr that each is made of."""
KINDS = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}


@dataclass(frozen=True, eq=False)
class OmeImage:
    """An image of an OME-Zarr folder; nothing of it is read yet.

    Parameters
    ----------
    levels : tuple of zarr.Array
        Full size first.
    axes : str
        One letter per axis, as in ``"tczyx"``.
    scale : tuple of float
        Size of a pixel along each axis, 1 where the file does not say.
    units : mapping of str to str
        Unit of the axes that have one.
    """

    levels: tuple[Any, ...]
    axes: str
    scale: tuple[float, ...]
    units: Mapping[str, str] = field(default_factory=dict)


def open_ome(path: str | os.PathLike[str]) -> OmeImage | None:
    """Return the image of an OME-Zarr folder, None if the folder is something else.

    Raises
    ------
    ImageError
        No image, but a plate of many; or metadata that does not fit the arrays.
    """
    import zarr

    try:
        opened = zarr.open(Path(path), mode="r")
    except (FileNotFoundError, ValueError):
        return None
    return None if isinstance(opened, zarr.Array) else ome_image(opened)


def ome_image(group: Any) -> OmeImage | None:
    """Return the image of a Zarr group, None if it has no OME metadata.

    Raises
    ------
    ImageError
        A plate, or metadata that does not fit the arrays.
    """
    attributes = dict(group.attrs)
    ome = attributes.get("ome", attributes)
    if "plate" in ome or "well" in ome:
        raise ImageError(
            "is a plate or a well of many images; give the path of one field, such as A/1/0"
        )
    if "bioformats2raw.layout" in ome and "multiscales" not in ome:
        return ome_image(group["0"])
    scales = ome.get("multiscales")
    return _described(group, scales[0]) if scales else None


def other_images(group: Any) -> list[str]:
    """Return the names of the images of a Zarr group that `ome_image` leaves out."""
    attributes = dict(group.attrs)
    ome = attributes.get("ome", attributes)
    scales = ome.get("multiscales")
    if scales:
        return [str(one.get("name", number)) for number, one in enumerate(scales)][1:]
    if "bioformats2raw.layout" in ome:
        return sorted(name for name, _ in group.groups() if name not in ("0", "OME"))
    return []


def _described(group: Any, multiscale: Mapping[str, Any]) -> OmeImage:
    levels = tuple(group[dataset["path"]] for dataset in multiscale["datasets"])
    named = multiscale.get("axes", list("tczyx"))
    axes = [dict(axis) if isinstance(axis, Mapping) else {"name": axis} for axis in named]
    letters = "".join(str(axis["name"])[0].lower() for axis in axes)
    if len(letters) != levels[0].ndim:
        raise ImageError(
            f"names {len(letters)} axes ({letters}) for an image of shape {levels[0].shape}"
        )
    return OmeImage(
        levels,
        letters,
        _scale(multiscale, levels[0].ndim),
        {
            letter: str(axis["unit"])
            for letter, axis in zip(letters, axes, strict=True)
            if axis.get("unit")
        },
    )


def _scale(multiscale: Mapping[str, Any], ndim: int) -> tuple[float, ...]:
    """Return the size of a pixel of the first level: that of the level times that of all."""
    total = np.ones(ndim)
    for part in (multiscale["datasets"][0], multiscale):
        for step in part.get("coordinateTransformations", ()):
            if step.get("type") == "scale" and len(step.get("scale", ())) == ndim:
                total *= np.asarray(step["scale"], dtype=np.float64)
    return tuple(total.tolist())


def create_labels(
    path: str | os.PathLike[str],
    shape: Sequence[int],
    dtype: npt.DTypeLike,
    axes: str,
    *,
    scale: Sequence[float] | None = None,
    units: Mapping[str, str] | None = None,
    chunk: int = CHUNK,
    version: str = "0.5",
    name: str = "labels",
) -> Any:
    """Make an OME-Zarr label image with the metadata of all its levels, and return the first one.

    Parameters
    ----------
    path : path
        A folder that does not exist yet.
    shape : sequence of int
        Size along each axis.
    dtype : dtype
        Unsigned integers.
    axes : str
        One letter per axis, rows and columns last.
    scale : sequence of float, optional
        Size of a pixel along each axis.
    units : mapping of str to str, optional
        Unit of some axes.
    chunk : int
        Side of the chunks, along rows and columns; one plane deep.
    version : str
        Version of OME-Zarr, ``"0.4"`` or ``"0.5"``.
    name : str
        Name of the label image.

    Returns
    -------
    zarr.Array
        Full size, all 0. Once it is filled, `add_pyramid` fills the other levels.

    Raises
    ------
    LabelsError
        A version that is not written, or another number of axes.
    """
    import zarr

    if version not in FORMATS:
        raise LabelsError(f"no OME-Zarr {version!r} is written; choose one of {list(FORMATS)}")
    if len(axes) != len(shape) or not axes.lower().endswith("yx"):
        raise LabelsError(f"axes {axes!r} for labels of shape {tuple(shape)}; end them with yx")
    sizes = _level_shapes(tuple(map(int, shape)))
    group = zarr.open_group(str(path), mode="w-", zarr_format=_zarr_format(version))
    for level, size in enumerate(sizes):
        group.create_array(
            str(level),
            shape=size,
            dtype=np.dtype(dtype),
            chunks=(*(1,) * (len(size) - 2), *(max(1, min(chunk, side)) for side in size[-2:])),
            fill_value=0,
            chunk_key_encoding={"name": "v2", "separator": "/"} if version == "0.4" else None,
        )
    group.attrs.update(
        _metadata(
            axes.lower(), sizes, tuple(scale or (1.0,) * len(axes)), units or {}, version, name
        )
    )
    return group["0"]


def _zarr_format(version: str) -> Any:
    return FORMATS[version]


def _level_shapes(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    sizes = [shape]
    while max(sizes[-1][-2:]) > SMALLEST:
        last = sizes[-1]
        sizes.append((*last[:-2], *(-(-side // 2) for side in last[-2:])))
    return sizes


def _metadata(
    axes: str,
    sizes: Sequence[tuple[int, ...]],
    scale: Sequence[float],
    units: Mapping[str, str],
    version: str,
    name: str,
) -> dict[str, Any]:
    described = [
        {"name": axis, "type": KINDS.get(axis, "other")}
        | ({"unit": units[axis]} if axis in units else {})
        for axis in axes
    ]
    multiscale = {
        "name": name,
        "axes": described,
        "datasets": [
            {"path": str(level), "coordinateTransformations": _transforms(scale, level)}
            for level in range(len(sizes))
        ],
        "type": "nearest",
    }
    if version == "0.4":
        multiscale["version"] = version
        return {"multiscales": [multiscale], "image-label": {"version": version}}
    return {"ome": {"version": version, "multiscales": [multiscale], "image-label": {}}}


def _transforms(scale: Sequence[float], level: int) -> list[dict[str, Any]]:
    """Return where the pixels of a level lie.

    A level keeps each second pixel of the one before: its pixel 0 is theirs, so that nothing
    shifts.
    """
    return [{"type": "scale", "scale": [*scale[:-2], *(one * 2**level for one in scale[-2:])]}]


def add_pyramid(
    path: str | os.PathLike[str], on_block: Callable[[int, int], None] | None = None
) -> None:
    """Fill the smaller levels of a label image from its full size, block by block.

    Parameters
    ----------
    path : path
        What `create_labels` made.
    on_block : callable, optional
        Called as ``on_block(done, total)``.
    """
    import zarr

    group = zarr.open_group(str(path), mode="r+")
    levels: list[Any] = [group[str(number)] for number in range(len(list(group.arrays())))]
    total = sum(level.nchunks for level in levels[1:])
    done = 0
    for finer, coarser in pairwise(levels):
        for place in _chunks(coarser.shape, coarser.chunks):
            wide = (*place[:-2], *(slice(2 * one.start, 2 * one.stop) for one in place[-2:]))
            coarser[place] = np.asarray(finer[wide])[..., ::2, ::2]
            done += 1
            if on_block is not None:
                on_block(done, total)


def _chunks(shape: Sequence[int], chunks: Sequence[int]) -> list[tuple[slice, ...]]:
    spans = [
        [slice(start, min(start + step, size)) for start in range(0, size, step)]
        for size, step in zip(shape, chunks, strict=True)
    ]
    return list(product(*spans))
