"""Kinds of images that the embedded model never saw in training, judged by the boxes drawn there.

``python -m benchmarks.unseen --data FOLDER``: blood smears and stained cells. FOLDER (or the
environment variable ``NAPARI_SEGMATE_DATA``) holds one folder per data set with ``images/NAME.*``
and ``boxes/NAME.json`` (``boxes``: x0, y0, x1, y1 in pixels).
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import skimage.io
from scipy import ndimage

from benchmarks._report import Table, put_between, report
from benchmarks.accuracy import VARIABLE
from napari_segmate.core.images.image_source import ContrastMode, ImageSource, Plane, guess_axes
from napari_segmate.core.prompts import ObjectPrompts, Points
from napari_segmate.core.types import LabelArray
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.models import load_model
from napari_segmate.models.base import Segmenter
from napari_segmate.tasks.automask.run import run
from napari_segmate.tasks.segment import run as segment

SETS = {
    "bccd": "blood smear, 640 x 480",
    "blood_rbc_wbc": "blood smear, 256 x 256",
    "living_dead": "living and dead cells, brightfield",
}
MATCH = 0.5
"""Least IoU of two boxes that mean the same object."""
COLUMNS = [
    "kind of image",
    "images",
    "boxes",
    "click: IoU of boxes",
    "automatic: recall",
    "precision",
]
Boxes = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Item:
    """A plane, and the (n, 4) boxes y0, x0, y1, x1 of its objects."""

    plane: Plane
    boxes: Boxes


def read_items(folder: Path, images: int) -> Iterator[Item]:
    paths = sorted((folder / "boxes").glob("*.json"))
    for number in np.unique(np.linspace(0, len(paths) - 1, images).astype(int)):
        path = paths[number]
        boxes = np.array(json.loads(path.read_text())["boxes"], dtype=float).reshape(-1, 4)
        (image,) = (folder / "images").glob(f"{path.stem}.*")
        pixels = skimage.io.imread(image)
        source = ImageSource(pixels, guess_axes(pixels.shape))
        plane = source.plane((), source.estimate_contrast(ContrastMode.PLANE, ()))
        yield Item(plane, boxes[:, [1, 0, 3, 2]])


def overlaps(first: Boxes, second: Boxes) -> npt.NDArray[np.float64]:
    """Return the (n, m) IoU of boxes."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (first, second)]
    found: npt.NDArray[np.float64] = shared / (areas[0][:, None] + areas[1] - shared)
    return found


def boxes_of(labels: LabelArray) -> Boxes:
    found = [box for box in ndimage.find_objects(labels) if box is not None]
    return np.array([(y.start, x.start, y.stop, x.stop) for y, x in found], dtype=float).reshape(
        -1, 4
    )


def click_all(item: Item, model: Segmenter, store: EmbeddingStore) -> list[float]:
    """Return the IoU of each box with the box of the mask for a click in its middle."""
    middles = (item.boxes[:, :2] + item.boxes[:, 2:] - 1) / 2
    prompts = [ObjectPrompts(Points([middle])) for middle in middles]
    found = segment(item.plane, prompts, model, store=store).instances
    boxes = [one.box_yx if one is not None else (0, 0, 0, 0) for one in found]
    return np.diag(overlaps(item.boxes, np.array(boxes, float))).tolist()


def label_all(item: Item, model: Segmenter, store: EmbeddingStore) -> tuple[int, int]:
    """Return how many boxes were found, and how many objects in all."""
    found = boxes_of(run(item.plane, model, store=store).labels)
    pairs = overlaps(item.boxes, found)
    matched = 0
    # Greedily from the best pair: boxes of blood cells overlap, but seldom by half.
    while pairs.size and pairs.max() >= MATCH:
        row, column = np.unravel_index(pairs.argmax(), pairs.shape)
        pairs[row], pairs[:, column] = 0, 0
        matched += 1
    return matched, len(found)


def measure(model: Segmenter, folder: Path, title: str, images: int) -> list[str]:
    clicks: list[float] = []
    matched = found = count = 0
    for item in read_items(folder, images):
        store = EmbeddingStore()
        clicks += click_all(item, model, store)
        hits, objects = label_all(item, model, store)
        matched, found, count = matched + hits, found + objects, count + 1
    scores = np.mean(clicks), matched / len(clicks), matched / max(found, 1)
    return [title, str(count), str(len(clicks)), *(f"{score:.2f}" for score in scores)]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, default=os.environ.get(VARIABLE))
    parser.add_argument("--model", default="tiny", help="a name, or a weights file")
    parser.add_argument("--images", type=int, default=12, help="per kind of image")
    parser.add_argument("--card", type=Path, help="model card that gets the table, too")
    parser.add_argument("--no-save", action="store_true", help="print, write no file")
    options = parser.parse_args(argv)
    folders = {} if options.data is None else {name: Path(options.data) / name for name in SETS}
    present = {name: folder for name, folder in folders.items() if (folder / "boxes").is_dir()}
    if not present:
        print(f"skipped: no folder of data; give --data FOLDER or set {VARIABLE}")
        return
    model = load_model(options.model)
    table = Table(
        f"Kinds of images that training never saw, model {model.key}",
        COLUMNS,
        [measure(model, folder, SETS[name], options.images) for name, folder in present.items()],
        "People drew boxes only: a box drawn round the mask is compared. In the first set many "
        "cells have no box, so that its precision says little.",
    )
    report("unseen", "Unseen kinds of images", [table], save=not options.no_save)
    if options.card:
        put_between(options.card, "unseen", "\n".join(table.to_markdown().splitlines()[2:]))


if __name__ == "__main__":
    main()
