"""Images that lie in the world in every way napari knows."""

from __future__ import annotations

import numpy as np
from napari.layers import Image

TRANSFORMS = {
    "plain": {},
    "scale": {"scale": (0.5, 0.25)},
    "translate": {"translate": (10.0, -3.0)},
    "rotate": {"rotate": 30.0},
    "shear": {"shear": (0.3,)},
    "affine": {"affine": np.array([[1.1, 0.2, 4.0], [-0.1, 0.9, -7.0], [0, 0, 1]])},
    "all": {
        "scale": (2.0, 0.5),
        "translate": (5.0, 6.0),
        "rotate": -20.0,
        "shear": (0.1,),
        "affine": np.array([[0.9, 0.1, 1.0], [0.3, 1.2, 2.0], [0, 0, 1]]),
    },
}


def image_with(ndim: int = 2, **transform) -> Image:
    if ndim > 2:
        transform = {name: widened(name, value, ndim) for name, value in transform.items()}
    return Image(np.zeros((2, 3, 4, 5)[-ndim:]), **transform)


def widened(name: str, value, ndim: int):
    """Return a 2-D transform for `ndim` axes; leading axes get values of their own."""
    lead = ndim - 2
    if name == "scale":
        return (*(3.0,) * lead, *value)
    if name == "translate":
        return (*(7.0,) * lead, *value)
    wide = np.eye(ndim + 1 if name == "affine" else ndim)
    if name == "rotate":
        angle = np.radians(value)
        wide[-2:, -2:] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    elif name == "shear":
        wide[-2, -1] = value[0]
    else:
        wide[-3:, -3:] = value
    return wide
