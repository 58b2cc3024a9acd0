"""Which pixel of a labels layer lies on which pixel of an image layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.components import Dims
from napari.layers import Image, Labels, Layer

from napari_segmate.core.errors import LabelsError
from napari_segmate.core.images.image_source import ImageAxes
from napari_segmate.core.types import IntBoxYX, LabelArray, Shape2D
from napari_segmate.plugin.planes.geometry import convert, spatial_shape

__all__ = ["Alignment", "AxisMap", "align", "aligned_arrays"]

MOST_CHANNELS = 16
TOLERANCE_PX = 0.25
"""How far rotation or shear may carry a pixel before it counts as another one."""


@dataclass(frozen=True)
class AxisMap:
    """Where positions along an axis of the image lie along an axis of the labels.

    Parameters
    ----------
    image_axis : int, optional
        The axis of the image; None for an axis of length 1 that the image does not have.
    scale, offset : float
        ``labels = scale * image + offset``, in pixels.
    size : int
        Length of the axis of the labels.
    """

    image_axis: int | None
    scale: float
    offset: float
    size: int

    def at(self, positions: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return positions along the labels' axis, -1 outside.

        Examples
        --------
        >>> AxisMap(0, 0.5, 0.25, 3).at([0, 1, 2, 6]).tolist()
        [0, 1, 1, -1]
        """
        # Round half to even would jump for a shift of half a pixel: round half up.
        exact = self.scale * np.asarray(positions, dtype=np.float64) + self.offset
        found = np.floor(exact + 0.5 + 1e-6).astype(np.int64)
        return np.where((found >= 0) & (found < self.size), found, -1)


