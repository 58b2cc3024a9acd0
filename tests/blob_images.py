"""An image of bright blobs, its labels, and models that nobody loads: what tests of docks share."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from napari_segmate.models.base import ModelInfo

BOXES = ((8, 8, 20, 22), (6, 36, 18, 50), (28, 20, 42, 40))
"""Bright objects of `blob_image`, half-open (y0, x0, y1, x1)."""
SECOND_MODEL = "other"


def blob_image(shape: tuple[int, int] = (48, 60)) -> np.ndarray:
    image = np.full(shape, 20, np.uint8)
    for y0, x0, y1, x1 in BOXES:
        image[y0:y1, x0:x1] = 220
    return image


def centre(number: int) -> tuple[float, float]:
    y0, x0, y1, x1 = BOXES[number]
    return (y0 + y1 - 1) / 2, (x0 + x1 - 1) / 2


def other_model(name: str) -> ModelInfo:
    """Return a model that nobody loads."""
    return ModelInfo(name, name.title(), "another one", "net", "", "")


def blob_labels() -> np.ndarray:
    labels = np.zeros((48, 60), np.uint16)
    for value, (y0, x0, y1, x1) in zip((1, 5, 9), BOXES, strict=True):
        labels[y0:y1, x0:x1] = value
    return labels


def own_model(name: str, base: str = "", architecture: str = "net") -> SimpleNamespace:
    """Return what the list of models says of one that the user trained."""
    values = {"base": base, "title": name.title(), "description": ""}
    values |= {"architecture": architecture, "weights": None}
    return SimpleNamespace(name=name, **values)
