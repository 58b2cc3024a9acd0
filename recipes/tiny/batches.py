"""Endless training batches: crops, dense targets, prompts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields

import numpy as np
import torch
from pack import SYNTHETIC, SYNTHETIC_PARTS, Item
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from napari_segmate.core.types import BoolArray
from napari_segmate.training.augment import AugmentParams, change_appearance, random_crop
from napari_segmate.training.sampling import (
    FirstPrompt,
    PromptParams,
    Target,
    also_meant,
    first_prompt,
    renumber_layers,
    targets_of,
)
from napari_segmate.training.targets import dense_targets

WEIGHTS = {
    "fluorescence_nuclei": 0.34,
    "histology_purple_on_purple": 0.07,
    "histology_purple_on_white": 0.06,
    "brightfield_gray_smear": 0.04,
    "phase_contrast_cells": 0.10,
    "em_sem_axons": 0.06,
    "brightfield_bacteria": 0.04,
    "fluorescence_bacteria": 0.02,
    "fluorescence_tissue": 0.04,
    "histology_HE": 0.02,
    "fluorescence_nuclei_3d": 0.02,
    "plant_nuclei_3d": 0.01,
    "plant_membrane_3d": 0.01,
    SYNTHETIC: 0.12,
    SYNTHETIC_PARTS: 0.14,
}
"""Share of the crops per modality."""


@dataclass(frozen=True, eq=False)
class Batch:
    """B crops and N prompted objects in them.

    Parameters
    ----------
    images : (B, 3, S, S) float32, 0 to 255
    foreground, distance : (B, S/4, S/4) float32
    offset_yx : (B, 2, S/4, S/4) float32
    image_index : (N,) int64
        The crop of each object.
    masks : (N, S, S) bool
    others : (N, S, S) bool
        What the prompt may mean as well: the whole round a part, or the part; empty where nothing.
    whole : (N,) bool
        Whether the object is no part of another.
    points : (N, P, 2) float32
    point_labels : (N, P) int64
    boxes : (N, 4) float32
    """

    images: Tensor
    foreground: Tensor
    distance: Tensor
    offset_yx: Tensor
    image_index: Tensor
    masks: Tensor
    others: Tensor
    whole: Tensor
    points: Tensor
    point_labels: Tensor
    boxes: Tensor

    def to(self, device: str) -> Batch:
        """Return the batch on a device."""
        moved = {f.name: getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)}
        return Batch(**moved)


@dataclass(frozen=True)
class BatchParams:
    """Size and content of batches."""

    crops: int = 6
    augment: AugmentParams = field(default_factory=AugmentParams)
    prompts: PromptParams = field(default_factory=PromptParams)


@dataclass(frozen=True, eq=False)
class _Object:
    crop: int
    target: Target
    prompt: FirstPrompt
    other: BoolArray


class Batches(IterableDataset[Batch]):
    """Random batches without end, different in every worker."""

    def __init__(self, items: Sequence[Item], params: BatchParams, seed: int) -> None:
        by_modality: dict[str, list[Item]] = {}
        for item in items:
            by_modality.setdefault(item.modality, []).append(item)
        self.groups = list(by_modality.values())
        # A modality that the table does not know gets the share of a rare one.
        chances = np.array([WEIGHTS.get(modality, 0.02) for modality in by_modality])
        self.chances = chances / chances.sum()
        self.params, self.seed = params, seed

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        rng = np.random.default_rng([self.seed, worker.id if worker else 0])
        while True:
            yield self.draw(rng)

    def draw(self, rng: np.random.Generator) -> Batch:
        """Return one batch."""
        images, dense, objects = [], [], []
        for number in range(self.params.crops):
            group = self.groups[rng.choice(len(self.groups), p=self.chances)]
            item = group[rng.integers(len(group))]
            image, layers = random_crop(item.image, item.layers, rng, self.params.augment)
            layers = renumber_layers(layers)
            images.append(change_appearance(image, rng).transpose(2, 0, 1))
            dense.append(dense_targets(layers[0]))
            for target in targets_of(layers, rng, self.params.prompts):
                prompt = first_prompt(target, rng, self.params.prompts)
                other = also_meant(layers, target, prompt, self.params.prompts.min_area)
                objects.append(_Object(number, target, prompt, other))
        return Batch(
            torch.from_numpy(np.stack(images)),
            *(
                torch.from_numpy(np.stack([getattr(each, name) for each in dense]))
                for name in ("foreground", "distance", "offset_yx")
            ),
            **_stack_objects(objects, self.params.augment.size),
        )


def _stack_objects(objects: list[_Object], size: int) -> dict[str, Tensor]:
    if not objects:
        empty = torch.zeros(0)
        return {
            "image_index": empty.long(),
            "masks": torch.zeros(0, size, size, dtype=torch.bool),
            "others": torch.zeros(0, size, size, dtype=torch.bool),
            "whole": empty.bool(),
            "points": torch.zeros(0, 1, 2),
            "point_labels": torch.zeros(0, 1).long(),
            "boxes": torch.zeros(0, 4),
        }
    prompts = [each.prompt for each in objects]
    return {
        "image_index": torch.tensor([each.crop for each in objects]),
        "masks": torch.from_numpy(np.stack([each.target.mask for each in objects])),
        "others": torch.from_numpy(np.stack([each.other for each in objects])),
        "whole": torch.tensor([each.target.layer == 0 for each in objects]),
        "points": torch.from_numpy(np.stack([prompt.points_xy for prompt in prompts])),
        "point_labels": torch.from_numpy(np.stack([prompt.point_labels for prompt in prompts])),
        "boxes": torch.from_numpy(np.stack([prompt.box_xy for prompt in prompts])),
    }


def load_batches(
    items: Sequence[Item], params: BatchParams, seed: int, workers: int
) -> Iterator[Batch]:
    """Return an endless iterator of batches, made by `workers` processes (0: this one)."""
    batches = Batches(items, params, seed)
    return iter(DataLoader(batches, batch_size=None, num_workers=workers))
