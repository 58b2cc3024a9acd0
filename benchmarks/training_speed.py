"""What each measure for faster training of the embedded model brings, taken away one at a time.

``python -m benchmarks.training_speed --work FOLDER``: FOLDER holds the packs that the recipe made.
All variants take the same batches in turn, on one thread; what counts is CPU time, which other
processes on the machine hardly change.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch.nn import functional

from benchmarks._report import Table, report
from napari_segmate.training import losses

RECIPE = Path(__file__).parents[1] / "recipes" / "tiny"
OLD_ROUNDS = (0.32, 0.3, 0.23, 0.15)
"""Chances of no to three corrective clicks in the first generation's recipe."""
MEASURES = ("windows", "rounds", "optimiser", "widening")
TEXTS = {
    "windows": "prompts on windows of 128 pixels, few objects on whole crops",
    "rounds": "1.7 rounds of clicks instead of 2.2",
    "optimiser": "fused AdamW, averaging of all tensors at once",
    "widening": "borders of masks widened along y, then x",
}


@dataclass(frozen=True)
class Variant:
    """The recipe without some of its measures."""

    name: str
    without: frozenset[str] = frozenset()
    prompted: float = 1.0


VARIANTS = (
    Variant("all measures"),
    *(Variant(f"without: {TEXTS[name]}", frozenset({name})) for name in MEASURES),
    Variant("no measure", frozenset(MEASURES)),
    Variant("all measures, step without prompts", prompted=0.0),
)


def _trainer(train: ModuleType, variant: Variant, weights: Path) -> Any:
    settings = train.Settings(
        network=train.TinyConfig(flow=16), dense_only=0, prompted=variant.prompted
    )
    trainer = train.Trainer(settings, "cpu")
    trainer.start_from(weights)
    if "optimiser" in variant.without:
        trainer.optimizer = torch.optim.AdamW(trainer._groups(), lr=settings.rate, foreach=False)
    return trainer


def _changed(train: ModuleType, variant: Variant) -> AbstractContextManager[object]:
    """Return a context in which the measures that a variant lacks are undone."""
    stack = ExitStack()
    if "rounds" in variant.without:
        stack.enter_context(patch.object(train, "ROUNDS", OLD_ROUNDS))
    if "optimiser" in variant.without:
        stack.enter_context(patch.object(torch, "_foreach_lerp_", _lerp_in_a_loop))
    if "widening" in variant.without:
        stack.enter_context(
            patch.object(losses, "_widened", lambda mask: functional.max_pool2d(mask, 9, 1, 4))
        )
    return stack if variant.without else nullcontext()


def _lerp_in_a_loop(
    kept: Sequence[torch.Tensor], new: Sequence[torch.Tensor], share: float
) -> None:
    for one, other in zip(kept, new, strict=True):
        one.lerp_(other, share)


def measure(work: Path, weights: Path, steps: int) -> dict[str, list[float]]:
    """Return the CPU seconds of each step by variant."""
    sys.path.insert(0, str(RECIPE))
    import batches
    import pack
    import train

    items = pack.pack_images(None, work) + pack.pack_scenes(work, 450)
    items = [item for item in items if not item.validation]
    params = batches.BatchParams(augment=train.AugmentParams(256, diameter=train.DIAMETER))
    whole = replace(params, window=256, widest=params.prompts.objects)
    sources = {
        kind: batches.load_batches(items, one, 0, 0)
        for kind, one in (("windows", params), ("whole", whole))
    }
    trainers = {variant: _trainer(train, variant, weights) for variant in VARIANTS}
    found: dict[str, list[float]] = {variant.name: [] for variant in VARIANTS}
    found["a batch, made in another process"] = []
    for step in range(steps + 1):
        start = time.process_time()
        shown = {kind: next(source) for kind, source in sources.items()}
        found["a batch, made in another process"].append((time.process_time() - start) / 2)
        for variant, trainer in trainers.items():
            batch = shown["whole" if "windows" in variant.without else "windows"]
            # All variants meet the same clicks.
            trainer.rng = np.random.default_rng(step)
            with _changed(train, variant):
                start = time.process_time()
                trainer.train_step(batch)
                found[variant.name].append(time.process_time() - start)
    # The first step of all allocates and chooses.
    return {name: seconds[1:] for name, seconds in found.items()}


def as_table(found: dict[str, list[float]], crops: int = 6) -> Table:
    """Return the seconds and how many times as many crops all measures give."""
    means = {name: float(np.mean(seconds)) for name, seconds in found.items()}
    best = means[VARIANTS[0].name]
    rows = [
        [name, f"{mean:.2f}", f"{crops / mean:.2f}", f"{mean / best:.2f}"]
        for name, mean in means.items()
    ]
    steps = len(next(iter(found.values())))
    text = (
        f"CPU seconds of one thread, mean over {steps} steps of {crops} crops of 256 x 256 pixels;"
        " all variants meet the same crops and the same clicks."
    )
    columns = ["variant", "s per step", "crops per s", "times all measures"]
    return Table("A step of training", columns, rows, text)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--work", type=Path, required=True, help="folder of the recipe's packs")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--no-save", action="store_true", help="print, write no file")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    weights = RECIPE.parents[1] / "src/napari_segmate/weights/tiny.safetensors"
    found = measure(options.work, weights, options.steps)
    report("training_speed", "Training speed", [as_table(found)], save=not options.no_save)


if __name__ == "__main__":
    main()
