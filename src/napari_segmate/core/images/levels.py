"""An array, or the levels of a pyramid, as planes with rows and columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.errors import ImageError
from napari_segmate.core.images.axes import ImageAxes
from napari_segmate.core.images.contrast import check_dtype
from napari_segmate.core.types import IntBoxYX, Shape2D

__all__ = ["Levels"]


class Levels:
    """One image in one or several sizes, of which boxes are read.

    Parameters
    ----------
    data : array or sequence of arrays
        Anything with ``shape``, ``dtype`` and slicing; a list or tuple is a pyramid, level 0 in
        full size.
    axes : ImageAxes
        Rows, columns and channels of the arrays.

    Raises
    ------
    ImageError
        Empty, of a type that is no image, or without the axes named.

    Examples
    --------
    >>> levels = Levels([np.zeros((8, 6)), np.zeros((4, 3))], ImageAxes(0, 1))
    >>> levels.plane_shape(1)
    (4, 3)
    """

    def __init__(self, data: Any, axes: ImageAxes) -> None:
        self.arrays: tuple[Any, ...] = tuple(data) if isinstance(data, (list, tuple)) else (data,)
        if not self.arrays:
            raise ImageError("an image pyramid needs at least one level")
        self.axes = axes
        self._check_axes()
        self.dtype = check_dtype(self.arrays[0].dtype)

    def _check_axes(self) -> None:
        shape = self.size(0)
        if 0 in shape:
            raise ImageError(f"the image is empty (shape {shape}); choose one that has pixels")
        named = [self.axes.y, self.axes.x]
        named += [] if self.axes.channel is None else [self.axes.channel]
        named += [len(shape) - 1] if self.axes.rgb else []
        if len(set(named)) < len(named) or not all(0 <= axis < len(shape) for axis in named):
            raise ImageError(f"an array of shape {shape} does not have the axes {self.axes}")
        if self.axes.rgb and shape[-1] not in (3, 4):
            raise ImageError(f"the last axis of an RGB image has length 3 or 4, not {shape[-1]}")
        if any(len(array.shape) != len(shape) for array in self.arrays):
            raise ImageError("all levels of an image pyramid must have the same axes")

    def size(self, level: int) -> tuple[int, ...]:
        """Return the shape of a level, all axes."""
        return tuple(int(size) for size in self.arrays[level].shape)

    def plane_shape(self, level: int) -> Shape2D:
        """Return height and width of a plane of a level."""
        shape = self.size(level)
        return shape[self.axes.y], shape[self.axes.x]

    @property
    def n_channels(self) -> int:
        """Number of channels; 1 for grey images."""
        if self.axes.rgb:
            return self.size(0)[-1]
        return 1 if self.axes.channel is None else self.size(0)[self.axes.channel]

    @property
    def index_axes(self) -> tuple[int, ...]:
        """The axes that are neither rows, columns nor channels."""
        ndim = len(self.size(0))
        picture = {self.axes.y, self.axes.x, self.axes.channel}
        picture |= {ndim - 1} if self.axes.rgb else set()
        return tuple(axis for axis in range(ndim) if axis not in picture)

    @property
    def index_shape(self) -> tuple[int, ...]:
        """Number of planes along each of `index_axes`."""
        return tuple(self.size(0)[axis] for axis in self.index_axes)

    def coarse(self, side: int) -> int:
        """Return the coarsest level whose planes are at least `side` pixels high and wide."""
        fine = [n for n in range(len(self.arrays)) if min(self.plane_shape(n)) >= side]
        return max(fine, default=0)

    def best(self, zoom_yx: tuple[float, float]) -> int:
        """Return the coarsest level that has every pixel of a view at `zoom_yx`."""
        full, best = np.array(self.plane_shape(0)), 0
        for level in range(1, len(self.arrays)):
            if (np.array(self.plane_shape(level)) / full >= np.array(zoom_yx) * 0.99).all():
                best = level
        return best

    def read(
        self, level: int, index: tuple[int, ...], box: IntBoxYX, channel: int | None
    ) -> npt.NDArray[Any]:
        """Return a box of one plane, upright; nothing else is read.

        Parameters
        ----------
        level : int
            Which level.
        index : tuple of int
            The plane, one number per axis of `index_axes`, counted in full size.
        box : (y0, x0, y1, x1)
            The part, in pixels of the level.
        channel : int or None
            The channel; None for RGB.

        Returns
        -------
        (h, w) array, or (h, w, 3) for RGB
        """
        shape, full = self.size(level), self.size(0)
        selection: list[int | slice] = [slice(0, 3)] * len(shape)
        for axis, number in zip(self.index_axes, index, strict=True):
            # Levels may be smaller along the other axes, too.
            selection[axis] = min(number * shape[axis] // full[axis], shape[axis] - 1)
        selection[self.axes.y], selection[self.axes.x] = (
            slice(box[0], box[2]),
            slice(box[1], box[3]),
        )
        if self.axes.channel is not None:
            selection[self.axes.channel] = channel or 0
        values = np.asarray(self.arrays[level][tuple(selection)])
        return values if self.axes.y < self.axes.x else values.swapaxes(0, 1)
