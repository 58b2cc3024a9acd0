"""Label images to files: whole or not at all, and never with ids cut off."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from napari_segmate.core.errors import LabelsError
from napari_segmate.core.files.atomic import replacing
from napari_segmate.core.files.paths import LONGEST_NAME
from napari_segmate.core.labels.commit import dtype_for
from napari_segmate.core.numbers.lengths import unit_um
from napari_segmate.core.types import LabelArray
from napari_segmate.io.layout import Layout
from napari_segmate.io.ome_zarr import add_pyramid, create_labels

__all__ = ["check_target", "write_labels"]

BESIDE = 24
"""Bytes that the longest name of a file beside labels has more than theirs."""


def write_labels(
    path: str | os.PathLike[str], labels: Any, axes: str | Layout | None = None
) -> Path:
    """Write a label image, and return where it is.

    The file appears (or replaces another one) only once it is complete. It has the smallest
    unsigned type that holds every id.

    Parameters
    ----------
    path : path
        The ending of the name says the format: ``.tif`` (compressed), ``.npy``, ``.zarr``, or
        ``.png`` for a plane of at most 65535 objects.
    labels : (..., H, W) array of integers
        0 is background.
    axes : str or Layout, optional
        One letter per axis (``"TZYX"``), or these with the size of a pixel along each: kept in
        TIFF (with sizes as OME-TIFF) and Zarr (as OME-Zarr). By default ``YX``, ``ZYX``, ``TZYX``.

    Raises
    ------
    LabelsError
        A format that is not known or cannot hold the labels; a folder that cannot be written.
    """
    target = check_target(path)
    compact = _compact(labels)
    layout = Layout(axes.lower()) if isinstance(axes, str) else axes or Layout.default(compact.ndim)
    layout = layout.of_ndim(compact.ndim)
    ending = target.suffix.lower()
    try:
        with replacing(target, folder=ending == ".zarr") as part:
            WRITERS[ending](part, compact, layout)
    except OSError as error:
        raise LabelsError(
            f"cannot write {target} ({error.strerror or error}); free some space, or choose a "
            "folder that you may write to"
        ) from error
    return target


def check_target(path: str | os.PathLike[str]) -> Path:
    """Return the path of a label file that could be written, before there is anything to write.

    Raises
    ------
    LabelsError
        A format that is not known, or no such folder.
    """
    target = Path(path)
    if target.suffix.lower() not in WRITERS:
        raise LabelsError(
            f"labels cannot be written as {target.name!r}; end the name with one of "
            f"{sorted(WRITERS)}"
        )
    if len(os.fsencode(target.name)) > LONGEST_NAME - BESIDE:
        raise LabelsError(
            f"the name {target.name[:40]}... is too long for what is written beside it; a name has "
            f"at most {LONGEST_NAME} bytes: shorten it to {LONGEST_NAME - BESIDE}"
        )
    if not target.parent.is_dir():
        raise LabelsError(f"there is no folder {target.parent}; make it first")
    return target


def _compact(labels: Any) -> LabelArray:
    array = np.asarray(labels)
    if array.dtype.kind not in "bui" or array.ndim < 2:
        raise LabelsError(
            f"labels must be integers with two axes or more, not {array.dtype} of shape "
            f"{array.shape}"
        )
    if array.size and array.min() < 0:
        raise LabelsError(f"labels must not be negative, the smallest is {array.min()}")
    largest = int(array.max()) if array.size else 0
    compact: LabelArray = array.astype(dtype_for(largest, np.uint8), copy=False)
    return compact


def _write_tiff(path: Path, labels: LabelArray, layout: Layout) -> None:
    import tifffile

    axes = layout.axes.upper()
    sizes = _sizes_um(layout)
    options: dict[str, Any] = {"metadata": {"axes": axes}}
    # Other axes, or numbers as large as these, the OME data model does not have.
    if sizes and not set(axes) - set("TZYX") and labels.dtype.itemsize <= 4:
        physical = {f"PhysicalSize{axis.upper()}": size for axis, size in sizes.items()}
        units = {f"{name}Unit": "µm" for name in physical}
        options = {"ome": True, "metadata": {"axes": axes, **physical, **units}}
        if "x" in sizes and "y" in sizes:
            # For programs that do not read OME: pixels per centimetre.
            options["resolution"] = (1e4 / sizes["x"], 1e4 / sizes["y"])
            options["resolutionunit"] = "CENTIMETER"
    tifffile.imwrite(
        path,
        labels,
        compression="zlib",
        photometric="minisblack",
        bigtiff=labels.nbytes > 2**31,
        **options,
    )


def _sizes_um(layout: Layout) -> dict[str, float]:
    """Return the micrometres of a pixel along those of z, y and x that are known."""
    sizes = {}
    for axis, size in zip(layout.axes, layout.scale or (), strict=False):
        factor = unit_um(layout.units.get(axis, ""))
        if axis in "zyx" and factor is not None:
            sizes[axis] = size * factor
    return sizes


def _write_npy(path: Path, labels: LabelArray, layout: Layout) -> None:
    np.save(path, labels, allow_pickle=False)


def _write_png(path: Path, labels: LabelArray, layout: Layout) -> None:
    import imageio.v3 as imageio

    if labels.ndim != 2 or labels.dtype.itemsize > 2:
        raise LabelsError(
            f"a PNG file holds one plane of at most 65535 objects, not {int(labels.max())} in "
            f"shape {labels.shape}; write a .tif instead"
        )
    imageio.imwrite(path, labels, extension=".png")


def _write_zarr(path: Path, labels: LabelArray, layout: Layout) -> None:
    name = path.name.removeprefix(".").split(".")[0]
    first = create_labels(
        path,
        labels.shape,
        labels.dtype,
        layout.axes,
        scale=layout.scale,
        units=layout.units,
        name=name or "labels",
    )
    first[...] = labels
    add_pyramid(path)


WRITERS: dict[str, Callable[[Path, LabelArray, Layout], None]] = {
    ".tif": _write_tiff,
    ".tiff": _write_tiff,
    ".npy": _write_npy,
    ".png": _write_png,
    ".zarr": _write_zarr,
}
"""What writes a file, by the ending of its name."""
