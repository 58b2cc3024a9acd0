"""What training learns from: planes with labels, and what is known about the rest of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_segmate.core.errors import LabelsError
from napari_segmate.core.images.pictures import as_rgb
from napari_segmate.core.numbers.diameter import typical_diameter
from napari_segmate.core.types import IntBoxYX, RGBImage, Shape2D

__all__ = ["Annotation", "Knowledge", "Sample", "check_labels", "count_objects", "sample_of"]

Labels = npt.NDArray[np.int32]
RIM = 4
"""Pixels round a labelled object that are known not to belong to it."""


class Annotation(StrEnum):
    """What of a plane was annotated."""

    PLANES = "planes"
    """Every object of the plane."""
    RECTANGLE = "rectangle"
    """Every object of a rectangle; the rest of the plane is unknown."""
    OBJECTS = "objects"
    """Some objects; whether there are others is unknown."""


class Knowledge:
    """Values of `Sample.known`, per pixel."""

    NOTHING = 0
    """Nobody looked here."""
    OBJECT = 1
    """No labelled object is here; an unlabelled one may be."""
    ALL = 2
    """The label here is the whole truth."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One annotated plane.

    Parameters
    ----------
    name : str
        Of the file or layer, and of the plane.
    image : (H, W, 3) uint8
        As the model sees it.
    labels : (H, W) int32
        0 is no object; objects are 1 .. n.
    known : (H, W) uint8
        See `Knowledge`.
    group : str
        Planes of one group resemble each other: all of them are held out, or none.
    """

    name: str
    image: RGBImage
    labels: Labels
    known: npt.NDArray[np.uint8]
    group: str = ""

    @property
    def shape(self) -> Shape2D:
        """Height and width."""
        return self.image.shape[0], self.image.shape[1]

    @property
    def objects(self) -> int:
        """Number of labelled objects."""
        return int(np.count_nonzero(np.bincount(self.labels.ravel())[1:]))

    @property
    def diameter(self) -> float:
        """Typical size of its objects in pixels, 0 for too few of them."""
        return typical_diameter(self.labels)

    def part(self, box_yx: IntBoxYX, name: str = "") -> Sample:
        """Return a part of the plane as a sample of its own."""
        y0, x0, y1, x1 = box_yx
        inside = np.s_[y0:y1, x0:x1]
        return Sample(
            name or self.name,
            self.image[inside],
            renumbered(self.labels[inside]),
            self.known[inside],
            self.group,
        )


def sample_of(
    image: npt.ArrayLike,
    labels: npt.ArrayLike,
    annotation: Annotation = Annotation.PLANES,
    *,
    name: str = "",
    group: str | None = None,
    rectangle: IntBoxYX | None = None,
) -> Sample:
    """Return a plane and its labels as a sample.

    Parameters
    ----------
    image : (H, W), (H, W, 3) or (H, W, 4) array_like
        uint8 colours are taken as they are, anything else gets a robust contrast; not-a-number is
        black.
    labels : (H, W) array_like of int
        0 is background; numbers may have gaps. Floats are taken when all are whole numbers.
    annotation : Annotation
        What was annotated.
    name : str
        Shown in messages.
    group : str, optional
        See `Sample.group`; the name by default.
    rectangle : (y0, x0, y1, x1), optional
        The annotated part, half-open; by default the box round all labels.

    Raises
    ------
    LabelsError
        Labels of another shape than the image, no label image, or a rectangle outside.

    Examples
    --------
    >>> labels = np.zeros((8, 8), int)
    >>> labels[2:5, 2:5] = 7
    >>> sample = sample_of(np.zeros((8, 8)), labels)
    >>> sample.objects, sample.labels.max(), sample.known.min()
    (1, np.int32(1), np.uint8(2))
    """
    annotation = Annotation(annotation)
    rgb = as_rgb(image)
    checked = check_labels(labels, rgb.shape[:2], name)
    known = np.full(checked.shape, Knowledge.ALL, np.uint8)
    if annotation is Annotation.RECTANGLE:
        y0, x0, y1, x1 = _within(rectangle, checked, name)
        known[:] = Knowledge.NOTHING
        known[y0:y1, x0:x1] = Knowledge.ALL
    elif annotation is Annotation.OBJECTS:
        known[~_near(checked)] = Knowledge.OBJECT
    return Sample(name, rgb, checked, known, name if group is None else group)


def check_labels(labels: npt.ArrayLike, shape: Sequence[int], name: str = "") -> Labels:
    """Return a label image of a shape, numbered 1 .. n.

    Raises
    ------
    LabelsError
        Another shape, negative or fractional values, or no numbers at all.
    """
    values = np.asarray(labels)
    what = f"the labels of {name!r}" if name else "the labels"
    if values.ndim == 3 and 1 in (values.shape[0], values.shape[-1]):
        values = values[0] if values.shape[0] == 1 else values[..., 0]
    if values.shape != tuple(shape):
        raise LabelsError(
            f"{what} have the shape {values.shape}, the image has {tuple(shape)}; choose labels "
            "that were drawn on this image"
        )
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise LabelsError(
                f"{what} hold not-a-number or infinite values; where nothing is labelled there "
                "must be 0. Choose a label image"
            )
        if not np.array_equal(values, np.floor(values)):
            raise LabelsError(
                f"{what} hold fractions, such as {_fraction(values):g}, not whole numbers: this is "
                "a picture or a map of probabilities. Choose a label image"
            )
    elif values.dtype.kind not in "iub":
        raise LabelsError(f"{what} hold {values.dtype}; a label image holds whole numbers")
    if values.size and values.min() < 0:
        raise LabelsError(
            f"{what} hold the negative number {values.min()}; 0 is background, objects have "
            "numbers from 1"
        )
    return renumbered(values)


def _fraction(values: npt.NDArray[Any]) -> float:
    odd = values[values != np.floor(values)]
    return float(odd[0])


def renumbered(labels: npt.NDArray[Any]) -> Labels:
    """Return labels numbered 1 .. n without gaps."""
    ids, inverse = np.unique(labels, return_inverse=True)
    numbers = np.cumsum(ids > 0) * (ids > 0)
    return np.asarray(numbers[inverse].reshape(labels.shape), dtype=np.int32)


def count_objects(samples: Sequence[Sample]) -> int:
    """Return the number of labelled objects of all samples."""
    return sum(sample.objects for sample in samples)


def _within(rectangle: IntBoxYX | None, labels: Labels, name: str) -> IntBoxYX:
    if rectangle is None:
        rows, columns = np.nonzero(labels)
        if not rows.size:
            return 0, 0, 0, 0
        return int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1
    y0, x0, y1, x1 = rectangle
    height, width = labels.shape
    cut = max(y0, 0), max(x0, 0), min(y1, height), min(x1, width)
    if cut[2] <= cut[0] or cut[3] <= cut[1]:
        raise LabelsError(
            f"the rectangle {rectangle} does not touch {name or 'the image'} of {height} x {width} "
            "pixels; give y0, x0, y1, x1 in pixels of the image"
        )
    return cut


def _near(labels: Labels) -> npt.NDArray[np.bool_]:
    """Return where objects are, and the rim round them."""
    distance: npt.NDArray[np.float64] = ndimage.distance_transform_edt(labels == 0)
    return np.asarray(distance <= RIM)
