"""Prompts of many objects at once, and how they grow by corrective clicks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from napari_segmate.training.sampling import FirstPrompt, PromptParams, Target, first_prompt

__all__ = ["Prompts", "first_prompts", "judging_prompts"]


@dataclass(frozen=True, eq=False)
class Prompts:
    """Prompts of N objects in the terms of networks.

    Parameters
    ----------
    points : (N, P, 2) float
        x, y in pixels of the view.
    labels : (N, P) int
        1 includes, 0 excludes, -1 is padding.
    boxes : (N, 4) float
        x0, y0, x1, y1; NaN is no box.
    mask : (N, 1, h, w) float, optional
        Logits of an earlier answer.
    """

    points: Tensor
    labels: Tensor
    boxes: Tensor
    mask: Tensor | None = None

    def corrected(self, points: Tensor, labels: Tensor, mask: Tensor) -> Prompts:
        """Return the prompts with one click more, (N, 2) and (N,), and the answer so far."""
        return Prompts(
            torch.cat([self.points, points[:, None]], 1),
            torch.cat([self.labels, labels[:, None]], 1),
            self.boxes,
            mask,
        )

    def to(self, device: str) -> Prompts:
        """Return the prompts on a device."""
        mask = None if self.mask is None else self.mask.to(device)
        return Prompts(self.points.to(device), self.labels.to(device), self.boxes.to(device), mask)


def first_prompts(
    targets: Sequence[Target], rng: np.random.Generator, params: PromptParams
) -> Prompts:
    """Return first prompts of objects, drawn at random."""
    return _stacked([first_prompt(target, rng, params) for target in targets])


def judging_prompts(targets: Sequence[Target], kind: str, rng: np.random.Generator) -> Prompts:
    """Return central clicks (``"click"``) or exact boxes (``"box"``) of objects."""
    chances = PromptParams(click=0, box=0, both=0, scribble=0, central=1, loose=0)
    params = replace(chances, click=1.0) if kind == "click" else replace(chances, box=1.0)
    prompts = _stacked([first_prompt(target, rng, params) for target in targets])
    if kind == "click":
        return prompts
    exact = [(box[1], box[0], box[3] - 1, box[2] - 1) for box in (one.box_yx for one in targets)]
    return replace(prompts, boxes=torch.tensor(exact, dtype=torch.float32))


def _stacked(prompts: Sequence[FirstPrompt]) -> Prompts:
    return Prompts(
        torch.from_numpy(np.stack([one.points_xy for one in prompts])),
        torch.from_numpy(np.stack([one.point_labels for one in prompts])),
        torch.from_numpy(np.stack([one.box_xy for one in prompts])),
    )
