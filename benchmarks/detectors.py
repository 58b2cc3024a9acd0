"""What text to boxes to masks costs: a detector of full size, the filters, the outlines.

``python -m benchmarks.detectors``: GroundingDINO Swin-T with random weights (172 million: nothing
is downloaded), by transformers and, where it is installed, by groundingdino-py from the same
checkpoint, each in its own process; then how fast sliders filter, and how long 200 boxes take to
become labels. ``--no-network`` leaves the detector out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks._images import scene
from benchmarks._report import Table, report
from benchmarks._timing import repeat
from benchmarks.memory import Peak
from napari_segmate.core.context import Context
from napari_segmate.core.images.image_source import ContrastMode, ImageAxes, ImageSource
from napari_segmate.core.images.pictures import as_rgb
from napari_segmate.core.masks.boxes import overlaps
from napari_segmate.core.text.detections import Detections, SelectParams, select
from napari_segmate.core.types import BoxYX
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.models import load_model
from napari_segmate.tasks.segment import Params
from napari_segmate.tasks.text.run import FoundBox
from napari_segmate.tasks.text.segment_boxes import PlaneBoxes, segment_boxes

ROOT = Path(__file__).parents[1]
SIZES: dict[str, Any] = {
    "backbone_config": {
        "embed_dim": 96,
        "depths": [2, 2, 6, 2],
        "num_heads": [3, 6, 12, 24],
        "window_size": 7,
        "out_indices": [2, 3, 4],
    },
    "text_config": {
        "vocab_size": 30522,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "max_position_embeddings": 512,
    },
    "d_model": 256,
    "num_feature_levels": 4,
    "num_queries": 900,
    "encoder_layers": 6,
    "decoder_layers": 6,
    "encoder_ffn_dim": 2048,
    "decoder_ffn_dim": 2048,
    "encoder_attention_heads": 8,
    "decoder_attention_heads": 8,
    "encoder_n_points": 4,
    "decoder_n_points": 4,
    "decoder_bbox_embed_share": True,
}
"""Of ``groundingdino_swint_ogc.pth``."""
SPECIAL = {
    0: "[PAD]",
    100: "[UNK]",
    101: "[CLS]",
    102: "[SEP]",
    103: "[MASK]",
    1012: ".",
    1029: "?",
}
WORDS = ("cell", "nucleus", "red", "blood", "dark", "spot")
FIRST_WORD = 1040
PHRASES = ("nucleus", "red blood cell", "dark spot")
SHAPE = (600, 800)
DETAIL = 800
SLIDERS = (900, 20)
BOXES = 200
SIDE = 1024
AGREE_IOU = 0.99
PROCESSOR = "processor time"
"""Of all threads: hardly depends on what else the machine does."""

Found = dict[str, float]


def write_vocabulary(folder: Path) -> Path:
    """Write as many tokens as the network has, a few of them words."""
    count = SIZES["text_config"]["vocab_size"]
    words = dict(enumerate(WORDS, start=FIRST_WORD))
    names = [SPECIAL.get(at) or words.get(at) or f"[unused{at}]" for at in range(count)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    return folder / "vocab.txt"


def make(folder: str) -> Found:
    """Write a checkpoint: of the authors' form if their code is there, else of transformers."""
    import torch

    from napari_segmate.detectors._dino_checkpoint import tokenizer_of

    torch.manual_seed(0)
    place = Path(folder)
    tokenizer = tokenizer_of(write_vocabulary(place), SIZES["text_config"]["vocab_size"])
    if find_spec("groundingdino") is None:
        _make_folder(place, tokenizer)
        return {"official": 0}
    from napari_segmate.detectors._groundingdino_compat import build

    model = build(SIZES, tokenizer)
    with torch.no_grad():
        # Many weights begin as zeros, with which all boxes would be one.
        for weight in model.parameters():
            weight.add_(0.02 * torch.randn_like(weight))
    torch.save({"model": model.state_dict()}, place / "full.pth")
    return {"official": 1}


def _make_folder(place: Path, tokenizer: Any) -> None:
    import transformers

    library: Any = transformers
    parts = {
        "backbone_config": library.SwinConfig(**SIZES["backbone_config"]),
        "text_config": library.BertConfig(**SIZES["text_config"]),
    }
    config = library.GroundingDinoConfig(**{**SIZES, **parts})
    library.GroundingDinoForObjectDetection(config).save_pretrained(place)
    images = library.GroundingDinoImageProcessor()
    library.GroundingDinoProcessor(images, tokenizer).save_pretrained(place)


def picture() -> npt.NDArray[np.uint8]:
    return as_rgb(scene(SHAPE).image)


def detect(family: str, path: str, repeats: str) -> Found:
    """Load a checkpoint by one family and search a picture a few times."""
    from napari_segmate.detectors import DETECTORS
    from napari_segmate.detectors.base import DetectorInfo

    info = DetectorInfo(family, family, "random weights", "", "")
    image = picture()
    with Peak().watch() as peak:
        start = perf_counter()
        detector = DETECTORS[family].load(info, Path(path), "cpu")
        loaded = perf_counter()
        found = detector.detect(image, PHRASES, detail=DETAIL)
        first = perf_counter()
        used = process_time()
        times = repeat(
            lambda number: detector.detect(image, PHRASES, detail=DETAIL), int(repeats), warmup=0
        )
    used = process_time() - used
    np.save(_boxes_file(family, path), found.boxes_yx)
    return {
        "load": loaded - start,
        "first": first - loaded,
        "median": times.median_ms / 1000,
        "bytes": peak.most,
        "processor": used / int(repeats),
        "boxes": len(found),
    }


