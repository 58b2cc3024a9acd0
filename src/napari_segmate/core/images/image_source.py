"""Images of any kind as planes of 8-bit RGB that are read box by box, never whole."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.errors import ImageError
from napari_segmate.core.images.axes import ChannelMap, ImageAxes, guess_axes
from napari_segmate.core.images.contrast import (
    Contrast,
    ContrastMode,
    robust_limits,
    to_uint8,
)
from napari_segmate.core.images.levels import Levels
from napari_segmate.core.images.resample import Span, resample, source_rows
from napari_segmate.core.images.sample_boxes import sample_boxes, spread
from napari_segmate.core.types import IntBoxYX, RGBImage, Shape2D

__all__ = [
    "ChannelMap",
    "Contrast",
    "ContrastMode",
    "ImageAxes",
    "ImageSource",
    "Plane",
    "guess_axes",
]

STRIP_PX = 1 << 25
"""Pixels read at a time when a large part is shown small."""
SAMPLE_PX = 1 << 20
"""Intensities that limits are estimated from."""
COARSE_SIDE = 512
"""A pyramid level of at least this side is fine enough to estimate limits."""
STACK_PLANES = 8
"""Planes that the limits of a stack are estimated from."""
GRIDS = 4, 8
"""Blocks along each side of a large plane; the finer grid where the coarse one sees no object."""


class ImageSource:
    """An image of any number of axes, of which single planes are read.

    Parameters
    ----------
    data : array or sequence of arrays
        Anything with ``shape``, ``dtype`` and slicing: numpy, dask, zarr, ... A list or tuple of
        arrays is a pyramid, level 0 in full size.
    axes : ImageAxes
        Rows, columns and channels of the array.
    channels : ChannelMap, optional
        Which channel is shown in which colour.

    Raises
    ------
    ImageError
        Empty, of a type that is no image, or without the axes and channels named.

    Examples
    --------
    >>> stack = np.zeros((5, 64, 48), np.uint16)
    >>> source = ImageSource(stack, guess_axes(stack.shape))
    >>> source.shape, source.index_shape
    ((64, 48), (5,))
    """

    def __init__(self, data: Any, axes: ImageAxes, channels: ChannelMap | None = None) -> None:
        self._levels = Levels(data, axes)
        self.axes = axes
        self.channels = channels or ChannelMap.default(self.n_channels)
        self._check_channels()

    def _check_channels(self) -> None:
        if not self.channels.used:
            raise ImageError("no channel is shown; choose one for red, green or blue")
        count = 3 if self.axes.rgb else self.n_channels
        for channel in self.channels.used:
            if not 0 <= channel < count:
                raise ImageError(f"no channel {channel}; the image has channels 0 to {count - 1}")

    @property
    def shape(self) -> Shape2D:
        """Height and width of a plane."""
        return self._levels.plane_shape(0)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the data."""
        return self._levels.dtype

    @property
    def n_channels(self) -> int:
        """Number of channels in the data; 1 for grey images."""
        return self._levels.n_channels

    @property
    def index_axes(self) -> tuple[int, ...]:
        """The axes that are neither rows, columns nor channels."""
        return self._levels.index_axes

    @property
    def index_shape(self) -> tuple[int, ...]:
        """Number of planes along each of `index_axes`."""
        return self._levels.index_shape

    def plane(self, index: tuple[int, ...], contrast: Contrast) -> Plane:
        """Return one plane; nothing is read yet.

        Parameters
        ----------
        index : tuple of int
            One number per axis that is neither rows, columns nor channels, in their order.
        contrast : Contrast
            One pair of limits per channel of the data.

        Raises
        ------
        ImageError
            There is no such plane, or too few limits.
        """
        self._check_index(index)
        if len(contrast.limits) < max(self.channels.used) + 1:
            raise ImageError(
                f"{len(contrast.limits)} contrast limits for {self.n_channels} channels; "
                "give one pair per channel"
            )
        return Plane(self, tuple(index), contrast)

    def _check_index(self, index: tuple[int, ...]) -> None:
        sizes = self.index_shape
        if len(index) != len(sizes) or any(
            not 0 <= number < size for number, size in zip(index, sizes, strict=True)
        ):
            raise ImageError(
                f"no plane {tuple(index)}; the image has {sizes} planes along its axes "
                f"{self.index_axes}, counted from 0"
            )

    def estimate_contrast(self, mode: ContrastMode, index: tuple[int, ...]) -> Contrast:
        """Return robust limits, estimated from a sample of bounded size.

        Every channel that is shown gets its own limits; colours of an RGB image share them, and
        8-bit RGB stays as it is. Pyramids are sampled at a coarse level.

        Parameters
        ----------
        mode : ContrastMode
            ``PLANE``: of this plane; ``STACK``: of planes spread over the whole image.
        index : tuple of int
            The plane.

        Raises
        ------
        ImageError
            There is no such plane, or `mode` is ``LAYER``: then the caller knows the limits.
        """
        self._check_index(index)
        if mode is ContrastMode.LAYER:
            raise ImageError("contrast limits of a layer cannot be estimated; give them")
        planes = [index] if mode is ContrastMode.PLANE else spread(self.index_shape, STACK_PLANES)
        if self.axes.rgb:
            return Contrast((self._rgb_limits(planes),) * self.n_channels)
        limits = [(0.0, 0.0)] * self.n_channels
        for channel in self.channels.used:
            limits[channel] = robust_limits(self._sample(planes, channel))
        return Contrast(tuple(limits))

    def _rgb_limits(self, planes: Sequence[tuple[int, ...]]) -> tuple[float, float]:
        if self.dtype == np.uint8:
            return 0.0, 255.0
        values = self._sample(planes, None)
        low, high = robust_limits(values)
        in_unit = self.dtype.kind == "f" and low >= 0 and high <= 1
        return (0.0, 1.0) if in_unit else (low, high)

    def _sample(self, planes: Sequence[tuple[int, ...]], channel: int | None) -> npt.NDArray[Any]:
        """Return intensities of a level that is fine enough; from more places when all are even."""
        for side in GRIDS:
            values = self._sample_grid(planes, channel, side)
            if (values != values.flat[0]).any():
                break
        return values

    def _sample_grid(
        self, planes: Sequence[tuple[int, ...]], channel: int | None, side: int
    ) -> npt.NDArray[Any]:
        levels = self._levels
        level = levels.coarse(COARSE_SIDE)
        shape = levels.plane_shape(level)
        budget = SAMPLE_PX // len(planes)
        step = max(1, int(np.ceil(np.sqrt(shape[0] * shape[1] / budget))))
        axes = self.axes.y, self.axes.x
        boxes = sample_boxes(shape, budget, levels.arrays[level], axes, side)
        parts = [levels.read(level, plane, box, channel) for plane in planes for box in boxes]
        if len(boxes) == 1:
            parts = [part[::step, ::step] for part in parts]
        return np.concatenate([part.ravel() for part in parts])

    def read(
        self,
        index: tuple[int, ...],
        contrast: Contrast,
        box_yx: IntBoxYX,
        shape: Shape2D | None = None,
    ) -> RGBImage:
        """Return a box of a plane as 8-bit RGB; see `Plane.read`."""
        y0, x0, y1, x1 = self._checked(box_yx)
        size = (y1 - y0, x1 - x0)
        out = size if shape is None else (int(shape[0]), int(shape[1]))
        if min(out) < 1:
            raise ImageError(f"an image cannot be shown with {out[0]} x {out[1]} pixels")
        level = self._levels.best((out[0] / size[0], out[1] / size[1]))
        scales = np.array(self._levels.plane_shape(level)) / self.shape
        rows = (float(y0 * scales[0]), float(y1 * scales[0]))
        columns = (float(x0 * scales[1]), float(x1 * scales[1]))
        strips = [
            self._strip(level, index, contrast, (rows, columns), part, out)
            for part in _strips(rows, columns, out)
        ]
        return strips[0] if len(strips) == 1 else np.concatenate(strips)

    def _checked(self, box_yx: IntBoxYX) -> IntBoxYX:
        y0, x0, y1, x1 = map(int, box_yx)
        height, width = self.shape
        if not (0 <= y0 < y1 <= height and 0 <= x0 < x1 <= width):
            raise ImageError(
                f"the box {(y0, x0, y1, x1)} does not lie in the image of {height} x {width} pixels"
            )
        return y0, x0, y1, x1

    def _strip(
        self,
        level: int,
        index: tuple[int, ...],
        contrast: Contrast,
        spans: tuple[Span, Span],
        part: slice,
        out: Shape2D,
    ) -> RGBImage:
        """Return some rows of what `read` returns."""
        (rows, columns), (height, width) = spans, self._levels.plane_shape(level)
        taken_y = source_rows(rows, part, out[0], height)
        taken_x = source_rows(columns, slice(0, out[1]), out[1], width)
        box = (taken_y.start, taken_x.start, taken_y.stop, taken_x.stop)
        step = (rows[1] - rows[0]) / out[0]
        shown_y = tuple(rows[0] + edge * step - box[0] for edge in (part.start, part.stop))
        shown_x = tuple(edge - box[1] for edge in columns)
        shape = (part.stop - part.start, out[1])

        def sized(values: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
            whole = ((0.0, float(values.shape[0])), (0.0, float(values.shape[1])))
            if values.shape[:2] == shape and (shown_y, shown_x) == whole:
                return values
            return resample(values, shape, (shown_y[0], shown_y[1]), (shown_x[0], shown_x[1]))

        def grey(channel: int | None) -> npt.NDArray[np.uint8]:
            values = self._levels.read(level, index, box, channel)
            return sized(to_uint8(values, contrast.limits[channel or 0]))

        if self.axes.rgb:
            return self._mapped(grey(None))
        return _stacked({one: grey(one) for one in self.channels.used}, self.channels, shape)

    def _mapped(self, rgb: RGBImage) -> RGBImage:
        if self.channels.colours == (0, 1, 2):
            return np.ascontiguousarray(rgb)
        return _stacked({n: rgb[..., n] for n in range(3)}, self.channels, rgb.shape[:2])


def _stacked(
    grey: dict[int, npt.NDArray[np.uint8]], channels: ChannelMap, shape: tuple[int, ...]
) -> RGBImage:
    image = np.zeros((shape[0], shape[1], 3), dtype=np.uint8)
    for colour, channel in enumerate(channels.colours):
        if channel is not None:
            image[..., colour] = grey[channel]
    return image


def _strips(rows: Span, columns: Span, out: Shape2D) -> list[slice]:
    """Return ranges of output rows, each of which needs a bounded number of source pixels."""
    source_px = (rows[1] - rows[0]) * (columns[1] - columns[0])
    count = min(out[0], max(1, int(np.ceil(source_px / STRIP_PX))))
    edges = np.linspace(0, out[0], count + 1).round().astype(int).tolist()
    return [slice(start, stop) for start, stop in pairwise(edges)]


class Plane:
    """One plane of an image, read box by box; equal only to itself.

    Parameters
    ----------
    source : ImageSource
        The image.
    index : tuple of int
        Which plane of it.
    contrast : Contrast
        Which intensities become black and white, the same for every box.
    """

    def __init__(self, source: ImageSource, index: tuple[int, ...], contrast: Contrast) -> None:
        self.source = source
        self.index = index
        self.contrast = contrast

    @property
    def shape(self) -> Shape2D:
        """Height and width."""
        return self.source.shape

    def read(self, box_yx: IntBoxYX, shape: Shape2D | None = None) -> RGBImage:
        """Return a part of the plane; nothing else is read.

        Parameters
        ----------
        box_yx : (y0, x0, y1, x1)
            The part, half-open, inside the plane.
        shape : (height, width), optional
            Size of the result, the size of the box by default. Smaller: every pixel is the mean
            of what it covers, read from the coarsest pyramid level that is fine enough.

        Returns
        -------
        (H, W, 3) uint8

        Raises
        ------
        ImageError
            The box is empty or reaches beyond the plane.
        """
        return self.source.read(self.index, self.contrast, box_yx, shape)
