"""A picture of what a model found before and after its training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_segmate.core.files.atomic import replacing
from napari_segmate.core.types import LabelArray, RGBImage

__all__ = ["comparison", "write_picture"]

GAP = 8
COLOURS = np.array([[40, 220, 90], [255, 190, 0], [255, 60, 160]], np.uint8)
"""Truth, before, after."""
LARGEST = 512
WIDE = 1.5
"""Ratio of the sides from which on images stand below each other."""


def comparison(image: RGBImage, labels: Sequence[LabelArray]) -> RGBImage:
    """Return the image beside itself with the outlines of each label image drawn in.

    Wide images stand one below the other.

    Parameters
    ----------
    image : (H, W, 3) uint8
        The plane; only its upper left 512 x 512 pixels are shown.
    labels : sequence of (H, W) int
        Truth, before, after.
    """
    cut = np.s_[:LARGEST, :LARGEST]
    panels: list[npt.NDArray[np.uint8]] = [image[cut]]
    for number, one in enumerate(labels):
        panel = image[cut].copy()
        panel[_outlines(one[cut])] = COLOURS[number % len(COLOURS)]
        panels.append(panel)
    height, width = panels[0].shape[:2]
    below = width > WIDE * height
    gap = np.full((GAP, width, 3) if below else (height, GAP, 3), 255, np.uint8)
    parts = [part for panel in panels for part in (panel, gap)][:-1]
    return np.concatenate(parts, axis=0 if below else 1)


def _outlines(labels: LabelArray) -> npt.NDArray[np.bool_]:
    """Return the pixels of objects beside another object or the background."""
    edge = np.zeros(labels.shape, bool)
    down, across = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    return np.asarray(edge & (labels > 0))


def write_picture(path: Path, picture: RGBImage) -> str:
    """Write a PNG file and return its name, empty if that fails: a picture is not worth an end."""
    import imageio.v3 as imageio

    try:
        with replacing(path) as part:
            imageio.imwrite(part, picture, extension=".png")
    except OSError:
        return ""
    return str(path)
