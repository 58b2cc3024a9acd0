"""From a new process to the first mask, step by step; then with the embedded model in memory.

``python -m benchmarks.first_mask``
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import time

import numpy as np

from benchmarks._cold_start import STEPS
from benchmarks._images import Scene, scene
from benchmarks._report import Table, report
from benchmarks._timing import Times, repeat
from napari_segmate.core.images.image_source import ContrastMode, ImageAxes, ImageSource
from napari_segmate.core.prompts import ObjectPrompts, Points
from napari_segmate.inference.embeddings.crop_window import first_frame, prefetch
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.inference.prompts.predict import predict
from napari_segmate.inference.prompts.request import Request
from napari_segmate.models import load_model
from napari_segmate.models.base import Segmenter

ROOT = Path(__file__).parents[1]
SIDE = 1024
CELL = 100
"""Number of the cell that is clicked."""
COLUMNS = ["step", "median", "95th percentile"]


def picture(number: int) -> Scene:
    return scene((SIDE, SIDE), seed=number)


def first_mask(model: Segmenter, found: Scene) -> None:
    """Open an image and click on a cell, as the dock does: contrast, encoding, decoding, mask."""
    source = ImageSource(found.image, ImageAxes(0, 1))
    plane = source.plane((), source.estimate_contrast(ContrastMode.PLANE, ()))
    prompts = ObjectPrompts(points=Points(found.centres_yx[CELL : CELL + 1]))
    prediction = predict(Request(1, plane, (prompts,)), model, EmbeddingStore())
    assert prediction.objects[0].candidates


def opened(model: Segmenter, repeats: int) -> Times:
    pictures = [picture(number) for number in range(4)]
    return repeat(lambda number: first_mask(model, pictures[number % 4]), repeats)


def planes(model: Segmenter, repeats: int) -> Times:
    """Encode the planes of a stack one after the other, as while the user looks elsewhere."""
    stack = np.stack([picture(number).image for number in range(4)])
    source = ImageSource(stack, ImageAxes(1, 2))
    contrast = source.estimate_contrast(ContrastMode.STACK, (0,))
    frame = first_frame(source.shape, model.input_size)

    def encode(number: int) -> None:
        prefetch([(source.plane((number % 4,), contrast), frame)], model, EmbeddingStore())

    return repeat(encode, repeats)


def cold_starts(runs: int) -> dict[str, Times]:
    """Start new processes that answer a click each; return the seconds of every step."""
    found = picture(0)
    y, x = found.centres_yx[CELL]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "image.npy"
        np.save(path, found.image)
        seconds = [_cold_start(path, y, x) for _ in range(runs)]
    return {step: Times(tuple(one[step] for one in seconds)) for step in [*STEPS, "total"]}


def _cold_start(path: Path, y: float, x: float) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks._cold_start", path, y, x, time()]
    done = subprocess.run(
        list(map(str, command)), stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT
    )
    seconds: dict[str, float] = json.loads(done.stdout)
    return seconds


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--cold-starts", type=int, default=7, help="new processes to start")
    parser.add_argument("--no-save", action="store_true", help="print, write no file")
    options = parser.parse_args(argv)
    cold = cold_starts(options.cold_starts)
    tables = [_cold_table(cold, options.cold_starts), _warm_table(options.repeats)]
    report("first_mask", "First mask", tables, save=not options.no_save)


def _cold_table(cold: Mapping[str, Times], runs: int) -> Table:
    titles = {**STEPS, "total": "**new process to first mask**"}
    return Table(
        f"Cold start, {SIDE} x {SIDE} image",
        COLUMNS,
        [[title, *_seconds(cold[step])] for step, title in titles.items()],
        f"{runs} new processes. Imports are counted wherever they happen and are no part of the "
        "other steps.",
    )


def _warm_table(repeats: int) -> Table:
    model = load_model("tiny", device="cpu")
    rows = [
        ["first mask, model loaded", opened(model, repeats)],
        ["encode a plane of a stack", planes(model, repeats)],
    ]
    return Table(
        f"Model in memory, {SIDE} x {SIDE} image",
        COLUMNS,
        [[name, *_seconds(times)] for name, times in rows],
    )


def _seconds(times: Times) -> list[str]:
    return [f"{times.median_ms / 1000:.2f} s", f"{times.p95_ms / 1000:.2f} s"]


if __name__ == "__main__":
    main()
