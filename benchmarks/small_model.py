"""Speed and memory of the embedded model: encode, decode, all objects of an image.

``python -m benchmarks.small_model``: in a process of its own, so that its peak memory counts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks._images import scene
from benchmarks._report import Table, put_between, report
from benchmarks._timing import repeat
from benchmarks.memory import Peak
from napari_segmate.core.images.image_source import ContrastMode, ImageSource, guess_axes
from napari_segmate.core.images.pictures import as_rgb
from napari_segmate.core.prompts import ObjectPrompts, Points
from napari_segmate.models import load_model
from napari_segmate.models.base import Segmenter
from napari_segmate.tasks.automask.run import run

ROOT = Path(__file__).parents[1]
PROMPTS = 32
ENCODE, DECODE = "encode 512 x 512", f"decode one prompt, {PROMPTS} in a batch"
LABEL, MEMORY = "all objects of 1024 x 1024, encoding included", "peak memory of the process"


def measure(repeats: int) -> dict[str, float]:
    """Return milliseconds, and megabytes of memory."""
    with Peak().watch() as peak:
        model = load_model("tiny")
        small = scene((512, 512))
        image = as_rgb(small.image)
        encode = repeat(lambda _: model.encode(image), repeats)
        embedding = model.encode(image)
        prompts = [ObjectPrompts(Points([at])) for at in small.centres_yx[:PROMPTS].tolist()]
        decode = repeat(lambda _: model.decode(embedding, prompts), repeats)
        label = repeat(lambda number: label_all(model, number), max(3, repeats // 3), warmup=1)
    return {
        ENCODE: encode.median_ms,
        DECODE: decode.median_ms / PROMPTS,
        LABEL: label.median_ms,
        MEMORY: peak.most / 1e6,
    }


def label_all(model: Segmenter, number: int) -> None:
    """Label an image that was not seen before."""
    image = scene((1024, 1024), seed=number).image
    source = ImageSource(image, guess_axes(image.shape))
    plane = source.plane((), source.estimate_contrast(ContrastMode.PLANE, ()))
    found = run(plane, model).count
    if found < 200:
        raise SystemExit(f"only {found} of some 440 cells were found: the times mean nothing")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--no-save", action="store_true", help="print, write no file")
    parser.add_argument("--card", type=Path, help="model card that gets the table, too")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.child:
        print(json.dumps(measure(options.repeats)))
        return
    command = [sys.executable, "-m", "benchmarks.small_model", "--child"]
    command += ["--repeats", str(options.repeats)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    found = json.loads(done.stdout.splitlines()[-1])
    rows = [
        [name, f"{value:.0f} {'MB' if name == MEMORY else 'ms'}"] for name, value in found.items()
    ]
    table = Table("The embedded model", ["what", "median"], rows)
    text = report("small_model", "Speed and memory", [table], save=not options.no_save)
    if options.card:
        put_between(options.card, "speed", text.partition("\n")[2].replace("\n## ", "\n### "))


if __name__ == "__main__":
    main()
