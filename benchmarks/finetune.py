"""What training on five labelled images brings on a look that the model has never seen.

``python -m benchmarks.finetune``: trains the embedded model on five synthetic images of granular
cells and judges it on others. ``--preset balanced`` takes the other preset, ``--model FILE`` other
weights to begin with.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import torch

from benchmarks._looks import granular_cells
from benchmarks._report import Table, report
from napari_segmate.core.training_events import Event, Start, Step, Validation
from napari_segmate.models import load_model
from napari_segmate.tasks import evaluate
from napari_segmate.tasks.evaluate import Scores
from napari_segmate.tasks.train import Params, run
from napari_segmate.training.data import Sample, count_objects, sample_of
from napari_segmate.training.presets import Preset

OWN = "NAPARI_SEGMATE_MODELS"
COLUMNS = ["", "AP50", "mean AP", "IoU, one click", "IoU, box", "clicks to IoU 0.85"]


def samples(count: int, first: int) -> list[Sample]:
    """Return images of the look; other numbers are other images."""
    return [
        sample_of(*granular_cells(seed=seed), name=f"granular {seed}")
        for seed in range(first, first + count)
    ]


def row(title: str, scores: Scores) -> list[str]:
    measures = scores.ap50 or 0, scores.msa or 0, scores.click_iou, scores.box_iou, scores.clicks
    return [title, *(f"{value:.2f}" for value in measures)]


class _Watch:
    """Times, and the most memory that was seen at a step."""

    def __init__(self) -> None:
        self.steps, self.epochs, self.memory, self.start = 0, 0, 0.0, Start(0, 0)

    def __call__(self, event: Event) -> None:
        rss = psutil.Process().memory_info().rss / 2**20
        self.memory = max(self.memory, rss)
        if isinstance(event, Start):
            self.start = event
        elif isinstance(event, Step):
            self.steps = event.step
        elif isinstance(event, Validation):
            self.epochs = event.epoch
            print(event, flush=True)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--preset", default="quick", choices=[str(one) for one in Preset])
    parser.add_argument("--model", default="tiny", help="a name, or a weights file")
    parser.add_argument("--images", type=int, default=5, help="to learn from")
    parser.add_argument("--judged", type=int, default=4, help="images to judge by")
    parser.add_argument("--epochs", type=int, help="at most")
    parser.add_argument("--views", type=int, help="per epoch")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=min(os.cpu_count() or 1, 2))
    parser.add_argument("--no-save", action="store_true", help="print, write no file")
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    learnt, judged = samples(options.images, 0), samples(options.judged, 100)
    start = load_model(options.model, device=options.device)
    before = evaluate.run(judged, start)
    print(before, flush=True)
    watch = _Watch()
    with tempfile.TemporaryDirectory() as folder:
        os.environ[OWN] = folder
        params = Params(
            preset=Preset(options.preset),
            epochs=options.epochs,
            views=options.views,
            device=options.device,
        )
        began, used = time.monotonic(), time.process_time()
        result = run(learnt, params, emit=watch, model=start)
        seconds, processor = time.monotonic() - began, time.process_time() - used
        after = evaluate.run(judged, load_model(Path(result.path), device=options.device))
    gained = (after.ap50 or 0) - (before.ap50 or 0)
    fewer = 1 - after.clicks / before.clicks
    text = (
        f"{options.images} images of 384 x 384 pixels with {count_objects(learnt)} cells to learn "
        f"from (one of the images judges during training), {options.judged} others with "
        f"{sum(one.objects for one in judged)} cells to judge by. Preset {options.preset}: "
        f"{watch.epochs} epochs, {watch.steps} steps, {seconds:.0f} s on {options.threads} threads "
        f"({processor:.0f} s of processor time), at most {watch.memory:.0f} MB. "
        f"AP50 {gained:+.2f}, clicks {-100 * fewer:+.0f} %."
    )
    table = Table(
        f"Granular cells, model {start.key}",
        COLUMNS,
        [row("before", before), row("after", after)],
        text,
    )
    name = "finetune" if options.preset == "quick" else f"finetune_{options.preset}"
    report(name, "Training on five labelled images", [table], save=not options.no_save)


if __name__ == "__main__":
    main()
