"""Train the embedded model: pack → train → evaluate → export. Resumes where it was stopped.

python recipes/tiny/train.py --data DIR --work DIR [--budget-minutes 95] [--device auto]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import evaluate
import numpy as np
import torch
from batches import Batch, BatchParams, load_batches
from pack import Item, pack_images, pack_scenes
from torch import Tensor
from torch.nn import functional

from napari_segmate.models._tiny_network import (
    FIELD,
    TinyConfig,
    TinyFeatures,
    TinyNetwork,
    draw_prompts,
    load_tiny,
    save_tiny,
)
from napari_segmate.training.augment import AugmentParams
from napari_segmate.training.losses import affinity_loss, dense_loss, mask_loss
from napari_segmate.training.sampling import correct, rough_mask

ROUNDS = (0.32, 0.3, 0.23, 0.15)
"""Chances of no, one, two or three corrective clicks in a step."""
FORGET = 0.3
"""Share of the corrections that come without the last answer as mask input."""
DIAMETER = 30.0
"""Pixels of a typical object in most crops, as inference shows it too."""
AFFINITY = 4
"""Channel of `draw_prompts` that holds the affinity with positive clicks."""


@dataclass(frozen=True)
class Settings:
    """Everything that decides how a run goes.

    Parameters
    ----------
    budget_s : float
        Seconds of training, over all interruptions.
    rate : float
        Learning rate before it falls.
    constant : float
        Share of the budget before the rate falls along a cosine.
    dense_only : int
        First steps, in which only the dense maps learn.
    ema : float
        Largest share of the averaged weights that a step keeps.
    rough_mask : float
        Chance that a rough mask comes with the first prompt.
    """

    budget_s: float
    batch: BatchParams = field(default_factory=BatchParams)
    network: TinyConfig = field(default_factory=TinyConfig)
    rate: float = 1.2e-3
    weight_decay: float = 0.02
    ramp: int = 100
    constant: float = 0.3
    dense_only: int = 250
    clip: float = 1.0
    ema: float = 0.998
    rough_mask: float = 0.12
    seed: int = 17
    save_every_s: float = 180
    evaluate_every_s: float = 900


class Trainer:
    """Network, averaged weights, optimiser and the time spent, as one state that can be stored."""

    def __init__(self, settings: Settings, device: str) -> None:
        self.settings, self.device = settings, device
        torch.manual_seed(settings.seed)
        network = TinyNetwork(settings.network).to(device)
        self.network = network.to(memory_format=torch.channels_last)
        self.average = {k: v.clone() for k, v in self.network.state_dict().items()}
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=settings.rate, weight_decay=settings.weight_decay
        )
        self.rng = np.random.default_rng(settings.seed)
        self.step, self.used_s = 0, 0.0

    def save(self, path: Path) -> None:
        """Write the state, at once or not at all."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "used_s": self.used_s,
            "torch_random": torch.get_rng_state(),
            "random": json.dumps(self.rng.bit_generator.state),
        }
        temporary = path.with_suffix(".part")
        torch.save(state, temporary)
        temporary.replace(path)

    def load(self, path: Path) -> None:
        """Take over the state that `save` wrote."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average = state["average"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.used_s = state["step"], state["used_s"]
        torch.set_rng_state(state["torch_random"].cpu())
        self.rng.bit_generator.state = json.loads(state["random"])

    def start_from(self, weights: Path) -> None:
        """Begin with the weights of an exported model."""
        self.network.load_state_dict(load_tiny(weights).state_dict())
        self.average = {k: v.clone() for k, v in self.network.state_dict().items()}

    def averaged(self) -> TinyNetwork:
        """Return a network with the averaged weights, ready for inference."""
        network = TinyNetwork(self.settings.network).to(self.device)
        network.load_state_dict(self.average)
        return network.eval().to(memory_format=torch.channels_last)

    def train_step(self, batch: Batch) -> dict[str, float]:
        """Learn from one batch; return the parts of the loss."""
        self._set_rate()
        self.network.train()
        batch = batch.to(self.device)
        with self._autocast():
            features = self.network.encode(
                batch.images.contiguous(memory_format=torch.channels_last)
            )
        features = replace(features, maps=features.maps.float())
        losses = {
            "dense": dense_loss(features.maps, batch.foreground, batch.distance, batch.offset_yx)
        }
        shown: dict[str, float] = {}
        if self.step >= self.settings.dense_only and len(batch.masks):
            losses["mask"], shown["iou"] = self._prompted_loss(features, batch)
        loss = torch.stack(list(losses.values())).sum()
        self._descend(loss)
        return {name: value.item() for name, value in losses.items()} | shown

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device, torch.bfloat16)

    def _set_rate(self) -> None:
        settings = self.settings
        done = min(self.used_s / settings.budget_s, 1)
        falling = max(done - settings.constant, 0) / (1 - settings.constant)
        rate = settings.rate * min(1, (self.step + 1) / settings.ramp)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * falling)))

    def _prompted_loss(self, features: TinyFeatures, batch: Batch) -> tuple[Tensor, float]:
        """Return the loss over first prompts and corrections, and the IoU after the first."""
        half = functional.avg_pool2d(batch.masks[:, None].float(), 2)
        truth = (half[:, 0] > 0.5).float()
        other = (functional.avg_pool2d(batch.others[:, None].float(), 2)[:, 0] > 0.5).float()
        points, labels = batch.points, batch.point_labels
        origin = torch.from_numpy(self.rng.integers(0, 2, 2) * self.rng.integers(0, FIELD // 2, 2))
        mask = rough_mask(batch.masks) if self.rng.random() < self.settings.rough_mask else None
        loss = 0.5 * self._affinity_loss(features, batch, half)
        rounds = int(self.rng.choice([1, 2, 3, 4], p=ROUNDS))
        reached = 0.0
        for number in range(rounds):
            with self._autocast():
                logits, scores = self.network.decode_indexed(
                    features, batch.image_index, points, labels, batch.boxes, mask, origin
                )
            logits = logits.float()
            # A second click settles what was meant.
            also = other if number == 0 and mask is None else None
            result = mask_loss(logits, scores.float(), truth, other=also)
            loss = loss + result.value / rounds
            if number == 0:
                reached = result.iou[:, 1:].amax(1).mean().item()
            if number + 1 < rounds:
                rows = torch.arange(len(logits), device=logits.device)
                mask = logits[rows, result.iou.argmax(1)].detach()[:, None]
                points, labels = self._with_click(mask, batch.masks, points, labels)
                if self.rng.random() < FORGET:
                    mask = None
        return loss, reached

    def _affinity_loss(self, features: TinyFeatures, batch: Batch, half: Tensor) -> Tensor:
        drawn = draw_prompts(
            features.maps, batch.image_index, batch.points, batch.point_labels, None, None
        )
        truth = functional.avg_pool2d(half, 2)[:, 0]
        # Parts share the centre of their whole, by which affinity is told.
        clicked = ((batch.point_labels == 1).any(1) & batch.whole).float()
        return affinity_loss(drawn[:, AFFINITY], truth, clicked)

    @staticmethod
    def _with_click(
        mask: Tensor, truth: Tensor, points: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return points and labels with one more click where the mask is wrong."""
        large = functional.interpolate(mask, scale_factor=2, mode="bilinear", align_corners=False)
        point, label = correct(large[:, 0] > 0, truth)
        return torch.cat([points, point[:, None]], 1), torch.cat([labels, label[:, None]], 1)

    def _descend(self, loss: Tensor) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip)
        # One bad batch must not spoil the weights.
        if torch.isfinite(norm):
            self.optimizer.step()
        keep = min(self.settings.ema, (1 + self.step) / (20 + self.step))
        for name, value in self.network.state_dict().items():
            if value.dtype.is_floating_point:
                self.average[name].lerp_(value, 1 - keep)
            else:
                self.average[name].copy_(value)
        self.step += 1


