"""Crops of an image that Segment Anything's automatic mode looks at again."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import ceil

from napari_segmate.core.types import IntBoxYX, Shape2D

__all__ = ["Crop", "crop_layers"]


@dataclass(frozen=True)
class Crop:
    """A part of a plane that the model looks at on its own.

    Parameters
    ----------
    box_yx : (y0, x0, y1, x1)
        Where it lies, half-open.
    layer : int
        0 is the whole image; layer n has ``4 ** n`` crops.
    """

    box_yx: IntBoxYX
    layer: int = 0

    @property
    def size(self) -> Shape2D:
        """Height and width."""
        y0, x0, y1, x1 = self.box_yx
        return y1 - y0, x1 - x0


def crop_layers(shape: Shape2D, layers: int, overlap_ratio: float) -> tuple[Crop, ...]:
    """Return the whole image and its crops, as ``segment_anything`` lays them.

    Parameters
    ----------
    shape : (height, width)
        Size of the image.
    layers : int
        How many layers of crops follow the whole image.
    overlap_ratio : float
        Overlap in the first layer, as a share of the shorter side.

    Examples
    --------
    >>> [crop.box_yx for crop in crop_layers((100, 60), 1, 0.5)]
    [(0, 0, 100, 60), (0, 0, 65, 45), (35, 0, 100, 45), (0, 15, 65, 60), (35, 15, 100, 60)]
    """
    crops = [Crop((0, 0, *shape))]
    for layer in range(1, layers + 1):
        per_side = 2**layer
        overlap = int(overlap_ratio * min(shape) * (2 / per_side))
        height, width = (ceil((overlap * (per_side - 1) + side) / per_side) for side in shape)
        for column, row in product(range(per_side), repeat=2):
            y, x = row * (height - overlap), column * (width - overlap)
            box = y, x, min(y + height, shape[0]), min(x + width, shape[1])
            if box[0] < box[2] and box[1] < box[3]:
                crops.append(Crop(box, layer))
    return tuple(crops)
