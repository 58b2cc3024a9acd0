"""What the axes of an image array mean, and which channel is shown in which colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_segmate.core.errors import ImageError
from napari_segmate.core.images.contrast import check_dtype

__all__ = ["ChannelMap", "ImageAxes", "guess_axes"]


@dataclass(frozen=True)
class ImageAxes:
    """Which axes of an array are rows, columns and channels.

    Parameters
    ----------
    y, x : int
        Axes of the rows and of the columns.
    channel : int, optional
        Axis of the channels.
    rgb : bool
        The last axis holds red, green, blue and perhaps alpha, which is ignored.
    """

    y: int
    x: int
    channel: int | None = None
    rgb: bool = False


@dataclass(frozen=True)
class ChannelMap:
    """Channel shown as red, green and blue; None leaves a colour black.

    Examples
    --------
    >>> ChannelMap.default(2)
    ChannelMap(red=0, green=1, blue=None)
    """

    red: int | None
    green: int | None
    blue: int | None

    @classmethod
    def default(cls, n_channels: int) -> ChannelMap:
        """Return grey for one channel, otherwise the first channels in order."""
        if n_channels == 1:
            return cls(0, 0, 0)
        return cls(0, 1, 2 if n_channels > 2 else None)

    @property
    def colours(self) -> tuple[int | None, int | None, int | None]:
        """The channels of red, green and blue."""
        return self.red, self.green, self.blue

    @property
    def used(self) -> tuple[int, ...]:
        """The channels that are shown, each once."""
        return tuple(sorted({channel for channel in self.colours if channel is not None}))


def guess_axes(
    shape: Sequence[int], dtype: npt.DTypeLike = np.uint8, rgb: bool | None = None
) -> ImageAxes:
    """Return the axes that an array without a description most likely has.

    Parameters
    ----------
    shape : sequence of int
        Shape of the array.
    dtype : dtype
        Type of the array.
    rgb : bool, optional
        Whether the last axis holds colours. Default: when it has length 3 or 4, the two axes
        before it are longer, and the values are of a type that colours have.

    Raises
    ------
    ImageError
        Fewer than two axes, or `rgb` without a last axis of length 3 or 4.

    Examples
    --------
    >>> guess_axes((20, 512, 512))
    ImageAxes(y=1, x=2, channel=None, rgb=False)
    >>> guess_axes((512, 512, 3))
    ImageAxes(y=0, x=1, channel=None, rgb=True)
    """
    ndim = len(shape)
    check_dtype(dtype)
    may_be_rgb = ndim >= 3 and shape[-1] in (3, 4)
    if rgb and not may_be_rgb:
        raise ImageError(
            f"an RGB image has a last axis of length 3 or 4, this one has shape {tuple(shape)}"
        )
    if rgb is None:
        rgb = may_be_rgb and min(shape[-3:-1]) > 4
    if ndim < 2:
        raise ImageError(f"an image has at least two axes (y, x), this has shape {tuple(shape)}")
    return ImageAxes(ndim - 3, ndim - 2, rgb=True) if rgb else ImageAxes(ndim - 2, ndim - 1)
