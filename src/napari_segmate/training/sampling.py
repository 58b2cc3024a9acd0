"""Prompts as people give them, and the clicks with which they correct an answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from napari_segmate.core.types import BoolArray, LabelArray

__all__ = [
    "FirstPrompt",
    "PromptParams",
    "Target",
    "also_meant",
    "correct",
    "first_prompt",
    "renumber_layers",
    "rough_mask",
    "targets_of",
]

NO_BOX = (np.nan,) * 4
POINTS = 4
"""Points of a first prompt; unused ones are padding."""


@dataclass(frozen=True)
class PromptParams:
    """How often each kind of first prompt is drawn.

    Parameters
    ----------
    click, box, both, scribble : float
        Chances, relative to each other.
    central : float
        Chance that a click lies in the middle of the object instead of anywhere inside.
    loose : float
        Chance that a box is too large.
    objects : int
        Most objects per image.
    min_area : int
        Smaller objects get no prompts, in pixels.
    """

    click: float = 0.46
    box: float = 0.36
    both: float = 0.12
    scribble: float = 0.06
    central: float = 0.6
    loose: float = 0.2
    objects: int = 10
    min_area: int = 20


@dataclass(frozen=True, eq=False)
class Target:
    """One object to prompt for.

    Parameters
    ----------
    mask : (H, W) bool
    box_yx : tuple of int
        y0, x0, y1, x1, half-open.
    layer : int
        The label image it comes from: 0 holds objects, the others their parts.
    """

    mask: BoolArray
    box_yx: tuple[int, int, int, int]
    layer: int = 0

    @property
    def cropped(self) -> BoolArray:
        """The mask inside its box."""
        y0, x0, y1, x1 = self.box_yx
        return self.mask[y0:y1, x0:x1]


@dataclass(frozen=True, eq=False)
class FirstPrompt:
    """A prompt in the network's terms.

    Parameters
    ----------
    points_xy : (4, 2) float32
    point_labels : (4,) int64
        1 includes, -1 is padding.
    box_xy : (4,) float32
        x0, y0, x1, y1; NaN is no box.
    """

    points_xy: npt.NDArray[np.float32]
    point_labels: npt.NDArray[np.int64]
    box_xy: npt.NDArray[np.float32]


def targets_of(
    layers: npt.NDArray[np.int32], rng: np.random.Generator, params: PromptParams
) -> list[Target]:
    """Return some objects of (L, H, W) label images, drawn at random over all layers."""
    found = [
        (layer, number, box)
        for layer, labels in enumerate(layers)
        for number, box in enumerate(ndimage.find_objects(labels), start=1)
        if box is not None
    ]
    targets: list[Target] = []
    for pick in rng.permutation(len(found)):
        layer, number, (rows, columns) = found[pick]
        mask = layers[layer] == number
        if np.count_nonzero(mask[rows, columns]) < params.min_area:
            continue
        edges = (rows.start, columns.start, rows.stop, columns.stop)
        targets.append(Target(mask, edges, layer))
        if len(targets) == params.objects:
            break
    return targets


def first_prompt(target: Target, rng: np.random.Generator, params: PromptParams) -> FirstPrompt:
    """Return a click, a box, both, or a scribble that means `target`."""
    chances = np.array([params.click, params.box, params.both, params.scribble])
    kind = rng.choice(["click", "box", "both", "scribble"], p=chances / chances.sum())
    points = np.zeros((POINTS, 2), dtype=np.float32)
    labels = np.full(POINTS, -1, dtype=np.int64)
    box = np.array(NO_BOX, dtype=np.float32)
    if kind != "box":
        clicks = _scribble(target, rng) if kind == "scribble" else _click(target, rng, params)
        points[: len(clicks)], labels[: len(clicks)] = clicks, 1
    if kind in ("box", "both"):
        box = _rough_box(target, rng, params)
    return FirstPrompt(points, labels, box)


def also_meant(
    layers: npt.NDArray[np.int32], target: Target, prompt: FirstPrompt, min_area: int = 20
) -> BoolArray:
    """Return what a single click on a target may mean as well: its whole, or a part of it.

    Parameters
    ----------
    layers : (L, H, W) int32
        Label images: objects, then their parts.
    target : Target
        What the prompt was drawn for.
    prompt : FirstPrompt
        A box and several points are clear: they mean the target alone.
    min_area : int
        Smaller objects count for nothing, in pixels.

    Returns
    -------
    (H, W) bool
        Empty where the click means the target and nothing else.

    Examples
    --------
    >>> layers = np.zeros((2, 4, 6), np.int32)
    >>> layers[0, :, :5], layers[1, 1:3, 1:3] = 1, 1
    >>> target = Target(layers[1] > 0, (1, 1, 3, 3), 1)
    >>> click = FirstPrompt(np.array([[2, 1]], "f4"), np.array([1]), np.array(NO_BOX, "f4"))
    >>> int(also_meant(layers, target, click).sum())
    20
    """
    nothing = np.zeros_like(target.mask)
    used = prompt.point_labels == 1
    if used.sum() != 1 or not np.isnan(prompt.box_xy[0]):
        return nothing
    x, y = prompt.points_xy[used][0].astype(int)
    for number, labels in enumerate(layers):
        mask: BoolArray = labels == labels[y, x]
        if number != target.layer and labels[y, x] > 0 and np.count_nonzero(mask) >= min_area:
            return mask
    return nothing


def _click(
    target: Target, rng: np.random.Generator, params: PromptParams
) -> npt.NDArray[np.float32]:
    """Return (1, 2) x, y of a click inside."""
    area = target.cropped
    if rng.random() < params.central:
        depth = ndimage.distance_transform_edt(np.pad(area, 1))[1:-1, 1:-1]
        area = depth >= depth.max() * 0.5
    clicks: npt.NDArray[np.float32] = _pick(area, 1, rng) + _corner(target)
    return clicks


def _scribble(target: Target, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return (2 to 4, 2) x, y of points along a stroke inside, as a sampled scribble gives."""
    ends = _pick(target.cropped, 2, rng)
    line = ends[0] + np.linspace(0, 1, POINTS)[:, None] * (ends[1] - ends[0])
    column, row = line.round().astype(int).T
    inside = target.cropped[row, column]
    return np.asarray(line[inside] + _corner(target), dtype=np.float32)


