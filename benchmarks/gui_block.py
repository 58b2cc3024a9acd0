"""The longest time that napari's window does not answer while this plugin works.

``python -m benchmarks.gui_block`` (without a screen under ``xvfb-run``): a timer ticks in the event
loop of a real viewer while images are encoded, clicks are answered, objects are committed, a model
is downloaded from a server on this machine, and one is trained; ``--only training`` does that part
alone, ``--only large`` commits to a plane of 20,000 x 20,000 pixels. What the GUI thread was doing
when a turn took more than 50 ms goes to the standard error.
"""

from __future__ import annotations

import argparse
import hashlib
import http.server
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import zarr

from benchmarks._images import CELL_SPACING, scene
from benchmarks._report import Table, report
from benchmarks._viewer import Driver, Heartbeat
from napari_segmate.core.context import Context
from napari_segmate.core.files.weights import WeightsFile, fetch
from napari_segmate.core.synthetic import touching_cells
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.models import get_model, load_model
from napari_segmate.models.base import ModelInfo, Segmenter
from napari_segmate.plugin.train.dock import TrainDock
from napari_segmate.plugin.train.run import TrainingRun, command_of
from napari_segmate.plugin.worker.engine import ModelChoice, ModelEngine

SIDE = 2048
LARGE_SIDE = 20_000
DOWNLOAD_BYTES = 400 * 2**20


def measure(act: Callable[[], None]) -> list[str]:
    with Heartbeat() as heartbeat:
        act()
    for cause in heartbeat.causes:
        print(f"late: {cause}", file=sys.stderr)
    gaps = np.sort(heartbeat.gaps_s)
    longest, p99 = gaps[-1] * 1000, np.percentile(gaps, 99) * 1000
    late, busy = int((gaps > 0.05).sum()), max(heartbeat.busy_s) * 1000
    return [f"{longest:.0f} ms", f"{p99:.1f} ms", str(late), f"{busy:.0f} ms", str(len(gaps))]


def viewer_with_image() -> tuple[Driver, np.ndarray]:
    found = scene((SIDE, SIDE))
    driver = Driver(ModelEngine(EmbeddingStore()))
    driver.viewer.add_image(found.image, contrast_limits=(0, 3000))
    driver.wait_idle()
    driver.take_tool()
    driver.look_at((SIDE / 2, SIDE / 2), zoom=0.25)
    driver.pump(1.5)
    return driver, found.centres_yx


def click_all(driver: Driver, centres: np.ndarray) -> None:
    for at in centres:
        driver.click(tuple(at))
        driver.wait_preview()
        driver.clear()


def commit_all(driver: Driver, centres: np.ndarray) -> None:
    for at in centres:
        driver.click(tuple(at))
        driver.wait_preview()
        driver.dock.session.commit_when_ready()
        driver.pump(0.05)


def pan(driver: Driver) -> None:
    """Move the view, which is napari's work alone."""
    for step in range(20):
        driver.viewer.scene.camera.center = (0, SIDE / 2 + 10 * (step % 5), SIDE / 2)
        driver.pump(0.05)