@dataclass(frozen=True)
class Alignment:
    """How a label array lies on an image.

    Parameters
    ----------
    axes : ImageAxes
        Axes of the image.
    shape : (height, width)
        Size of a plane of the image.
    maps : tuple of AxisMap
        One per axis of the labels.
    """

    axes: ImageAxes
    shape: Shape2D
    maps: tuple[AxisMap, ...]

    @property
    def box_yx(self) -> IntBoxYX:
        """The part of the image's planes that the labels cover, half-open."""
        rows, columns = self._covered(self.axes.y), self._covered(self.axes.x)
        return rows[0], columns[0], rows[1], columns[1]

    def _covered(self, axis: int) -> tuple[int, int]:
        inside = np.flatnonzero(self._lookup(axis) >= 0)
        return (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (0, 0)

    def _lookup(self, axis: int) -> npt.NDArray[np.int64]:
        length = self.shape[0] if axis == self.axes.y else self.shape[1]
        return self._map_of(axis).at(np.arange(length))

    def _map_of(self, axis: int) -> AxisMap:
        return next(one for one in self.maps if one.image_axis == axis)

    def read(self, labels: Any, position: Sequence[int]) -> LabelArray | None:
        """Return the labels on one plane of the image, None where there are none.

        Parameters
        ----------
        labels : array
            Array with one axis per map.
        position : sequence of int
            One number per axis of the image; those of y, x and channel do not count.

        Returns
        -------
        (H, W) int array, 0 where the labels do not reach.
        """
        place = self._place(position)
        if place is None:
            return None
        y, x = (
            self.maps.index(self._map_of(self.axes.y)),
            self.maps.index(self._map_of(self.axes.x)),
        )
        plane = np.asarray(labels[place])
        plane = plane if y < x else plane.T
        rows, columns = self._lookup(self.axes.y), self._lookup(self.axes.x)
        if _is_identity(rows, plane.shape[0]) and _is_identity(columns, plane.shape[1]):
            return np.array(plane)
        found: LabelArray = plane[np.ix_(np.maximum(rows, 0), np.maximum(columns, 0))]
        found[rows < 0] = 0
        found[:, columns < 0] = 0
        return found

    def _place(self, position: Sequence[int]) -> tuple[int | slice, ...] | None:
        place: list[int | slice] = []
        for one in self.maps:
            if one.image_axis in (self.axes.y, self.axes.x):
                place.append(slice(None))
            elif one.image_axis is None or one.image_axis == self.axes.channel:
                place.append(0)
            else:
                at = int(one.at([position[one.image_axis]])[0])
                if at < 0:
                    return None
                place.append(at)
        return tuple(place)


def _is_identity(lookup: npt.NDArray[np.int64], size: int) -> bool:
    return len(lookup) == size and bool((lookup == np.arange(size)).all())


def align(image: Image, labels: Labels, dims: Dims) -> Alignment:
    """Return how a labels layer lies on an image layer, from their transforms.

    The labels may have another pixel size, cover a part of the image, or hold for all channels of
    it; they may not be turned against it.

    Raises
    ------
    LabelsError
        The pixels cannot be matched; names both shapes.
    """
    image_shape, labels_shape = spatial_shape(image), spatial_shape(labels)
    extra = len(labels_shape) - len(image_shape)
    if extra > 0 and any(size > 1 for size in labels_shape[:extra]):
        raise _refusal(image, labels, "the labels have more axes than the image")
    linear, offset = _matrix(image, labels, dims)
    if not _is_straight(linear, image_shape, extra):
        raise _refusal(image, labels, "one is turned or sheared against the other")
    maps = tuple(
        AxisMap(None, 0.0, 0.0, size)
        if axis < extra
        else AxisMap(axis - extra, float(linear[axis, axis - extra]), float(offset[axis]), size)
        for axis, size in enumerate(labels_shape)
    )
    return _checked(image, labels, maps, dims)


def _matrix(
    image: Layer, labels: Layer, dims: Dims
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return how pixels of the image become pixels of the labels: (L, D) matrix and (L,) shift."""
    corners = np.vstack([np.zeros(image.ndim), np.eye(image.ndim)])
    found = convert(image, labels, corners, dims)
    return (found[1:] - found[0]).T, found[0]


def _is_straight(linear: npt.NDArray[np.float64], image_shape: tuple[int, ...], extra: int) -> bool:
    """Tell whether each axis of the labels runs along the axis of the image that it should."""
    for axis in range(max(extra, 0), len(linear)):
        row = np.abs(linear[axis]) * np.asarray(image_shape)
        own = axis - extra
        if linear[axis, own] <= 0 or (np.delete(row, own) > TOLERANCE_PX).any():
            return False
    return True


def _checked(image: Image, labels: Labels, maps: tuple[AxisMap, ...], dims: Dims) -> Alignment:
    shape = spatial_shape(image)
    y, x = _plane_axes(image, dims)
    by_axis = {one.image_axis: one for one in maps}
    if y not in by_axis or x not in by_axis:
        raise _refusal(image, labels, "the labels lack an axis of the picture")
    common = [
        axis for axis in range(len(shape)) if axis not in (y, x) and _same(by_axis, axis, shape)
    ]
    if len(common) > 1:
        raise _refusal(image, labels, "the labels have no planes of their own for a stack")
    channel = common[0] if common else None
    if channel is not None and shape[channel] > MOST_CHANNELS:
        raise _refusal(image, labels, f"the labels are one plane for all {shape[channel]} planes")
    axes = ImageAxes(y=y, x=x, channel=channel, rgb=bool(image.rgb))
    found = Alignment(axes, (shape[y], shape[x]), maps)
    y0, x0, y1, x1 = found.box_yx
    if y1 <= y0 or x1 <= x0 or not _planes_meet(maps, axes, shape):
        raise _refusal(image, labels, "they lie in different places")
    return found


def _plane_axes(image: Image, dims: Dims) -> tuple[int, int]:
    offset = dims.ndim - image.ndim
    y, x = sorted(axis - offset for axis in dims.order[-2:])
    return (y, x) if y >= 0 else (image.ndim - 2, image.ndim - 1)


def _same(by_axis: dict[int | None, AxisMap], axis: int, shape: tuple[int, ...]) -> bool:
    """Tell whether the labels are the same all along an axis of the image."""
    if shape[axis] == 1:
        return False
    if axis not in by_axis:
        return True
    found = by_axis[axis]
    return found.size == 1 and bool((found.at(np.arange(shape[axis])) == 0).all())


def _planes_meet(maps: tuple[AxisMap, ...], axes: ImageAxes, shape: tuple[int, ...]) -> bool:
    return all(
        (one.at(np.arange(shape[one.image_axis])) >= 0).any()
        for one in maps
        if one.image_axis not in (None, axes.channel)
    )


def _refusal(image: Layer, labels: Layer, reason: str) -> LabelsError:
    return LabelsError(
        f"'{labels.name}' {_sizes(labels)} does not lie on '{image.name}' {_sizes(image)}: "
        f"{reason}; choose the labels of this image"
    )


def _sizes(layer: Layer) -> str:
    return " x ".join(map(str, spatial_shape(layer)))


def aligned_arrays(axes: ImageAxes, image_shape: Sequence[int], labels: Any) -> Alignment:
    """Return how a label array lies on an image of which it was made, both without transforms.

    Parameters
    ----------
    axes : ImageAxes
        Axes of the image.
    image_shape : sequence of int
        Shape of the image's array.
    labels : array
        The labels: like the image, but without channels.

    Raises
    ------
    LabelsError
        The shapes differ; names both.

    Examples
    --------
    >>> image_shape, labels = (3, 3, 40, 50), np.zeros((3, 40, 50), int)
    >>> aligned_arrays(ImageAxes(y=2, x=3, channel=1), image_shape, labels).shape
    (40, 50)
    """
    kept = [axis for axis in range(len(image_shape)) if axis != axes.channel]
    if axes.rgb:
        kept = [axis for axis in kept if axis != len(image_shape) - 1]
    wanted = tuple(int(image_shape[axis]) for axis in kept)
    shape = tuple(int(size) for size in labels.shape)
    # Planes that stand alone are written with and without the axes of length 1.
    if tuple(size for size in shape if size > 1) != tuple(size for size in wanted if size > 1):
        raise LabelsError(
            f"the labels ({' x '.join(map(str, shape))} pixels) do not fit the image "
            f"({' x '.join(map(str, wanted))}); give the labels of this image"
        )
    return Alignment(axes, (image_shape[axes.y], image_shape[axes.x]), _maps(shape, wanted, kept))


def _maps(
    shape: tuple[int, ...], wanted: tuple[int, ...], kept: Sequence[int]
) -> tuple[AxisMap, ...]:
    if shape == wanted:
        return tuple(AxisMap(axis, 1.0, 0.0, size) for axis, size in zip(kept, shape, strict=True))
    rest = [axis for axis, size in zip(kept, wanted, strict=True) if size > 1]
    queue = iter(rest)
    return tuple(AxisMap(None if size == 1 else next(queue), 1.0, 0.0, size) for size in shape)
