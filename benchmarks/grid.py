"""Everything in an image: our generator against upstream's, in one run on the same weights.

Run ``python -m benchmarks.grid``; ``--points 8`` for a quick look.
"""

from __future__ import annotations

import argparse
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from segment_anything import SamAutomaticMaskGenerator
from segment_anything.build_sam import build_sam_vit_b

from benchmarks._images import scene
from benchmarks._report import Table, report
from napari_segmate.automatic import AutomaticMaskGenerator
from napari_segmate.core.images.pictures import as_rgb
from napari_segmate.models import get_model, load_model
from napari_segmate.models._sam_segmenter import SamSegmenter
from napari_segmate.predictor import Predictor

Records = list[dict[str, Any]]
EMBEDDED = {"pred_iou_thresh": 0.7, "stability_score_thresh": 0.8}
MODES = (("exact", True), ("default", False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=32, help="points along each side")
    parser.add_argument("--sizes", type=int, nargs="+", default=[512], help="sides of the image")
    parser.add_argument("--no-save", action="store_true", help="only print")
    options = parser.parse_args()
    rows = [
        row
        for size in options.sizes
        for row in (*_vit_b(size, options.points), *_embedded(size, options.points))
    ]
    table = Table(
        f"{options.points} x {options.points} points, seconds with the embedding",
        ("model", "image", "generator", "seconds", "faster", "masks", "recovered"),
        rows,
        "Recovered: share of upstream's masks that have a partner with an IoU of 0.9 or more. "
        "ViT-B has random weights, and thresholds at which upstream keeps half of its masks "
        "before duplicates are dropped; the embedded model runs in upstream's generator through "
        "our predictor.",
    )
    report("grid", "Grid of points against upstream", [table], save=not options.no_save)


def _vit_b(size: int, points: int) -> list[list[object]]:
    torch.manual_seed(0)
    network = build_sam_vit_b().eval()
    # Random weights predict an IoU near 0, and masks that fill the image.
    options = {
        "points_per_side": points,
        "pred_iou_thresh": 1e-9,
        "stability_score_thresh": 0.2,
        "stability_score_offset": 0.002,
        "box_nms_thresh": 0.9,
    }
    model = SamSegmenter(get_model("vit_b"), network, "0" * 64, "cpu")
    upstream = SamAutomaticMaskGenerator(network, **options)
    return _compared("ViT-B, random", size, upstream, model, options)


def _embedded(size: int, points: int) -> list[list[object]]:
    model = load_model("tiny", device="cpu")
    options = {"points_per_side": points, **EMBEDDED}
    return _compared("embedded", size, _upstream_on(model, options), model, options)


def _upstream_on(model: Any, options: dict[str, Any]) -> SamAutomaticMaskGenerator:
    """Return upstream's generator with our predictor in the place of its own."""
    network = SimpleNamespace(
        image_encoder=SimpleNamespace(img_size=512), mask_threshold=0.0, device="cpu"
    )
    generator = SamAutomaticMaskGenerator(network, **options)  # type: ignore[arg-type]
    predictor: Any = Predictor(model)
    generator.predictor = SimpleNamespace(  # type: ignore[assignment]
        transform=SimpleNamespace(apply_coords=lambda points, shape: points),
        model=network,
        device="cpu",
        set_image=predictor.set_image,
        reset_image=predictor.reset_image,
        predict_torch=predictor.predict_torch,
    )
    return generator


def _compared(
    name: str, size: int, upstream: Any, model: Any, options: dict[str, Any]
) -> list[list[object]]:
    image = as_rgb(scene((size, size)).image)
    wanted, seconds = _timed(upstream, image)
    place = f"{size} x {size}"
    rows: list[list[object]] = [[name, place, "upstream", f"{seconds:.1f}", "1", len(wanted), ""]]
    for title, exact in MODES:
        generator = AutomaticMaskGenerator(model, exact=exact, **options)
        found, ours = _timed(generator, image)
        share = f"{100 * _recovered(wanted, found):.1f} %" if wanted else ""
        faster = f"{seconds / ours:.1f} x"
        rows.append([name, place, title, f"{ours:.1f}", faster, len(found), share])
    return rows


def _timed(generator: Any, image: npt.NDArray[np.uint8]) -> tuple[Records, float]:
    start = perf_counter()
    found = generator.generate(image)
    return found, perf_counter() - start


def _recovered(wanted: Records, found: Records) -> float:
    if not found:
        return 0.0
    a, b = (
        np.stack([one["segmentation"].ravel() for one in side]).astype(np.float32)
        for side in (wanted, found)
    )
    common = a @ b.T
    overlap = common / (a.sum(1)[:, None] + b.sum(1) - common)
    return float(np.mean(overlap.max(axis=1) >= 0.9))


if __name__ == "__main__":
    main()
