"""Train the embedded model: pack → train → evaluate → export. Resumes where it was stopped.

python recipes/tiny/train.py --data DIR --work DIR [--budget-minutes 95] [--decay-minutes 20]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType

import evaluate
import numpy as np
import torch
from batches import Batch, BatchParams, Prompted, load_batches
from pack import Item, pack_images, pack_scenes
from torch import Tensor
from torch.nn import functional
from windows import windows_of

from napari_segmate.models._tiny_network import (
    COARSE_CHANNELS,
    FIELD,
    TinyConfig,
    TinyFeatures,
    TinyNetwork,
    draw_prompts,
    flow_maps,
    load_tiny,
    save_tiny,
)
from napari_segmate.training.augment import AugmentParams
from napari_segmate.training.losses import affinity_loss, dense_loss, flow_loss, mask_loss
from napari_segmate.training.sampling import correct, rough_mask

ROUNDS = (0.5, 0.35, 0.1, 0.05)
"""Chances of no, one, two or three corrective clicks in a step."""
FORGET = 0.3
"""Share of the corrections that come without the last answer as mask input."""
DIAMETER = 30.0
"""Pixels of a typical object in most crops, as inference shows it too."""
AFFINITY = 4
"""Channel of `draw_prompts` that holds the affinity with positive clicks."""
BEFORE, AFTER = "checkpoint.pt", "decayed.pt"
"""State before the rate decays, from which training can always go on; and while it does."""


@dataclass(frozen=True)
class Settings:
    """Everything that decides how a run goes.

    Parameters
    ----------
    decay_s : float
        Seconds of training in which the rate falls to nothing, at the end.
    rate : float
        Learning rate before it falls.
    flow_rate : float
        How many times that rate the flow maps learn at: they begin small and are few numbers.
    ramp : int
        First steps, in which the rate rises.
    dense_only : int
        First steps, in which only the dense maps learn.
    ema : float
        Largest share of the averaged weights that a step keeps.
    rough_mask : float
        Chance that a rough mask comes with the first prompt.
    prompted : float
        Share of the steps in which prompts learn, too.
    half : bool
        Whether to compute in bfloat16.
    """

    decay_s: float = 1200
    batch: BatchParams = field(default_factory=BatchParams)
    network: TinyConfig = field(default_factory=TinyConfig)
    rate: float = 1.2e-3
    flow_rate: float = 6.0
    weight_decay: float = 0.02
    ramp: int = 100
    dense_only: int = 250
    clip: float = 1.0
    ema: float = 0.998
    rough_mask: float = 0.12
    prompted: float = 1.0
    half: bool = False
    seed: int = 17
    save_every_s: float = 180
    evaluate_every_s: float = 1800


class Trainer:
    """Network, averaged weights, optimiser and the time spent, as one state that can be stored."""

    def __init__(self, settings: Settings, device: str) -> None:
        self.settings, self.device = settings, device
        torch.manual_seed(settings.seed)
        network = TinyNetwork(settings.network).to(device)
        self.network = network.to(memory_format=torch.channels_last)
        self.average = {k: v.clone() for k, v in self.network.state_dict().items()}
        self.optimizer = torch.optim.AdamW(
            self._groups(), lr=settings.rate, weight_decay=settings.weight_decay, fused=True
        )
        self.rng = np.random.default_rng(settings.seed)
        self.step, self.used_s, self.decayed_s = 0, 0.0, 0.0

    def _groups(self) -> list[dict[str, object]]:
        """Return the parameters, with how many times the rate they learn at."""
        named = dict(self.network.named_parameters())
        flow = [name for name in named if name.startswith("encoder.flow.")]
        rest = [value for name, value in named.items() if name not in flow]
        groups: list[dict[str, object]] = [{"params": rest, "times": 1.0}]
        if flow:
            times = self.settings.flow_rate
            groups.append({"params": [named[name] for name in flow], "times": times})
        return groups

    def save(self, path: Path) -> None:
        """Write the state, at once or not at all."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "used_s": self.used_s,
            "decayed_s": self.decayed_s,
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
        self.step, self.used_s, self.decayed_s = (
            state[name] for name in ("step", "used_s", "decayed_s")
        )
        torch.set_rng_state(state["torch_random"].cpu())
        self.rng.bit_generator.state = json.loads(state["random"])

    def start_from(self, weights: Path) -> list[str]:
        """Begin with an exported model, or with the averaged weights of another run.

        Returns what neither has for this network, and what therefore begins at random.
        """
        if weights.suffix == ".pt":
            known = torch.load(weights, map_location=self.device, weights_only=True)["average"]
        else:
            known = load_tiny(weights).state_dict()
        own = self.network.state_dict()
        fitting = {
            name: value
            for name, value in known.items()
            if name in own and own[name].shape == value.shape
        }
        self.network.load_state_dict(fitting, strict=False)
        self.average = {k: v.clone() for k, v in self.network.state_dict().items()}
        return sorted(set(own) - set(fitting))

    def averaged(self) -> TinyNetwork:
        """Return a network with the averaged weights, ready for inference."""
        network = TinyNetwork(self.settings.network).to(self.device)
        network.load_state_dict(self.average)
        return network.eval().to(memory_format=torch.channels_last)

    def train_step(self, batch: Batch) -> dict[str, float]:
        """Learn from one batch; return the parts of the loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate() * group["times"]
        self.network.train()
        batch = batch.to(self.device)
        with self._autocast():
            features = self.network.encode(
                batch.images.contiguous(memory_format=torch.channels_last)
            )
        features = replace(features, maps=features.maps.float())
        losses = _dense_losses(features.maps, batch)
        shown: dict[str, float] = {}
        count = len(batch.near) + len(batch.wide)
        asked = self.step >= self.settings.dense_only
        if asked and count and self.rng.random() < self.settings.prompted:
            losses["mask"], shown["iou"] = self._mask_loss(features, batch, count)
        self._descend(torch.stack(list(losses.values())).sum())
        return {name: value.item() for name, value in losses.items()} | shown

    def rate(self) -> float:
        """Return the learning rate: it rises, stays, and falls when the end is decided on."""
        settings = self.settings
        left = max(1 - self.decayed_s / settings.decay_s, 0) if self.decayed_s else 1.0
        return settings.rate * min(1, (self.step + 1) / settings.ramp) * max(left, 0.01)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device, torch.bfloat16, enabled=self.settings.half)

    def _mask_loss(self, features: TinyFeatures, batch: Batch, count: int) -> tuple[Tensor, float]:
        """Return the loss of all prompts, and the IoU after the first."""
        rounds = int(self.rng.choice([1, 2, 3, 4], p=ROUNDS))
        rough = self.rng.random() < self.settings.rough_mask
        loss, reached = features.maps.new_zeros(()), 0.0
        if len(batch.wide):
            share = len(batch.wide) / count
            one, iou = self._prompted_loss(features, batch.wide, rounds, rough)
            loss, reached = loss + share * one, reached + share * iou
        if len(batch.near):
            near, share = batch.near, len(batch.near) / count
            shown = windows_of(features, near.image_index, near.corner, near.masks.shape[-1])
            rows = torch.arange(len(near), device=near.masks.device)
            one, iou = self._prompted_loss(shown, replace(near, image_index=rows), rounds, rough)
            loss, reached = loss + share * one, reached + share * iou
        return loss, reached

    def _prompted_loss(
        self, features: TinyFeatures, objects: Prompted, rounds: int, rough: bool
    ) -> tuple[Tensor, float]:
        """Return the loss over first prompts and corrections, and the IoU after the first."""
        half = functional.avg_pool2d(objects.masks[:, None].float(), 2)
        truth = (half[:, 0] > 0.5).float()
        other = (functional.avg_pool2d(objects.others[:, None].float(), 2)[:, 0] > 0.5).float()
        points, labels = objects.points, objects.point_labels
        last = int(FIELD) - objects.masks.shape[-1] + 1
        origin = torch.from_numpy(self.rng.integers(0, 2) * self.rng.integers(0, max(last, 1), 2))
        mask = rough_mask(objects.masks) if rough else None
        loss = 0.5 * self._affinity_loss(features, objects, half)
        reached = 0.0
        for number in range(rounds):
            with self._autocast():
                logits, scores = self.network.decode_indexed(
                    features, objects.image_index, points, labels, objects.boxes, mask, origin
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
                points, labels = self._with_click(mask, objects.masks, points, labels)
                if self.rng.random() < FORGET:
                    mask = None
        return loss, reached

    @staticmethod
    def _affinity_loss(features: TinyFeatures, objects: Prompted, half: Tensor) -> Tensor:
        drawn = draw_prompts(
            features.maps, objects.image_index, objects.points, objects.point_labels, None, None
        )
        truth = functional.avg_pool2d(half, 2)[:, 0]
        # Parts share the centre of their whole, by which affinity is told.
        clicked = ((objects.point_labels == 1).any(1) & objects.whole).float()
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
        norm = torch.nn.utils.clip_grad_norm_(
            self.network.parameters(), self.settings.clip, foreach=True
        )
        # One bad batch must not spoil the weights.
        if torch.isfinite(norm):
            self.optimizer.step()
        keep = min(self.settings.ema, (1 + self.step) / (20 + self.step))
        state = self.network.state_dict()
        floating = [name for name, value in state.items() if value.is_floating_point()]
        torch._foreach_lerp_(
            [self.average[name] for name in floating], [state[name] for name in floating], 1 - keep
        )
        for name in state.keys() - set(floating):
            self.average[name].copy_(state[name])
        self.step += 1


def _dense_losses(maps: Tensor, batch: Batch) -> dict[str, Tensor]:
    # The pixel nearest to the middle of each cell of the coarse maps.
    known = batch.known[:, ::2, ::2]
    coarse = maps[:, :COARSE_CHANNELS]
    losses = {"dense": dense_loss(coarse, batch.foreground, batch.distance, batch.offset_yx, known)}
    fine, truth = flow_maps(maps), batch.fine
    if fine is not None:
        losses["flow"] = flow_loss(fine, truth[:, 0], truth[:, 1], truth[:, 2:], batch.known)
    return losses


def fast_in_half(device: str) -> bool:
    """Tell whether a device computes in bfloat16 without emulation."""
    if device != "cpu":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


class Stop:
    """Remembers that a signal asked the process to end: it does after the step."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.asked = True


