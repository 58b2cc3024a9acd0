"""What a search for words found: boxes and the objects in them, also as JSON and CSV."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from io import StringIO
from typing import Any

import numpy as np

from napari_segmate.core.labels.commit import apply
from napari_segmate.core.masks.coarse_masks import CoarseMask
from napari_segmate.core.types import BoxYX, LabelArray
from napari_segmate.io.provenance import Record
from napari_segmate.tasks.text.params import Params
from napari_segmate.tasks.text.segment_boxes import Finder, PlaneObjects, SegmentedBoxes

__all__ = [
    "Found",
    "FoundBox",
    "PlaneFound",
    "boxes_as_json",
    "classes_as_csv",
    "found_objects",
    "no_boxes",
]

COORDINATES = "x0, y0, x1, y1 in pixels, pixel centres at integers"

Index = tuple[int, ...]


@dataclass(frozen=True)
class FoundBox:
    """One box that passed.

    Parameters
    ----------
    box_yx : (y0, x0, y1, x1)
        Corners in plane pixels, pixel centres at integers.
    concept : str
        What is in it.
    score : float
        0 to 1.
    row : int
        Its row in what the detector saw.
    origin : str
        Where it comes from.
    mask : CoarseMask, optional
        What the detector drew in it.
    """

    box_yx: BoxYX
    concept: str
    score: float
    row: int = 0
    origin: str = "found"
    mask: CoarseMask | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, eq=False)
class PlaneFound:
    """What was found on one plane.

    Parameters
    ----------
    index : tuple of int
        The plane.
    boxes : tuple of FoundBox
        Those that passed, best score first.
    labels : tuple of int
        Label of the object in each box; 0 where the model drew none.
    best : tuple of float
        Best score of any box for each phrase, whether it passed or not.
    """

    index: Index
    boxes: tuple[FoundBox, ...]
    labels: tuple[int, ...]
    best: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Found:
    """What was found in an image.

    Parameters
    ----------
    labels : (..., H, W) int32
        0 is background, objects are 1 .. n; one plane per plane of the image.
    phrases : tuple of str
        What was looked for.
    classes : tuple of str
        Phrase of each object; that of object 1 comes first.
    scores : tuple of float
        Score of its box, in the first plane where it was seen.
    planes : tuple of PlaneFound
        Boxes, plane by plane.
    records : tuple of Record
        How each object came about.
    params : Params
        How it was looked for.
    """

    labels: LabelArray
    phrases: tuple[str, ...]
    classes: tuple[str, ...]
    scores: tuple[float, ...]
    planes: tuple[PlaneFound, ...]
    records: tuple[Record, ...]
    params: Params

    @property
    def count(self) -> int:
        """Number of objects."""
        return len(self.classes)

    @property
    def advice(self) -> str:
        """What to try when nothing was found; empty when something was."""
        if self.count:
            return ""
        if any(plane.boxes for plane in self.planes):
            return "the model finds no object in the boxes; try another model, or larger boxes"
        return no_boxes([plane.best for plane in self.planes], self.phrases, self.params.score)

    def as_plane(self) -> Found:
        """Return what was found in a stack of one plane as that of a plane."""
        (plane,) = self.planes
        flat = self.labels.reshape(self.labels.shape[-2:])
        records = tuple(replace(record, index=()) for record in self.records)
        return replace(self, labels=flat, planes=(replace(plane, index=()),), records=records)


def no_boxes(best: Sequence[Sequence[float]], phrases: Sequence[str], least: float) -> str:
    """Return what to try when no box passed.

    Parameters
    ----------
    best : sequence of sequence of float
        Per plane and phrase the best score of any box.
    phrases : sequence of str
        What was looked for.
    least : float
        Least score of a box.
    """
    scores = np.max(np.reshape(best, (-1, len(phrases))), axis=0, initial=0.0)
    top = int(scores.argmax())
    if scores[top] >= least:
        return (
            f"boxes score up to {scores[top]:.2f} ({phrases[top]!r}), but sizes and filters leave "
            "none; allow other sizes, or larger parts of the image"
        )
    return (
        f"no box scores {least:g} or more, the best {scores[top]:.2f} ({phrases[top]!r}); say what "
        "is to be seen ('round bright blob') instead of what it is called, give the typical size "
        "of objects, or lower the score. Automask finds all objects without words"
    )


def found_objects(
    labels: LabelArray,
    segmented: SegmentedBoxes[FoundBox],
    planes: Sequence[PlaneFound],
    phrases: tuple[str, ...],
    prompt: str,
    params: Params,
) -> Found:
    """Return objects numbered without gaps, and write them into `labels`.

    Parameters
    ----------
    labels : (..., H, W) int32
        Zeros; is filled.
    segmented : SegmentedBoxes
        The objects.
    planes : sequence of PlaneFound
        All boxes, also those without an object.
    phrases, prompt, params
        What was looked for, and how.
    """
    drawn = [_drawn(one, numbers) for one, numbers in _pairs(segmented)]
    kept = sorted(set().union(*(filter(None, numbers) for numbers in drawn)))
    new = {number: at for at, number in enumerate(kept, start=1)} | {0: 0}
    classes, scores = segmented.classes, segmented.scores
    of_box = {}
    for one, numbers in zip(segmented.planes, drawn, strict=True):
        names = [new[number] for number in numbers]
        changes = one.segmentation.changes
        apply(
            labels[one.index],
            [replace(change, value=names[change.value - 1]) for change in changes],
        )
        of_box.update({(one.index, box): name for box, name in zip(one.boxes, names, strict=True)})
    return Found(
        labels,
        phrases,
        tuple(classes[number - 1] for number in kept),
        tuple(scores[number - 1] for number in kept),
        tuple(
            replace(one, labels=tuple(of_box.get((one.index, box), 0) for box in one.boxes))
            for one in planes
        ),
        tuple(
            record.with_label(new[record.label])
            for record in segmented.records(prompt)
            if record.label in new
        ),
        params,
    )


def _pairs(
    segmented: SegmentedBoxes[FoundBox],
) -> list[tuple[PlaneObjects[FoundBox], tuple[int, ...]]]:
    return list(zip(segmented.planes, segmented.numbers, strict=True))


def _drawn(one: PlaneObjects[FoundBox], numbers: Sequence[int]) -> list[int]:
    """Return the number of each object of a plane, 0 for those without a pixel."""
    missing = one.segmentation.missing
    return [0 if at in missing else number for at, number in enumerate(numbers, start=1)]


def boxes_as_json(found: Found, image: str, finder: Finder) -> dict[str, Any]:
    """Return all boxes that passed, for JSON.

    Parameters
    ----------
    found : Found
        What was found.
    image : str
        Name of the image.
    finder : Finder
        Who found it.

    Returns
    -------
    dict
        Lists of equal length: ``boxes`` (x0, y0, x1, y1), ``labels`` (the phrases), ``scores``,
        ``objects`` (label of the object in each box, 0 if there is none); of a stack also
        ``planes``, one index per box. Beside them what was looked for, and the detector with the
        commit of its files, if that is known.
    """
    rows = [
        (plane.index, box, label)
        for plane in found.planes
        for box, label in zip(plane.boxes, plane.labels, strict=True)
    ]
    content: dict[str, Any] = {
        "image": image,
        "shape": list(found.labels.shape),
        "phrases": list(found.phrases),
        **finder.story,
        "coordinates": COORDINATES,
        "boxes": [_xyxy(box.box_yx) for _, box, _ in rows],
        "labels": [box.concept for _, box, _ in rows],
        "scores": [round(box.score, 4) for _, box, _ in rows],
        "objects": [label for _, _, label in rows],
    }
    if found.labels.ndim > 2:
        content["planes"] = [list(index) for index, _, _ in rows]
    return content


def _xyxy(box_yx: tuple[float, float, float, float]) -> list[float]:
    y0, x0, y1, x1 = (round(value, 2) for value in box_yx)
    return [x0, y0, x1, y1]


def classes_as_csv(found: Found) -> str:
    """Return one row per object: label, class, and score of its box."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["label", "class", "score"])
    for label, (name, score) in enumerate(zip(found.classes, found.scores, strict=True), start=1):
        writer.writerow([label, name, round(score, 4)])
    return text.getvalue()
