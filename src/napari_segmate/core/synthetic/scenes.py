"""Synthetic microscopy with exact labels: sample data, test data, and scenes to train on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_segmate.core.synthetic.appearance import (
    PACKED_STYLES,
    STYLES,
    degrade,
    inner_distance,
    lay_out,
    speckle,
    to_rgb,
)
from napari_segmate.core.synthetic.packed import PACKED
from napari_segmate.core.synthetic.population import Population
from napari_segmate.core.synthetic.shapes import (
    SHAPES,
    Outline,
    overlap_boxes,
    smooth_noise,
    wobbly_disc,
)
from napari_segmate.core.types import BoolArray, LabelArray, RGBImage, Shape2D

__all__ = [
    "Scene",
    "nuclei",
    "packed_scene",
    "random_scene",
    "stack_3d",
    "timelapse_divisions",
    "touching_cells",
]

Image = npt.NDArray[np.uint16]
Labels = npt.NDArray[np.int32]

PATIENCE = 50
"""Places tried in a row without success before an image counts as full."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A synthetic image and what is in it.

    Parameters
    ----------
    image : (H, W, 3) uint8
        Grey images have three equal channels.
    labels : (H, W) int32
        Objects; 0 is background.
    parts : (H, W) int32
        Parts of objects (organelles), numbered like the object they lie in; 0 is none.
    """

    image: RGBImage
    labels: Labels
    parts: Labels


def nuclei(
    shape: Shape2D = (512, 512), *, count: int = 90, radius: float = 13.0, seed: int = 0
) -> tuple[Image, Labels]:
    """Return an image of fluorescent nuclei and its labels.

    Parameters
    ----------
    shape : (height, width)
        Size in pixels.
    count : int
        Nuclei to place; fewer when there is no room.
    radius : float
        Typical radius in pixels.
    seed : int
        The same seed gives the same image.

    Returns
    -------
    image : (H, W) uint16
    labels : (H, W) int32
        1 .. n; 0 is background.

    Examples
    --------
    >>> image, labels = nuclei((64, 80), count=3, radius=8)
    >>> image.shape, image.dtype.name, int(labels.max())
    ((64, 80), 'uint16', 3)
    """
    rng = np.random.default_rng(seed)
    plan = _Plan(wobbly_disc, radius, count, gap=1, overlap=0.0)
    labels = _place_objects(rng, shape, plan)
    return _fluorescence_camera(rng, _glow(rng, labels, radius)), labels


def touching_cells(
    shape: Shape2D = (512, 512), *, count: int = 120, radius: float = 24.0, seed: int = 0
) -> tuple[Image, Labels]:
    """Return an image of cells in close contact, brighter at their membranes, and its labels.

    Parameters
    ----------
    shape, count, radius, seed
        As in `nuclei`.

    Returns
    -------
    image : (H, W) uint16
    labels : (H, W) int32

    Examples
    --------
    >>> image, labels = touching_cells((96, 96), radius=12)
    >>> bool(((labels[:, 1:] != labels[:, :-1]) & (labels[:, 1:] * labels[:, :-1] > 0)).any())
    True
    """
    rng = np.random.default_rng(seed)
    plan = _Plan(SHAPES["blob"], radius, count, gap=0, overlap=0.2)
    labels = _place_objects(rng, shape, plan)
    rim = np.exp(-((inner_distance(labels) / 2.0) ** 2)) * (labels > 0)
    light = 0.35 * _glow(rng, labels, radius) + 0.5 * rim
    return _fluorescence_camera(rng, light), labels


def stack_3d(
    shape: tuple[int, int, int] = (24, 192, 192), *, count: int = 40, seed: int = 0
) -> tuple[Image, Labels]:
    """Return a stack of nuclei, twice as far apart in z as pixels are in y and x, and its labels.

    Parameters
    ----------
    shape : (depth, height, width)
        Size in voxels.
    count : int
        Nuclei to place; fewer when there is no room.
    seed : int
        The same seed gives the same stack.

    Returns
    -------
    image : (Z, Y, X) uint16
    labels : (Z, Y, X) int32

    Examples
    --------
    >>> image, labels = stack_3d((8, 64, 64), count=4)
    >>> image.shape == labels.shape == (8, 64, 64)
    True
    """
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, dtype=np.int32)
    z, y, x = np.ogrid[tuple(slice(length) for length in shape)]
    placed = 0
    for _ in range(20 * count):
        if placed == count:
            break
        centre, radii = rng.uniform(0, shape), rng.uniform(9, 14) * rng.uniform(0.8, 1.2, 3)
        distance = (2 * (z - centre[0]) / radii[0]) ** 2
        distance = distance + ((y - centre[1]) / radii[1]) ** 2 + ((x - centre[2]) / radii[2]) ** 2
        # A tenth more room than the nucleus takes keeps neighbours apart.
        if (labels[distance < 1.2] > 0).any() or np.count_nonzero(distance < 1) < 200:
            continue
        placed += 1
        labels[distance < 1] = placed
    brightness = np.append(0, rng.uniform(0.5, 1, placed))
    light = ndimage.gaussian_filter(brightness[labels], (1.2, 1, 1))
    return _fluorescence_camera(rng, light), labels


def timelapse_divisions(
    shape: tuple[int, int, int] = (12, 256, 256), *, count: int = 14, seed: int = 0
) -> tuple[Image, Labels]:
    """Return a time-lapse of nuclei that move and divide, and its labels.

    A nucleus keeps its label from frame to frame; the two daughters of a division get new ones.

    Parameters
    ----------
    shape : (frames, height, width)
        Number of frames and size in pixels.
    count : int
        Nuclei in the first frame; fewer when there is no room.
    seed : int
        The same seed gives the same time-lapse.

    Returns
    -------
    image : (T, Y, X) uint16
    labels : (T, Y, X) int32

    Examples
    --------
    >>> image, labels = timelapse_divisions((6, 128, 128), count=4)
    >>> len(np.unique(labels[-1])) > len(np.unique(labels[0]))
    True
    """
    rng = np.random.default_rng(seed)
    frames, *plane = shape
    population = Population(rng, (plane[0], plane[1]), count, frames)
    labels = np.stack([population.next_frame() for _ in range(frames)])
    light = np.stack([population.brightness[frame] for frame in labels])
    return _fluorescence_camera(rng, ndimage.gaussian_filter(light, (0, 1.2, 1.2))), labels


def random_scene(rng: np.random.Generator, shape: Shape2D = (256, 256)) -> Scene:
    """Return a scene whose objects, contrast and flaws are drawn at random, to train on.

    Objects are cocci, rods, cells or neurons with radii of 3 to 100 pixels, sparse or crowded, in
    one of seven kinds of contrast; some have parts inside; one scene of 25 is empty.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all randomness.
    shape : (height, width)
        Size in pixels.

    Returns
    -------
    Scene

    Examples
    --------
    >>> scene = random_scene(np.random.default_rng(1), (64, 96))
    >>> scene.image.shape, scene.labels.shape, bool((scene.parts > 0)[scene.labels == 0].any())
    ((64, 96, 3), (64, 96), False)
    """
    plan = _random_plan(rng)
    labels = _place_objects(rng, shape, plan)
    parts = np.zeros_like(labels)
    if plan.radius > 8 and rng.random() < 0.4:
        parts = _place_parts(rng, labels)
    layout = lay_out(rng, labels, parts, plan.radius)
    picture = STYLES[str(rng.choice(list(STYLES)))](rng, layout)
    return Scene(to_rgb(degrade(rng, picture)), labels, parts)


def packed_scene(rng: np.random.Generator, shape: Shape2D = (256, 256)) -> Scene:
    """Return a scene of a kind that real images with labels show too seldom, to train on.

    Colonies of rods in phase contrast and brightfield, cells that fill the plane between membranes,
    as in electron microscopy, clear cells out of focus; with debris, and sometimes empty.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all randomness.
    shape : (height, width)
        Size in pixels.

    Returns
    -------
    Scene
        Without parts.

    Examples
    --------
    >>> scene = packed_scene(np.random.default_rng(3), (64, 96))
    >>> scene.image.shape, scene.labels.shape
    ((64, 96, 3), (64, 96))
    """
    kind = str(rng.choice(["colony", "mosaic", "apart"], p=[0.45, 0.25, 0.3]))
    if kind == "apart":
        labels = _place_objects(rng, shape, _random_plan(rng))
        radius = 12.0
    else:
        low, high = (3, 9) if kind == "colony" else (8, 40)
        radius = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        labels = PACKED[kind](rng, shape, radius)
    styles = PACKED_STYLES[kind]
    layout = lay_out(rng, labels, np.zeros_like(labels), radius)
    picture = styles[int(rng.integers(len(styles)))](rng, layout)
    if kind != "mosaic" and rng.random() < 0.4:
        picture = speckle(rng, picture, labels)
    return Scene(to_rgb(degrade(rng, picture)), labels, np.zeros_like(labels))


@dataclass(frozen=True)
class _Plan:
    """What to place: outline, typical radius, how many, how close.

    `gap` is the least distance between objects in pixels, `overlap` the largest hidden part.
    """

    outline: Outline
    radius: float
    count: int
    gap: int
    overlap: float
    cover: float = 1.0
    spread: float = 0.15


def _random_plan(rng: np.random.Generator) -> _Plan:
    name = rng.choice(list(SHAPES), p=[0.42, 0.2, 0.2, 0.09, 0.09])
    smallest = 12 if name == "neuron" else 3
    plan = _Plan(
        outline=SHAPES[str(name)],
        radius=float(np.exp(rng.uniform(np.log(smallest), np.log(60)))),
        count=0 if rng.random() < 0.04 else 400,
        gap=int(rng.integers(0, 4)),
        overlap=0.0,
        cover=float(rng.uniform(0.05, 0.75)),
        spread=float(rng.uniform(0.05, 0.3)),
    )
    return replace(plan, gap=0, overlap=0.15) if rng.random() < 0.5 else plan


def _place_objects(rng: np.random.Generator, shape: Shape2D, plan: _Plan) -> Labels:
    """Return labels of objects put at random places until the plan or the room is exhausted."""
    labels = np.zeros(shape, dtype=np.int32)
    placed = covered = failed = 0
    while placed < plan.count and failed < PATIENCE and covered < plan.cover * labels.size:
        mask = plan.outline(rng, plan.radius * np.exp(rng.normal(0, plan.spread)))
        centre = rng.integers(0, shape)
        added = _try_to_place(labels, mask, (int(centre[0]), int(centre[1])), placed + 1, plan)
        covered += added
        placed, failed = (placed + 1, 0) if added else (placed, failed + 1)
    return labels


def _try_to_place(
    labels: Labels, mask: BoolArray, centre_yx: tuple[int, int], number: int, plan: _Plan
) -> int:
    """Draw an object unless another is in its way; return the number of pixels drawn."""
    corner = (centre_yx[0] - mask.shape[0] // 2, centre_yx[1] - mask.shape[1] // 2)
    boxes = overlap_boxes(
        corner, (mask.shape[0], mask.shape[1]), (labels.shape[0], labels.shape[1])
    )
    if boxes is None:
        return 0
    (y0, x0, y1, x1), (top, left, bottom, right) = boxes
    under, part = labels[y0:y1, x0:x1], mask[top:bottom, left:right]
    near = ndimage.binary_dilation(part, iterations=plan.gap) if plan.gap else part
    free = part & (under == 0)
    # Slivers at the border or under a neighbour are no objects that anyone would label.
    if np.count_nonzero(free) < max(12, 0.3 * np.count_nonzero(mask)):
        return 0
    if np.count_nonzero(near & (under > 0)) > plan.overlap * np.count_nonzero(part):
        return 0
    if ndimage.label(free)[1] > 1:
        return 0
    under[free] = number
    return int(np.count_nonzero(free))


def _place_parts(rng: np.random.Generator, labels: Labels) -> Labels:
    """Return labels of one organelle in most objects, well inside."""
    depth = inner_distance(labels)
    deepest = np.append(0, ndimage.maximum(depth, labels, np.arange(1, labels.max() + 1)))
    size = rng.uniform(0.25, 0.7, deepest.size) * (rng.random(deepest.size) < 0.9)
    size[0] = 0
    uneven = 0.1 * smooth_noise(rng, (labels.shape[0], labels.shape[1]), 4)
    core = depth / np.maximum(deepest[labels], 1) + uneven > 1 - size[labels]
    return np.where(core & (labels > 0) & (depth > 1.5), labels, 0).astype(np.int32)


def _glow(
    rng: np.random.Generator, labels: LabelArray, radius: float
) -> npt.NDArray[np.floating[npt.NBitBase]]:
    """Return the light of filled, slightly uneven objects, 0 to about 1."""
    layout = lay_out(rng, labels, np.zeros_like(labels), radius)
    dome = np.clip(0.6 + 0.4 * layout.depth / (0.7 * radius), 0, 1)
    grain = 1 + 0.08 * smooth_noise(rng, layout.shape, 2.5)
    blurred: npt.NDArray[np.floating[npt.NBitBase]] = ndimage.gaussian_filter(
        layout.value * dome * grain, 1.0
    )
    return blurred


def _fluorescence_camera(
    rng: np.random.Generator, light: npt.NDArray[np.floating[npt.NBitBase]]
) -> Image:
    """Return 16-bit counts of `light` (0 to 1) over a dim background, with shot and read noise."""
    plane = light.shape[-2:]
    background = 0.05 + 0.012 * smooth_noise(rng, (plane[0], plane[1]), min(plane) / 5)
    photons = rng.poisson(np.clip(light + background, 0, None) * 400.0)
    counts = 100 + 8.0 * photons + rng.normal(0, 12, light.shape)
    return np.clip(counts, 0, 65535).astype(np.uint16)