def run(
    trainer: Trainer,
    batches: Iterator[Batch],
    held_out: Sequence[Item],
    work: Path,
    budget_s: float,
    stop: Stop,
) -> None:
    """Train until the budget is spent, then while the rate falls; with checkpoints on the way."""
    settings = trainer.settings
    last = saved = evaluated = time.monotonic()
    history: list[dict[str, float]] = []
    while trainer.used_s < budget_s or trainer.decayed_s < settings.decay_s:
        if trainer.used_s >= budget_s and not trainer.decayed_s:
            trainer.save(work / BEFORE)
        history.append(trainer.train_step(next(batches)))
        now = time.monotonic()
        if trainer.used_s >= budget_s:
            trainer.decayed_s += now - last
        else:
            trainer.used_s += now - last
        last = now
        if trainer.step % 25 == 0:
            minutes = (trainer.used_s + trainer.decayed_s) / 60
            _log(work, {"step": trainer.step, "minutes": minutes, **_mean(history)})
            history = []
        if now - saved > settings.save_every_s:
            trainer.save(work / (AFTER if trainer.decayed_s else BEFORE))
            saved = time.monotonic()
        if stop.asked:
            break
        if now - evaluated > settings.evaluate_every_s:
            scores = evaluate.score(trainer.averaged(), held_out, trainer.device, 8, scenes=0)
            _log(work, {"step": trainer.step, "scores": scores})
            # Scoring is no training: it does not count against the budget.
            evaluated = last = time.monotonic()
    trainer.save(work / (AFTER if trainer.decayed_s else BEFORE))


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
    minutes = f"{(trainer.used_s + trainer.decayed_s) / 60:.0f}"
    metadata = {"steps": str(trainer.step), "minutes": minutes, "device": trainer.device}
    save_tiny(path, trainer.averaged().cpu(), metadata)
    evaluate.write_facts(path, scores, path.with_suffix(".json"))


