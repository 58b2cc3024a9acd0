"""How well prompted masks match hand-drawn objects, through the whole inference path.

``python -m benchmarks.accuracy --data FOLDER``: images that the embedded model was not trained
on. FOLDER (or the environment variable ``NAPARI_SEGMATE_DATA``) holds one folder per data
set with ``images/NAME.png|tif``, ``labels/NAME.tif`` and ``manifest.csv`` (columns name, modality,
group); images of one group are tiles of one field of view and lie on one side of the split.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from benchmarks._report import Table, report
from napari_segmate.core.image import ContrastMode, ImageSource, Plane, guess_axes
from napari_segmate.core.prompts import Box, ObjectPrompts, Points
from napari_segmate.core.types import Instance
from napari_segmate.inference.embeddings import EmbeddingStore
from napari_segmate.inference.predict import predict
from napari_segmate.inference.request import ObjectResult, Request
from napari_segmate.models import load_model
from napari_segmate.models.base import Segmenter

VARIABLE = "NAPARI_SEGMATE_DATA"
VALIDATION_SHARE = 7
MIN_OBJECT = 20
"""Objects of fewer pixels are cut off by the border, or specks."""
CORRECTIONS = 3

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Item:
    """An image and its objects."""

    modality: str
    plane: Plane
    labels: npt.NDArray[np.integer[Any]]


def held_out(dataset: str, group: str) -> bool:
    """Tell whether the embedded model was validated, not trained, on a group of images."""
    return int(hashlib.sha256((dataset + group).encode()).hexdigest(), 16) % VALIDATION_SHARE == 0


def read_items(folder: Path, per_modality: int) -> Iterator[Item]:
    import skimage.io
    import tifffile

    with (folder / "manifest.csv").open(encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if held_out(folder.name, row["group"])]
    for row in spread(rows, per_modality):
        (path,) = (folder / "images").glob(f"{row['name']}.*")
        image = tifffile.imread(path) if path.suffix == ".tif" else skimage.io.imread(path)
        source = ImageSource(image, guess_axes(image.shape))
        plane = source.plane((), source.estimate_contrast(ContrastMode.PLANE, ()))
        yield Item(
            row["modality"], plane, tifffile.imread(folder / "labels" / f"{row['name']}.tif")
        )


def spread(rows: list[dict[str, str]], per_modality: int) -> Iterator[dict[str, str]]:
    """Yield up to so many rows of each modality, from all over the list."""
    for modality in sorted({row["modality"] for row in rows}):
        own = [row for row in rows if row["modality"] == modality]
        for number in np.unique(np.linspace(0, len(own) - 1, per_modality).astype(int)):
            yield own[number]


def objects(labels: npt.NDArray[np.integer[Any]], limit: int) -> list[Mask]:
    numbers, sizes = np.unique(labels[labels > 0], return_counts=True)
    chosen = np.random.default_rng(0).permutation(numbers[sizes >= MIN_OBJECT])[:limit]
    return [labels == number for number in chosen]


def deepest(mask: Mask) -> tuple[int, int]:
    """Return the pixel that lies farthest from the border of a mask."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    return int(y), int(x)


def tight_box(mask: Mask) -> Box:
    rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    return Box((rows[0] - 0.5, columns[0] - 0.5, rows[-1] + 0.5, columns[-1] + 0.5))


def overlap(instance: Instance | None, truth: Mask) -> float:
    if instance is None:
        return 0.0
    y0, x0, y1, x1 = instance.box_yx
    shared = np.count_nonzero(truth[y0:y1, x0:x1] & instance.mask)
    return shared / (np.count_nonzero(truth) + instance.area - shared)


def full(instance: Instance | None, shape: tuple[int, ...]) -> Mask:
    mask = np.zeros(shape, bool)
    if instance is not None:
        y0, x0, y1, x1 = instance.box_yx
        mask[y0:y1, x0:x1] = instance.mask
    return mask


def correction(found: Mask, truth: Mask) -> tuple[tuple[int, int], bool]:
    """Return the click into the middle of the larger mistake, and whether it includes."""
    missing, surplus = truth & ~found, found & ~truth
    include = bool(missing.sum() >= surplus.sum())
    return deepest(missing if include else surplus), include


class User:
    """Someone who prompts one model on one image, and corrects what comes back."""

    def __init__(self, model: Segmenter, item: Item) -> None:
        self._model, self._item = model, item
        self._store = EmbeddingStore()

    def ask(self, prompts: ObjectPrompts, before: ObjectResult | None = None) -> ObjectResult:
        previous = (before.as_previous(),) if before is not None else None
        request = Request(1, self._item.plane, (prompts,), previous=previous)
        return predict(request, self._model, self._store).objects[0]

    def box(self, truth: Mask) -> float:
        return overlap(self.ask(ObjectPrompts(box=tight_box(truth))).instance, truth)

    def middle_click(self, truth: Mask) -> float:
        return overlap(self.ask(ObjectPrompts(points=Points([deepest(truth)]))).instance, truth)

    def any_click(self, truth: Mask) -> float:
        at = np.random.default_rng(int(truth.sum())).choice(np.argwhere(truth))
        return overlap(self.ask(ObjectPrompts(points=Points([at]))).instance, truth)

    def corrected(self, truth: Mask) -> float:
        clicks, positive = [deepest(truth)], [True]
        result = self.ask(ObjectPrompts(points=Points(clicks, positive)))
        for _ in range(CORRECTIONS):
            found = full(result.instance, truth.shape)
            if (found == truth).all():
                break
            at, include = correction(found, truth)
            clicks.append(at)
            positive.append(include)
            result = self.ask(ObjectPrompts(points=Points(clicks, positive)), result)
        return overlap(result.instance, truth)


WAYS: dict[str, Callable[[User, Mask], float]] = {
    "one click in the middle": User.middle_click,
    "one click anywhere": User.any_click,
    f"click and {CORRECTIONS} corrections": User.corrected,
    "box": User.box,
}


def measure(model: Segmenter, items: Iterator[Item], per_image: int) -> list[list[str]]:
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    images: dict[str, int] = defaultdict(int)
    for item in items:
        user = User(model, item)
        images[item.modality] += 1
        for truth in objects(item.labels, per_image):
            for name, way in WAYS.items():
                found[item.modality][name].append(way(user, truth))
    rows = []
    for modality, ways in sorted(found.items()):
        count = len(next(iter(ways.values())))
        means = [f"{np.mean(ways[name]):.3f}" for name in WAYS]
        rows.append([modality.replace("_", " "), str(images[modality]), str(count), *means])
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, default=os.environ.get(VARIABLE))
    parser.add_argument("--dataset", default="dsb2018")
    parser.add_argument("--model", default="tiny", help="a name, or a weights file")
    parser.add_argument("--images", type=int, default=12, help="per kind of image")
    parser.add_argument("--objects", type=int, default=12, help="per image")
    parser.add_argument("--no-save", action="store_true", help="print, write no file")
    options = parser.parse_args(argv)
    if options.data is None or not (Path(options.data) / options.dataset).is_dir():
        print(f"skipped: no folder of data; give --data FOLDER or set {VARIABLE}")
        return
    model = load_model(options.model, device="auto")
    items = read_items(Path(options.data) / options.dataset, options.images)
    table = Table(
        f"{options.dataset}, held-out images, model {model.key}",
        ["kind of image", "images", "objects", *WAYS],
        measure(model, items, options.objects),
        "Mean intersection over union with the hand-drawn objects.",
    )
    report("accuracy", "Accuracy of prompted masks", [table], save=not options.no_save)


if __name__ == "__main__":
    main()
