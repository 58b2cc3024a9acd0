"""Times and memory of training SAM ViT-B on a processor, and the memory of the embedded model.

``python -m benchmarks.finetune_vit``: the real architecture with random weights, whose answers mean
nothing but take as long. One step is timed with the three ways to treat the encoder: *quick* (it
has looked before), looking at every step without learning, and learning. Times are those of one
processor core, whatever else the machine does. Peaks of memory are those of a whole training of
the embedded model and of a few steps of ViT-B, each in a process of its own. ``--only times`` or
``--only memory`` does a part, ``--only vit_b`` that of ViT-B.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from segment_anything import sam_model_registry

from benchmarks._report import Table, report
from napari_segmate.core.synthetic import nuclei
from napari_segmate.core.training_events import Start
from napari_segmate.models import load_model
from napari_segmate.tasks.train.run import Params, estimate, run
from napari_segmate.training.data import Sample, sample_of
from napari_segmate.training.entries import Entry, make_entry
from napari_segmate.training.estimate import peak_mb
from napari_segmate.training.learner import Learner
from napari_segmate.training.learners import learner_of
from napari_segmate.training.presets import Preset, schedule_of
from napari_segmate.training.sampling import PromptParams
from napari_segmate.training.steps import step_loss
from napari_segmate.training.views import View, random_view

ROOT = Path(__file__).parents[1]
OWN = "NAPARI_SEGMATE_MODELS"
SEED = 3
GOALS_MB = {"tiny quick": 3000, "vit_b quick": 6000, "vit_b balanced": 10_000}
STEPS = {"quick": 6, "frozen": 2, "full": 1}


def samples(count: int = 2) -> list[Sample]:
    """Return small planes: SAM sees each at 1024 x 1024 pixels."""
    pairs = [nuclei((192, 192), count=10, radius=12, seed=seed) for seed in range(count)]
    return [sample_of(*pair, name=f"nuclei {number}") for number, pair in enumerate(pairs)]


def weights_file(folder: str) -> Path:
    """Write ViT-B with random weights."""
    path = Path(folder) / "vit_b.pth"
    torch.manual_seed(0)
    torch.save(sam_model_registry["vit_b"]().state_dict(), path)
    return path


# Times


def descend(
    learner: Learner, entries: Sequence[Entry], optimizer: torch.optim.Optimizer, number: int
) -> float:
    """Take one step; return the loss."""
    schedule = schedule_of("sam", Preset.QUICK)
    generator = torch.Generator()
    generator.manual_seed(number)
    optimizer.zero_grad(set_to_none=True)
    params = PromptParams(objects=schedule.objects, min_area=12)
    rng = np.random.default_rng([SEED, number])
    loss = step_loss(learner, entries, rng, params, generator).total
    loss.backward()
    optimizer.step()
    return float(loss.detach())


def timed(learner: Learner, view: View, steps: int, *, kept: bool) -> dict[str, Any]:
    """Return the time of a step with one view, and the losses."""
    optimizer = torch.optim.AdamW([one for _, one in learner.learning()], lr=5e-5)
    entry = make_entry(view, learner)
    times, losses = [], []
    for number in range(steps):
        began = time.process_time()
        one = entry if kept else make_entry(view, learner)
        losses.append(descend(learner, [one], optimizer, number))
        times.append(time.process_time() - began)
    # Every step has the prompts of its number: some take more rounds of clicks than others.
    return {"seconds": times, "losses": losses}


def times(folder: str) -> dict[str, Any]:
    """Time steps with the same prompts in three ways."""
    torch.set_num_threads(1)
    model = load_model(weights_file(folder), device="cpu")
    found = {}
    for name, preset in (("quick", Preset.QUICK), ("frozen", Preset.QUICK), ("full", Preset.FULL)):
        learner = learner_of(model, preset, "cpu")
        plane = samples()[0]
        view = random_view(plane, learner.size, learner.zoom(plane), np.random.default_rng(SEED))
        found[name] = timed(learner, view, STEPS[name], kept=name == "quick")
        print(name, found[name], file=sys.stderr, flush=True)
    return found


def times_table(found: dict[str, Any]) -> Table:
    """Return the times of the same steps beside each other."""
    quick = found["quick"]["seconds"]
    schedule = schedule_of("sam", Preset.QUICK)
    views, objects = schedule.views, schedule.objects
    titles = {
        "quick": "*quick*: the encoder has looked before",
        "frozen": "frozen encoder, looking at each step",
        "full": "*full*: the encoder learns, blocks computed twice",
    }
    rows = []
    for name, title in titles.items():
        seconds = found[name]["seconds"]
        # Prompts differ from step to step, and are the same in each way.
        more = np.mean(np.subtract(seconds, quick[: len(seconds)]))
        step = np.mean(quick) + more
        losses = ", ".join(f"{loss:.4f}" for loss in found[name]["losses"][:2])
        epoch = f"{views * step / 60:.1f} min"
        rows.append([title, f"{step:.1f} s", epoch, f"{step / np.mean(quick):.1f}x", losses])
    return Table(
        f"A step with one view of 1024 x 1024 pixels and {objects} objects, ViT-B",
        [
            "encoder",
            "step",
            f"epoch of {views} views",
            "compared with quick",
            "losses of the first steps",
        ],
        rows,
        f"Processor time on one core; means of {STEPS['quick']} steps of *quick*, and what "
        f"{STEPS['frozen']} and {STEPS['full']} steps with the same prompts took more.",
    )


# Memory


def training(folder: str) -> dict[str, Any]:
    """Train the embedded model for an epoch, comparison included."""
    starts: list[Any] = []
    run(samples(), Params(epochs=1, device="cpu"), emit=starts.append)
    (start,) = (one for one in starts if isinstance(one, Start))
    return {"megabytes": peak_mb("cpu"), "foretold": start.memory_mb}


def steps(preset: Preset) -> Callable[[str], dict[str, Any]]:
    """Return a few steps of ViT-B, with the preset's batch."""

    def act(folder: str) -> dict[str, Any]:
        model = load_model(weights_file(folder), device="cpu")
        start = estimate(samples(), Params(preset=preset, device="cpu"), model=model)
        return {"megabytes": peak_mb("cpu"), "foretold": start.memory_mb}

    return act