def _settings(options: argparse.Namespace, device: str) -> Settings:
    crops = options.crops or (6 if device == "cpu" else 48)
    batch = BatchParams(crops=crops, augment=AugmentParams(options.crop_size, diameter=DIAMETER))
    # Eight times the batch bears about twice the rate.
    rate = options.rate or (1.2e-3 if device == "cpu" else 2e-3)
    network = TinyConfig(width=options.width, flow=options.flow)
    settings = Settings(
        max(options.decay_minutes * 60, 1e-3),
        batch,
        network,
        rate=rate,
        prompted=options.prompted,
        half=fast_in_half(device),
        evaluate_every_s=options.evaluate_minutes * 60,
    )
    # The features of weights to begin with are warm already.
    return replace(settings, dense_only=0) if options.start_from else settings


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of the data sets")
    parser.add_argument("--work", type=Path, required=True, help="packs, checkpoint, log, results")
    parser.add_argument(
        "--budget-minutes", type=float, default=95, help="before the rate falls, over all runs"
    )
    parser.add_argument(
        "--decay-minutes", type=float, default=20, help="in which the rate falls, afterwards"
    )
    parser.add_argument(
        "--evaluate-minutes", type=float, default=30, help="between scores on the way"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument(
        "--start-from", type=Path, help="exported weights or a checkpoint to begin with"
    )
    parser.add_argument("--rate", type=float, default=0, help="learning rate; 0 chooses by device")
    parser.add_argument("--prompted", type=float, default=1, help="share of steps with prompts")
    parser.add_argument("--scenes", type=int, default=450, help="synthetic images")
    parser.add_argument("--part-scenes", type=int, default=60, help="scenes of the final scores")
    parser.add_argument("--crops", type=int, default=0, help="per step; 0 chooses by device")
    parser.add_argument("--crop-size", type=int, default=256)
    parser.add_argument("--width", type=int, default=96, help="channels of the embedding")
    parser.add_argument("--flow", type=int, default=16, help="channels of the flow head; 0: none")
    parser.add_argument("--threads", type=int, default=min(os.cpu_count() or 1, 16))
    parser.add_argument("--workers", type=int, help="processes that prepare batches")
    return parser.parse_args(arguments)


def resume(trainer: Trainer, options: argparse.Namespace) -> None:
    """Load the last checkpoint that the budget allows, or the weights to begin with."""
    before, after = options.work / BEFORE, options.work / AFTER
    if before.exists():
        trainer.load(before)
        if trainer.used_s >= options.budget_minutes * 60 and after.exists():
            # A decay that was interrupted goes on, unless training went on since.
            decaying = Trainer(trainer.settings, trainer.device)
            decaying.load(after)
            if decaying.used_s == trainer.used_s:
                trainer.load(after)
    elif options.start_from:
        missing = trainer.start_from(options.start_from)
        _log(options.work, {"step": 0, "begun at random": missing})


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
    trainer = Trainer(_settings(options, device), device)
    resume(trainer, options)
    workers = options.workers
    if workers is None:
        workers = 0 if device == "cpu" else options.threads - 1
    training = [item for item in items if not item.validation]
    # The seed depends on the step, so that a resumed run sees new crops.
    seed = trainer.settings.seed + trainer.step
    batches = load_batches(training, trainer.settings.batch, seed, workers)
    stop = Stop()
    signal.signal(signal.SIGTERM, stop)
    run(trainer, batches, held_out, options.work, options.budget_minutes * 60, stop)
    if stop.asked:
        return
    trained = trainer.averaged()
    scores = evaluate.score(trained, held_out, device, scenes=options.part_scenes)
    export(trainer, options.work / "tiny.safetensors", scores)
    (options.work / "scores.md").write_text(evaluate.as_markdown(scores))
    print(evaluate.as_markdown(scores))


if __name__ == "__main__":
    main()
