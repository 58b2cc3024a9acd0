"""The one conversion between layers, the world and the plane on the screen.

Pixels of a layer, and of a plane, have their centres at integers. The plane on the screen always
has its axes in the order of the data, whichever way the viewer shows them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.components import Dims
from napari.layers import Image, Layer

from napari_segmate.core.errors import ImageError, LabelsError
from napari_segmate.core.images.image_source import ImageAxes
from napari_segmate.core.types import IntBoxYX, Shape2D
from napari_segmate.plugin.planes.geometry import Geometry

__all__ = [
    "DisplayedPlane",
    "convert",
    "displayed_plane",
    "plane_in_labels",
    "show",
    "to_pixels",
    "to_world",
    "visible_box",
]

Coordinates = npt.NDArray[np.float64]


def show(layer: Layer) -> None:
    """Make a layer visible.

    One that is visible is left alone: napari would read and draw all of it again.
    """
    if not layer.visible:
        layer.visible = True


def spatial_shape(layer: Layer) -> tuple[int, ...]:
    """Return the shape of a layer's data without the colours of an RGB image."""
    return tuple(int(size) for size in layer.data.shape[: layer.ndim])


@dataclass(frozen=True)
class DisplayedPlane:
    """Which plane of a layer is on the screen.

    Parameters
    ----------
    axes : ImageAxes
        Axes of the layer's data.
    position : tuple of int
        One number per axis of the layer, 0 for y, x and channel.
    shape : (height, width)
        Size of the plane in pixels.
    """

    axes: ImageAxes
    position: tuple[int, ...]
    shape: Shape2D

    @property
    def index(self) -> tuple[int, ...]:
        """One number per axis that is neither y, x nor channel, in the order of the data."""
        return tuple(self.position[axis] for axis in self.fixed)

    @property
    def fixed(self) -> tuple[int, ...]:
        """The axes that are neither y, x nor channel."""
        skipped = (self.axes.y, self.axes.x, self.axes.channel)
        return tuple(axis for axis in range(len(self.position)) if axis not in skipped)

    def holds(self, pixels: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Tell which (N, D) coordinates of the layer lie on this plane, inside it or not."""
        pixels = np.asarray(pixels, dtype=np.float64)
        fixed = list(self.fixed)
        at = np.asarray(self.position, dtype=np.float64)[fixed]
        return np.asarray((np.abs(pixels[:, fixed] - at) <= 0.5).all(axis=1))

    def to_plane(self, pixels: npt.ArrayLike) -> Coordinates:
        """Return (N, D) coordinates of the layer as (N, 2) coordinates (y, x) of the plane."""
        return np.asarray(pixels, dtype=np.float64)[:, [self.axes.y, self.axes.x]]

    def from_plane(self, points_yx: npt.ArrayLike) -> Coordinates:
        """Return (N, 2) coordinates (y, x) of the plane as (N, D) coordinates of the layer."""
        points = np.asarray(points_yx, dtype=np.float64).reshape(-1, 2)
        pixels = np.tile(np.asarray(self.position, dtype=np.float64), (len(points), 1))
        pixels[:, [self.axes.y, self.axes.x]] = points
        return pixels

    def without_channel(self) -> DisplayedPlane:
        """Return the same plane in layers that hold for all channels.

        See `napari_segmate.plugin.planes.geometry.Geometry.without_channel`.
        """
        channel = self.axes.channel
        if channel is None:
            return replace(self, axes=ImageAxes(y=self.axes.y, x=self.axes.x))
        lost = int(channel == 0)
        axes = ImageAxes(y=self.axes.y - lost, x=self.axes.x - lost)
        position = list(self.position)
        position[channel] = 0
        return DisplayedPlane(axes, tuple(position[lost:]), self.shape)

    def slices(self, box_yx: IntBoxYX) -> tuple[int | slice, ...]:
        """Return the index of a box of the plane in the layer's data."""
        y0, x0, y1, x1 = box_yx
        index: list[int | slice] = list(self.position)
        index[self.axes.y] = slice(y0, y1)
        index[self.axes.x] = slice(x0, x1)
        return tuple(index)

    def indices(self, y: npt.NDArray[Any], x: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], ...]:
        """Return plane pixels as index arrays into the layer's data."""
        arrays: list[npt.NDArray[Any]] = [np.full(len(y), at) for at in self.position]
        arrays[self.axes.y] = np.asarray(y)
        arrays[self.axes.x] = np.asarray(x)
        return tuple(arrays)


def _apply(matrix: npt.NDArray[np.float64], points: npt.ArrayLike) -> Coordinates:
    points = np.asarray(points, dtype=np.float64).reshape(-1, len(matrix) - 1)
    return np.asarray(points @ matrix[:-1, :-1].T + matrix[:-1, -1])


def to_world(layer: Layer, pixels: npt.ArrayLike, dims: Dims) -> Coordinates:
    """Return (N, layer.ndim) pixels as (N, layer.ndim) world coordinates of the viewer."""
    return _apply(Geometry.of(layer).matrix_in(dims.units), pixels)


def to_pixels(layer: Layer, world: npt.ArrayLike, dims: Dims) -> Coordinates:
    """Return (N, D) world coordinates of the viewer as (N, layer.ndim) pixels of the layer.

    A layer with fewer axes uses the trailing ones, as napari does.
    """
    positions = np.atleast_2d(np.asarray(world, dtype=np.float64))[:, -layer.ndim :]
    inverse = np.linalg.inv(Geometry.of(layer).matrix_in(dims.units))
    return _apply(np.asarray(inverse, dtype=np.float64), positions)