def run(trainer: Trainer, batches: Iterator[Batch], held_out: Sequence[Item], work: Path) -> None:
    """Train until the budget is spent, with checkpoints and scores on the way."""
    settings = trainer.settings
    last = saved = evaluated = time.monotonic()
    history: list[dict[str, float]] = []
    while trainer.used_s < settings.budget_s:
        history.append(trainer.train_step(next(batches)))
        now = time.monotonic()
        trainer.used_s, last = trainer.used_s + now - last, now
        if trainer.step % 25 == 0:
            _log(work, {"step": trainer.step, "minutes": trainer.used_s / 60, **_mean(history)})
            history = []
        if now - saved > settings.save_every_s:
            trainer.save(work / "checkpoint.pt")
            saved = time.monotonic()
        if now - evaluated > settings.evaluate_every_s:
            scores = evaluate.score(trainer.averaged(), held_out, trainer.device, 8, scenes=0)
            _log(work, {"step": trainer.step, "scores": scores})
            # Scoring is no training: it does not count against the budget.
            evaluated = last = time.monotonic()
    trainer.save(work / "checkpoint.pt")


def _mean(history: list[dict[str, float]]) -> dict[str, float]:
    names = sorted({name for entry in history for name in entry})
    return {
        name: float(np.mean([entry[name] for entry in history if name in entry])) for name in names
    }