def working(clicks: int) -> dict[str, list[str]]:
    """Measure encoding, decoding and committing in one viewer."""
    driver, centres = viewer_with_image()
    per_row = SIDE // CELL_SPACING
    spread = centres[:: max(len(centres) // clicks, 1)][:clicks]
    middle = per_row * (per_row // 2) + per_row // 2
    close = centres[middle : middle + clicks]
    try:
        return {
            "nothing to do": measure(lambda: driver.pump(3)),
            "napari alone: panning": measure(lambda: pan(driver)),
            "encoding: clicks all over the image": measure(lambda: click_all(driver, spread)),
            "decoding: clicks beside each other": measure(lambda: click_all(driver, close)),
            "committing objects": measure(lambda: commit_all(driver, close)),
        }
    finally:
        driver.close()


def training(epochs: int, views: int) -> dict[str, list[str]]:
    """Measure from the click on Train to the comparison at the end, and its showing."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_SEGMATE_MODELS"] = str(Path(folder) / "models")
        driver = Driver(ModelEngine(EmbeddingStore()))
        image, labels = touching_cells()
        driver.viewer.add_image(image, name="cells")
        driver.viewer.add_labels(labels, name="mine")
        sizes = ["--epochs", str(epochs), "--views", str(views)]
        root = Path(folder) / "trainings"
        run = TrainingRun(root, driver.viewer, lambda one: [*command_of(one), *sizes])
        dock = TrainDock(driver.viewer, run=run, folder=root)
        driver.viewer.window.add_dock_widget(dock, name="Train", area="right")
        driver.wait_until(dock.panel.train.isEnabled, 60)
        driver.pump(2)

        def start() -> None:
            dock.panel.train.click()
            driver.wait_until(lambda: bool(run.state.losses) or not run.state.stage.busy, 600)

        def learn() -> None:
            driver.wait_until(lambda: not run.state.stage.busy, 1200)
            driver.pump(1)

        try:
            rows = {
                "training: from the click to the first step": measure(start),
                "training: steps, judging, result": measure(learn),
            }
            if run.state.error:
                raise RuntimeError(run.state.error)
            return rows
        finally:
            run.leave()
            driver.close()


def large_levels(side: int) -> tuple[list[zarr.Array], np.ndarray]:
    """Return a lazy multiscale image with cells in its middle, and where these are."""
    found = scene((SIDE, SIDE))
    corner = (side - SIDE) // 2
    levels = []
    for factor in (1, 2, 4, 8, 16):
        level = zarr.create_array(
            store=zarr.storage.MemoryStore(),
            shape=(side // factor, side // factor),
            chunks=(512, 512),
            dtype=found.image.dtype,
            fill_value=300,
        )
        part = found.image[::factor, ::factor]
        at = corner // factor
        level[at : at + part.shape[0], at : at + part.shape[1]] = part
        levels.append(level)
    return levels, found.centres_yx + corner


def large(clicks: int) -> dict[str, list[str]]:
    """Measure commits to a plane that is larger than a texture, the first of which makes it."""
    levels, centres = large_levels(LARGE_SIDE)
    driver = Driver(ModelEngine(EmbeddingStore()))
    driver.viewer.add_image(levels, multiscale=True, contrast_limits=(0, 3000))
    driver.wait_idle()
    driver.take_tool()
    driver.look_at((LARGE_SIDE / 2, LARGE_SIDE / 2), zoom=0.5)
    driver.pump(1.5)
    per_row = SIDE // CELL_SPACING
    middle = per_row * (per_row // 2) + per_row // 2
    close = centres[middle : middle + clicks + 1]

    def take_back() -> None:
        driver.dock.controller.committer.take_back()
        driver.pump(0.3)

    try:
        return {
            "the first commit, which makes the layer": measure(
                lambda: commit_all(driver, close[:1])
            ),
            "committing objects": measure(lambda: commit_all(driver, close[1:])),
            "taking one back": measure(take_back),
        }
    finally:
        driver.close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Keep the table readable."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    handler = partial(_Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def downloading(size: int) -> list[str]:
    """Measure while the dock downloads a model, checks it and loads it."""
    with tempfile.TemporaryDirectory() as folder:
        content = os.urandom(2**20) * (size // 2**20)
        (Path(folder) / "weights.bin").write_bytes(content)
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        os.environ["NAPARI_SEGMATE_CACHE"] = str(Path(folder) / "cache")
        with served(Path(folder)) as address:
            file = WeightsFile("weights.bin", f"{address}/weights.bin", digest, len(content))

            def load(choice: ModelChoice, context: Context) -> Segmenter:
                fetch(file, context)
                return load_model("tiny", device="cpu", context=context)

            def open_dock() -> None:
                drivers.append(Driver(ModelEngine(EmbeddingStore(), load), models))
                drivers[0].wait_idle(300)

            drivers: list[Driver] = []
            models: tuple[ModelInfo, ...] = (get_model("tiny"),)
            open_dock()
            shape = measure(lambda: _download_again(drivers[0], Path(folder) / "cache"))
            drivers[0].close()
            return shape


def _download_again(driver: Driver, cache: Path) -> None:
    for file in cache.rglob("weights.bin"):
        file.unlink()
    driver.dock.controller.choose_model(ModelChoice("tiny", "cpu"))
    driver.wait_idle(300)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--clicks", type=int, default=30)
    parser.add_argument("--epochs", type=int, default=6, help="of the training")
    parser.add_argument("--views", type=int, default=32, help="of an epoch of the training")
    parser.add_argument("--only", choices=["training", "large"])
    parser.add_argument("--download-bytes", type=int, default=DOWNLOAD_BYTES)
    parser.add_argument("--no-save", action="store_true", help="print, write no file")
    options = parser.parse_args(argv)
    rows: dict[str, list[str]] = {}
    if options.only is None:
        rows = working(options.clicks)
        size = options.download_bytes
        rows[f"downloading {size / 2**20:.0f} MiB"] = downloading(size)
    if options.only == "large":
        rows = large(options.clicks)
    else:
        rows |= training(options.epochs, options.views)
    size = LARGE_SIDE if options.only == "large" else SIDE
    table = Table(
        "Time between two turns of the event loop",
        ["while", "longest", "99th percentile", "over 50 ms", "longest computing", "turns"],
        [[name, *cells] for name, cells in rows.items()],
        f"Embedded model, viewer with a {size} x {size} image, for training one of 512 x 512; "
        "includes what napari itself does to draw. *Longest computing* is the "
        "processor time of the GUI thread in one turn, whatever else the machine does.",
    )
    name = "gui_block" if options.only is None else f"gui_block_{options.only}"
    report(name, "Frozen window", [table], save=not options.no_save)


if __name__ == "__main__":
    main()
