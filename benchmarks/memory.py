"""Memory that a click into a very large lazy image takes, over what was in use before.

``python -m benchmarks.memory``: each case runs in its own process; the image is 20,000 x 20,000
16-bit pixels that come into being only where they are read.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import psutil

from benchmarks._images import CELL_SPACING, scene
from benchmarks._report import Table, report
from napari_segmate.core.images.image_source import ContrastMode, ImageAxes, ImageSource
from napari_segmate.core.prompts import ObjectPrompts, Points
from napari_segmate.core.types import IntBoxYX
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.inference.prompts.predict import predict
from napari_segmate.inference.prompts.request import Request
from napari_segmate.models import load_model

ROOT = Path(__file__).parents[1]
SIDE = 20_000
CHUNK = 2_000
LEVELS = 5
SAMPLE_S = 0.005


def lazy(side: int = SIDE, chunk: int = CHUNK, zoom: int = 1) -> da.Array:
    """Return an image whose chunks are all the same picture, made when they are read."""
    small = side // zoom

    def make(block: npt.NDArray[np.uint16], block_info: Any = None) -> npt.NDArray[np.uint16]:
        return scene((chunk, chunk)).image[::zoom, ::zoom][: block.shape[0], : block.shape[1]]

    empty = da.zeros((small, small), np.uint16, chunks=chunk // zoom)
    return empty.map_blocks(make, dtype=np.uint16)


class Peak:
    """The most memory that this process held while it was watched, in bytes."""

    def __init__(self, read: Callable[[], int] | None = None) -> None:
        process = psutil.Process()
        self._read = read or (lambda: int(process.memory_info().rss))
        self.start = self.most = self._read()
        self._done = threading.Event()

    @contextmanager
    def watch(self) -> Iterator[Peak]:
        self.start = self.most = self._read()
        watcher = threading.Thread(target=self._sample, daemon=True)
        watcher.start()
        try:
            yield self
        finally:
            self._done.set()
            watcher.join()

    def _sample(self) -> None:
        while not self._done.wait(SAMPLE_S):
            self.most = max(self.most, self._read())

    @property
    def over_start(self) -> int:
        return self.most - self.start


def click_lazy_plane() -> dict[str, float]:
    """Click five cells in the middle of the plane, without a viewer."""
    model = load_model("tiny", device="cpu")
    image = lazy()
    middle = SIDE // 2
    field: IntBoxYX = (middle - 500, middle - 500, middle + 500, middle + 500)
    with Peak().watch() as peak:
        start = perf_counter()
        source = ImageSource(image, ImageAxes(0, 1))
        plane = source.plane((), source.estimate_contrast(ContrastMode.PLANE, ()))
        store = EmbeddingStore()
        for number in range(5):
            at = middle + number * CELL_SPACING * 3
            prompts = ObjectPrompts(points=Points([(at, at)]))
            request = Request(number, plane, (prompts,), visible_yx=field)
            assert predict(request, model, store).objects
    return {"bytes": peak.over_start, "seconds": perf_counter() - start}


def click_in_viewer(multiscale: bool) -> dict[str, float]:
    """Open the image in napari with the panel and click a cell in the visible field."""
    from benchmarks._viewer import Driver

    driver = Driver()
    levels = [lazy(zoom=2**level) for level in range(LEVELS)]
    with Peak().watch() as peak:
        start = perf_counter()
        data: Any = levels if multiscale else levels[0]
        driver.viewer.add_image(data, multiscale=multiscale, contrast_limits=(0, 3000))
        driver.look_at((SIDE / 2, SIDE / 2), zoom=1.0)
        driver.wait_idle(120)
        driver.take_tool()
        driver.click((SIDE / 2, SIDE / 2))
        driver.wait_preview(120)
    seconds = perf_counter() - start
    driver.close()
    return {"bytes": peak.over_start, "seconds": seconds}


CASES: dict[str, Callable[[], dict[str, float]]] = {
    "five clicks, no viewer": click_lazy_plane,
    "napari, one level": lambda: click_in_viewer(multiscale=False),
    "napari, multiscale": lambda: click_in_viewer(multiscale=True),
}


def run_case(name: str) -> list[str]:
    command = [sys.executable, "-m", "benchmarks.memory", "--case", name]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    found = json.loads(done.stdout.splitlines()[-1])
    return [name, f"{found['bytes'] / 2**20:.0f} MiB", f"{found['seconds']:.1f} s"]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--no-viewer", action="store_true", help="only what needs no screen")
    parser.add_argument("--no-save", action="store_true", help="print, write no file")
    parser.add_argument("--case", choices=list(CASES), help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.case:
        print(json.dumps(CASES[options.case]()))
        return
    names = [name for name in CASES if not (options.no_viewer and name.startswith("napari"))]
    table = Table(
        f"Click into a lazy image of {SIDE:,} x {SIDE:,} pixels, 16 bit",
        ["case", "peak memory over the start", "time from opening to mask"],
        [run_case(name) for name in names],
        "The start is after the model was loaded, and after the empty viewer was opened.",
    )
    report("memory", "Memory", [table], save=not options.no_save)


if __name__ == "__main__":
    main()
