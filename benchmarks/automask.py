"""All objects of images of any size: time and memory, and how fast settings change labels.

``python -m benchmarks.automask``: each case runs in its own process, so that its peak memory
counts. Images come into being where they are read.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from time import perf_counter
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt

from benchmarks._images import scene
from benchmarks._report import Table, report
from benchmarks._timing import repeat
from benchmarks.memory import Peak
from napari_segmate.core.context import Context
from napari_segmate.core.images.image_source import ContrastMode, ImageAxes, ImageSource, Plane
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.models import load_model
from napari_segmate.tasks.automask.run import Params, generate, prepare, run_stack

ROOT = Path(__file__).parents[1]
SIDES = (1000, 2000, 4000, 8000, 10_000)
CHUNK = 1000
PLANES = 100
PLANE_SIDE = 512
LIVE_SIDE = 1024

Found = dict[str, float]


@lru_cache(maxsize=1)
def picture(side: int) -> npt.NDArray[np.uint16]:
    return scene((side, side)).image


def lazy_plane(side: int) -> Plane:
    """Return a plane of chunks that all show the same picture."""

    def make(block: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
        return picture(CHUNK)[: block.shape[0], : block.shape[1]]

    data: Any = da.zeros((side, side), np.uint16, chunks=CHUNK).map_blocks(make, dtype=np.uint16)
    source = ImageSource(data, ImageAxes(0, 1))
    return source.plane((), source.estimate_contrast(ContrastMode.PLANE, ()))


def whole_plane(side: int) -> Found:
    """Label a plane of so many pixels a side."""
    model = load_model("tiny")
    model.instance_maps(model.encode(np.zeros((512, 512, 3), np.uint8)))
    plane = lazy_plane(side)
    with Peak().watch() as peak:
        start = perf_counter()
        prepared = prepare(plane, model)
        middle = perf_counter()
        count = generate(prepared, Params()).count
        end = perf_counter()
    return {
        "prepare": middle - start,
        "generate": end - middle,
        "bytes": peak.most,
        "count": count,
    }


def whole_stack(planes: int) -> Found:
    """Label and link a stack of so many planes."""
    model = load_model("tiny")
    model.instance_maps(model.encode(np.zeros((512, 512, 3), np.uint8)))
    one = scene((PLANE_SIDE, PLANE_SIDE)).image
    noise = np.random.default_rng(0).normal(0, 20, (planes, 1, PLANE_SIDE))
    stack = np.clip(one + noise, 0, 65535).astype(np.uint16)
    with Peak().watch() as peak:
        start = perf_counter()
        labels = run_stack(ImageSource(stack, ImageAxes(1, 2)), model, context=Context())
        end = perf_counter()
    return {"seconds": end - start, "bytes": peak.most, "count": int(labels.max())}


def live(repeats: int) -> Found:
    """Change one setting after the other."""
    data = scene((LIVE_SIDE, LIVE_SIDE)).image
    source = ImageSource(data, ImageAxes(0, 1))
    plane = source.plane((), source.estimate_contrast(ContrastMode.PLANE, ()))
    prepared = prepare(plane, load_model("tiny"), store=EmbeddingStore())
    steps = [
        Params(seed=0.5),
        Params(foreground=0.45),
        Params(min_area=100),
        Params(smoothing=1.5),
        Params(score=0.7, border=False),
    ]
    times = repeat(lambda number: generate(prepared, steps[number % len(steps)]), repeats)
    return {"median": times.median_ms, "worst": times.worst_ms}


CASES: dict[str, Callable[[int], Found]] = {
    "plane": whole_plane,
    "stack": whole_stack,
    "live": live,
}


def run_case(case: str, value: int) -> Found:
    command = [sys.executable, "-m", "benchmarks.automask", "--case", case, str(value)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    found: Found = json.loads(done.stdout.splitlines()[-1])
    return found


def plane_row(side: int) -> list[str]:
    found = run_case("plane", side)
    megapixels = side * side / 1e6
    total = found["prepare"] + found["generate"]
    return [
        f"{side:,} x {side:,}",
        f"{megapixels:.0f}",
        f"{found['prepare']:.1f} s",
        f"{found['generate']:.2f} s",
        f"{total / megapixels:.2f} s",
        f"{found['bytes'] / 2**20:,.0f} MB",
        f"{found['count']:,.0f}",
    ]


def stack_row(planes: int) -> list[str]:
    found = run_case("stack", planes)
    size = f"{planes} x {PLANE_SIDE} x {PLANE_SIDE}"
    memory = f"{found['bytes'] / 2**20:,.0f} MB"
    return [size, f"{found['seconds']:.1f} s", memory, f"{found['count']:,.0f}"]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--sides", type=int, nargs="*", default=SIDES, help="of square planes")
    parser.add_argument("--planes", type=int, default=PLANES, help="of the stack; 0 leaves it out")
    parser.add_argument("--repeats", type=int, default=25, help="changes of a setting")
    parser.add_argument("--no-save", action="store_true", help="print, write no file")
    parser.add_argument("--case", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.case:
        name, value = options.case
        print(json.dumps(CASES[name](int(value))))
        return
    tables = [
        Table(
            "Planes, objects mode",
            [
                "pixels",
                "megapixels",
                "prepare",
                "generate",
                "per megapixel",
                "peak memory",
                "objects",
            ],
            [plane_row(side) for side in options.sides],
            "Lazy 16-bit images with a cell every 48 pixels. Peak memory is that of the process, "
            "with torch and the model.",
        )
    ]
    if options.planes:
        columns = ["pixels", "time", "peak memory", "objects"]
        text = "Every plane labelled, objects linked."
        tables.append(Table("Stack", columns, [stack_row(options.planes)], text))
    if options.repeats:
        found = run_case("live", options.repeats)
        row = [f"{found['median']:.0f} ms", f"{found['worst']:.0f} ms"]
        text = f"A setting changed, labels of {LIVE_SIDE} x {LIVE_SIDE} pixels made anew."
        tables.append(Table("Live settings", ["median", "worst"], [row], text))
    report("automask", "Automask", tables, save=not options.no_save)


if __name__ == "__main__":
    main()
