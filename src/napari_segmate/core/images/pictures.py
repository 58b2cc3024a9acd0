"""Pictures of scripts: any array of one plane as 8-bit RGB, at once or when it is read."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.errors import ImageError
from napari_segmate.core.images.axes import guess_axes
from napari_segmate.core.images.contrast import Contrast, ContrastMode
from napari_segmate.core.images.image_source import ImageSource, Plane
from napari_segmate.core.types import RGBImage

__all__ = ["as_plane", "as_rgb"]


def as_plane(array: Any, limits: tuple[float, float] | None = None) -> Plane:
    """Return a picture as a plane that is read piece by piece, as 8-bit RGB.

    Parameters
    ----------
    array : (H, W), (H, W, 3) or (H, W, 4) array_like
        Any type, also lazy ones; NaN and infinite values become black.
    limits : (low, high), optional
        Intensities that become black and white. Default: robust percentiles of a sample; RGB of 8
        bits stays as it is.

    Raises
    ------
    ImageError
        Another shape, empty, or not numbers.

    Examples
    --------
    >>> as_plane(np.zeros((30, 40), np.uint16)).read((0, 0, 5, 8)).shape
    (5, 8, 3)
    """
    image = array if hasattr(array, "shape") else np.asarray(array)
    shape = tuple(map(int, image.shape))
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[-1] not in (3, 4)):
        raise ImageError(
            f"a picture has shape (H, W), (H, W, 3) or (H, W, 4), not {shape}; "
            "choose one plane of a stack"
        )
    source = ImageSource(image, guess_axes(shape, image.dtype, rgb=len(shape) == 3))
    contrast = (
        source.estimate_contrast(ContrastMode.PLANE, ())
        if limits is None
        else Contrast((limits,) * source.n_channels)
    )
    return source.plane((), contrast)


def as_rgb(array: npt.ArrayLike, limits: tuple[float, float] | None = None) -> RGBImage:
    """Return a picture as 8-bit RGB.

    Parameters
    ----------
    array : (H, W), (H, W, 3) or (H, W, 4) array_like
        Any type; NaN and infinite values become black.
    limits : (low, high), optional
        Intensities that become black and white. Default: robust percentiles; RGB of 8 bits stays
        as it is.

    Raises
    ------
    ImageError
        Another shape, empty, or not numbers.

    Examples
    --------
    >>> as_rgb(np.array([[0.0, 0.5], [1.0, np.nan]]), (0, 1))[..., 0]
    array([[  0, 128],
           [255,   0]], dtype=uint8)
    """
    plane = as_plane(array, limits)
    return plane.read((0, 0, *plane.shape))