def _log(work: Path, entry: dict[str, object]) -> None:
    line = json.dumps(entry, default=float)
    print(line, flush=True)
    with (work / "log.jsonl").open("a") as file:
        file.write(line + "\n")


def export(trainer: Trainer, path: Path, scores: evaluate.Table) -> None:
    """Write the averaged weights, and beside them what is known about them."""
    minutes = f"{trainer.used_s / 60:.0f}"
    metadata = {"steps": str(trainer.step), "minutes": minutes, "device": trainer.device}
    save_tiny(path, trainer.averaged().cpu(), metadata)
    evaluate.write_facts(path, scores, path.with_suffix(".json"))


def _settings(options: argparse.Namespace, device: str) -> Settings:
    crops = options.crops or (6 if device == "cpu" else 48)
    batch = BatchParams(crops=crops, augment=AugmentParams(options.crop_size, diameter=DIAMETER))
    # Eight times the batch bears about twice the rate.
    rate = options.rate or (1.2e-3 if device == "cpu" else 2e-3)
    network = TinyConfig(width=options.width)
    return Settings(options.budget_minutes * 60, batch, network, rate=rate)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of the data sets")
    parser.add_argument("--work", type=Path, required=True, help="packs, checkpoint, log, results")
    parser.add_argument("--budget-minutes", type=float, default=95)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--start-from", type=Path, help="exported weights to begin with")
    parser.add_argument("--rate", type=float, default=0, help="learning rate; 0 chooses by device")
    parser.add_argument("--scenes", type=int, default=450, help="synthetic images")
    parser.add_argument("--part-scenes", type=int, default=60, help="scenes of the final scores")
    parser.add_argument("--crops", type=int, default=0, help="per step; 0 chooses by device")
    parser.add_argument("--crop-size", type=int, default=256)
    parser.add_argument("--width", type=int, default=96, help="channels of the embedding")
    parser.add_argument("--threads", type=int, default=min(os.cpu_count() or 1, 16))
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the recipe."""
    options = parse(arguments)
    device = options.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    items = pack_images(options.data, options.work) + pack_scenes(options.work, options.scenes)
    held_out = [item for item in items if item.validation]
    settings = _settings(options, device)
    if options.start_from:
        # Its features are warm already.
        settings = replace(settings, dense_only=0)
    trainer = Trainer(settings, device)
    checkpoint = options.work / "checkpoint.pt"
    if checkpoint.exists():
        trainer.load(checkpoint)
    elif options.start_from:
        trainer.start_from(options.start_from)
    workers = 0 if device == "cpu" else options.threads - 1
    training = [item for item in items if not item.validation]
    # The seed depends on the step, so that a resumed run sees new crops.
    seed = trainer.settings.seed + trainer.step
    run(
        trainer,
        load_batches(training, trainer.settings.batch, seed, workers),
        held_out,
        options.work,
    )
    trained = trainer.averaged()
    scores = evaluate.score(trained, held_out, device, scenes=options.part_scenes)
    export(trainer, options.work / "tiny.safetensors", scores)
    (options.work / "scores.md").write_text(evaluate.as_markdown(scores))
    print(evaluate.as_markdown(scores))


if __name__ == "__main__":
    main()
