"""What every detector checks of its input, and boxes of networks in pixels of the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.errors import ImageError, PromptError
from napari_segmate.core.masks.boxes import example_in
from napari_segmate.core.text.detections import Detections, join
from napari_segmate.core.text.phrases import split_phrases
from napari_segmate.core.types import BoxYX, RGBImage, Shape2D

__all__ = [
    "check_example",
    "check_image",
    "check_phrases",
    "corners_in",
    "join_concepts",
    "shape_of",
    "too_long",
]


def check_image(image: RGBImage) -> None:
    """Raise when an image is not 8-bit RGB: networks take others silently, and see nothing.

    Raises
    ------
    ImageError
        Another shape or type.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ImageError(
            f"a detector looks at (height, width, 3) of uint8, not at {image.shape} of "
            f"{image.dtype}; napari_segmate.as_rgb makes that of any picture"
        )


def check_example(image: RGBImage, box_yx: BoxYX) -> npt.NDArray[np.float64]:
    """Return the part of an example's box that lies in an image: y0, x0, y1, x1.

    Raises
    ------
    ImageError
        Not 8-bit RGB.
    PromptError
        The box has no area, or lies outside the image.
    """
    check_image(image)
    return example_in(box_yx, shape_of(image))


def check_phrases(phrases: Sequence[str]) -> tuple[str, ...]:
    """Return concepts as they are read: lower case, no sign that would end one.

    Raises
    ------
    PromptError
        None at all, nothing but signs, or several in one.

    Examples
    --------
    >>> check_phrases(["Red blood cell."])
    ('red blood cell',)
    """
    cleaned = []
    for phrase in phrases:
        parts = split_phrases(phrase)
        if len(parts) > 1:
            raise PromptError(f"{phrase[:40]!r} holds {len(parts)} concepts; give each on its own")
        cleaned.append(parts[0])
    if not cleaned:
        raise PromptError("nothing to look for; give at least one concept, for example: cell")
    return tuple(cleaned)


def too_long(phrase: str, title: str, tokens: int) -> PromptError:
    """Return the error for a concept of more than so many tokens."""
    return PromptError(
        f"{phrase[:40]!r} … is too long: {title} reads {tokens - 2} pieces of words; use few and "
        "short ones"
    )


def join_concepts(
    parts: Sequence[Detections], cleaned: Sequence[str], phrases: Sequence[str], shape: Shape2D
) -> Detections:
    """Return passes over distinct concepts as one, with a column of scores for every phrase.

    Parameters
    ----------
    parts : sequence of Detections
        What the passes found.
    cleaned, phrases : sequence of str
        Every concept as it was read, some of them several times, and as it was given.
    shape : (height, width)
        Size of the image.
    """
    unique = tuple(dict.fromkeys(cleaned))
    found = join(parts, unique, shape)
    scores = found.scores[:, [unique.index(phrase) for phrase in cleaned]]
    return replace(found, scores=scores, phrases=tuple(phrases))


def shape_of(image: RGBImage) -> Shape2D:
    """Return height and width of an image."""
    return image.shape[0], image.shape[1]


def corners_in(
    centred: npt.ArrayLike, shape: Shape2D, seen: Shape2D | None = None
) -> npt.NDArray[np.float64]:
    """Return boxes as corners in pixels, cut to the image.

    Parameters
    ----------
    centred : (n, 4)
        Centre x, centre y, width and height, as parts of what the network saw.
    shape : (height, width)
        Size of the image.
    seen : (height, width), optional
        What the network saw, in pixels of the image: more than the image where it was filled up to
        the right and below.

    Returns
    -------
    (n, 4) float64
        y0, x0, y1, x1; pixel centres at integers, so that the image begins at -0.5.

    Examples
    --------
    >>> corners_in([[0.5, 0.25, 0.5, 0.5]], (20, 40), (40, 40)).tolist()
    [[-0.5, 9.5, 19.5, 29.5]]
    """
    cx, cy, width, height = np.asarray(centred, dtype=np.float64).reshape(-1, 4).T
    low = np.stack([cy - height / 2, cx - width / 2], axis=1)
    high = np.stack([cy + height / 2, cx + width / 2], axis=1)
    full: Any = (seen or shape) * 2
    corners = np.concatenate([low, high], axis=1) * full - 0.5
    return np.asarray(np.clip(corners, -0.5, np.array(shape * 2) - 0.5))
