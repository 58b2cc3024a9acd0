"""Objects of a label image as tables: measurements as CSV, masks as COCO JSON."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from napari_segmate.core.errors import LabelsError
from napari_segmate.core.files.atomic import write_text
from napari_segmate.core.masks.rle import encode_instance
from napari_segmate.core.types import LabelArray

__all__ = ["MEASURES", "measure", "write_coco", "write_measurements", "write_whole"]

MEASURES = (
    "label",
    "area",
    "centroid",
    "bbox",
    "equivalent_diameter_area",
)
PLANE_MEASURES = ("eccentricity", "perimeter", "solidity")
"""Only of planes: in three dimensions they do not exist, or need a surface."""


def write_whole(path: str | os.PathLike[str], text: str) -> Path:
    """Write a text file, at once or not at all.

    Raises
    ------
    LabelsError
        The folder cannot be written to, or the disk is full.
    """
    target = Path(path)
    try:
        write_text(target, text)
    except OSError as error:
        raise LabelsError(
            f"cannot write {target} ({error.strerror or error}); free some space, or choose a "
            "folder that you may write to"
        ) from error
    return target


def measure(labels: LabelArray) -> dict[str, list[Any]]:
    """Return measurements of the objects of a label image: columns by name.

    Lengths and areas are in pixels, centroids and boxes (half-open) along the axes of the array:
    the last three of more than three, whose place along the others is ``index-0``, ``index-1`` ...

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.zeros((6, 6), int)
    >>> labels[1:3, 2:6] = 4
    >>> table = measure(labels)
    >>> table["label"], table["area"], table["centroid-1"]
    ([4], [8.0], [3.5])
    """
    from skimage.measure import regionprops_table

    if labels.ndim > 3:
        return _measure_stacks(labels)
    names = MEASURES + (PLANE_MEASURES if labels.ndim == 2 else ())
    table = regionprops_table(labels, properties=names)  # type: ignore[no-untyped-call]
    return {str(name): values.tolist() for name, values in table.items()}


def _measure_stacks(labels: LabelArray) -> dict[str, list[Any]]:
    """Return the measurements of each stack of three axes, and where it lies along the others."""
    table: dict[str, list[Any]] = {}
    for index in np.ndindex(labels.shape[:-3]):
        for name, values in measure(labels[index]).items():
            table.setdefault(name, []).extend(values)
        rows = len(table["label"])
        for axis, at in enumerate(index):
            column = table.setdefault(f"index-{axis}", [])
            column.extend([at] * (rows - len(column)))
    return table


def write_measurements(path: str | os.PathLike[str], labels: LabelArray) -> Path:
    """Write `measure` as a CSV file, one row per object.

    Raises
    ------
    LabelsError
        The file cannot be written.
    """
    from io import StringIO

    table = measure(labels)
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    writer.writerows(zip(*table.values(), strict=True))
    return write_whole(path, text.getvalue())


def write_coco(path: str | os.PathLike[str], labels: LabelArray, file_name: str) -> Path:
    """Write the objects of a label image as COCO JSON: one image per plane, one category.

    Parameters
    ----------
    path : path
        The file.
    labels : (..., H, W) int
        0 is background. An object of several planes has one annotation in each, with its label
        as ``track_id``.
    file_name : str
        Name of the picture.

    Raises
    ------
    LabelsError
        The file cannot be written.
    """
    height, width = labels.shape[-2:]
    planes = labels.reshape(-1, height, width)
    images = [
        {"id": number, "file_name": file_name, "plane": number, "height": height, "width": width}
        for number in range(len(planes))
    ]
    annotations = [one for number, plane in enumerate(planes) for one in _masks(plane, number)]
    for number, one in enumerate(annotations, start=1):
        one["id"] = number
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "object"}],
    }
    return write_whole(path, json.dumps(content))


def _masks(plane: LabelArray, image_id: int) -> Iterator[dict[str, Any]]:
    shape = (int(plane.shape[0]), int(plane.shape[1]))
    for number, place in enumerate(ndimage.find_objects(plane), start=1):
        if place is None:
            continue
        rows, columns = place
        mask = plane[place] == number
        box = (rows.start, columns.start, rows.stop, columns.stop)
        yield {
            "image_id": image_id,
            "category_id": 1,
            "track_id": number,
            "iscrowd": 0,
            "area": int(mask.sum()),
            "bbox": [box[1], box[0], box[3] - box[1], box[2] - box[0]],
            "segmentation": encode_instance(box, mask, shape),
        }
