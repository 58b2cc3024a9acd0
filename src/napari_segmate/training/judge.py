"""How well a network does on what was held out, measured after every epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from napari_segmate.core.labels.instances import instances_from_dense
from napari_segmate.core.numbers.metrics import average_precision
from napari_segmate.core.types import LabelArray
from napari_segmate.training.entries import Entry, stack_features, stack_truth
from napari_segmate.training.learner import Features, Learner
from napari_segmate.training.losses import mask_loss
from napari_segmate.training.prompting import judging_prompts
from napari_segmate.training.sampling import PromptParams, Target, targets_of
from napari_segmate.training.steps import truth_at

__all__ = ["Judgement", "judge", "known_objects"]

MIN_AREA = 20


@dataclass(frozen=True)
class Judgement:
    """Measures of a network.

    Parameters
    ----------
    loss : float
        As in training, with clicks and boxes only.
    iou : float
        Mean IoU of the best scored mask, over one central click and one box per object.
    ap50 : float
        Average precision of all objects at IoU 0.5; not a number without an instance head.
    """

    loss: float
    iou: float
    ap50: float

    @property
    def score(self) -> float:
        """What makes weights the best: the mean of the measures there are."""
        return float(np.nanmean([self.iou, self.ap50]))


@torch.no_grad()
def judge(learner: Learner, entries: Sequence[Entry], seed: int, objects: int = 8) -> Judgement:
    """Return how well a network does on some views; the same prompts for the same seed.

    Parameters
    ----------
    learner : Learner
        The network.
    entries : sequence of Entry
        At least one view with an object.
    seed : int
        Of the objects and clicks that are drawn.
    objects : int
        Most objects per view.
    """
    losses: list[float] = []
    ious: list[float] = []
    precisions: list[float] = []
    for number, entry in enumerate(entries):
        rng = np.random.default_rng([seed, number])
        features = learner.features(stack_features([entry], learner.device))
        loss = _dense(learner, features, entry, precisions)
        targets = targets_of(entry.labels[None], rng, PromptParams(objects=objects, min_area=4))
        for kind in ("click", "box") if targets else ():
            value, iou = _prompted(learner, features, entry, targets, kind, rng)
            loss += value / 2
            ious += iou
        losses.append(loss)
    ap50 = float(np.mean(precisions)) if precisions else float("nan")
    return Judgement(float(np.mean(losses)), float(np.mean(ious)) if ious else 0.0, ap50)


def _dense(learner: Learner, features: Features, entry: Entry, precisions: list[float]) -> float:
    maps, truth = learner.maps(features), stack_truth([entry], learner.device)
    if maps is None or truth is None or entry.truth is None:
        return 0.0
    found = instances_from_dense(learner.dense_maps(maps[0], len(entry.labels)))
    certain = functional.interpolate(
        (entry.truth.weight == 1)[None, None].float(), entry.labels.shape
    )[0, 0].numpy()
    known = known_objects(found, certain > 0)
    if entry.labels.any() or known.any():
        precisions.append(float(average_precision(entry.labels, known)[0]))
    return float(learner.dense_loss(maps.float(), truth))


def known_objects(found: LabelArray, certain: np.ndarray) -> LabelArray:
    """Return labels without the objects that lie mostly where the truth is not known.

    Examples
    --------
    >>> known_objects(np.array([[1, 1, 0, 2, 2]]), np.array([[1, 1, 1, 0, 0]], bool)).tolist()
    [[1, 1, 0, 0, 0]]
    """
    areas = np.bincount(found.ravel())
    inside = np.bincount(found[certain], minlength=len(areas))
    keep = 2 * inside >= areas
    keep[0] = False
    return np.where(keep[found], found, 0)


def _prompted(
    learner: Learner,
    features: Features,
    entry: Entry,
    targets: Sequence[Target],
    kind: str,
    rng: np.random.Generator,
) -> tuple[float, list[float]]:
    """Return loss and IoU of objects that one kind of prompt shows."""
    prompts = judging_prompts(targets, kind, rng).to(learner.device)
    index = torch.zeros(len(targets), dtype=torch.long, device=learner.device)
    logits, scores = learner.decode(features, index, prompts)
    masks = torch.from_numpy(np.stack([target.mask for target in targets])).to(learner.device)
    looked = torch.from_numpy(entry.looked)[None].expand_as(masks).to(learner.device)
    truth, known = truth_at(masks, logits), truth_at(looked, logits)
    result = mask_loss(logits.float(), scores.float(), truth, known)
    return float(result.value), _chosen(result.iou, scores, kind).tolist()


def _chosen(iou: Tensor, scores: Tensor, kind: str) -> Tensor:
    """Return the IoU of the mask that a user would get: the best scored one of three, or one."""
    if kind == "box":
        return iou[:, 0]
    best = scores[:, 1:].argmax(1)
    return iou[:, 1:].gather(1, best[:, None])[:, 0]
