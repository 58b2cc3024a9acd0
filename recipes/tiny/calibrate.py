"""Fit what the predicted IoUs of the embedded model are worth, on training images.

python recipes/tiny/calibrate.py --work DIR --json src/napari_segmate/weights/tiny.json

Prompts are given as in use: a click anywhere, one in the middle followed by corrections, a box. The
numbers go into the facts of the weights; what they change on held-out images is printed.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from batches import WEIGHTS
from pack import Item, pack_images
from scipy import ndimage

from napari_segmate.core.images.image_source import ContrastMode, ImageSource, guess_axes
from napari_segmate.core.masks.object_masks import paste
from napari_segmate.core.prompts import Box, ObjectPrompts, Points
from napari_segmate.core.types import BoolArray
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.inference.prompts.predict import predict
from napari_segmate.inference.prompts.request import ObjectResult, Request
from napari_segmate.models._calibration import Calibration, sharpness
from napari_segmate.models._checkpoint import file_sha256
from napari_segmate.models._tiny_network import load_tiny
from napari_segmate.models.tiny import FAMILY, TinySegmenter

MIN_AREA = 20
CORRECTIONS = 3
RARE = 0.02
"""Share of a kind of image that the table of the batches does not know."""
ROUNDS = 40
LEAST = 0.02
"""Differences below this count alike: keeps the weights of the fit finite."""
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Answer:
    """A mask for a prompt: what the network says about it, and how good it is."""

    modality: str
    image: str
    score: float
    sharpness: float
    again: bool
    reached: float


def answers(model: TinySegmenter, item: Item, objects: int) -> Iterator[Answer]:
    """Yield what the model answers for some objects of an image."""
    source = ImageSource(item.image, guess_axes(item.image.shape))
    plane = source.plane((), source.estimate_contrast(ContrastMode.PLANE, ()))
    store, rng = EmbeddingStore(), np.random.default_rng(0)

    def ask(prompts: ObjectPrompts, before: ObjectResult | None = None) -> ObjectResult:
        previous = (before.as_previous(),) if before is not None else None
        return predict(Request(1, plane, (prompts,), previous=previous), model, store).objects[0]

    areas = np.bincount(item.labels.ravel())
    large = np.flatnonzero(areas[1:] >= MIN_AREA) + 1
    for number in rng.permutation(large)[:objects]:
        truth: BoolArray = item.labels == number
        results = [
            ask(ObjectPrompts(Points([rng.choice(np.argwhere(truth))]))),
            ask(ObjectPrompts(box=_box(truth))),
        ]
        clicks, positive = [_deepest(truth)], [True]
        results.append(ask(ObjectPrompts(Points(clicks))))
        for _ in range(CORRECTIONS):
            found = _mask(results[-1], truth)
            if (found == truth).all():
                break
            missed, wrong = truth & ~found, found & ~truth
            positive.append(bool(missed.sum() >= wrong.sum()))
            clicks.append(_deepest(missed if positive[-1] else wrong))
            results.append(ask(ObjectPrompts(Points(clicks, positive)), results[-1]))
        yield from (_judged(item, one, truth) for one in results if one.candidates)


def _judged(item: Item, result: ObjectResult, truth: BoolArray) -> Answer:
    found = _mask(result, truth)
    reached = float((found & truth).sum() / (found | truth).sum())
    sharp = float(sharpness(result.logits[None, :1])[0, 0])
    again = result.previous is not None
    score = result.candidates[0].score
    return Answer(item.modality, item.name, score, sharp, again, reached)


def _mask(result: ObjectResult, truth: BoolArray) -> BoolArray:
    one = result.instance
    return paste(one, truth.shape) if one is not None else np.zeros_like(truth)


def _deepest(mask: BoolArray) -> tuple[int, int]:
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    return int(y), int(x)


def _box(mask: BoolArray) -> Box:
    y, x = np.nonzero(mask)
    return Box((y.min() - 0.5, x.min() - 0.5, y.max() + 0.5, x.max() + 0.5))


def fit(rows: Sequence[Answer]) -> Calibration:
    """Return the calibration of least mean difference; modalities count as in training."""
    terms = np.array(
        [[1, a.score, a.sharpness, a.again, a.again * a.score] for a in rows], dtype=np.float64
    )
    reached, weights = np.array([a.reached for a in rows]), _weights(rows)
    found = np.zeros(terms.shape[1])
    shares = weights
    for _ in range(ROUNDS):
        root = np.sqrt(shares)
        found = np.linalg.lstsq(terms * root[:, None], reached * root, rcond=None)[0]
        # Least absolute differences: weighted squares again and again.
        shares = weights / np.maximum(np.abs(reached - terms @ found), LEAST)
    return Calibration(*found.round(4).tolist())


def _weights(rows: Sequence[Answer]) -> Values:
    per_image: dict[tuple[str, str], int] = defaultdict(int)
    for row in rows:
        per_image[row.modality, row.image] += 1
    images: dict[str, int] = defaultdict(int)
    for modality, _ in per_image:
        images[modality] += 1
    return np.array(
        [
            WEIGHTS.get(a.modality, RARE) / images[a.modality] / per_image[a.modality, a.image]
            for a in rows
        ]
    )


def errors(rows: Sequence[Answer], calibration: Calibration | None) -> dict[str, float]:
    """Return the mean difference of score and IoU by modality, means over images."""
    by_image: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in rows:
        score = row.score
        if calibration is not None:
            score = calibration.value(row.score, row.sharpness, row.again)
        by_image[row.modality, row.image].append(abs(score - row.reached))
    by_modality: dict[str, list[float]] = defaultdict(list)
    for (modality, _), values in by_image.items():
        by_modality[modality].append(float(np.mean(values)))
    return {modality: float(np.mean(values)) for modality, values in sorted(by_modality.items())}


def spread(items: Iterable[Item], count: int, least: int = 4) -> list[Item]:
    """Return about `count` images, by modality as in training, at least some of each."""
    by_modality: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        by_modality[item.modality].append(item)
    chosen = []
    for modality, found in by_modality.items():
        wanted = max(least, round(count * WEIGHTS.get(modality, RARE)))
        places = np.linspace(0, len(found) - 1, min(wanted, len(found)))
        chosen += [found[place] for place in np.unique(places.astype(int))]
    return chosen


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--work", type=Path, required=True, help="folder of the packed images")
    parser.add_argument("--data", type=Path, help="folder of the data sets, if not packed yet")
    parser.add_argument("--weights", type=Path, help="safetensors file; the embedded one if left")
    parser.add_argument("--json", type=Path, required=True, help="facts of the weights")
    parser.add_argument("--images", type=int, default=60, help="about so many of each split")
    parser.add_argument("--objects", type=int, default=6, help="per image")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    weights = options.weights or Path(str(files("napari_segmate") / "weights/tiny.safetensors"))
    facts = json.loads(options.json.read_text())
    if facts["sha256"] != file_sha256(weights):
        raise SystemExit(f"{options.json} is about other weights than {weights}")
    model = TinySegmenter(FAMILY.models[0], load_tiny(weights), facts["sha256"], "cpu")
    items = pack_images(options.data, options.work)
    rows: dict[bool, list[Answer]] = {}
    for held_out in (False, True):
        chosen = spread((one for one in items if one.validation is held_out), options.images)
        rows[held_out] = [a for one in chosen for a in answers(model, one, options.objects)]
    calibration = fit(rows[False])
    before, after = errors(rows[True], None), errors(rows[True], calibration)
    for modality, error in before.items():
        print(f"{modality:30s} mean error {error:.3f} -> {after[modality]:.3f}")
    facts["calibration"] = asdict(calibration)
    options.json.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
