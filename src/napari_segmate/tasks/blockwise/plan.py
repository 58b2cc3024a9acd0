"""A huge image cut into blocks that are labelled on their own."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from napari_segmate.core.errors import ParameterError
from napari_segmate.core.images.image_source import Contrast
from napari_segmate.core.labels.seams import blocks
from napari_segmate.core.masks.object_masks import intersection
from napari_segmate.core.types import IntBoxYX, RGBImage, Shape2D
from napari_segmate.inference.prompts.request import PlaneLike

__all__ = ["Block", "BlockPlan", "PlanePart", "Seam", "plan_blocks"]

CHUNK = 512
"""Side of the chunks of the labels: blocks hold whole chunks, so that none has two writers."""
UNIT = 8
"""Halos are multiples of it, so that the cells of the maps of all blocks lie on one grid."""
LEAST_HALO = 64
DIAMETERS = 2.0
"""The halo in typical objects: those that a border of blocks cuts are seen whole on both sides."""


@dataclass(frozen=True)
class Block:
    """A part of one plane.

    Parameters
    ----------
    number : int
        Counts the blocks of the image, from 0.
    index : tuple of int
        Plane.
    outer, own : (y0, x0, y1, x1)
        What is looked at, and the part that the block writes.
    """

    number: int
    index: tuple[int, ...]
    outer: IntBoxYX
    own: IntBoxYX


@dataclass(frozen=True)
class Seam:
    """Two neighbouring blocks, by number, and the part of the plane that both look at."""

    before: int
    after: int
    box_yx: IntBoxYX


@dataclass(frozen=True)
class BlockPlan:
    """The blocks of an image, and how it is shown to the model in all of them.

    Parameters
    ----------
    shape : (height, width)
        Size of a plane.
    index_shape : tuple of int
        Number of planes along each other axis.
    side, halo : int
        Side of the part that a block writes, and how far it reaches into its neighbours.
    limits : tuple of (low, high)
        Contrast limits of the channels.
    diameter : float
        Typical object in pixels, 0 if not known.

    Examples
    --------
    >>> plan = BlockPlan((100, 150), (2,), 80, 16, ((0.0, 255.0),), 20.0)
    >>> len(plan.blocks), plan.blocks[1].outer, plan.blocks[4].index
    (8, (0, 64, 96, 150), (1,))
    """

    shape: Shape2D
    index_shape: tuple[int, ...]
    side: int
    halo: int
    limits: tuple[tuple[float, float], ...]
    diameter: float

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """All blocks, plane after plane."""
        boxes = list(blocks(self.shape, self.side, self.halo))
        places = [(index, *box) for index in np.ndindex(self.index_shape) for box in boxes]
        return tuple(Block(number, *place) for number, place in enumerate(places))

    @property
    def chunk(self) -> int:
        """Side of the chunks of the labels."""
        return min(self.side, CHUNK)

    @property
    def contrast(self) -> Contrast:
        """The same for all blocks."""
        return Contrast(self.limits)

    @property
    def columns(self) -> int:
        """Number of blocks side by side."""
        return -(-self.shape[1] // self.side)

    def seams_of(self, block: Block) -> Iterator[Seam]:
        """Yield the seams of a block with its neighbours on all four sides."""
        height, width = self.shape
        y0, x0, y1, x1 = block.own
        for inside, step in (
            (x1 < width, 1),
            (y1 < height, self.columns),
            (x0 > 0, -1),
            (y0 > 0, -self.columns),
        ):
            if inside:
                other = self.blocks[block.number + step]
                shared = intersection(block.outer, other.outer)
                if shared is not None:
                    first, second = sorted((block.number, other.number))
                    yield Seam(first, second, shared)

    def as_json(self) -> dict[str, Any]:
        """Return what `from_json` makes the plan of again."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> BlockPlan:
        """Return the plan that `as_json` described."""
        height, width = data["shape"]
        return cls(
            (int(height), int(width)),
            tuple(map(int, data["index_shape"])),
            int(data["side"]),
            int(data["halo"]),
            tuple((float(low), float(high)) for low, high in data["limits"]),
            float(data["diameter"]),
        )


def plan_blocks(
    shape: Shape2D,
    index_shape: tuple[int, ...],
    contrast: Contrast,
    diameter: float,
    *,
    side: int,
    halo: int | None = None,
) -> BlockPlan:
    """Return the plan for an image.

    Parameters
    ----------
    shape : (height, width)
        Size of a plane.
    index_shape : tuple of int
        Number of planes along each other axis.
    contrast : Contrast
        The same for all blocks.
    diameter : float
        Typical object in pixels, 0 if not known.
    side : int
        Side of the part that a block writes; made a multiple of the chunks of the labels.
    halo : int, optional
        How far a block reaches into its neighbours; two typical objects by default.

    Raises
    ------
    ParameterError
        A block without pixels, or a halo that is as large as a block.
    """
    if side < 1:
        raise ParameterError(f"blocks have a side of 1 pixel or more, not {side}")
    side = CHUNK * math.ceil(side / CHUNK) if side > CHUNK else UNIT * math.ceil(side / UNIT)
    wanted = max(LEAST_HALO, DIAMETERS * diameter) if halo is None else halo
    rim = UNIT * math.ceil(wanted / UNIT)
    if halo is None:
        rim = min(rim, UNIT * (side // (2 * UNIT)))
    if rim >= side and side < max(shape):
        raise ParameterError(
            f"a halo of {rim} pixels is as large as a block of {side}; choose a smaller halo or "
            "larger blocks"
        )
    return BlockPlan(shape, index_shape, side, rim, contrast.limits, diameter)


class PlanePart:
    """A part of a plane as a plane of its own; equal only to itself.

    Parameters
    ----------
    plane : Plane
        The whole.
    box_yx : (y0, x0, y1, x1)
        The part, inside the plane.
    """

    def __init__(self, plane: PlaneLike, box_yx: IntBoxYX) -> None:
        self._plane, self._box = plane, box_yx

    @property
    def shape(self) -> Shape2D:
        """Height and width of the part."""
        y0, x0, y1, x1 = self._box
        return y1 - y0, x1 - x0

    def read(self, box_yx: IntBoxYX, shape: Shape2D | None = None) -> RGBImage:
        """Return a box of the part; see `napari_segmate.core.images.image_source.Plane.read`."""
        y, x = self._box[:2]
        y0, x0, y1, x1 = box_yx
        return self._plane.read((y0 + y, x0 + x, y1 + y, x1 + x), shape)
