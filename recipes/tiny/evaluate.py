"""Measure weights of the embedded model on the validation split.

python recipes/tiny/evaluate.py --weights FILE --work DIR [--json FILE]
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from pack import FULL_SIDE, SYNTHETIC, Item, pack_images, synthetic_items
from safetensors import safe_open
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from napari_segmate.core.images.image_source import Contrast, ImageSource, guess_axes
from napari_segmate.core.numbers.metrics import MSA_THRESHOLDS, average_precision
from napari_segmate.models._tiny_network import TinyFeatures, TinyNetwork, load_tiny
from napari_segmate.models.tiny import FAMILY, TinySegmenter
from napari_segmate.tasks.automask.run import Params, run

Table: TypeAlias = dict[str, dict[str, float]]
Labels: TypeAlias = npt.NDArray[np.int32]

MIN_AREA = 20
"""Objects with fewer pixels are ignored."""
CUT = 512
CORRECTIONS = 3
COLUMNS = {
    "images": "images",
    "click": "1 click, anywhere inside",
    "centre": "1 click in the middle",
    "box": "box",
    "corrected": "3 corrections",
    "ap50": "AP50",
    "ap75": "AP75",
    "msa": "mSA",
    "calibration": "score error",
}


class _Objects:
    """Prompted objects of one image, and what the network answers."""

    def __init__(self, network: TinyNetwork, features: TinyFeatures, masks: Tensor) -> None:
        self.network, self.features, self.masks = network, features, masks
        self.score_errors: list[float] = []

    def answer(
        self,
        points: Tensor | None,
        labels: Tensor | None,
        boxes: Tensor | None = None,
        mask_input: Tensor | None = None,
        *,
        multimask: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits (N, 1, h, w), masks (N, H, W) and the IoU (N,) of the best scored mask."""
        logits, scores = self.network.decode(
            self.features,
            points=points,
            point_labels=labels,
            boxes=boxes,
            mask_input=mask_input,
            multimask=multimask,
        )
        best = scores.argmax(1)
        rows = torch.arange(len(logits), device=logits.device)
        chosen = logits[rows, best][:, None].float()
        found = _enlarged(chosen, self.masks)
        iou = _iou(found, self.masks)
        self.score_errors += (scores[rows, best].float() - iou).abs().tolist()
        return chosen, found, iou

    def best_of_three(self, points: Tensor) -> Tensor:
        """Return the IoU (N,) of the best candidate for one click each."""
        labels = torch.ones(points.shape[:2], dtype=torch.long, device=points.device)
        logits, _ = self.network.decode(
            self.features, points=points, point_labels=labels, multimask=True
        )
        each = [
            _iou(_enlarged(mask[:, None].float(), self.masks), self.masks)
            for mask in logits.unbind(1)
        ]
        return torch.stack(each).amax(0)


def _enlarged(logits: Tensor, like: Tensor) -> Tensor:
    height, width = like.shape[-2:]
    large = functional.interpolate(logits, scale_factor=2, mode="bilinear", align_corners=False)
    return large[:, 0, :height, :width] > 0


def _iou(found: Tensor, truth: Tensor) -> Tensor:
    return (found & truth).sum((1, 2)) / (found | truth).sum((1, 2)).clamp(min=1)


def _encode(network: TinyNetwork, image: npt.NDArray[np.uint8], device: str) -> TinyFeatures:
    rgb = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
    height, width = rgb.shape[:2]
    padding = ((0, -height % 32), (0, -width % 32), (0, 0))
    padded = np.pad(rgb, padding, mode="reflect" if min(height, width) > 32 else "edge")
    pixels = torch.from_numpy(padded.transpose(2, 0, 1)[None].astype(np.float32))
    return network.encode(pixels.to(device).contiguous(memory_format=torch.channels_last))


def _automatic(network: TinyNetwork, image: npt.NDArray[np.uint8], device: str) -> Labels:
    """Return the labels that users get: size of objects estimated, image shown accordingly."""
    model = TinySegmenter(FAMILY.models[0], network, "evaluated", device)
    source = ImageSource(image, guess_axes(image.shape, image.dtype, rgb=image.ndim == 3))
    plane = source.plane((), Contrast(((0.0, 255.0),) * source.n_channels))
    return np.asarray(run(plane, model, Params(min_area=MIN_AREA)).labels, dtype=np.int32)


