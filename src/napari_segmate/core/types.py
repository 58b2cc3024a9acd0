"""Value objects that travel between the parts: frozen, numpy only, coordinates in (y, x).

Pixel centres lie at integer coordinates, as in napari and in SAM. Integer boxes are half-open:
``(y0, x0, y1, x1)`` covers rows ``y0 .. y1 - 1``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = [
    "BoolArray",
    "BoxYX",
    "DenseMaps",
    "Embedding",
    "FloatArray",
    "Frame",
    "Instance",
    "IntBoxYX",
    "LabelArray",
    "MapArray",
    "MaskResult",
    "RGBImage",
    "Shape2D",
    "SignedMapArray",
]

RGBImage: TypeAlias = npt.NDArray[np.uint8]
"""(H, W, 3) uint8."""
BoolArray: TypeAlias = npt.NDArray[np.bool_]
FloatArray: TypeAlias = npt.NDArray[np.float32]
MapArray: TypeAlias = npt.NDArray[np.float32] | npt.NDArray[np.uint8]
SignedMapArray: TypeAlias = npt.NDArray[np.float32] | npt.NDArray[np.int8]
"""Values of 0 to 1: as they are (float32), or times 255 (uint8)."""
LabelArray: TypeAlias = npt.NDArray[np.integer[Any]]
"""Label image: 0 is background, each other value one object."""
BoxYX: TypeAlias = tuple[float, float, float, float]
"""(y0, x0, y1, x1) in pixels, pixel centres at integers."""
IntBoxYX: TypeAlias = tuple[int, int, int, int]
"""(y0, x0, y1, x1), half-open."""
Shape2D: TypeAlias = tuple[int, int]


@dataclass(frozen=True)
class Frame:
    """The part of a plane that a model looks at, and the size it is shown at.

    Parameters
    ----------
    box_yx : (y0, x0, y1, x1)
        Part of the plane, half-open, in plane pixels.
    shape : (height, width)
        Size of the image given to the model, in pixels. Differs from the size of the box when the
        frame is shown smaller or larger.

    Examples
    --------
    >>> frame = Frame((10, 20, 110, 220), (50, 100))
    >>> frame.to_frame(np.array([[10.5, 20.5]]))
    array([[0., 0.]])
    >>> frame.to_plane(np.array([[0.0, 0.0]]))
    array([[10.5, 20.5]])
    """

    box_yx: IntBoxYX
    shape: Shape2D

    @property
    def size(self) -> Shape2D:
        """Height and width of the box, in plane pixels."""
        y0, x0, y1, x1 = self.box_yx
        return y1 - y0, x1 - x0

    @property
    def zoom_yx(self) -> tuple[float, float]:
        """Frame pixels per plane pixel, along y and x."""
        height, width = self.size
        return self.shape[0] / height, self.shape[1] / width

    def to_frame(self, points_yx: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return (..., 2) plane coordinates as frame coordinates."""
        points = np.asarray(points_yx, dtype=np.float64)
        return (points - self.box_yx[:2] + 0.5) * self.zoom_yx - 0.5

    def to_plane(self, points_yx: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return (..., 2) frame coordinates as plane coordinates."""
        points = np.asarray(points_yx, dtype=np.float64)
        return (points + 0.5) / self.zoom_yx - 0.5 + self.box_yx[:2]

    def contains(self, box_yx: BoxYX) -> bool:
        """Tell whether a box in plane coordinates lies inside the frame."""
        y0, x0, y1, x1 = self.box_yx
        return (
            y0 - 0.5 <= box_yx[0]
            and x0 - 0.5 <= box_yx[1]
            and box_yx[2] <= y1 - 0.5
            and box_yx[3] <= x1 - 0.5
        )


@dataclass(frozen=True, eq=False)
class Embedding:
    """What an encoder made of one image: arrays by name, ready to be stored or decoded.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        Named arrays (float16 or float32); the names belong to the model family.
    image_shape : (height, width)
        Size of the image that was encoded.
    model_key : str
        Name and weights hash of the model, see `napari_segmate.models.base.Segmenter.key`.
    """

    arrays: Mapping[str, npt.NDArray[Any]]
    image_shape: Shape2D
    model_key: str

    @property
    def nbytes(self) -> int:
        """Bytes that the arrays hold."""
        return sum(array.nbytes for array in self.arrays.values())


@dataclass(frozen=True, eq=False)
class DenseMaps:
    """Maps that tell the objects of an image apart, as an instance head predicts them.

    The three maps have one size, which may be smaller than the image: they always cover it whole.
    They hold 0 to 1 as float32, or 0 to 255 as uint8, which takes a quarter of the memory.

    Parameters
    ----------
    foreground : (h, w) float32 or uint8
        Probability that a pixel belongs to an object.
    depth : (h, w) float32 or uint8
        Distance to the border of the object: 0 at the border, 1 where it is deepest.
    centre : (h, w) float32 or uint8
        Nearness to the centre of the object, 1 in the centre.
    image_shape : (height, width)
        Size of the image that the maps cover.
    flow_yx : (2, h, w) float32 or int8, optional
        Direction in which the centre of the object is reached on a path inside of it, -1 to 1, or
        -127 to 127 as int8. With a flow, paths tell the objects apart.
    cell_yx : (float, float), optional
        Height and width of a cell in pixels of the image: the last cells may reach beyond it. By
        default all cells together are as large as the image.
    """

    foreground: MapArray
    depth: MapArray
    centre: MapArray
    image_shape: Shape2D
    flow_yx: SignedMapArray | None = None
    cell_yx: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        shapes = {self.foreground.shape, self.depth.shape, self.centre.shape}
        if self.flow_yx is not None:
            shapes.add(self.flow_yx.shape[1:])
        if len(shapes) > 1 or self.foreground.ndim != 2:
            raise ValueError(f"the maps must have one shape (h, w), not {sorted(shapes)}")

    @property
    def shape(self) -> Shape2D:
        """Height and width of the maps themselves."""
        height, width = self.foreground.shape
        return height, width

    @property
    def nbytes(self) -> int:
        """Bytes that the maps hold."""
        flow = 0 if self.flow_yx is None else self.flow_yx.nbytes
        return self.foreground.nbytes + self.depth.nbytes + self.centre.nbytes + flow


@dataclass(frozen=True, eq=False)
class MaskResult:
    """Masks of N prompted objects, M candidates each, at the model's own resolution.

    Parameters
    ----------
    logits : (N, M, h, w) float32
        Low-resolution logits, above 0 inside; usable as the next mask prompt.
    scores : (N, M) float32
        Predicted IoU of each candidate, 0 to 1.
    image_shape : (height, width)
        Size of the encoded image that the masks belong to.
    """

    logits: FloatArray
    scores: FloatArray
    image_shape: Shape2D

    def __post_init__(self) -> None:
        if self.logits.ndim != 4 or self.scores.shape != self.logits.shape[:2]:
            raise ValueError(
                f"logits {self.logits.shape} must be (N, M, h, w) and scores "
                f"{self.scores.shape} (N, M)"
            )

    def __len__(self) -> int:
        return int(self.logits.shape[0])


@dataclass(frozen=True, eq=False)
class Instance:
    """One object: its mask inside its bounding box, in plane pixels.

    Parameters
    ----------
    box_yx : (y0, x0, y1, x1)
        Bounding box, half-open.
    mask : (y1 - y0, x1 - x0) bool
        The object inside the box.
    score : float
        Predicted IoU, 0 to 1.
    stability : float
        Stability score, 0 to 1: IoU of the mask at logits +1 and -1 (as SAM defines it).
    """

    box_yx: IntBoxYX
    mask: BoolArray
    score: float = 1.0
    stability: float = 1.0

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.mask))
