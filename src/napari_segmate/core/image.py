"""Planes of any image as RGB: only the part that is asked for is ever read.

An image is anything with ``shape``, ``dtype`` and slicing: numpy, dask, zarr. A multiscale image is
a list of such arrays, the full size first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil, isqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.contrast import Contrast, ContrastMode, robust_limits, to_uint8
from napari_segmate.core.errors import ImageError
from napari_segmate.core.types import IntBoxYX, RGBImage, Shape2D

__all__ = [
    "ChannelMap",
    "Contrast",
    "ContrastMode",
    "ImageAxes",
    "ImageSource",
    "Plane",
    "as_rgb",
    "guess_axes",
]

SAMPLE_PIXELS = 1 << 20
"""Pixels that a contrast estimate looks at, at most."""
SAMPLE_PLANES = 8
BLOCK = 256
"""Side of the blocks that are sampled from a large plane: as chunks are cut."""


@dataclass(frozen=True)
class ImageAxes:
    """Which axes of an array are what.

    Parameters
    ----------
    y, x : int
        Axes shown as rows and columns; may be in any order.
    channel : int, optional
        Axis of the channels.
    rgb : bool
        The last axis holds red, green, blue (and perhaps alpha).
    """

    y: int
    x: int
    channel: int | None = None
    rgb: bool = False


@dataclass(frozen=True)
class ChannelMap:
    """Which channel is shown in which colour; None leaves a colour dark."""

    red: int | None = 0
    green: int | None = 0
    blue: int | None = 0

    @property
    def numbers(self) -> tuple[int | None, int | None, int | None]:
        """Channel numbers in the order red, green, blue."""
        return self.red, self.green, self.blue


def guess_axes(shape: Sequence[int], rgb: bool | None = None) -> ImageAxes:
    """Return the usual axes of an array: the last two, or the two before a colour axis.

    Parameters
    ----------
    shape : sequence of int
        Shape of the array.
    rgb : bool, optional
        Whether the last axis holds colours. None: when it has 3 or 4 entries and more than 4 are
        in each of the two axes before it.

    Raises
    ------
    ImageError
        Fewer than two spatial axes.

    Examples
    --------
    >>> guess_axes((10, 512, 512))
    ImageAxes(y=1, x=2, channel=None, rgb=False)
    >>> guess_axes((512, 512, 3))
    ImageAxes(y=0, x=1, channel=None, rgb=True)
    """
    ndim = len(shape)
    if rgb is None:
        rgb = ndim >= 3 and shape[-1] in (3, 4) and min(shape[-3:-1]) > 4
    if ndim < 2 + rgb:
        raise ImageError(f"an image needs at least 2 axes, got shape {tuple(shape)}")
    return ImageAxes(ndim - 2 - rgb, ndim - 1 - rgb, rgb=rgb)


class ImageSource:
    """An image of any dimensions, as planes.

    Parameters
    ----------
    data : array-like or list of array-like
        The image, or the levels of a multiscale image.
    axes : ImageAxes
        Which axes are what.
    channels : ChannelMap, optional
        Colours of the channels. Default: the first three as red, green, blue; one as grey.

    Raises
    ------
    ImageError
        Empty, axes outside the array, a channel that does not exist, or a type without numbers.
    """

    def __init__(self, data: Any, axes: ImageAxes, channels: ChannelMap | None = None) -> None:
        self._levels: list[Any] = list(data) if isinstance(data, list | tuple) else [data]
        if not self._levels:
            raise ImageError("the multiscale image has no levels")
        self.axes = _checked_axes(self._levels[0], axes)
        self.channels = _checked_channels(channels or _usual_channels(self.n_channels), self)

    @property
    def shape(self) -> Shape2D:
        """Height and width of a plane."""
        shape = self._levels[0].shape
        return int(shape[self.axes.y]), int(shape[self.axes.x])

    @property
    def n_channels(self) -> int:
        """Number of channels; 3 for RGB, 1 for grey."""
        if self.axes.rgb:
            return 3
        channel = self.axes.channel
        return 1 if channel is None else int(self._levels[0].shape[channel])

    @property
    def _colour_axis(self) -> int | None:
        return len(self._levels[0].shape) - 1 if self.axes.rgb else self.axes.channel

    @cached_property
    def plane_axes(self) -> tuple[int, ...]:
        """Axes that an index has a number for: all but y, x and channel."""
        taken = {self.axes.y, self.axes.x, self._colour_axis}
        return tuple(axis for axis in range(len(self._levels[0].shape)) if axis not in taken)

    def plane(self, index: Sequence[int], contrast: Contrast) -> Plane:
        """Return one plane.

        Parameters
        ----------
        index : sequence of int
            One number per axis of `plane_axes`, in the order of the data.
        contrast : Contrast
            Limits, one pair per channel.

        Raises
        ------
        ImageError
            The index does not exist, or there are too few limits.
        """
        if len(contrast.limits) != self.n_channels:
            raise ImageError(
                f"{len(contrast.limits)} contrast limits for {self.n_channels} channels"
            )
        return Plane(self, self._checked_index(index), contrast)

    def estimate_contrast(self, mode: ContrastMode, index: Sequence[int]) -> Contrast:
        """Return robust limits of a plane, or of the stack it is part of.

        At most about a million pixels are read, in blocks; 8-bit RGB keeps its full range.
        `ContrastMode.LAYER` is the viewer's own: here it means the plane.
        """
        if self.axes.rgb and np.dtype(self._levels[0].dtype) == np.uint8:
            return Contrast(((0.0, 255.0),) * 3)
        indices = [self._checked_index(index)]
        if mode is ContrastMode.STACK:
            indices = self._spread_indices()
        shown = {number for number in self.channels.numbers if number is not None}
        limits = [
            robust_limits(self._samples(indices, channel)) if channel in shown else (0.0, 1.0)
            for channel in range(self.n_channels)
        ]
        return Contrast(tuple(limits))

    def _spread_indices(self) -> list[tuple[int, ...]]:
        sizes = [int(self._levels[0].shape[axis]) for axis in self.plane_axes]
        total = int(np.prod(sizes, dtype=np.int64))
        flat = np.unique(np.linspace(0, total - 1, min(total, SAMPLE_PLANES)).astype(np.int64))
        return [
            tuple(map(int, np.unravel_index(number, sizes))) if sizes else () for number in flat
        ]

    def _samples(self, indices: list[tuple[int, ...]], channel: int) -> Iterator[npt.NDArray[Any]]:
        # The smallest level still large enough shows the same intensities for fewer bytes.
        for index in indices:
            for box in _sample_boxes(self.shape, SAMPLE_PIXELS // len(indices)):
                yield self.read_channel(index, channel, box)

    def read_channel(
        self, index: tuple[int, ...], channel: int, box_yx: IntBoxYX, level: int = 0
    ) -> npt.NDArray[Any]:
        """Return one channel of a box, (h, w), in the data's own type and the level's pixels."""
        data = self._levels[level]
        key: list[int | slice] = [0] * len(data.shape)
        for axis, number in zip(self.plane_axes, index, strict=True):
            key[axis] = _in_level(number, axis, self._levels, level)
        if self._colour_axis is not None:
            key[self._colour_axis] = channel
        key[self.axes.y] = slice(box_yx[0], box_yx[2])
        key[self.axes.x] = slice(box_yx[1], box_yx[3])
        part = np.asarray(data[tuple(key)])
        return part if self.axes.y < self.axes.x else part.T

    def level_for(self, shrink: float) -> int:
        """Return the coarsest level that still has every pixel of an image shrunk by `shrink`."""
        full = self._levels[0].shape[self.axes.y]
        fitting = [
            number
            for number, level in enumerate(self._levels)
            if full / max(level.shape[self.axes.y], 1) <= shrink * 1.01
        ]
        return max(fitting, default=0)

    def level_shape(self, level: int) -> Shape2D:
        """Return height and width of a plane at a level."""
        shape = self._levels[level].shape
        return int(shape[self.axes.y]), int(shape[self.axes.x])

    def _checked_index(self, index: Sequence[int]) -> tuple[int, ...]:
        sizes = [int(self._levels[0].shape[axis]) for axis in self.plane_axes]
        if len(index) != len(sizes):
            raise ImageError(
                f"the plane index {tuple(index)} must have {len(sizes)} numbers, one for each of "
                f"the axes {self.plane_axes}"
            )
        for number, size in zip(index, sizes, strict=True):
            if not 0 <= number < size:
                raise ImageError(f"plane index {tuple(index)} is outside {tuple(sizes)}")
        return tuple(int(number) for number in index)


class Plane:
    """One plane of an image; made by `ImageSource.plane`, compared by identity."""

    def __init__(self, source: ImageSource, index: tuple[int, ...], contrast: Contrast) -> None:
        self._source = source
        self._index = index
        self._contrast = contrast

    @property
    def shape(self) -> Shape2D:
        """Height and width."""
        return self._source.shape

    @property
    def index(self) -> tuple[int, ...]:
        """Where the plane lies in its stack."""
        return self._index

    def read(self, box_yx: IntBoxYX, shape: Shape2D | None = None) -> RGBImage:
        """Return a part of the plane as RGB.

        Parameters
        ----------
        box_yx : (y0, x0, y1, x1)
            The part, half-open, inside the plane.
        shape : (height, width), optional
            Size of the result; default the size of the box. Shrinking averages.

        Returns
        -------
        (height, width, 3) uint8

        Raises
        ------
        ImageError
            The box is empty or reaches beyond the plane.
        """
        y0, x0, y1, x1 = box_yx
        height, width = self.shape
        if not (0 <= y0 < y1 <= height and 0 <= x0 < x1 <= width):
            raise ImageError(f"the box {box_yx} is not inside the plane {self.shape}")
        wanted = shape or (y1 - y0, x1 - x0)
        shrink = min((y1 - y0) / wanted[0], (x1 - x0) / wanted[1])
        level = self._source.level_for(shrink) if shrink > 1 else 0
        scaled = _box_in_level(box_yx, self.shape, self._source.level_shape(level))
        return _resized(self._rgb(scaled, level), wanted)

    def _rgb(self, box_yx: IntBoxYX, level: int) -> RGBImage:
        shown: dict[int, npt.NDArray[np.uint8]] = {}
        size = box_yx[2] - box_yx[0], box_yx[3] - box_yx[1]
        image = np.zeros((*size, 3), np.uint8)
        for colour, channel in enumerate(self._source.channels.numbers):
            if channel is None:
                continue
            if channel not in shown:
                values = self._source.read_channel(self._index, channel, box_yx, level)
                shown[channel] = to_uint8(values, self._contrast.limits[channel])
            image[..., colour] = shown[channel]
        return image


def as_rgb(array: npt.ArrayLike) -> RGBImage:
    """Return a 2-D image as RGB, with robust contrast.

    Parameters
    ----------
    array : (H, W) or (H, W, 3 or 4) array_like
        Any type of number; NaN becomes black.

    Returns
    -------
    (H, W, 3) uint8

    Raises
    ------
    ImageError
        Another shape, empty, or not numbers.

    Examples
    --------
    >>> as_rgb(np.array([[0, 1], [2, 3]])).shape
    (2, 2, 3)
    """
    data = np.asarray(array)
    if data.ndim not in (2, 3) or (data.ndim == 3 and data.shape[2] not in (3, 4)):
        raise ImageError(
            f"expected (height, width) or (height, width, 3 or 4), got {data.shape}; "
            "choose one plane of a stack"
        )
    source = ImageSource(data, guess_axes(data.shape, rgb=data.ndim == 3))
    plane = source.plane((), source.estimate_contrast(ContrastMode.PLANE, ()))
    return plane.read((0, 0, *source.shape))


def _checked_axes(data: Any, axes: ImageAxes) -> ImageAxes:
    shape = tuple(data.shape)
    if np.dtype(data.dtype).kind not in "buif":
        raise ImageError(f"an image of type {data.dtype} has no intensities; convert it to numbers")
    if 0 in shape:
        raise ImageError(f"the image is empty: its shape is {shape}")
    named = [axes.y, axes.x] + ([] if axes.channel is None else [axes.channel])
    allowed = len(shape) - axes.rgb
    if len(set(named)) != len(named) or not all(0 <= axis < allowed for axis in named):
        raise ImageError(f"{axes} does not fit an array of shape {shape}")
    if axes.rgb and (shape[-1] not in (3, 4) or axes.channel is not None):
        raise ImageError(f"an RGB image has 3 or 4 colours in its last axis, got shape {shape}")
    return axes


def _usual_channels(count: int) -> ChannelMap:
    if count == 1:
        return ChannelMap()
    return ChannelMap(0, 1, 2 if count > 2 else None)


def _checked_channels(channels: ChannelMap, source: ImageSource) -> ChannelMap:
    shown = [number for number in channels.numbers if number is not None]
    if not shown:
        raise ImageError("no channel is shown; map at least one to red, green or blue")
    for number in shown:
        if not 0 <= number < source.n_channels:
            raise ImageError(
                f"no channel {number}; the image has channels 0 to {source.n_channels - 1}"
            )
    return channels


def _sample_boxes(shape: Shape2D, pixels: int) -> list[IntBoxYX]:
    """Return the whole plane, or blocks spread over it that have about `pixels` together."""
    height, width = shape
    if height * width <= 2 * pixels:
        return [(0, 0, height, width)]
    per_axis = max(2, isqrt(max(pixels // BLOCK**2, 4)))
    return [
        (y, x, min(y + BLOCK, height), min(x + BLOCK, width))
        for y in _spread(height, per_axis)
        for x in _spread(width, per_axis)
    ]


def _spread(length: int, count: int) -> list[int]:
    last = max(length - BLOCK, 0)
    return sorted({int(start) for start in np.linspace(0, last, count)})


def _in_level(number: int, axis: int, levels: list[Any], level: int) -> int:
    full, here = levels[0].shape[axis], levels[level].shape[axis]
    return int(number) if full == here else min(int(number * here / full), here - 1)


def _box_in_level(box_yx: IntBoxYX, full: Shape2D, level: Shape2D) -> IntBoxYX:
    if full == level:
        return box_yx
    zoom_y, zoom_x = level[0] / full[0], level[1] / full[1]
    y0, x0 = int(box_yx[0] * zoom_y), int(box_yx[1] * zoom_x)
    y1 = min(max(ceil(box_yx[2] * zoom_y), y0 + 1), level[0])
    x1 = min(max(ceil(box_yx[3] * zoom_x), x0 + 1), level[1])
    return min(y0, level[0] - 1), min(x0, level[1] - 1), y1, x1


def _resized(image: RGBImage, shape: Shape2D) -> RGBImage:
    if image.shape[:2] == tuple(shape):
        return image
    from skimage.transform import resize, resize_local_mean

    shrinks = shape[0] < image.shape[0] or shape[1] < image.shape[1]
    if shrinks:
        scaled = resize_local_mean(image.astype(np.float32), shape, channel_axis=-1)
    else:
        scaled = resize(image.astype(np.float32), shape, order=1, mode="edge", preserve_range=True)
    result: RGBImage = np.clip(scaled + 0.5, 0, 255).astype(np.uint8)
    return result
