"""What a search for words leaves beside the labels: boxes and classes, for people and programs."""

from __future__ import annotations

import csv
from io import StringIO
from typing import Any

from napari_segmate.tasks.text.detector_masks import Finder
from napari_segmate.tasks.text.result import Found

__all__ = ["boxes_as_json", "classes_as_csv"]

COORDINATES = "x0, y0, x1, y1 in pixels, pixel centres at integers"


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
