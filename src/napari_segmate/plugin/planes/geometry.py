"""Where pixels lie: the one conversion between layers, the world and the plane on the screen.

Pixels of a layer, and of a plane, have their centres at integers. The plane on the screen always
has its axes in the order of the data, whichever way the viewer shows them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pint
from napari.components import Dims
from napari.layers import Image, Layer
from napari.utils.transforms import Affine

from napari_segmate.core.errors import ImageError, LabelsError
from napari_segmate.core.images.image_source import ImageAxes
from napari_segmate.core.types import IntBoxYX, Shape2D

__all__ = [
    "DisplayedPlane",
    "Geometry",
    "convert",
    "displayed_plane",
    "micrometres_per_pixel",
    "plane_in_labels",
    "show",
    "to_pixels",
    "to_world",
    "unit_factors",
    "visible_box",
]

Units = Sequence[pint.Unit]
Matrix = npt.NDArray[np.float64]


def unit_factors(source: Units, target: Units | None) -> npt.NDArray[np.float64]:
    """Return how many `target` units one `source` unit is, per axis.

    Trailing axes correspond. Where the units cannot be compared (none, or a length against pixels)
    the factor is 1, which is also how napari draws such layers.

    Examples
    --------
    >>> registry = pint.get_application_registry()
    >>> unit_factors([registry.um], [registry.s, registry.nm]).round(6).tolist()
    [1000.0]
    """
    if target is None or len(target) < len(source):
        return np.ones(len(source))
    trailing = target[len(target) - len(source) :]
    return np.array([_factor(a, b) for a, b in zip(source, trailing, strict=True)])


def micrometres_per_pixel(layer: Layer | None) -> float:
    """Return how many micrometres a pixel of a plane of a layer is wide, 0 when it does not say.

    Examples
    --------
    >>> from napari.layers import Image
    >>> image = Image(np.zeros((4, 5)), scale=(500, 500), units="nm")
    >>> micrometres_per_pixel(image), micrometres_per_pixel(Image(np.zeros((4, 5)), scale=(2, 2)))
    (0.5, 0.0)
    """
    if layer is None:
        return 0.0
    registry: Any = pint.get_application_registry()  # type: ignore[no-untyped-call]
    if not registry.Quantity(1.0, str(layer.units[-1])).check("[length]"):
        return 0.0
    factors = unit_factors(layer.units[-2:], (registry.um, registry.um))
    return float(np.mean(np.abs(layer.scale[-2:]) * factors))


def _factor(source: pint.Unit, target: pint.Unit) -> float:
    registry: Any = pint.get_application_registry()  # type: ignore[no-untyped-call]
    try:
        return float(registry.Quantity(1.0, str(source)).to(str(target)).magnitude)
    except pint.DimensionalityError:
        return 1.0


@dataclass(frozen=True, eq=False)
class Geometry:
    """Everything that says where the pixels of a layer lie: transform, units and axis labels.

    World coordinates are ``affine(rotate @ shear @ scale @ pixel + translate)``, in `units`.

    Examples
    --------
    >>> from napari.layers import Image
    >>> image = Image(np.zeros((4, 5)), scale=(2, 2), translate=(10, 0))
    >>> Geometry.of(image).shifted((1, 0)).translate.tolist()
    [12.0, 0.0]
    """

    scale: Matrix
    translate: Matrix
    rotate: Matrix
    shear: Matrix
    affine: Matrix
    units: tuple[pint.Unit, ...]
    axis_labels: tuple[str, ...]

    @classmethod
    def of(cls, layer: Layer) -> Geometry:
        """Return the geometry of a layer."""
        return cls(
            np.asarray(layer.scale, dtype=np.float64),
            np.asarray(layer.translate, dtype=np.float64),
            np.asarray(layer.rotate, dtype=np.float64),
            np.asarray(layer.shear, dtype=np.float64),
            np.asarray(layer.affine.affine_matrix, dtype=np.float64),
            tuple(layer.units),
            tuple(layer.axis_labels),
        )

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.scale)

    @property
    def linear(self) -> Matrix:
        """(D, D) matrix ``rotate @ shear @ scale``."""
        affine = Affine(scale=self.scale, rotate=self.rotate, shear=self.shear, ndim=self.ndim)
        return np.asarray(affine.linear_matrix, dtype=np.float64)

    @property
    def matrix(self) -> Matrix:
        """(D + 1, D + 1) matrix from pixels to the layer's own world units."""
        inner = np.eye(self.ndim + 1)
        inner[:-1, :-1] = self.linear
        inner[:-1, -1] = self.translate
        return np.asarray(self.affine @ inner, dtype=np.float64)

    def matrix_in(self, units: Units | None) -> Matrix:
        """Return `matrix` with the world in `units` (None: the layer's own)."""
        return _diagonal(unit_factors(self.units, units)) @ self.matrix

    def shifted(self, pixels: npt.ArrayLike) -> Geometry:
        """Return the geometry of an array that begins at `pixels` of this one."""
        return replace(self, translate=self.translate + self.linear @ np.asarray(pixels, float))

    def in_units(self, units: Units | None) -> Geometry:
        """Return the same place in the world, said in `units` (one per trailing axis)."""
        if units is None or len(units) < self.ndim:
            return self
        factors = unit_factors(self.units, units)
        comparable = units[len(units) - self.ndim :]
        return replace(self, affine=_diagonal(factors) @ self.affine, units=tuple(comparable))

    def without_channel(self, axis: int | None, count: int) -> Geometry:
        """Return the geometry of something that holds for all `count` channels along `axis`.

        A leading channel axis is dropped: napari shows a layer with fewer axes everywhere. Any
        other one is stretched, so that a single slice covers all channels.
        """
        if axis is None:
            return self
        return self._dropped() if axis == 0 else self._stretched(axis, count)

    def _dropped(self) -> Geometry:
        keep = np.arange(1, self.ndim)
        # Scale is kept apart so that the new layer shows the same pixel size as the image.
        skewed = self.linear[1:, 1:] / self.scale[1:]
        affine = self.affine[1:, 1:].copy()
        inner = np.eye(self.ndim)
        inner[:-1, :-1] = skewed
        if not np.allclose(skewed, np.eye(self.ndim - 1)):
            shift = np.eye(self.ndim)
            shift[:-1, -1] = self.translate[1:]
            affine = affine @ shift @ inner
            translate = np.zeros(self.ndim - 1)
        else:
            translate = self.translate[1:]
        return Geometry(
            self.scale[keep],
            translate,
            np.eye(self.ndim - 1),
            np.eye(self.ndim - 1),
            affine,
            self.units[1:],
            self.axis_labels[1:],
        )

    def _stretched(self, axis: int, count: int) -> Geometry:
        offset = np.zeros(self.ndim)
        offset[axis] = (count - 1) / 2
        scale = self.scale.copy()
        scale[axis] *= count
        return replace(self.shifted(offset), scale=scale)

    def kwargs(self) -> dict[str, Any]:
        """Return the keyword arguments that give a new layer this geometry."""
        return {
            "scale": self.scale,
            "translate": self.translate,
            "rotate": self.rotate,
            "shear": self.shear,
            "affine": self.affine,
            "units": self.units,
            "axis_labels": self.axis_labels,
        }

    def apply(self, layer: Layer) -> None:
        """Give an existing layer this geometry; sets only what differs."""
        now = Geometry.of(layer)
        for name in ("scale", "translate", "rotate", "shear", "affine"):
            if not np.array_equal(getattr(now, name), getattr(self, name)):
                setattr(layer, name, getattr(self, name))
        for name in ("units", "axis_labels"):
            if getattr(now, name) != getattr(self, name):
                setattr(layer, name, getattr(self, name))


def _diagonal(factors: npt.NDArray[np.float64]) -> Matrix:
    return np.diag(np.append(factors, 1.0))


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