def _corner(target: Target) -> npt.NDArray[np.float32]:
    return np.array(target.box_yx[1::-1], dtype=np.float32)


def _pick(area: BoolArray, count: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return (count, 2) x, y of random pixels of an area."""
    flat = rng.choice(np.flatnonzero(area), count)
    row, column = np.divmod(flat, area.shape[1])
    return np.stack([column, row], axis=1).astype(np.float32)


def _rough_box(
    target: Target, rng: np.random.Generator, params: PromptParams
) -> npt.NDArray[np.float32]:
    """Return x0, y0, x1, y1 of a box as a hand draws it: a little off, sometimes loose."""
    y0, x0, y1, x1 = target.box_yx
    sides = np.array([x1 - x0, y1 - y0] * 2)
    error = rng.normal(0, 0.06, 4) * sides + rng.normal(0, 1, 4)
    if rng.random() < params.loose:
        error += abs(rng.normal(0, 0.15)) * sides * (-1, -1, 1, 1)
    box = np.array([x0, y0, x1 - 1, y1 - 1]) + np.clip(error, -15, 15)
    return np.asarray(box, dtype=np.float32)


def correct(
    found: Tensor, truth: Tensor, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Return one click per object where the answer is wrong.

    The click lands on a missed or on a wrongly included pixel, the more often the more there are
    of that kind, away from the border of the error where it has an interior.

    Parameters
    ----------
    found, truth : (N, H, W) bool
        Answers and true masks.
    generator : torch.Generator, optional
        Source of randomness, on the device of the masks.

    Returns
    -------
    points : (N, 2) float32
        x, y in pixels.
    labels : (N,) int64
        1 where a missed pixel was chosen, 0 on a wrong one, -1 where nothing is wrong.

    Examples
    --------
    >>> truth = torch.zeros(1, 8, 8, dtype=torch.bool)
    >>> truth[0, 2, 5] = True
    >>> points, labels = correct(torch.zeros_like(truth), truth)
    >>> points.tolist(), labels.tolist()
    ([[5.0, 2.0]], [1])
    """
    missed, wrong = truth & ~found, found & ~truth
    counts = torch.stack([wrong.sum((1, 2)), missed.sum((1, 2))], dim=1).float()
    total = counts.sum(1)
    chance = torch.rand(len(truth), generator=generator, device=truth.device)
    add = chance * total < counts[:, 1]
    error = torch.where(add[:, None, None], missed, wrong).float()
    interior = -functional.max_pool2d(-error[:, None], 3, 1, 1)[:, 0]
    noise = torch.rand(error.shape, generator=generator, device=truth.device)
    best = (error * (noise + 1) + interior).flatten(1).argmax(1)
    width = truth.shape[2]
    points = torch.stack([best % width, best // width], dim=1).float()
    labels = torch.where(total > 0, add.long(), torch.full_like(best, -1))
    return points, labels


def rough_mask(truth: Tensor) -> Tensor:
    """Return (N, 1, H/2, W/2) logits of (N, H, W) masks with soft, rounded borders.

    A mask from elsewhere, given to be refined.
    """
    half = functional.avg_pool2d(truth[:, None].float(), 2)
    return (functional.avg_pool2d(half, 9, 1, 4) - 0.4) * 20


def renumber_layers(layers: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Return each label image of (L, H, W) numbered 1 .. n in place of its own numbers."""
    return np.stack([_renumber(labels) for labels in layers])


def _renumber(labels: LabelArray) -> npt.NDArray[np.int32]:
    ids, inverse = np.unique(labels, return_inverse=True)
    number = np.cumsum(ids > 0) * (ids > 0)
    return np.asarray(number[inverse].reshape(labels.shape), dtype=np.int32)
