"""What training minimises: dense maps, masks, predicted scores, affinity."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

__all__ = [
    "MaskLoss",
    "affinity_loss",
    "dense_loss",
    "dice_loss",
    "distance_loss",
    "flow_loss",
    "mask_loss",
]


def dice_loss(probability: Tensor, truth: Tensor) -> Tensor:
    """Return 1 - Dice over the last two dimensions.

    Examples
    --------
    >>> mask = torch.ones(1, 4, 4)
    >>> dice_loss(mask, mask).tolist()
    [0.0]
    """
    shared = (probability * truth).sum((-2, -1))
    # The 1 keeps empty masks defined.
    return 1 - (2 * shared + 1) / (probability.sum((-2, -1)) + truth.sum((-2, -1)) + 1)


def dense_loss(
    maps: Tensor,
    foreground: Tensor,
    distance: Tensor,
    offset_yx: Tensor,
    known: Tensor | None = None,
) -> Tensor:
    """Return the loss of the dense maps, a scalar.

    Parameters
    ----------
    maps : (B, 5 or more, h, w)
        As in `TinyFeatures.maps`; the bandwidth has no target and learns from `affinity_loss`.
    foreground, distance : (B, h, w)
        As in `DenseTargets`.
    offset_yx : (B, 2, h, w)
        As in `DenseTargets`; counts inside objects only.
    known : (B, h, w), optional
        How much each cell counts, 0 to 1: what nobody annotated does not. Default: all 1.
    """
    if known is None:
        known = torch.ones_like(foreground)
    shape = _shape_loss(maps, foreground, distance, known)
    return shape + 2 * _inside(maps[:, 2:4], offset_yx, foreground * known)


def flow_loss(
    maps: Tensor,
    foreground: Tensor,
    distance: Tensor,
    flow_yx: Tensor,
    known: Tensor | None = None,
) -> Tensor:
    """Return the loss of the flow maps, a scalar.

    Parameters
    ----------
    maps : (B, 4, h, w)
        As `flow_maps` returns them.
    foreground, distance : (B, h, w)
        As in `FlowTargets`.
    flow_yx : (B, 2, h, w)
        As in `FlowTargets`; counts inside objects only.
    known : (B, h, w), optional
        How much each cell counts, 0 to 1: what nobody annotated does not. Default: all 1.
    """
    if known is None:
        known = torch.ones_like(foreground)
    shape = _shape_loss(maps, foreground, distance, known)
    return shape + _inside(maps[:, 2:4], flow_yx, (foreground >= 0.5) * known)


def _shape_loss(maps: Tensor, foreground: Tensor, distance: Tensor, known: Tensor) -> Tensor:
    """Return the loss of foreground and distance."""
    logits = maps[:, 0]
    entropy = functional.binary_cross_entropy_with_logits(logits, foreground, reduction="none")
    dice = dice_loss(logits.sigmoid() * known, foreground * known).mean()
    depth = functional.smooth_l1_loss(maps[:, 1], distance, reduction="none", beta=0.1)
    counted = known.sum().clamp(min=1)
    return ((entropy + 2 * depth) * known).sum() / counted + 0.5 * dice


def _inside(found: Tensor, wanted: Tensor, inside: Tensor) -> Tensor:
    """Return the loss of vectors (B, 2, h, w) where objects are."""
    error = functional.smooth_l1_loss(found, wanted, reduction="none", beta=0.1)
    return (error * inside[:, None]).sum() / (2 * inside.sum() + 1)


def distance_loss(maps: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """Return the loss of the maps of micro-sam's instance decoder, a scalar.

    Dice for each map; the distances count inside objects only.

    Parameters
    ----------
    maps, truth : (B, 3, h, w)
        Foreground, distance to the centre, and nearness to the border, 0 to 1.
    known : (B, h, w)
        How much each cell counts, 0 to 1.

    Examples
    --------
    >>> truth = torch.ones(1, 3, 4, 4)
    >>> distance_loss(truth, truth, torch.ones(1, 4, 4)).item()
    0.0
    """
    foreground = dice_loss(maps[:, 0] * known, truth[:, 0] * known).mean()
    inside = (known * truth[:, 0])[:, None]
    # Over squares, so that equal maps of any values have no loss (Archit et al., 2025).
    found, wanted = maps[:, 1:] * inside, truth[:, 1:] * inside
    shared = (found * wanted).sum((-2, -1))
    squares = (found**2).sum((-2, -1)) + (wanted**2).sum((-2, -1))
    distances = (1 - (2 * shared + 1) / (squares + 1)).mean(0).sum()
    return foreground + distances


@dataclass(frozen=True, eq=False)
class MaskLoss:
    """Loss of prompted masks (a scalar), and the IoU each mask reached, (N, M)."""

    value: Tensor
    iou: Tensor


def mask_loss(
    logits: Tensor,
    scores: Tensor,
    truth: Tensor,
    known: Tensor | None = None,
    other: Tensor | None = None,
) -> MaskLoss:
    """Return the loss of the masks of N prompted objects.

    The single mask learns always, of the three candidates the best one (and the others a little,
    so that none dies). Where a prompt may mean another object as well, two of the candidates learn,
    one for each. The scores learn the IoU that each mask reached.

    Parameters
    ----------
    logits : (N, 4, h, w)
        Single mask first, then three candidates.
    scores : (N, 4)
        Predicted IoU.
    truth : (N, h, w)
        1 inside.
    known : (N, h, w), optional
        How much each cell counts, 0 to 1. Default: all 1.
    other : (N, h, w), optional
        The other object that the prompt may mean (a part, or the whole round it); empty where there
        is none. Default: none anywhere.

    Examples
    --------
    >>> truth, part = torch.zeros(1, 8, 8), torch.zeros(1, 8, 8)
    >>> truth[0, 2:], part[0, 4:6, 4:6] = 1, 1
    >>> logits = 20 * torch.stack([truth, truth, truth, part], dim=1) - 10
    >>> both = mask_loss(logits, torch.ones(1, 4), truth, other=part).value
    >>> bool(both < mask_loss(logits[:, [0, 1, 1, 1]], torch.ones(1, 4), truth, other=part).value)
    True
    """
    counted = torch.ones_like(truth) if known is None else known
    loss, iou = _against(logits, truth, counted)
    single, candidates = loss[:, 0], loss[:, 1:]
    best, worth = candidates.amin(1), iou
    if other is not None:
        rows = other.flatten(1).any(1)
        also, also_iou = _against(logits[rows], other[rows], counted[rows])
        best = best.index_put((rows,), _best_pair(candidates[rows], also[:, 1:]))
        # A good mask of either object deserves its score.
        worth = iou.index_put((rows,), torch.maximum(iou[rows], also_iou))
    masks = (single + best + 0.1 * candidates.mean(1)).mean()
    return MaskLoss(masks + functional.mse_loss(scores, worth), iou)


def _best_pair(candidates: Tensor, also: Tensor) -> Tensor:
    """Return (N,) the least loss of two candidates, one for each of two objects.

    Parameters
    ----------
    candidates, also : (N, M)
        Loss of each candidate for the one and for the other object.
    """
    pairs = candidates[:, :, None] + also[:, None]
    same = torch.eye(pairs.shape[1], dtype=torch.bool, device=pairs.device)
    return pairs.masked_fill(same, torch.inf).flatten(1).amin(1)


def _against(logits: Tensor, truth: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Return loss and IoU, (N, M) each, of N x M masks against N objects, (N, h, w)."""
    target, counted = truth[:, None], known[:, None]
    # Pixels in and around the object weigh five times as much as the rest of the image.
    weight = (1 + 4 * _widened(target)) * counted
    entropy = functional.binary_cross_entropy_with_logits(
        logits, target.expand_as(logits), reduction="none"
    )
    entropy = (entropy * weight).sum((2, 3)) / weight.sum((2, 3)).clamp(min=1)
    loss = 3 * entropy + dice_loss(logits.sigmoid() * counted, target * counted)
    iou = _reached((logits.detach() > 0) & (counted > 0.5), (target > 0.5) & (counted > 0.5))
    return loss, iou


def _widened(target: Tensor) -> Tensor:
    """Return masks (N, 1, h, w) four cells wider on all sides, first along y and then along x."""
    tall = functional.max_pool2d(target, (9, 1), 1, (4, 0))
    return functional.max_pool2d(tall, (1, 9), 1, (0, 4))


def _reached(found: Tensor, truth: Tensor) -> Tensor:
    shared, union = (found & truth).sum((2, 3)), (found | truth).sum((2, 3))
    return torch.where(union > 0, shared / union.clamp(min=1), torch.ones_like(shared).float())


def affinity_loss(affinity: Tensor, truth: Tensor, clicked: Tensor) -> Tensor:
    """Return how badly the affinity with a click describes the clicked object, a scalar.

    Parameters
    ----------
    affinity : (N, h, w)
        0 to 1, see `draw_prompts`.
    truth : (N, h, w)
        Share of each cell that lies inside the object.
    clicked : (N,)
        1 for objects that were clicked on; the others do not count.
    """
    return (dice_loss(affinity, truth) * clicked).mean()
