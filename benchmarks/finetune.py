"""What training on a few labelled images brings on a look that the model has never seen.

``python -m benchmarks.finetune``: trains the embedded model on five synthetic images of granular
cells and judges it on others. ``--look fibres --data FOLDER`` takes nerve fibres with their myelin
(the embedded model has seen these images, but was taught the axons alone), ``--look phase`` phase
contrast, whose training images it knows already. ``--preset balanced`` takes the other preset,
``--model FILE`` other weights to begin with.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
import tifffile
import torch
from recipes.tiny import pack
from skimage.io import imread

from benchmarks._looks import granular_cells
from benchmarks._report import Table, report
from benchmarks.accuracy import VARIABLE
from napari_segmate.core.training_events import Event, Start, Step, Validation
from napari_segmate.models import load_model
from napari_segmate.tasks.evaluate import run as evaluate
from napari_segmate.tasks.evaluate.run import Scores
from napari_segmate.tasks.train.run import Params, run
from napari_segmate.training.data import Sample, count_objects, sample_of
from napari_segmate.training.presets import Preset

OWN = "NAPARI_SEGMATE_MODELS"
CLICKS = 20
"""Most clicks per object, as usual in the field (Sofiiuk et al., 2022)."""
COLUMNS = ["", "AP50", "mean AP", "IoU, one click", "IoU, box", "clicks to IoU 0.85"]


Split = tuple[list[Sample], list[Sample]]


def granular(learnt: int, judged: int) -> Split:
    """Return synthetic images to learn from, and others to judge by."""

    def samples(numbers: range) -> list[Sample]:
        return [sample_of(*granular_cells(seed=one), name=f"granular {one}") for one in numbers]

    return samples(range(learnt)), samples(range(100, 100 + judged))


def fibres(folder: Path, learnt: int, judged: int) -> Split:
    """Return crops of electron micrographs with whole fibres, and an image of another field."""
    home = folder / "axon_sem"

    def sample(name: str) -> Sample:
        (path,) = (home / "images").glob(f"{name}.*")
        image = tifffile.imread(path) if path.suffix == ".tif" else imread(path)
        return sample_of(image, tifffile.imread(home / "labels_fibre" / f"{name}.tif"), name=name)

    crops = ("train0", "train1", "validation0", "validation1")
    return [sample(name) for name in crops[:learnt]], [sample("patch2")][:judged]


def phase(folder: Path, learnt: int, judged: int) -> Split:
    """Return phase contrast: some images, and some that the embedded model has never seen."""
    items = [
        one
        for one in pack.read_sets(folder, convert=np.asarray)
        if one.modality == "phase_contrast_cells"
    ]

    def samples(held_out: bool, count: int) -> list[Sample]:
        chosen = [one for one in items if one.validation == held_out][:count]
        return [sample_of(one.image, one.labels, name=one.name) for one in chosen]

    return samples(False, learnt), samples(True, judged)


LOOKS = {"granular": "Granular cells", "fibres": "Nerve fibres", "phase": "Phase contrast"}


def looked_up(look: str, folder: Path | None, learnt: int, judged: int) -> Split | None:
    """Return the images of a look, None without its data."""
    if look == "granular":
        return granular(learnt, judged)
    home = {"fibres": "axon_sem", "phase": "usiigaci_phase"}[look]
    if folder is None or not (folder / home).is_dir():
        return None
    return {"fibres": fibres, "phase": phase}[look](folder, learnt, judged)


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
    parser.add_argument("--look", default="granular", choices=list(LOOKS))
    parser.add_argument("--data", type=Path, default=os.environ.get(VARIABLE))
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
    folder = None if options.data is None else Path(options.data)
    split = looked_up(options.look, folder, options.images, options.judged)
    if split is None:
        print(f"skipped: no data of {options.look}; give --data FOLDER or set {VARIABLE}")
        return
    learnt, judged = split
    start = load_model(options.model, device=options.device)
    judging = evaluate.Params(clicks=CLICKS)
    before = evaluate.run(judged, start, judging)
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
        after = evaluate.run(judged, load_model(Path(result.path), device=options.device), judging)
    gained = (after.ap50 or 0) - (before.ap50 or 0)
    fewer = 1 - after.clicks / before.clicks
    text = (
        f"{len(learnt)} images with {count_objects(learnt)} objects to learn from (one of the "
        f"images judges during training), {len(judged)} others with "
        f"{sum(one.objects for one in judged)} objects to judge by. Preset {options.preset}: "
        f"{watch.epochs} epochs, {watch.steps} steps, {seconds:.0f} s on {options.threads} threads "
        f"({processor:.0f} s of processor time), at most {watch.memory:.0f} MB. "
        f"AP50 {gained:+.2f}, clicks {-100 * fewer:+.0f} % (an object that is never met counts "
        f"{CLICKS})."
    )
    table = Table(
        f"{LOOKS[options.look]}, model {start.key}",
        COLUMNS,
        [row("before", before), row("after", after)],
        text,
    )
    parts = ("finetune", options.look, options.preset)
    name = "_".join(part for part in parts if part not in ("granular", "quick"))
    report(name, "Training on a few labelled images", [table], save=not options.no_save)


if __name__ == "__main__":
    main()
