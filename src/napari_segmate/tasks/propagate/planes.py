"""The planes of a stack along one axis, read piece by piece, as they are and blurred across."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

import numpy as np
import numpy.typing as npt

from napari_segmate.core.errors import ImageError, ParameterError
from napari_segmate.core.images.image_source import Contrast, ContrastMode, ImageSource
from napari_segmate.core.images.resample import resample
from napari_segmate.core.types import FloatArray, IntBoxYX, RGBImage, Shape2D

__all__ = ["BlurredPlane", "StackPlanes"]

CACHE_BYTES = 1 << 27
"""Grey planes kept: neighbouring objects read the same ones."""
CACHED_PX = 1 << 22
"""Larger planes are read box by box instead."""

Grey = npt.NDArray[np.uint8]


class StackPlanes:
    """The planes of an image along one of its axes.

    Parameters
    ----------
    source : ImageSource
        The image; its rows and columns are those of the planes.
    axis : int
        Which of `ImageSource.index_axes` to follow, counted among these.
    index : tuple of int, optional
        Position along all of `ImageSource.index_axes`; that along `axis` does not matter. The
        first one by default.
    contrast : Contrast, optional
        The same for all planes; estimated from the stack by default.
    anisotropy : float
        Distance of the planes over that of pixels.
    smooth_z : float
        Blur across planes in what `plane` shows, in pixels.

    Raises
    ------
    ImageError
        The image has no such axis or position.
    ParameterError
        An anisotropy that is not above 0.

    Examples
    --------
    >>> from napari_segmate.core.images.image_source import guess_axes
    >>> source = ImageSource(np.zeros((5, 32, 48), np.uint8), guess_axes((5, 32, 48)))
    >>> planes = StackPlanes(source)
    >>> len(planes), planes.shape
    (5, (32, 48))
    """

    def __init__(
        self,
        source: ImageSource,
        axis: int = -1,
        index: tuple[int, ...] | None = None,
        *,
        contrast: Contrast | None = None,
        anisotropy: float = 1.0,
        smooth_z: float = 1.0,
    ) -> None:
        sizes = source.index_shape
        if not sizes or not -len(sizes) <= axis < len(sizes):
            raise ImageError(
                f"no axis {axis} of planes to follow; the image has {len(sizes)} besides rows, "
                "columns and channels"
            )
        if not 0 < anisotropy < float("inf"):
            raise ParameterError(f"the anisotropy must be above 0, got {anisotropy}")
        self._source, self._axis = source, axis % len(sizes)
        self._index = (0,) * len(sizes) if index is None else tuple(index)
        self._contrast = contrast or source.estimate_contrast(ContrastMode.STACK, self._index)
        self.anisotropy = anisotropy
        self._weights = _weights(smooth_z / anisotropy)
        self._views: dict[int, BlurredPlane] = {}
        self._cache: OrderedDict[int, Grey] = OrderedDict()
        self._lock = Lock()
        source.plane(self.index_of(0), self._contrast)

    def __len__(self) -> int:
        return self._source.index_shape[self._axis]

    @property
    def shape(self) -> Shape2D:
        """Height and width of a plane."""
        return self._source.shape

    @property
    def axis(self) -> int:
        """Which of the image's index axes is followed."""
        return self._axis

    def index_of(self, number: int) -> tuple[int, ...]:
        """Return the position of a plane along the index axes of the image."""
        before, after = self._index[: self._axis], self._index[self._axis + 1 :]
        return (*before, number, *after)

    def plane(self, number: int) -> BlurredPlane:
        """Return a plane as the model sees it; the same object each time."""
        if not 0 <= number < len(self):
            raise ImageError(f"no plane {number}; the stack has {len(self)}, counted from 0")
        if number not in self._views:
            self._views[number] = BlurredPlane(self, number)
        return self._views[number]

    def neighbours(self, number: int) -> list[tuple[int, float]]:
        """Return the planes that are blurred into one, and their weights."""
        reach = len(self._weights) // 2
        near = [
            (number + step, float(self._weights[step + reach]))
            for step in range(-reach, reach + 1)
            if 0 <= number + step < len(self)
        ]
        total = sum(weight for _, weight in near)
        return [(at, weight / total) for at, weight in near]

    def rgb(self, number: int, box_yx: IntBoxYX, shape: Shape2D | None = None) -> RGBImage:
        """Return a part of a plane as it is."""
        return self._source.read(self.index_of(number), self._contrast, box_yx, shape)

    def grey(self, number: int, box_yx: IntBoxYX) -> Grey:
        """Return the mean of the colours of a part of a plane, (H, W) uint8."""
        if self.shape[0] * self.shape[1] > CACHED_PX:
            return _mean(self.rgb(number, box_yx))
        y0, x0, y1, x1 = box_yx
        return self._grey_plane(number)[y0:y1, x0:x1]

    def block(self, first: int, end: int, box_yx: IntBoxYX) -> FloatArray:
        """Return a part of the planes ``first .. end - 1`` in grey, (n, H, W), 0 to 1."""
        parts = [self.grey(number, box_yx) for number in range(first, end)]
        return np.asarray(np.stack(parts), dtype=np.float32) / np.float32(255)

    def _grey_plane(self, number: int) -> Grey:
        with self._lock:
            if number in self._cache:
                self._cache.move_to_end(number)
                return self._cache[number]
        found = _mean(self.rgb(number, (0, 0, *self.shape)))
        with self._lock:
            self._cache[number] = found
            while len(self._cache) * found.nbytes > CACHE_BYTES and len(self._cache) > 1:
                self._cache.popitem(last=False)
        return found


class BlurredPlane:
    """One plane with its neighbours blurred into it; equal only to itself."""

    def __init__(self, planes: StackPlanes, number: int) -> None:
        self._planes, self._number = planes, number

    @property
    def shape(self) -> Shape2D:
        """Height and width."""
        return self._planes.shape

    def read(self, box_yx: IntBoxYX, shape: Shape2D | None = None) -> RGBImage:
        """Return a part of the plane, (H, W, 3) uint8."""
        near = self._planes.neighbours(self._number)
        if len(near) == 1:
            return self._planes.rgb(near[0][0], box_yx, shape)
        mixed = sum(weight * self._planes.rgb(at, box_yx, shape) for at, weight in near)
        return np.asarray(np.rint(mixed), dtype=np.uint8)


def _mean(rgb: RGBImage) -> Grey:
    first = rgb[..., 0]
    if (first == rgb[..., 1]).all() and (first == rgb[..., 2]).all():
        return np.ascontiguousarray(first)
    return np.asarray(np.rint(rgb.mean(axis=2)), dtype=np.uint8)


def _weights(sigma: float) -> npt.NDArray[np.float64]:
    """Return a blur of so many planes; planes that count for less than a hundredth are left out."""
    if sigma <= 0:
        return np.ones(1)
    reach = int(np.floor(sigma * np.sqrt(2 * np.log(100))))
    weights = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def resized(section: FloatArray, rows: int) -> RGBImage:
    """Return a cut across planes, (n, W) of 0 to 1, with so many rows, as the model sees it."""
    grey = np.asarray(np.rint(255 * np.clip(section, 0, 1)), dtype=np.uint8)
    if rows != len(grey):
        whole = (0.0, float(grey.shape[0])), (0.0, float(grey.shape[1]))
        grey = resample(grey, (rows, grey.shape[1]), *whole)
    return np.repeat(grey[..., None], 3, axis=2)
