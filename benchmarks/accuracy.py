"""How well the embedded model does on images that it was not trained on, as users meet it.

``python -m benchmarks.accuracy --data FOLDER``: prompted masks and automatic labels, through the
same code as in the viewer. FOLDER (or the environment variable ``NAPARI_SEGMATE_DATA``) holds one
folder per data set with ``images/NAME.*``, ``labels/NAME.tif`` and ``manifest.csv`` (columns name,
modality, group); images of one group lie on one side of the split, which is that of the recipe.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from recipes.tiny import pack
from scipy import ndimage

from benchmarks._report import Table, put_between, report
from napari_segmate.core.images.image_source import ContrastMode, ImageSource, Plane, guess_axes
from napari_segmate.core.numbers.metrics import MSA_THRESHOLDS, average_precision
from napari_segmate.core.prompts import Box, ObjectPrompts, Points
from napari_segmate.core.types import Instance
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.inference.prompts.predict import predict
from napari_segmate.inference.prompts.request import ObjectResult, Request
from napari_segmate.models import load_model
from napari_segmate.models.base import Segmenter
from napari_segmate.tasks.automask.run import run

VARIABLE = "NAPARI_SEGMATE_DATA"
MIN_OBJECT = 20
"""Objects of fewer pixels are cut off by the border, or specks."""
CORRECTIONS = 3
PART_SCENES = 60
"""Synthetic scenes, of which those with parts inside objects count."""

Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.integer[Any]]
Scores = dict[str, float]


@dataclass(frozen=True, eq=False)
class Item:
    """An image and its objects."""

    modality: str
    plane: Plane
    labels: Labels


def plane_of(image: npt.NDArray[Any]) -> Plane:
    source = ImageSource(image, guess_axes(image.shape))
    return source.plane((), source.estimate_contrast(ContrastMode.PLANE, ()))


def read_items(folder: Path, per_modality: int) -> Iterator[Item]:
    """Yield held-out images, up to so many of each kind, from all over the list."""
    by_modality: dict[str, list[pack.Item]] = defaultdict(list)
    for item in pack.read_sets(folder, held_out=True, convert=np.asarray):
        by_modality[item.modality].append(item)
    for modality, items in sorted(by_modality.items()):
        count = min(per_modality, len(items)) if per_modality else len(items)
        for number in np.unique(np.linspace(0, len(items) - 1, count).astype(int)):
            item = items[number]
            yield Item(modality, plane_of(item.image), without_small(item.labels))


def without_small(labels: Labels) -> Labels:
    small = np.bincount(labels.ravel()) < MIN_OBJECT
    return np.where(small[labels], 0, labels)


def objects(labels: Labels, limit: int) -> list[Mask]:
    numbers = np.setdiff1d(labels, [0])
    chosen = np.random.default_rng(0).permutation(numbers)[:limit]
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
        self.errors: list[float] = []

    def ask(self, prompts: ObjectPrompts, before: ObjectResult | None = None) -> ObjectResult:
        previous = (before.as_previous(),) if before is not None else None
        request = Request(1, self._item.plane, (prompts,), previous=previous)
        return predict(request, self._model, self._store).objects[0]

    def _reached(self, result: ObjectResult, truth: Mask) -> float:
        reached = overlap(result.instance, truth)
        if result.instance is not None:
            self.errors.append(abs(result.instance.score - reached))
        return reached

    def box(self, truth: Mask) -> float:
        return self._reached(self.ask(ObjectPrompts(box=tight_box(truth))), truth)

    def middle_click(self, truth: Mask) -> float:
        return self._click(deepest(truth), truth)

    def any_click(self, truth: Mask) -> float:
        at = np.random.default_rng(int(truth.sum())).choice(np.argwhere(truth))
        return self._click(at, truth)

    def _click(self, at: npt.ArrayLike, truth: Mask) -> float:
        return self._reached(self.ask(ObjectPrompts(points=Points([at]))), truth)

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
        return self._reached(result, truth)

    def best_of_three(self, at: npt.ArrayLike, truths: Sequence[Mask]) -> list[float]:
        """Return how well the best candidate for a click meets each of several truths."""
        result = self.ask(ObjectPrompts(points=Points([at])))
        return [
            max((overlap(one, truth) for one in result.candidates), default=0.0) for truth in truths
        ]

    def automatic(self) -> Scores:
        """Return the average precisions of the automatic labels."""
        found = run(self._item.plane, self._model, store=self._store).labels
        labels = self._item.labels
        scores = average_precision(labels, found, MSA_THRESHOLDS, ignore_min_area=MIN_OBJECT)
        return {"AP50": scores[0], "AP75": scores[5], "mSA": float(np.mean(scores))}


WAYS: dict[str, Callable[[User, Mask], float]] = {
    "1 click, anywhere inside": User.any_click,
    "1 click in the middle": User.middle_click,
    f"{CORRECTIONS} corrections": User.corrected,
    "box": User.box,
}
COLUMNS = [*WAYS, "AP50", "AP75", "mSA", "score error"]


def score(model: Segmenter, item: Item, per_image: int) -> Scores:
    """Return the scores of one image, means over its objects."""
    user = User(model, item)
    truths = objects(item.labels, per_image)
    scores: Scores = user.automatic() if model.info.instance_head else {}
    if truths:
        for name, way in WAYS.items():
            scores[name] = float(np.mean([way(user, truth) for truth in truths]))
        scores["score error"] = float(np.mean(user.errors)) if user.errors else 0.0
    return scores


def measure(model: Segmenter, items: Iterable[Item], per_image: int) -> dict[str, Scores]:
    """Return the scores by kind of image, means over images."""
    found: dict[str, list[Scores]] = defaultdict(list)
    for item in items:
        found[item.modality].append(score(model, item, per_image))
        print(".", end="", flush=True)
    print()
    return {modality: _means(scores) for modality, scores in sorted(found.items())}


def _means(scores: Sequence[Scores]) -> Scores:
    means = {
        name: round(float(np.mean([one[name] for one in scores if name in one])), 3)
        for name in COLUMNS
        if any(name in one for one in scores)
    }
    return {"images": len(scores), **means}


def measure_parts(model: Segmenter, scenes: int = PART_SCENES) -> Scores:
    """Return how well the best of three masks meets a part, and the whole, under a click."""
    found: dict[str, list[float]] = {"whole": [], "part": []}
    images = 0
    for scene in pack.synthetic_items(scenes, seed=90210):
        wholes, parts = scene.layers[0], without_small(scene.layers[1])
        if not parts.any():
            continue
        images += 1
        user = User(model, Item(pack.SYNTHETIC, plane_of(scene.image), wholes))
        for part in objects(parts, 8):
            at = np.random.default_rng(int(part.sum())).choice(np.argwhere(part))
            whole = wholes == wholes[tuple(at)]
            for name, reached in zip(found, user.best_of_three(at, [whole, part]), strict=True):
                found[name].append(reached)
    return {"images": images, **{name: round(float(np.mean(v)), 3) for name, v in found.items()}}


def as_table(scores: dict[str, Scores], parts: Scores | None, key: str) -> Table:
    rows = [
        [modality.replace("_", " "), f"{one['images']}"]
        + [f"{one[name]:.2f}" if name in one else "–" for name in COLUMNS]
        for modality, one in scores.items()
    ]
    text = (
        "Groups of images that training never saw; means over images of means over up to so many "
        "objects as the command was asked for. Intersection over union for prompts; AP is "
        "TP / (TP + FP + FN), mSA its mean at IoU 0.50 to 0.95; score error is the mean difference "
        "between the predicted and the true IoU."
    )
    if parts:
        text += (
            f" Click inside a part of a synthetic object, best of three masks: "
            f"whole {parts['whole']:.2f}, part {parts['part']:.2f} ({parts['images']:.0f} images)."
        )
    return Table(f"Held-out images, model {key}", ["kind of image", "images", *COLUMNS], rows, text)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, default=os.environ.get(VARIABLE))
    parser.add_argument("--model", default="tiny", help="a name, or a weights file")
    parser.add_argument("--images", type=int, default=0, help="per kind of image; 0 takes all")
    parser.add_argument("--objects", type=int, default=12, help="per image")
    parser.add_argument("--no-parts", action="store_true", help="leave the synthetic parts out")
    parser.add_argument("--card", type=Path, help="model card that gets the table, too")
    parser.add_argument("--json", type=Path, help="facts of the weights that get the scores, too")
    parser.add_argument("--no-save", action="store_true", help="print, write no file")
    options = parser.parse_args(argv)
    folder = options.data
    if folder is None or not any((Path(folder) / name).is_dir() for name in pack.SOURCES):
        print(f"skipped: no folder of data; give --data FOLDER or set {VARIABLE}")
        return
    model = load_model(options.model, device="auto")
    scores = measure(model, read_items(Path(folder), options.images), options.objects)
    parts = None if options.no_parts else measure_parts(model)
    table = as_table(scores, parts, model.key)
    report("accuracy", "Accuracy", [table], save=not options.no_save)
    if options.card:
        put_between(options.card, "scores", "\n".join(table.to_markdown().splitlines()[2:]))
    if options.json:
        facts = json.loads(options.json.read_text())
        facts["validation"] = scores | ({"synthetic_parts": parts} if parts else {})
        options.json.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
