"""Annotated planes from files: pairs by name, folders, patterns, stacks."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from glob import iglob
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.errors import ImageError, LabelsError
from napari_segmate.core.images.image_source import ContrastMode, ImageSource
from napari_segmate.core.types import IntBoxYX
from napari_segmate.io.images import read_image
from napari_segmate.io.pictures import PathLike, as_picture
from napari_segmate.training.data import Annotation, Sample, sample_of

__all__ = ["expand", "pair_files", "read_pairs", "samples_of"]

SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".npy", ".zarr", ".bmp")
MARK = re.compile(r"[ _.\-]*(labels?|masks?|seg(mentation)?|gt|cp_masks|annotations?|img|images?)$")
Pair = tuple[Path, Path]


def expand(places: Sequence[str | Path]) -> tuple[Path, ...]:
    """Return the image files that names, folders and patterns such as ``a/*.tif`` mean.

    Raises
    ------
    ImageError
        One of them means no file.
    """
    found: list[Path] = []
    for place in places:
        path = Path(place).expanduser()
        if path.is_dir() and path.suffix != ".zarr":
            files = [one for one in sorted(path.iterdir()) if one.suffix.lower() in SUFFIXES]
        elif path.exists():
            files = [path]
        else:
            # Not Path.glob: patterns may be absolute.
            found_names = sorted(iglob(str(path), recursive=True))  # noqa: PTH207
            files = [Path(name) for name in found_names]
        if not files:
            what = "is a folder without images" if path.is_dir() else "names no file"
            raise ImageError(f"{place} {what}; give files, a folder or a pattern of {SUFFIXES}")
        found += [one for one in files if one not in found]
    return tuple(found)


def pair_files(images: Sequence[Path], labels: Sequence[Path]) -> tuple[Pair, ...]:
    """Return images with their labels: by name, or in order where there is one of each.

    Names are equal without what marks labels: ``a.tif`` goes with ``a_labels.tif``.

    Raises
    ------
    LabelsError
        An image has no labels, or several.

    Examples
    --------
    >>> pair_files([Path("a.png"), Path("b.png")], [Path("b_mask.tif"), Path("a.tif")])
    ((...Path('a.png'), ...Path('a.tif')), (...Path('b.png'), ...Path('b_mask.tif')))
    """
    if len(images) == 1 and len(labels) == 1:
        return ((images[0], labels[0]),)
    by_name: dict[str, list[Path]] = {}
    for path in labels:
        by_name.setdefault(_bare(path), []).append(path)
    pairs, missing = [], []
    for path in images:
        found = by_name.get(_bare(path), [])
        if len(found) > 1:
            raise LabelsError(
                f"{path.name} has several labels: {', '.join(str(one) for one in found)}; keep one"
            )
        if found:
            pairs.append((path, found[0]))
        else:
            missing.append(path.name)
    if not pairs:
        raise LabelsError(
            f"no image has labels of its name (images: {', '.join(missing[:3])} ...; labels: "
            f"{', '.join(path.name for path in labels[:3])} ...); name them alike, as a.tif and "
            "a_labels.tif"
        )
    return tuple(pairs)


def _bare(path: Path) -> str:
    return MARK.sub("", path.stem.lower()) or path.stem.lower()


def read_pairs(
    pairs: Sequence[Pair],
    annotation: Annotation = Annotation.PLANES,
    rectangle: IntBoxYX | None = None,
    planes: Sequence[int] | None = None,
) -> Iterator[Sample]:
    """Yield the annotated planes of pairs of files; planes of a stack without labels are left out.

    Parameters
    ----------
    pairs : sequence of (image, labels)
        Files.
    annotation : Annotation
        What of the planes was annotated.
    rectangle : (y0, x0, y1, x1), optional
        The annotated part of each plane.
    planes : sequence of int, optional
        Only these planes of each stack, counted from 0.

    Raises
    ------
    LabelsError, ImageError
        A file cannot be read or does not fit; names it.
    """
    for image, labels in pairs:
        source = ImageSource(*read_image(image))
        truth = _label_array(labels)
        yield from _planes(image, source, truth, annotation, rectangle, planes)


def samples_of(
    train_data: Iterable[tuple[npt.ArrayLike | PathLike, npt.ArrayLike | PathLike]],
    size: tuple[int, int] | None,
    annotation: Annotation,
) -> list[Sample]:
    """Return pairs of pictures and labels, arrays or files, as samples.

    Parameters
    ----------
    train_data : iterable of (image, labels)
        (H, W) or (H, W, 3) pictures, and (H, W) label images.
    size : (height, width), optional
        Size that all pictures must have.
    annotation : Annotation
        What of the planes was annotated.

    Raises
    ------
    LabelsError, ImageError
        A picture of another size, or labels that do not fit; names the pair, counted from 0.
    """
    samples = []
    for number, (image, labels) in enumerate(train_data):
        picture = as_picture(image)
        truth = read_image(labels)[0] if isinstance(labels, (str, os.PathLike)) else labels
        name = f"pair {number}"
        if size is not None and picture.shape[:2] != tuple(size):
            raise ImageError(
                f"the image of {name} has {picture.shape[0]} x {picture.shape[1]} pixels, "
                f"original_input_size says {size[0]} x {size[1]}; leave it out for mixed sizes"
            )
        samples.append(sample_of(picture, np.asarray(truth), annotation, name=name))
    return samples


def _label_array(path: Path) -> Any:
    data, _ = read_image(path)
    return data[0] if isinstance(data, list) else data


def _planes(
    path: Path,
    source: ImageSource,
    truth: Any,
    annotation: Annotation,
    rectangle: IntBoxYX | None,
    planes: Sequence[int] | None,
) -> Iterator[Sample]:
    sizes = source.index_shape
    stack = int(np.prod(sizes)) > 1
    truth = np.asarray(truth) if not stack else truth
    expected = (*(size for size in sizes if size > 1), *source.shape)
    shape = tuple(int(size) for size in truth.shape)
    if stack and tuple(size for size in shape[:-2] if size > 1) + shape[-2:] != expected:
        raise LabelsError(
            f"the labels of {path.name} have the shape {shape}, the planes of the image "
            f"{expected}; choose labels that were drawn on this image"
        )
    whole = np.asarray(truth).reshape(*sizes, *source.shape) if stack else None
    for number, index in enumerate(np.ndindex(*sizes)):
        if planes is not None and stack and number not in planes:
            continue
        here = truth if whole is None else whole[index]
        if stack and planes is None and not np.any(here):
            continue
        plane = source.plane(index, source.estimate_contrast(ContrastMode.PLANE, index))
        name = f"{path.name} [{', '.join(map(str, index))}]" if stack else path.name
        image = plane.read((0, 0, *source.shape))
        yield sample_of(image, here, annotation, name=name, group=str(path), rectangle=rectangle)