CASES: dict[str, Callable[[str], dict[str, Any]]] = {
    "times": times,
    "tiny quick": training,
    "vit_b quick": steps(Preset.QUICK),
    "vit_b balanced": steps(Preset.BALANCED),
}


def run_case(name: str, threads: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.finetune_vit", "--case", name]
    command += ["--threads", str(threads)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def memory_table(threads: int, names: Sequence[str]) -> Table:
    rows = []
    for name in names:
        found = run_case(name, threads)
        print(name, found, file=sys.stderr, flush=True)
        cells = [found["megabytes"], found["foretold"], GOALS_MB[name]]
        rows.append([name, *(f"{one:.0f} MB" for one in cells)])
    return Table(
        "Peak memory of a process that trains",
        ["model and preset", "peak", "foretold for all", "goal at most"],
        rows,
        "Two images of 192 x 192 pixels, batch and objects of the preset. Tiny: an epoch and the "
        "comparison at the end. ViT-B: views looked at, a few steps, judging; what the optimiser, "
        "the best weights and the other views add later is in the second figure.",
    )


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--threads", type=int, default=min(os.cpu_count() or 1, 2))
    parser.add_argument("--only", choices=["times", "memory", "vit_b"])
    parser.add_argument("--no-save", action="store_true", help="print, write no file")
    parser.add_argument("--case", choices=list(CASES), help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    if options.case:
        with tempfile.TemporaryDirectory() as folder:
            os.environ[OWN] = folder
            print(json.dumps(CASES[options.case](folder)))
        return
    tables = []
    if options.only in (None, "times"):
        tables.append(times_table(run_case("times", options.threads)))
    if options.only != "times":
        names = [one for one in GOALS_MB if options.only != "vit_b" or "vit_b" in one]
        tables.append(memory_table(options.threads, names))
    report("finetune_vit", "Training ViT-B", tables, save=not options.no_save)


if __name__ == "__main__":
    main()