def _without_small(labels: Labels) -> Labels:
    small = np.bincount(labels.ravel()) < MIN_AREA
    return np.where(small[labels], 0, labels)


def _deepest(mask: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Return x, y of the pixel farthest from the border of a mask."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    return int(x), int(y)


def _random_pixel(mask: npt.NDArray[np.bool_], rng: np.random.Generator) -> tuple[int, int]:
    y, x = np.divmod(rng.choice(np.flatnonzero(mask)), mask.shape[1])
    return int(x), int(y)


def _box(mask: npt.NDArray[np.bool_]) -> tuple[int, int, int, int]:
    y, x = np.nonzero(mask)
    return int(x.min()), int(y.min()), int(x.max()), int(y.max())


def _next_click(found: npt.NDArray[np.bool_], truth: npt.NDArray[np.bool_]) -> tuple[int, int, int]:
    """Return x, y and label of a click in the middle of the larger kind of error."""
    missed, wrong = truth & ~found, found & ~truth
    error, label = (missed, 1) if missed.sum() >= wrong.sum() else (wrong, 0)
    return (*_deepest(error), label) if error.any() else (0, 0, -1)


def _score_prompts(objects: _Objects, rng: np.random.Generator) -> dict[str, float]:
    """Return mean IoU for a click, a central click, a box, and after three corrections."""
    device, truth = objects.masks.device, objects.masks.cpu().numpy()

    def clicks(values: Iterable[tuple[int, int]]) -> Tensor:
        return torch.tensor(list(values), dtype=torch.float32, device=device)[:, None]

    points = clicks(_random_pixel(mask, rng) for mask in truth)
    one = labels = torch.ones(len(truth), 1, dtype=torch.long, device=device)
    logits, found, click = objects.answer(points, labels, multimask=True)
    corrected = click
    for _ in range(CORRECTIONS):
        pairs = zip(found.cpu().numpy(), truth, strict=True)
        added = torch.tensor([_next_click(*pair) for pair in pairs], device=device)
        points = torch.cat([points, added[:, None, :2].float()], 1)
        labels = torch.cat([labels, added[:, 2:]], 1)
        logits, found, corrected = objects.answer(points, labels, None, logits, multimask=False)
    centre = objects.answer(clicks(map(_deepest, truth)), one, multimask=True)[2]
    boxes = torch.tensor([_box(mask) for mask in truth], dtype=torch.float32, device=device)
    box = objects.answer(None, None, boxes, multimask=False)[2]
    results = {"click": click, "centre": centre, "box": box, "corrected": corrected}
    return {name: value.mean().item() for name, value in results.items()}


def _pick(labels: Labels, count: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Return (n, H, W) masks of at most `count` objects."""
    ids = rng.permutation(np.setdiff1d(labels, [0]))[:count]
    return labels[None] == ids[:, None, None]


def score_item(
    network: TinyNetwork, item: Item, device: str, rng: np.random.Generator, objects: int = 12
) -> dict[str, float]:
    """Return the scores of one image."""
    image, labels = item.image, _without_small(item.labels)
    if max(labels.shape) > FULL_SIDE:
        image, labels = image[:CUT, :CUT], _without_small(labels[:CUT, :CUT])
    features = _encode(network, image, device)
    found = _automatic(network, image, device)
    precision = average_precision(labels, found, MSA_THRESHOLDS, ignore_min_area=MIN_AREA)
    scores = {"ap50": precision[0], "ap75": precision[5], "msa": precision.mean()}
    masks = _pick(labels, objects, rng)
    if len(masks):
        prompted = _Objects(network, features, torch.from_numpy(masks).to(device))
        scores |= _score_prompts(prompted, rng)
        scores["calibration"] = float(np.mean(prompted.score_errors))
    return {name: float(value) for name, value in scores.items()}


def _score_parts(
    network: TinyNetwork, device: str, rng: np.random.Generator, scenes: int
) -> dict[str, float]:
    """Return the IoU of the best of three candidates for a click inside a part of an object."""
    reached: dict[str, list[float]] = {"whole": [], "part": []}
    count = 0
    for item in synthetic_items(scenes, seed=90210):
        if not item.layers[1].any():
            continue
        count += 1
        features = _encode(network, item.image, device)
        parts = _pick(_without_small(item.layers[1]), 8, rng)
        clicks = torch.tensor([_random_pixel(part, rng) for part in parts], device=device)
        owners = [item.labels[part][0] for part in parts]
        wholes = item.labels[None] == np.array(owners, dtype=int)[:, None, None]
        for name, masks in (("whole", wholes), ("part", parts)):
            if len(masks):
                prompted = _Objects(network, features, torch.from_numpy(masks).to(device))
                reached[name] += prompted.best_of_three(clicks[:, None].float()).tolist()
    means = {name: round(float(np.mean(iou)), 3) for name, iou in reached.items() if iou}
    return {"images": count, **means}


@torch.inference_mode()
def score(
    network: TinyNetwork,
    items: Sequence[Item],
    device: str = "cpu",
    images: int | None = None,
    scenes: int = 60,
) -> Table:
    """Return mean scores by modality: each a mean over images of means over objects.

    Parameters
    ----------
    items : sequence of Item
        Validation images.
    images : int, optional
        Only the first images of each modality.
    scenes : int
        Synthetic images with parts to try; 0 leaves them out.
    """
    rng = np.random.default_rng(0)
    by_modality: dict[str, list[dict[str, float]]] = {}
    for item in items:
        scored = by_modality.setdefault(item.modality, [])
        if images is None or len(scored) < images:
            scored.append(score_item(network, item, device, rng))
    table = {modality: _means(scored) for modality, scored in sorted(by_modality.items())}
    if scenes:
        table[f"{SYNTHETIC} parts, best of three"] = _score_parts(network, device, rng, scenes)
    return table


def _means(scored: list[dict[str, float]]) -> dict[str, float]:
    names = [name for name in COLUMNS if any(name in entry for entry in scored)]
    means = {name: float(np.mean([e[name] for e in scored if name in e])) for name in names}
    return {"images": len(scored), **{name: round(value, 3) for name, value in means.items()}}


def as_markdown(table: Table) -> str:
    """Return the scores as tables of Markdown."""
    rows = [["modality", *COLUMNS.values()]]
    rows.append(["---"] * len(rows[0]))
    parts = []
    for modality, scores in table.items():
        if SYNTHETIC in modality:
            parts.append(
                f"\nClick inside a part, {modality}: whole {_shown('whole', scores)}, "
                f"part {_shown('part', scores)} ({scores['images']} images).\n"
            )
        else:
            rows.append([modality, *(_shown(name, scores) for name in COLUMNS)])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n" + "".join(parts)


def _shown(name: str, scores: dict[str, float]) -> str:
    if name not in scores:
        return "–"
    return str(int(scores[name])) if name == "images" else f"{scores[name]:.2f}"


def facts(weights: Path, table: Table) -> dict[str, object]:
    """Return what is known about a weights file, ready for JSON."""
    with safe_open(weights, "pt") as file:
        metadata = file.metadata()
    config = json.loads(metadata.pop("config"))
    network = load_tiny(weights)
    return {
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "bytes": weights.stat().st_size,
        "parameters": sum(value.numel() for value in network.parameters()),
        "config": config,
        **metadata,
        "validation": table,
    }


def write_facts(weights: Path, table: Table, path: Path) -> None:
    """Write `facts` as JSON."""
    path.write_text(json.dumps(facts(weights, table), indent=1) + "\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, required=True, help="safetensors file")
    parser.add_argument("--work", type=Path, required=True, help="folder of the packed images")
    parser.add_argument("--data", type=Path, help="folder of the data sets, if not packed yet")
    parser.add_argument("--json", type=Path, help="write what is known about the weights here")
    parser.add_argument("--images", type=int, help="of each kind; all if left")
    parser.add_argument("--part-scenes", type=int, default=60, help="synthetic images with parts")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    held_out = [item for item in pack_images(options.data, options.work) if item.validation]
    network = load_tiny(options.weights).to(options.device)
    network = network.to(memory_format=torch.channels_last)
    table = score(network, held_out, options.device, options.images, options.part_scenes)
    if options.json:
        write_facts(options.weights, table, options.json)
    print(as_markdown(table))


if __name__ == "__main__":
    main()
