"""The axes and pixel sizes of label images: those of the image that they are of."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from napari_segmate.core.files.paths import path_problem
from napari_segmate.io.images import TIFF, main_series
from napari_segmate.io.ome_zarr import open_ome
from napari_segmate.io.pixel_size import sizes_um

__all__ = ["Layout", "label_layout"]

PLANES = "ztpq"
"""Names of axes of planes that no file names, the innermost first."""
UNKNOWN = "iq"
"""What tifffile calls axes that a file does not name."""
COLOURS = "cs"


@dataclass(frozen=True)
class Layout:
    """Axes of a label image, and the size of its pixels along them.

    Parameters
    ----------
    axes : str
        One small letter per axis, rows and columns last.
    scale : tuple of float, optional
        Size of a pixel along each axis, 1 where it is not known; None if nothing is known.
    units : mapping of str to str
        Unit of the axes that have one, in the words of OME.
    """

    axes: str
    scale: tuple[float, ...] | None = None
    units: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def default(cls, ndim: int) -> Layout:
        """Return the layout of labels of which nothing is known.

        Examples
        --------
        >>> Layout.default(4).axes
        'tzyx'
        """
        return cls(PLANES[: max(ndim - 2, 0)][::-1] + "yx")

    def of_ndim(self, ndim: int) -> Layout:
        """Return the layout of labels of so many axes, of which single planes have only two."""
        if ndim == len(self.axes):
            return self
        if ndim != 2 or not self.axes.endswith("yx"):
            return Layout.default(ndim)
        return Layout("yx", None if self.scale is None else self.scale[-2:], self.units)

    @property
    def link_axis(self) -> int | None:
        """Axis along which planes are linked: depth, or the last one of planes; None for none."""
        planes = self.axes[:-2]
        return (planes.index("z") if "z" in planes else len(planes) - 1) if planes else None

    @property
    def depth(self) -> bool:
        """Whether planes are linked along the depth, not along time or positions."""
        return "z" in self.axes


def label_layout(path: str | os.PathLike[str], axes: str | None = None) -> Layout | None:
    """Return the layout that the labels of an image have: its own, without the channels.

    Parameters
    ----------
    path : path
        An image.
    axes : str, optional
        What its axes are, whatever the file says.

    Returns
    -------
    Layout or None
        None where nobody says what the axes are.
    """
    path = Path(path)
    try:
        layout = _layout_of(path, axes)
    except Exception:
        # Readers raise what they like; reading the pixels will tell what is wrong with the file.
        return None
    return layout if layout is not None and layout.axes.endswith("yx") else None


def _layout_of(path: Path, axes: str | None) -> Layout | None:
    if path_problem(path) is not None:
        return None
    known = open_ome(path) if path.is_dir() else None
    if known is not None and axes is None:
        kept = [at for at, letter in enumerate(known.axes) if letter not in COLOURS]
        scale = tuple(known.scale[at] for at in kept)
        return Layout("".join(known.axes[at] for at in kept), scale, known.units)
    letters = axes or _tiff_letters(path)
    if letters is None:
        return None
    named = _named(letters.lower())
    sizes = sizes_um(path)
    if not sizes:
        return Layout(named)
    scale = tuple(sizes.get(letter, 1.0) for letter in named)
    return Layout(named, scale, {one: "micrometer" for one in named if one in sizes})


def _tiff_letters(path: Path) -> str | None:
    if path.is_dir() or path.suffix.lower() not in TIFF:
        return None
    import tifffile

    with tifffile.TiffFile(path) as file:
        letters: str = file.series[main_series(file)].axes
    return letters if "Y" in letters and "X" in letters else None


def _named(letters: str) -> str:
    """Return the axes without colours, each with a name of its own."""
    kept = [letter for letter in letters if letter not in COLOURS]
    known = [letter for letter in kept if letter not in UNKNOWN]
    free = [name for name in PLANES if name not in known]
    for at in reversed(range(len(kept))):
        if kept[at] in UNKNOWN and free:
            kept[at] = free.pop(0)
    return "".join(kept)
