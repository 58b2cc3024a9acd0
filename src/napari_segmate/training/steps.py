"""The loss of one step: dense maps, first prompts, and corrective clicks after them.

As Segment Anything (Kirillov et al., 2023) was trained: a click or a box first, then clicks where
the answer is wrong, with that answer as mask input; of three candidates the best one learns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from napari_segmate.training.entries import Entry, stack_features, stack_truth
from napari_segmate.training.learner import Features, Learner
from napari_segmate.training.losses import mask_loss
from napari_segmate.training.prompting import Prompts, first_prompts
from napari_segmate.training.sampling import PromptParams, correct, targets_of

__all__ = ["Objects", "StepLoss", "objects_of", "step_loss", "truth_at"]

ROUNDS = (0.45, 0.35, 0.2)
"""Chances of no, one or two corrective clicks in a step."""


@dataclass(frozen=True, eq=False)
class Objects:
    """N prompted objects of a batch: the view of each, its mask, where it counts, its prompts."""

    image_index: Tensor
    masks: Tensor
    looked: Tensor
    prompts: Prompts


@dataclass(frozen=True, eq=False)
class StepLoss:
    """The loss of a step, scalars.

    Parameters
    ----------
    total : Tensor
        To descend on.
    dense : Tensor
        The part of the instance head, 0 without one.
    prompted : Tensor, optional
        How wrong the answers to prompts were; None when none were answered.
    """

    total: Tensor
    dense: Tensor
    prompted: Tensor | None = None


def objects_of(
    entries: Sequence[Entry], rng: np.random.Generator, params: PromptParams, device: str
) -> Objects | None:
    """Return some objects of each view with first prompts; None if there is no object."""
    targets = [targets_of(entry.labels[None], rng, params) for entry in entries]
    flat = [target for each in targets for target in each]
    if not flat:
        return None
    index = [number for number, each in enumerate(targets) for _ in each]
    looked = np.stack([entry.looked for entry in entries])[index]
    return Objects(
        torch.tensor(index, device=device),
        torch.from_numpy(np.stack([target.mask for target in flat])).to(device),
        torch.from_numpy(looked).to(device),
        first_prompts(flat, rng, params).to(device),
    )


def step_loss(
    learner: Learner,
    entries: Sequence[Entry],
    rng: np.random.Generator,
    params: PromptParams,
    generator: torch.Generator,
    prompted: float = 1.0,
) -> StepLoss:
    """Return the loss of some views.

    Parameters
    ----------
    learner : Learner
        The network.
    entries : sequence of Entry
        The views.
    rng, generator
        Source of all randomness.
    params : PromptParams
        How prompts are drawn.
    prompted : float
        Chance that prompts are answered, too, where there is an instance head.
    """
    features = learner.features(stack_features(entries, learner.device))
    dense = torch.zeros((), device=learner.device)
    maps, truth = learner.maps(features), stack_truth(entries, learner.device)
    if maps is not None and truth is not None:
        dense = learner.dense_loss(maps.float(), truth)
        if rng.random() >= prompted:
            return StepLoss(dense, dense.detach())
    objects = objects_of(entries, rng, params, learner.device)
    if objects is None:
        return StepLoss(dense, dense.detach())
    extra = learner.extra_loss(features, objects.image_index, objects.prompts, objects.masks)
    answers = _prompted(learner, features, objects, rng, generator)
    return StepLoss(dense + extra + answers, dense.detach(), answers.detach())


def _prompted(
    learner: Learner,
    features: Features,
    objects: Objects,
    rng: np.random.Generator,
    generator: torch.Generator,
) -> Tensor:
    prompts, loss = objects.prompts, torch.zeros((), device=learner.device)
    rounds = int(rng.choice(len(ROUNDS), p=ROUNDS)) + 1
    for number in range(rounds):
        logits, scores = learner.decode(features, objects.image_index, prompts, rng)
        truth = truth_at(objects.masks, logits)
        known = truth_at(objects.looked, logits)
        result = mask_loss(logits.float(), scores.float(), truth, known)
        loss = loss + result.value / rounds
        if number + 1 < rounds:
            rows = torch.arange(len(logits), device=logits.device)
            answer = logits[rows, result.iou.argmax(1)].detach()[:, None].float()
            prompts = _with_click(prompts, answer, objects, generator)
    return loss


def truth_at(masks: Tensor, logits: Tensor) -> Tensor:
    """Return (N, S, S) masks at the size of logits, 1 inside."""
    height, width = logits.shape[-2:]
    pooled = functional.adaptive_avg_pool2d(masks[:, None].float(), (height, width))
    return (pooled[:, 0] > 0.5).float()


def _with_click(
    prompts: Prompts, answer: Tensor, objects: Objects, generator: torch.Generator
) -> Prompts:
    size = objects.masks.shape[-2:]
    large = functional.interpolate(answer, size, mode="bilinear", align_corners=False)
    found = (large[:, 0] > 0) & objects.looked
    points, labels = correct(found, objects.masks & objects.looked, generator)
    return prompts.corrected(points, labels, answer)
