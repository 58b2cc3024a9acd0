"""How long the first mask takes, and each plane of a stack, with the embedded model.

``python -m benchmarks.first_mask``
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import numpy as np

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
FRESH = """
from benchmarks.first_mask import first_mask, picture
from time import perf_counter
image = picture(0)
start = perf_counter()
from napari_segmate.models import load_model
model = load_model("tiny", device="cpu")
loaded = perf_counter() - start
first_mask(model, image)
print(loaded, perf_counter() - start)
"""


def picture(number: int) -> Scene:
    return scene((SIDE, SIDE), seed=number)


def first_mask(model: Segmenter, found: Scene) -> None:
    """Open an image and click on a cell, as the dock does: contrast, encoding, decoding, mask."""
    source = ImageSource(found.image, ImageAxes(0, 1))
    plane = source.plane((), source.estimate_contrast(ContrastMode.PLANE, ()))
    prompts = ObjectPrompts(points=Points(found.centres_yx[100:101]))
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


def fresh(repeats: int) -> tuple[Times, Times]:
    """Do the same in new processes, importing torch and loading the model included."""
    loaded, total = [], []
    for _ in range(repeats):
        command = [sys.executable, "-c", FRESH]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
        first, second = map(float, done.stdout.split())
        loaded.append(first)
        total.append(second)
    return Times(tuple(loaded)), Times(tuple(total))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--no-save", action="store_true", help="print, write no file")
    options = parser.parse_args(argv)
    start = perf_counter()
    model = load_model("tiny", device="cpu")
    load_s = perf_counter() - start
    loaded, total = fresh(max(options.repeats // 5, 1))
    rows = [
        ["first mask, model loaded", opened(model, options.repeats)],
        ["encode a plane of a stack", planes(model, options.repeats)],
        ["model in a new process, torch's import included", loaded],
        ["first mask in a new process, all included", total],
    ]
    table = Table(
        f"Embedded model, {SIDE} x {SIDE} image",
        ["step", "median", "95th percentile"],
        [[name, *_seconds(times)] for name, times in rows],
        f"In this process the model was loaded in {load_s:.2f} s, torch having been imported.",
    )
    report("first_mask", "First mask", [table], save=not options.no_save)


def _seconds(times: Times) -> list[str]:
    return [f"{times.median_ms / 1000:.2f} s", f"{times.p95_ms / 1000:.2f} s"]


if __name__ == "__main__":
    main()