def convert(source: Layer, target: Layer, pixels: npt.ArrayLike, dims: Dims) -> Coordinates:
    """Return (N, source.ndim) pixels of one layer as (N, target.ndim) pixels of another.

    Axes that `source` lacks are taken from the position of the viewer's sliders.
    """
    own = to_world(source, pixels, dims)
    world = np.tile(np.asarray(dims.point, dtype=np.float64), (len(own), 1))
    world[:, world.shape[1] - source.ndim :] = own
    return to_pixels(target, world, dims)


def displayed_plane(layer: Image, dims: Dims, channel: int | None = None) -> DisplayedPlane:
    """Return the plane of an image layer that the viewer shows.

    Raises
    ------
    ImageError
        3-D display, an empty image, a plane that the image does not have, or a channel axis that
        is itself on the screen.
    """
    if dims.ndisplay != 2:
        raise ImageError("SegMate works on planes: switch back to the 2-D display (Ctrl+Y)")
    shape = spatial_shape(layer)
    y, x = _displayed_axes(layer, dims)
    if channel in (y, x):
        raise ImageError(
            f"axis {channel} of '{layer.name}' is shown as a picture axis but chosen as the "
            "channel axis; choose another channel axis, or none"
        )
    if 0 in shape:
        raise ImageError(f"the image '{layer.name}' is empty (shape {shape})")
    position = _position(layer, dims, shape, {y, x} if channel is None else {y, x, channel})
    axes = ImageAxes(y=y, x=x, channel=channel, rgb=bool(layer.rgb))
    return DisplayedPlane(axes, position, (shape[y], shape[x]))


def _displayed_axes(layer: Layer, dims: Dims) -> tuple[int, int]:
    """Return the two displayed axes of a layer, in the order of its data."""
    offset = dims.ndim - layer.ndim
    axes = sorted(axis - offset for axis in dims.displayed)
    if axes[0] < 0:
        raise ImageError(
            f"'{layer.name}' is seen from the side; roll the dimensions of the viewer (Ctrl+E) "
            "until it is seen from the front"
        )
    return axes[0], axes[1]


def _position(layer: Layer, dims: Dims, shape: tuple[int, ...], free: set[int]) -> tuple[int, ...]:
    at = to_pixels(layer, [dims.point], dims)[0]
    position = [0] * layer.ndim
    for axis in set(range(layer.ndim)) - free:
        # Round half to even would jump between planes of a half-pixel shift: round half up.
        number = int(np.floor(at[axis] + 0.5))
        if not 0 <= number < shape[axis]:
            raise ImageError(
                f"'{layer.name}' has no plane at this position of the sliders; move them back"
            )
        position[axis] = number
    return tuple(position)


def visible_box(layer: Image, plane: DisplayedPlane) -> IntBoxYX:
    """Return the part of the plane on the screen, half-open; the whole plane if unknown."""
    corners = np.asarray(layer.corner_pixels, dtype=np.float64)
    if layer.multiscale:
        corners = corners * np.asarray(layer.downsample_factors)[layer.data_level]
    axes = [plane.axes.y, plane.axes.x]
    low = np.clip(np.floor(corners[0, axes]), 0, None).astype(int)
    high = np.minimum(np.ceil(corners[1, axes]).astype(int) + 1, plane.shape)
    if (high - low < 1).any():
        return 0, 0, plane.shape[0], plane.shape[1]
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def plane_in_labels(
    labels: Layer, image: Image, plane: DisplayedPlane, dims: Dims
) -> DisplayedPlane:
    """Return where the image's plane lies in a labels layer.

    Raises
    ------
    LabelsError
        The pixels of the two layers do not coincide.
    """
    height, width = plane.shape
    corners = plane.from_plane([[0, 0], [height - 1, 0], [0, width - 1], [height - 1, width - 1]])
    found = convert(image, labels, corners, dims)
    shape = spatial_shape(labels)
    offset = image.ndim - labels.ndim
    y, x = plane.axes.y - offset, plane.axes.x - offset
    if y < 0 or (shape[y], shape[x]) != plane.shape:
        raise _does_not_fit(labels, image)
    if not np.allclose(found[:, [y, x]], plane.to_plane(corners), atol=0.01):
        raise _does_not_fit(labels, image)
    position = np.floor(found[0] + 0.5).astype(int)
    position[[y, x]] = 0
    if ((position < 0) | (position >= shape)).any() or not _as_deep(labels, image, plane):
        raise _does_not_fit(labels, image)
    axes = ImageAxes(y=y, x=x)
    return DisplayedPlane(axes, tuple(int(at) for at in position), plane.shape)


def _as_deep(labels: Layer, image: Image, plane: DisplayedPlane) -> bool:
    """Tell whether the labels have a plane of their own for each plane of the image."""
    missing = image.ndim - labels.ndim
    shape = spatial_shape(image)
    return all(shape[axis] == 1 for axis in plane.fixed if axis < missing)


def _does_not_fit(labels: Layer, image: Image) -> LabelsError:
    return LabelsError(
        f"the pixels of '{labels.name}' {spatial_shape(labels)} do not coincide with those of "
        f"'{image.name}' {spatial_shape(image)}; choose another output, or 'new labels'"
    )