def _boxes_file(family: str, path: str) -> Path:
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    return folder / f"{family}.npy"


CASES: dict[str, Callable[..., Found]] = {"make": make, "detect": detect}


def run_case(case: str, *values: str) -> Found:
    command = [sys.executable, "-m", "benchmarks.detectors", "--case", case, *values]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    found: Found = json.loads(done.stdout.splitlines()[-1])
    return found


def network_table(repeats: int) -> Table:
    """Return load time, search time and peak memory of each backend."""
    with tempfile.TemporaryDirectory() as folder:
        official = bool(run_case("make", folder)["official"])
        path = str(Path(folder) / "full.pth") if official else folder
        families = ["transformers", "groundingdino"] if official else ["transformers"]
        found = {one: run_case("detect", one, path, str(repeats)) for one in families}
        boxes = [np.load(_boxes_file(one, path)) for one in families]
    rows = [
        [
            family,
            f"{one['load']:.1f} s",
            f"{one['first']:.1f} s",
            f"{one['median']:.1f} s",
            f"{one['bytes'] / 2**30:.2f} GB",
            f"{one['processor']:.1f} s",
        ]
        for family, one in found.items()
    ]
    text = (
        f"An image of {SHAPE[0]} x {SHAPE[1]} pixels, shown at {DETAIL} pixels (shorter side), "
        f"{len(PHRASES)} concepts, {int(next(iter(found.values()))['boxes'])} boxes. "
    )
    text += _agreement(boxes) if official else "groundingdino-py is not installed."
    columns = ["backend", "load", "first search", "next searches", "peak memory", PROCESSOR]
    return Table("GroundingDINO Swin-T, random weights", columns, rows, text)


def _agreement(boxes: Sequence[npt.NDArray[np.float64]]) -> str:
    best = overlaps(*boxes).max(axis=1)
    same = int((best >= AGREE_IOU).sum())
    return f"{same} of {len(best)} boxes of both backends agree (IoU {AGREE_IOU} or more)."


def sliders(repeats: int) -> Found:
    """Filter all that a detector saw, as each step of a slider does."""
    count, phrases = SLIDERS
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 1000, (count, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(5, 80, (count, 2))], axis=1)
    scores = rng.uniform(0, 1, (count, phrases)).astype(np.float32)
    seen = Detections(boxes, scores, tuple(map(str, range(phrases))), (1100, 1100))
    steps = [SelectParams(score=score / 20) for score in range(20)]
    used = process_time()
    times = repeat(lambda number: select(seen, steps[number % len(steps)]), repeats, warmup=0)
    used = process_time() - used
    return {
        "median": times.median_ms,
        "worst": times.worst_ms,
        "processor": 1000 * used / repeats,
    }


def outlines() -> Found:
    """Turn boxes into labels with the embedded model, with and without a known embedding."""
    drawn = scene((SIDE, SIDE))
    source = ImageSource(drawn.image, ImageAxes(0, 1))
    plane = source.plane((), source.estimate_contrast(ContrastMode.PLANE, ()))
    order = np.random.default_rng(0).permutation(len(drawn.centres_yx))[:BOXES]
    boxes = tuple(
        FoundBox(_box(y, x), "cell", 0.5, row)
        for row, (y, x) in enumerate(drawn.centres_yx[order].tolist())
    )
    model, store = load_model("tiny"), EmbeddingStore()
    model.encode(np.zeros((512, 512, 3), np.uint8))
    seconds, used = [], []
    for _ in range(2):
        start, before = perf_counter(), process_time()
        found = segment_boxes(
            [PlaneBoxes((), plane, boxes)], lambda: model, Params(), store, Context()
        )
        found.planes[0].segmentation.labels()
        seconds.append(perf_counter() - start)
        used.append(process_time() - before)
    kept = BOXES - len(found.planes[0].segmentation.missing)
    return {"first": seconds[0], "again": seconds[1], "processor": used[0], "objects": kept}


def _box(y: float, x: float) -> BoxYX:
    reach = 16.0
    return y - reach, x - reach, y + reach, x + reach


def rest_table(repeats: int) -> Table:
    filtered, drawn = sliders(repeats), outlines()
    rows = [
        [
            f"filter {SLIDERS[0]} boxes x {SLIDERS[1]} concepts",
            f"{filtered['median']:.1f} ms",
            f"{filtered['worst']:.1f} ms",
            f"{filtered['processor']:.1f} ms",
        ],
        [
            f"{BOXES} boxes to labels on {SIDE} x {SIDE}",
            f"{drawn['again']:.2f} s",
            f"{drawn['first']:.2f} s",
            f"{drawn['processor']:.2f} s",
        ],
    ]
    text = (
        "Filters: median and longest of several positions of the score slider. Labels: with the "
        "embedding at hand, and without, of which the processor time of all threads; "
        f"{drawn['objects']:.0f} objects."
    )
    return Table("Filters and outlines", ["", "usual", "worst", PROCESSOR], rows, text)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-network", action="store_true", help="leave the detector out")
    parser.add_argument("--no-save", action="store_true", help="print, write no file")
    parser.add_argument("--case", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.case:
        print(json.dumps(CASES[options.case[0]](*options.case[1:])))
        return
    tables = []
    if find_spec("transformers") is None:
        print("the detector is left out: transformers is not installed")
    elif not options.no_network:
        tables.append(network_table(options.repeats))
    tables.append(rest_table(max(20, options.repeats)))
    report("detectors", "Text to boxes to masks", tables, save=not options.no_save)


if __name__ == "__main__":
    main()
