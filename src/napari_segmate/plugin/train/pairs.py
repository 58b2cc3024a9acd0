"""Images and labels to learn from, taken from layers or files, read in a worker thread."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from napari.components import Dims
from napari.layers import Image, Labels

from napari_segmate.core.context import Context
from napari_segmate.core.errors import LabelsError
from napari_segmate.core.images.image_source import ContrastMode, ImageSource
from napari_segmate.core.types import IntBoxYX
from napari_segmate.io.images import read_image
from napari_segmate.plugin.planes.alignment import Alignment, align, aligned_arrays
from napari_segmate.training.data import Annotation, Sample, check_labels, sample_of

__all__ = [
    "LabelSummary",
    "Pair",
    "pair_from_files",
    "pair_from_layers",
    "parse_planes",
    "plane_number",
    "summary_text",
]

COPIED_BYTES = 1 << 25
"""Labels up to here are copied at once (a few milliseconds), larger ones by the worker thread."""
MARGIN_PX = 256
"""What is kept round the annotated part of a plane, for the model to see."""
FEW_LABELS = 1 << 20
"""Label values up to here are counted in a table."""

Index = tuple[int, ...]


@dataclass(frozen=True)
class LabelSummary:
    """What is labelled in a pair.

    Parameters
    ----------
    objects : mapping
        Number of objects by the index of the plane, for planes that have any.
    index_shape : tuple of int
        Number of planes along each axis of a stack; empty for a single plane.
    covers : bool
        The labels reach everywhere in the image.
    """

    objects: Mapping[Index, int]
    index_shape: tuple[int, ...]
    covers: bool

    @property
    def n_planes(self) -> int:
        """Number of planes of the image."""
        return int(np.prod(self.index_shape, dtype=np.int64))

    @property
    def stack(self) -> bool:
        """True when planes can be named by one number."""
        return sum(size > 1 for size in self.index_shape) == 1

    def count(self, planes: Sequence[int] | None = None) -> int:
        """Return the number of objects, of some planes or all."""
        return sum(
            number
            for index, number in self.objects.items()
            if planes is None or plane_number(index, self.index_shape) in planes
        )


@dataclass(frozen=True, eq=False)
class Pair:
    """An image and its labels, as they were when training was requested.

    Parameters
    ----------
    name : str
        For messages.
    source : ImageSource
        The image.
    labels : array
        The labels.
    alignment : Alignment
        How these lie on the image.
    """

    name: str
    source: ImageSource
    labels: Any
    alignment: Alignment

    def indices(self) -> Iterator[Index]:
        """Yield the index of each plane."""
        return iter(np.ndindex(*self.source.index_shape))

    def labels_of(self, index: Index) -> Any:
        """Return the (H, W) labels of a plane, None where there are none."""
        position = [0] * (max(self.source.index_axes, default=-1) + 1)
        for axis, at in zip(self.source.index_axes, index, strict=True):
            position[axis] = at
        return self.alignment.read(self.labels, position)

    def summarise(self, context: Context) -> LabelSummary:
        """Return what is labelled.

        Raises
        ------
        LabelsError
            These are no labels.
        """
        objects: dict[Index, int] = {}
        for index in self.indices():
            context.check()
            labels = self.labels_of(index)
            count = 0 if labels is None else _count(labels, self.name)
            if count:
                objects[index] = count
        whole = (0, 0, *self.source.shape)
        return LabelSummary(objects, self.source.index_shape, self.alignment.box_yx == whole)

    def samples(
        self,
        annotation: Annotation,
        planes: Sequence[int] | None,
        rectangle: IntBoxYX | None,
        context: Context,
    ) -> Iterator[Sample]:
        """Yield the planes to learn from.

        Parameters
        ----------
        annotation : Annotation
            What was annotated.
        planes : sequence of int, optional
            Numbers of the planes; by default all with labels.
        rectangle : (y0, x0, y1, x1), optional
            The annotated part.
        context : Context
            Progress and cancellation.
        """
        shape = self.source.index_shape
        for number, index in enumerate(self.indices()):
            context.report(number, int(np.prod(shape, dtype=np.int64)), self.name)
            chosen = planes is None or plane_number(index, shape) in planes
            labels = self.labels_of(index) if chosen else None
            if labels is not None and (labels.any() or planes is not None):
                yield self._sample(index, labels, annotation, rectangle)

    def _sample(
        self, index: Index, labels: Any, annotation: Annotation, rectangle: IntBoxYX | None
    ) -> Sample:
        covered = self.alignment.box_yx
        if annotation is Annotation.PLANES and covered != (0, 0, *self.source.shape):
            # Nobody can have looked where the labels do not reach.
            annotation, rectangle = Annotation.RECTANGLE, covered
        box = _kept(labels, annotation, rectangle)
        y0, x0, y1, x1 = box
        contrast = self.source.estimate_contrast(ContrastMode.PLANE, index)
        image = self.source.plane(index, contrast).read(box)
        if rectangle is not None:
            rectangle = (rectangle[0] - y0, rectangle[1] - x0, rectangle[2] - y0, rectangle[3] - x0)
        name = f"{self.name} {list(index)}" if index else self.name
        return sample_of(
            image,
            labels[y0:y1, x0:x1],
            annotation,
            name=name,
            group=self.name,
            rectangle=rectangle,
        )


def _count(labels: Any, name: str) -> int:
    """Return the number of objects in a plane; fast for the usual labels."""
    if labels.dtype.kind in "ui" and labels.size and 0 <= labels.min() <= labels.max() < FEW_LABELS:
        return int(np.count_nonzero(np.bincount(labels.ravel())[1:]))
    return int(check_labels(labels, labels.shape, name).max(initial=0))


def _kept(labels: Any, annotation: Annotation, rectangle: IntBoxYX | None) -> IntBoxYX:
    """Return the part of a plane that is worth copying."""
    height, width = labels.shape
    if annotation is Annotation.PLANES:
        return 0, 0, height, width
    if annotation is Annotation.RECTANGLE and rectangle is not None:
        y0, x0, y1, x1 = rectangle
    else:
        rows, columns = np.flatnonzero(labels.any(axis=1)), np.flatnonzero(labels.any(axis=0))
        if not len(rows):
            return 0, 0, height, width
        y0, x0, y1, x1 = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
    return (
        max(int(y0) - MARGIN_PX, 0),
        max(int(x0) - MARGIN_PX, 0),
        min(int(y1) + MARGIN_PX, height),
        min(int(x1) + MARGIN_PX, width),
    )


def pair_from_layers(image: Image, labels: Labels, dims: Dims) -> Pair:
    """Return a pair of layers; editing the labels afterwards does not change it, if they are small.

    Raises
    ------
    LabelsError
        The labels do not lie on the image.
    ImageError
        The image is empty or of a type that is none.
    """
    alignment = align(image, labels, dims)
    data: Any = list(image.data) if image.multiscale else image.data
    source = ImageSource(data, alignment.axes)
    values: Any = labels.data[0] if labels.multiscale else labels.data
    if isinstance(values, np.ndarray) and values.nbytes <= COPIED_BYTES:
        values = values.copy()
    return Pair(image.name, source, values, alignment)


def pair_from_files(image: Path, labels: Path) -> Pair:
    """Return a pair of files; for the worker thread.

    Raises
    ------
    ImageError
        A file that is no image.
    LabelsError
        The labels have another shape than the image.
    """
    data, axes = read_image(image)
    values, _ = read_image(labels)
    level = data[0] if isinstance(data, list) else data
    values = values[0] if isinstance(values, list) else values
    if values.ndim == 3 and values.shape[-1] in (3, 4) and level.shape[:2] == values.shape[:2]:
        raise LabelsError(
            f"{labels.name} is a colour picture, not a label image: save the labels as numbers, "
            "for example as .tif"
        )
    alignment = aligned_arrays(axes, level.shape, values)
    return Pair(image.name, ImageSource(data, axes), values, alignment)


# Words


def plane_number(index: Index, index_shape: Sequence[int]) -> int:
    """Return the number of a plane along the only axis that has several.

    Examples
    --------
    >>> plane_number((0, 7), (1, 30))
    7
    """
    return next((at for at, size in zip(index, index_shape, strict=True) if size > 1), 0)


def parse_planes(text: str, count: int) -> tuple[int, ...] | None:
    """Return the numbers of planes that a user wrote; None for all with labels.

    Raises
    ------
    LabelsError
        No numbers, or a plane that is not there.

    Examples
    --------
    >>> parse_planes("3, 5-7", 10)
    (3, 5, 6, 7)
    """
    if not text.strip():
        return None
    found: list[int] = []
    for part in text.replace("–", "-").replace(";", ",").split(","):
        first, dash, last = part.strip().partition("-")
        try:
            span = range(int(first), int(last if dash else first) + 1)
        except ValueError:
            raise LabelsError(f"{text!r} are no planes; write numbers such as 3, 5-7") from None
        if not span or span[0] < 0 or span[-1] >= count:
            raise LabelsError(f"there is no plane {part.strip()}; planes are 0 to {count - 1}")
        found.extend(span)
    return tuple(dict.fromkeys(found))


def ranges_text(numbers: Sequence[int]) -> str:
    """Return numbers in words.

    Examples
    --------
    >>> ranges_text([3, 5, 6, 7])
    '3, 5–7'
    """
    parts = []
    for _, run in groupby(enumerate(sorted(numbers)), key=lambda pair: pair[1] - pair[0]):
        members = [number for _, number in run]
        ends = dict.fromkeys((members[0], members[-1]))
        parts.append("–".join(map(str, ends)))
    return ", ".join(parts)


def summary_text(summary: LabelSummary, planes: Sequence[int] | None, channels: int = 1) -> str:
    """Return in words what is there to learn from.

    Examples
    --------
    >>> summary_text(LabelSummary({(3,): 4, (4,): 5}, (30,), True), None)
    '9 objects on planes 3–4 of 30'
    """
    count = summary.count(planes)
    found = f"{count} object{'s' if count != 1 else ''}" if count else "No object is labelled yet"
    if summary.stack:
        numbers = [plane_number(index, summary.index_shape) for index in summary.objects]
        shown = list(planes) if planes is not None else numbers
        if shown:
            text = ranges_text(shown)
            text = text if len(text) <= 40 else f"{len(shown)}"
            found += f" on plane{'s' if len(shown) > 1 else ''} {text} of {summary.n_planes}"
    elif summary.n_planes > 1:
        found += f" on {len(summary.objects)} of {summary.n_planes} planes"
    if not summary.covers:
        found += ". The labels cover a part of the image; the rest is unknown"
    if channels > 1:
        found += f". Its {channels} channels are seen as colours"
    return found
