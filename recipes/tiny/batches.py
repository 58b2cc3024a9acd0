"""Endless training batches: crops, dense targets, prompts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields

import numpy as np
import numpy.typing as npt
import torch
from pack import SYNTHETIC, SYNTHETIC_PACKED, SYNTHETIC_PARTS, Item
from scipy import ndimage
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from napari_segmate.core.types import BoolArray, FloatArray
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
from napari_segmate.training.targets import dense_targets, flow_targets

WEIGHTS = {
    "fluorescence_nuclei": 0.22,
    "histology_purple_on_purple": 0.06,
    "histology_purple_on_white": 0.05,
    "brightfield_gray_smear": 0.03,
    "phase_contrast_cells": 0.10,
    "oblique_brightfield_cells": 0.07,
    "phase_contrast_bacteria": 0.10,
    "phase_contrast_yeast": 0.04,
    "em_sem_axons": 0.06,
    "em_neuropil_3d": 0.02,
    "brightfield_bacteria": 0.04,
    "fluorescence_bacteria": 0.02,
    "fluorescence_tissue": 0.03,
    "fluorescence_tubulin": 0.003,
    "fluorescence_membrane": 0.003,
    "histology_HE": 0.02,
    "fluorescence_nuclei_3d": 0.02,
    "plant_nuclei_3d": 0.01,
    "plant_membrane_3d": 0.01,
    SYNTHETIC: 0.08,
    SYNTHETIC_PARTS: 0.12,
    SYNTHETIC_PACKED: 0.06,
}
"""Share of the crops per modality."""
WINDOW = 128
"""Pixels of the square round an object that its prompts are decoded on."""
ROOM = 12
"""Pixels between an object and the border of its window, where the crop has them."""
WIDE = 0.15
"""Share of the small objects whose prompts are decoded on the whole crop all the same."""
WIDEST = 1.0
"""Objects per crop, on average, whose prompts are decoded on the whole crop; others are dropped."""
CELL = 8
"""Pixels of a cell of the embedding: windows begin at its cells."""
NEAR_LABELS = 8
"""Pixels round labelled objects that are sure to be background."""
UNSURE = 0.35
"""How much other background counts where not every object is labelled."""


@dataclass(frozen=True, eq=False)
class Prompted:
    """N objects, their prompts, and the windows of S x S pixels that show them.

    Parameters
    ----------
    image_index : (N,) int64
        The crop of each object.
    corner : (N, 2) int64
        y, x of the first pixel of the window in the crop, multiples of 8.
    masks : (N, S, S) bool
    others : (N, S, S) bool
        What the prompt may mean as well: the whole round a part, or the part; empty where nothing.
    whole : (N,) bool
        Whether the object is no part of another.
    points : (N, P, 2) float32
        x, y in the window.
    point_labels : (N, P) int64
    boxes : (N, 4) float32
        In the window.
    """

    image_index: Tensor
    corner: Tensor
    masks: Tensor
    others: Tensor
    whole: Tensor
    points: Tensor
    point_labels: Tensor
    boxes: Tensor

    def __len__(self) -> int:
        return len(self.masks)

    def to(self, device: str) -> Prompted:
        """Return the objects on a device."""
        return Prompted(
            *(getattr(self, f.name).to(device, non_blocking=True) for f in fields(self))
        )


@dataclass(frozen=True, eq=False)
class Batch:
    """B crops, and what is to be found in them.

    Parameters
    ----------
    images : (B, 3, S, S) float32, 0 to 255
    foreground, distance : (B, S/4, S/4) float32
    offset_yx : (B, 2, S/4, S/4) float32
    fine : (B, 4, S/2, S/2) float32
        Foreground, distance and flow along y and x of the flow maps.
    known : (B, S/2, S/2) float32
        How much the cells of the flow maps count, 0 to 1.
    near, wide : Prompted
        Objects on small windows, and on whole crops.
    """

    images: Tensor
    foreground: Tensor
    distance: Tensor
    offset_yx: Tensor
    fine: Tensor
    known: Tensor
    near: Prompted
    wide: Prompted

    def to(self, device: str) -> Batch:
        """Return the batch on a device."""
        return Batch(*(getattr(self, f.name).to(device) for f in fields(self)))


@dataclass(frozen=True)
class BatchParams:
    """Size and content of batches."""

    crops: int = 6
    window: int = WINDOW
    widest: float = WIDEST
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
        images, coarse, fine, known, objects = [], [], [], [], []
        for number in range(self.params.crops):
            group = self.groups[rng.choice(len(self.groups), p=self.chances)]
            item = group[rng.integers(len(group))]
            image, layers = random_crop(item.image, item.layers, rng, self.params.augment)
            layers = renumber_layers(layers)
            images.append(change_appearance(image, rng).transpose(2, 0, 1))
            coarse.append(dense_targets(layers[0]))
            flow = flow_targets(layers[0])
            fine.append(np.stack([flow.foreground, flow.distance, *flow.flow_yx]))
            known.append(_known(layers[0], item.sparse))
            objects += _objects(number, layers, rng, self.params.prompts)
        small = [_fits(each, self.params.window) and rng.random() >= WIDE for each in objects]
        near = [each for each, is_small in zip(objects, small, strict=True) if is_small]
        wide = [each for each, is_small in zip(objects, small, strict=True) if not is_small]
        kept = rng.permutation(len(wide))[: round(self.params.widest * self.params.crops)]
        return Batch(
            torch.from_numpy(np.stack(images)),
            *(
                torch.from_numpy(np.stack([getattr(each, name) for each in coarse]))
                for name in ("foreground", "distance", "offset_yx")
            ),
            torch.from_numpy(np.stack(fine)),
            torch.from_numpy(np.stack(known)),
            _stack_objects(near, min(self.params.window, self.params.augment.size), rng),
            _stack_objects([wide[at] for at in kept], self.params.augment.size, rng),
        )


def _objects(
    number: int, layers: npt.NDArray[np.int32], rng: np.random.Generator, params: PromptParams
) -> Iterator[_Object]:
    for target in targets_of(layers, rng, params):
        prompt = first_prompt(target, rng, params)
        yield _Object(number, target, prompt, also_meant(layers, target, prompt, params.min_area))


def _known(labels: npt.NDArray[np.int32], sparse: bool) -> FloatArray:
    """Return how much each cell of 2 x 2 pixels counts."""
    if not sparse:
        return np.ones((labels.shape[0] // 2, labels.shape[1] // 2), np.float32)
    near = ndimage.binary_dilation(labels[1::2, 1::2] > 0, iterations=NEAR_LABELS // 2)
    return np.where(near, np.float32(1), np.float32(UNSURE))


def _extent(each: _Object) -> tuple[int, int, int, int]:
    """Return y0, x0, y1, x1 of everything that the prompt of an object may mean."""
    y0, x0, y1, x1 = each.target.box_yx
    if each.other.any():
        rows, columns = np.flatnonzero(each.other.any(1)), np.flatnonzero(each.other.any(0))
        y0, x0 = min(y0, int(rows[0])), min(x0, int(columns[0]))
        y1, x1 = max(y1, int(rows[-1]) + 1), max(x1, int(columns[-1]) + 1)
    return y0, x0, y1, x1


def _fits(each: _Object, window: int) -> bool:
    y0, x0, y1, x1 = _extent(each)
    return max(y1 - y0, x1 - x0) <= window - 2 * ROOM


def _corner(each: _Object, window: int, rng: np.random.Generator) -> tuple[int, int]:
    """Return y, x of a window that shows an object, somewhere inside."""
    size = each.target.mask.shape
    y0, x0, y1, x1 = _extent(each)
    found = []
    for low, high, length in ((y0, y1, size[0]), (x0, x1, size[1])):
        last = (length - window) // CELL
        first = min(max(-(-(high + ROOM - window) // CELL), 0), last)
        final = min(max((low - ROOM) // CELL, first), last)
        found.append(CELL * int(rng.integers(first, final + 1)))
    return found[0], found[1]


def _stack_objects(objects: list[_Object], window: int, rng: np.random.Generator) -> Prompted:
    if not objects:
        empty = torch.zeros(0)
        masks = torch.zeros(0, window, window, dtype=torch.bool)
        index, points = empty.long(), torch.zeros(0, 1, 2)
        return Prompted(
            index,
            torch.zeros(0, 2).long(),
            masks,
            masks,
            empty.bool(),
            points,
            torch.zeros(0, 1).long(),
            torch.zeros(0, 4),
        )
    corners = [_corner(each, window, rng) for each in objects]
    shifts = np.array([(x, y) for y, x in corners], dtype=np.float32)
    shown = [(slice(y, y + window), slice(x, x + window)) for y, x in corners]
    prompts = [each.prompt for each in objects]
    return Prompted(
        torch.tensor([each.crop for each in objects]),
        torch.tensor(corners),
        torch.from_numpy(
            np.stack([each.target.mask[at] for each, at in zip(objects, shown, strict=True)])
        ),
        torch.from_numpy(
            np.stack([each.other[at] for each, at in zip(objects, shown, strict=True)])
        ),
        torch.tensor([each.target.layer == 0 for each in objects]),
        torch.from_numpy(np.stack([prompt.points_xy for prompt in prompts]) - shifts[:, None]),
        torch.from_numpy(np.stack([prompt.point_labels for prompt in prompts])),
        torch.from_numpy(np.stack([prompt.box_xy for prompt in prompts]) - np.tile(shifts, 2)),
    )


def load_batches(
    items: Sequence[Item], params: BatchParams, seed: int, workers: int
) -> Iterator[Batch]:
    """Return an endless iterator of batches, made by `workers` processes (0: this one)."""
    batches = Batches(items, params, seed)
    return iter(DataLoader(batches, batch_size=None, num_workers=workers))
