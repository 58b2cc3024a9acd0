"""Image files as arrays that are read piece by piece where the format allows it."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_segmate.core.errors import ImageError
from napari_segmate.core.files.paths import path_problem
from napari_segmate.core.images.image_source import ImageAxes, guess_axes
from napari_segmate.io.ome_zarr import ome_image, other_images

__all__ = [
    "TIFF",
    "ZARR_FILES",
    "axes_from_letters",
    "check_readable",
    "main_series",
    "read_image",
    "reading_notes",
]

TIFF = (".tif", ".tiff")

LAZY_BYTES = 1 << 28
"""Compressed TIFF files of more than this are decoded piece by piece."""

ZARR_FILES = ("zarr.json", ".zarray", ".zgroup")
"""One of them lies in every Zarr folder."""

NAMED = 5
"""So many images that are left out are named."""
THIN = 16
"""An axis of so few pixels is more likely one of channels."""
CHANNELS = range(2, 5)
"""So many planes may as well be channels."""

Read = tuple[Any, ImageAxes]


def read_image(path: str | os.PathLike[str], axes: str | None = None) -> Read:
    """Return the pixels of an image file and what their axes are.

    Parameters
    ----------
    path : path
        A TIFF (also ImageJ, OME and pyramids), PNG, JPEG, NumPy or Zarr (also OME-Zarr) file.
    axes : str, optional
        One letter per axis, to be used instead of what the file says: ``Y``, ``X``, ``C`` for
        channels, ``S`` for the colours of RGB, anything else (``T``, ``Z``) for planes.

    Returns
    -------
    data : array or list of arrays
        numpy (mapped from the file where that is possible) or zarr; a list is a pyramid, full size
        first. Made for `napari_segmate.core.images.image_source.ImageSource`.
    axes : ImageAxes
        Rows, columns and channels.

    Raises
    ------
    ImageError
        No such file, no image, damaged, or of a format that is not known.
    """
    path = Path(path)
    check_readable(path)
    reader = _reader(path)
    try:
        data, found = reader(path)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error
    except Exception as error:
        # Readers raise what they like: struct.error, UnidentifiedImageError, TiffFileError, ...
        raise ImageError(
            f"{path} cannot be read ({type(error).__name__}: {error}); is it damaged, or not the "
            f"{path.suffix} file its name says?{_missing_codec(error)}"
        ) from error
    if axes is not None:
        found = axes_from_letters(axes, _shape(data))
    return data, found


def check_readable(path: Path) -> None:
    """Make sure that a path is a regular file or a folder that can be read.

    Raises
    ------
    ImageError
        It is not; says why.
    """
    problem = path_problem(path)
    if problem is None:
        return
    if problem.startswith("does not exist"):
        raise ImageError(f"there is no file {path}; check the name and the folder")
    raise ImageError(f"{path} {problem}")


def axes_from_letters(letters: str, shape: Sequence[int]) -> ImageAxes:
    """Return the axes that letters name, one per axis of the array.

    Raises
    ------
    ImageError
        Another number of letters than axes, a letter twice, or no ``Y`` and ``X``.

    Examples
    --------
    >>> axes_from_letters("TCYX", (5, 2, 64, 64))
    ImageAxes(y=2, x=3, channel=1, rgb=False)
    >>> axes_from_letters("yxs", (64, 64, 3))
    ImageAxes(y=0, x=1, channel=None, rgb=True)
    """
    names = letters.upper()
    if len(names) != len(shape):
        raise ImageError(
            f"{len(names)} axes ({letters!r}) for an image of shape {tuple(shape)}; "
            "give one letter per axis"
        )
    if any(names.count(name) != 1 for name in "YX") or any(names.count(n) > 1 for n in "CS"):
        raise ImageError(f"axes {letters!r} must name Y and X once, and C and S at most once")
    colours = names.find("S")
    rgb = colours == len(names) - 1 and shape[-1] in (3, 4)
    channel = names.find("C")
    if channel < 0 and not rgb:
        channel = colours
    with_channel = channel >= 0 and not rgb
    return ImageAxes(names.index("Y"), names.index("X"), channel if with_channel else None, rgb=rgb)


def _shape(data: Any) -> tuple[int, ...]:
    first = data[0] if isinstance(data, list) else data
    return tuple(first.shape)


def _reader(path: Path) -> Callable[[Path], Read]:
    if path.is_dir():
        if not any((path / name).exists() for name in ZARR_FILES):
            raise ImageError(f"{path} is a folder, and no Zarr; give the path of an image in it")
        return _read_zarr
    try:
        return READERS[path.suffix.lower()]
    except KeyError:
        raise ImageError(
            f"{path} has no ending of a known image format; convert it to one of "
            f"{sorted(READERS)} or a .zarr folder"
        ) from None


def _missing_codec(error: Exception) -> str:
    if "imagecodecs" in str(error):
        return ' Its compression needs another package: pip install "imagecodecs"'
    return ""


# TIFF


def _read_tiff(path: Path) -> Read:
    import tifffile

    with tifffile.TiffFile(path) as file:
        if not file.series:
            raise ImageError("holds no image")
        chosen = main_series(file)
        series = file.series[chosen]
        _check_whole(file, series)
        letters, shape = series.axes, tuple(series.shape)
        pyramid = len(series.levels) > 1
        mapped = series.dataoffset is not None and not pyramid
        lazy = pyramid or series.nbytes > LAZY_BYTES
        data = None if mapped or lazy else series.asarray()
    if mapped:
        data = tifffile.memmap(path, mode="r", series=chosen)
    elif lazy:
        data = _lazy_tiff(path, chosen)
    return data, _tiff_axes(letters, shape)


def main_series(file: Any) -> int:
    """Return the number of the largest image of a TIFF file: thumbnails may come before it."""
    sizes = [int(series.size) for series in file.series]
    return sizes.index(max(sizes))


def _check_whole(file: Any, series: Any) -> None:
    """Refuse a file that ends early: what is left would pass for a smaller image.

    Planes of an OME-TIFF that are in no file would be read as zeros.
    """
    missing = sum(page is None for page in series.pages)
    if missing:
        raise ImageError(
            f"lacks {missing} of {len(series.pages)} planes: a file of the same image is missing, "
            "or this one was cut off; put all its files into one folder"
        )
    told = [entry["shape"] for entry in file.shaped_metadata or () if "shape" in entry]
    planes = (file.imagej_metadata or {}).get("images", 1)
    expected = max(
        int(np.prod(told[0], dtype=np.int64)) if told else 0, planes * int(series.keyframe.size)
    )
    if series.size < expected:
        raise ImageError(
            f"is cut off: {expected} values were written, {series.size} are left; copy it again"
        )


def _lazy_tiff(path: Path, chosen: int) -> Any:
    import tifffile
    import zarr

    file = tifffile.TiffFile(path)
    store = file.series[chosen].aszarr()
    # The file stays open as long as the arrays live.
    weakref.finalize(store, file.close)
    opened = zarr.open(store, mode="r")
    if isinstance(opened, zarr.Array):
        return opened
    levels = [array for _, array in opened.arrays()]
    return sorted(levels, key=lambda level: -level.size)


def _tiff_axes(letters: str, shape: tuple[int, ...]) -> ImageAxes:
    if "Y" in letters and "X" in letters:
        return axes_from_letters(letters, shape)
    return guess_axes(shape)


def reading_notes(path: str | os.PathLike[str], axes: str | None = None) -> tuple[str, ...]:
    """Return what a user may want to know about how an image file is read.

    Named are images of the file that are left out, and readings that are a guess and unlikely.

    Parameters
    ----------
    path : path
        An image that `read_image` reads.
    axes : str, optional
        What the user says that its axes are.
    """
    path = Path(path)
    if path_problem(path) is not None:
        return ()
    try:
        return _notes(path, axes)
    except Exception:
        # Readers raise what they like; reading the pixels will tell what is wrong with the file.
        return ()


def _notes(path: Path, axes: str | None) -> tuple[str, ...]:
    if path.is_dir():
        return _zarr_notes(path, axes)
    if path.suffix.lower() in TIFF:
        return _tiff_notes(path, axes)
    if path.suffix.lower() == ".npy" and axes is None:
        return _doubts(tuple(np.load(path, mmap_mode="r", allow_pickle=False).shape))
    return ()


def _tiff_notes(path: Path, axes: str | None) -> tuple[str, ...]:
    import tifffile

    with tifffile.TiffFile(path) as file:
        chosen = main_series(file)
        sizes = ["x".join(map(str, series.shape)) for series in file.series]
        letters, shape = file.series[chosen].axes, tuple(file.series[chosen].shape)
    others = [size for number, size in enumerate(sizes) if number != chosen]
    notes = []
    if others:
        notes.append(
            f"the largest of {len(sizes)} images of the file is read, {sizes[chosen]}; the others "
            f"({_listed(others)}) are left out"
        )
    guessed = axes is None and not set(letters) & set("ZTCS") and len(shape) > 2
    return (*notes, *(_doubts(shape) if guessed else ()))


def _zarr_notes(path: Path, axes: str | None) -> tuple[str, ...]:
    import zarr

    opened: Any = zarr.open(path, mode="r")
    if isinstance(opened, zarr.Array):
        return _doubts(tuple(opened.shape)) if axes is None else ()
    others = other_images(opened)
    return (f"the first image is read; {_listed(others)} are left out",) if others else ()


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (" ..." if len(names) > NAMED else "")


def _doubts(shape: tuple[int, ...]) -> tuple[str, ...]:
    """Return what is unlikely about the guess at the axes of an image, and what to give."""
    guess = guess_axes(shape)
    if len(shape) < 3 or guess.rgb:
        return ()
    planes, (height, width) = shape[:-2], shape[-2:]
    read = f"read as {'x'.join(map(str, planes))} planes of {height}x{width} pixels"
    others = "ZTP"[: len(shape) - 3][::-1]
    if width <= THIN and width * 8 <= min(shape[-3:-1]):
        likely = f"{others}YXC"
    elif height <= THIN and height * 8 <= min(planes[-1], width):
        likely = f"{others}YCX"
    elif planes[-1] in CHANNELS:
        likely = f"{others}CYX"
    else:
        return ()
    return (f"{read}; if there are channels in it, give --axes {likely}",)


# PNG, JPEG, ...


def _read_picture(path: Path) -> Read:
    import imageio.v3 as imageio

    # From bytes: given a path, imageio leaves the file open when it is damaged.
    data = np.asarray(imageio.imread(path.read_bytes(), index=0, plugin="pillow"))
    if data.ndim == 3 and data.shape[-1] == 2:
        data = data[..., 0]  # grey with alpha
    return data, guess_axes(data.shape, data.dtype, rgb=data.ndim == 3)


# NumPy


def _read_npy(path: Path) -> Read:
    data = np.load(path, mmap_mode="r", allow_pickle=False)
    return data, guess_axes(data.shape, data.dtype)


# Zarr


def _read_zarr(path: Path) -> Read:
    import zarr

    opened = zarr.open(path, mode="r")
    if isinstance(opened, zarr.Array):
        return opened, guess_axes(opened.shape, opened.dtype)
    return _read_group(opened)


def _read_group(group: Any) -> Read:
    image = ome_image(group)
    if image is not None:
        data = list(image.levels) if len(image.levels) > 1 else image.levels[0]
        return data, axes_from_letters(image.axes, image.levels[0].shape)
    arrays = sorted(group.arrays())
    if len(arrays) != 1:
        names = [name for name, _ in arrays]
        raise ImageError(f"holds the arrays {names}; give the path of one of them")
    array = arrays[0][1]
    return array, guess_axes(array.shape, array.dtype)


READERS: dict[str, Callable[[Path], Read]] = {
    ".tif": _read_tiff,
    ".tiff": _read_tiff,
    ".png": _read_picture,
    ".jpg": _read_picture,
    ".jpeg": _read_picture,
    ".bmp": _read_picture,
    ".npy": _read_npy,
    ".zarr": _read_zarr,
}
"""What reads a file, by the ending of its name."""
