"""What scripts give as an image: an array or a file."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.errors import ImageError
from napari_segmate.core.images.image_source import ContrastMode, ImageSource, Plane, guess_axes
from napari_segmate.core.images.pictures import as_plane as plane_of
from napari_segmate.core.types import RGBImage
from napari_segmate.io.images import read_image

__all__ = ["PathLike", "as_picture", "as_plane", "as_source"]

PathLike = str | os.PathLike[str]


def as_source(image: npt.ArrayLike | PathLike) -> ImageSource:
    """Return an array or a file as planes that are read when they are needed.

    Raises
    ------
    ImageError
        No image.
    """
    if isinstance(image, (str, os.PathLike)):
        return ImageSource(*read_image(image))
    array: Any = image if hasattr(image, "shape") else np.asarray(image)
    return ImageSource(array, guess_axes(array.shape, array.dtype))


def as_plane(image: npt.ArrayLike | PathLike) -> Plane:
    """Return an array or a file of one plane as 8-bit RGB that is read piece by piece.

    Contrast is robust, and the same for all pieces.

    Raises
    ------
    ImageError
        No image, or a stack.
    """
    if not isinstance(image, (str, os.PathLike)):
        return plane_of(image)
    source = as_source(image)
    if np.prod(source.index_shape) != 1:
        raise ImageError(
            f"{image} is a stack of {source.index_shape} planes; read it with "
            "napari_segmate.read_image and give one plane"
        )
    index = (0,) * len(source.index_shape)
    return source.plane(index, source.estimate_contrast(ContrastMode.PLANE, index))


def as_picture(image: npt.ArrayLike | PathLike) -> RGBImage:
    """Return an array or a file of one plane as (H, W, 3) uint8, with robust contrast.

    Raises
    ------
    ImageError
        No image, or a stack.

    Examples
    --------
    >>> as_picture(np.arange(12, dtype=np.uint16).reshape(3, 4)).shape
    (3, 4, 3)
    """
    plane = as_plane(image)
    return plane.read((0, 0, *plane.shape))
