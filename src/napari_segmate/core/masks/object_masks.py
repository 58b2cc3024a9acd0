"""Masks of single objects: boxes, overlap, cleaning, run lengths, shapes drawn by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.errors import PromptError
from napari_segmate.core.masks.rle import RunLengths, decode_rle, encode_rle
from napari_segmate.core.prompts import MaskPrompt
from napari_segmate.core.types import BoolArray, BoxYX, FloatArray, Instance, IntBoxYX, Shape2D

__all__ = [
    "RunLengths",
    "binarize",
    "box_of",
    "clean",
    "crop",
    "decode_rle",
    "ellipse_mask",
    "encode_rle",
    "instance_from_mask",
    "intersection",
    "iou",
    "nms",
    "outline",
    "paste",
    "polygon_mask",
    "stability_score",
]


def box_of(mask: npt.NDArray[Any]) -> IntBoxYX | None:
    """Return the bounding box of the non-zero pixels, half-open; None when there are none.

    Examples
    --------
    >>> mask = np.zeros((5, 6), bool)
    >>> mask[1:3, 2:5] = True
    >>> box_of(mask)
    (1, 2, 3, 5)
    """
    rows = np.flatnonzero(mask.any(axis=1))
    if rows.size == 0:
        return None
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero(mask[top:bottom].any(axis=0))
    return top, int(columns[0]), bottom, int(columns[-1]) + 1


def intersection(a: IntBoxYX, b: IntBoxYX) -> IntBoxYX | None:
    """Return the part that two half-open boxes share, None when they share no pixel.

    Examples
    --------
    >>> intersection((0, 0, 4, 4), (2, 3, 8, 8))
    (2, 3, 4, 4)
    """
    top, left = max(a[0], b[0]), max(a[1], b[1])
    bottom, right = min(a[2], b[2]), min(a[3], b[3])
    return (top, left, bottom, right) if top < bottom and left < right else None


def _within(box: IntBoxYX, outer: IntBoxYX) -> tuple[slice, slice]:
    """Return where `box` lies in an array that starts at the corner of `outer`."""
    return (
        slice(box[0] - outer[0], box[2] - outer[0]),
        slice(box[1] - outer[1], box[3] - outer[1]),
    )


def crop(mask: BoolArray, mask_box_yx: IntBoxYX, box_yx: IntBoxYX) -> BoolArray:
    """Return a mask inside another box; pixels it knows nothing about are False.

    Parameters
    ----------
    mask : (h, w) bool
        The mask inside `mask_box_yx`.
    mask_box_yx, box_yx : (y0, x0, y1, x1)
        Where it lies, and what to return; half-open.

    Examples
    --------
    >>> crop(np.ones((2, 2), bool), (0, 0, 2, 2), (1, 1, 3, 3)).astype(int)
    array([[1, 0],
           [0, 0]])
    """
    y0, x0, y1, x1 = box_yx
    found = np.zeros((y1 - y0, x1 - x0), dtype=bool)
    shared = intersection(mask_box_yx, box_yx)
    if shared is not None:
        found[_within(shared, box_yx)] = mask[_within(shared, mask_box_yx)]
    return found


def paste(instance: Instance, shape: Shape2D) -> BoolArray:
    """Return an object as an (H, W) mask of the whole plane; what lies beyond it is cut off."""
    return crop(instance.mask, instance.box_yx, (0, 0, *shape))


def binarize(logits: npt.NDArray[Any], threshold: float = 0.0) -> BoolArray:
    """Return where logits lie above the threshold.

    Examples
    --------
    >>> binarize(np.array([-1.0, 0.0, 2.0]))
    array([False, False,  True])
    """
    inside: BoolArray = np.asarray(logits) > threshold
    return inside


def stability_score(
    logits: npt.NDArray[Any], threshold: float = 0.0, offset: float = 1.0
) -> FloatArray:
    """Return how little each mask depends on the threshold, 0 to 1.

    The IoU of the masks cut at ``threshold + offset`` and ``threshold - offset``, as Segment
    Anything defines it (Kirillov et al. 2023); 0 for a mask that is empty at both.

    Parameters
    ----------
    logits : (..., h, w) float
        Mask logits.
    threshold, offset : float
        Where masks are cut, and how far that is moved.

    Returns
    -------
    (...) float32

    Examples
    --------
    >>> float(stability_score(np.array([[-5.0, 0.5], [3.0, 4.0]])))
    0.6666666865348816
    """
    inner = np.count_nonzero(logits > threshold + offset, axis=(-2, -1))
    outer = np.count_nonzero(logits > threshold - offset, axis=(-2, -1))
    score: FloatArray = (inner / np.maximum(outer, 1)).astype(np.float32)
    return score


def _without_holes(mask: BoolArray) -> BoolArray:
    from scipy import ndimage

    # Labelling the background once is several times faster than filling by dilation.
    background, _ = ndimage.label(np.pad(~mask, 1, constant_values=True))
    filled: BoolArray = background[1:-1, 1:-1] != background[0, 0]
    return filled


def _without_small(mask: BoolArray, min_size: int, seeds_yx: npt.ArrayLike | None) -> BoolArray:
    from scipy import ndimage

    pieces, count = ndimage.label(mask, structure=np.ones((3, 3)))
    if count < 2:
        return mask
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    keep = sizes >= min_size
    keep[np.argmax(sizes)] = True
    if seeds_yx is not None:
        keep[_pieces_at(pieces, seeds_yx)] = True
    keep[0] = False
    kept: BoolArray = keep[pieces]
    return kept


def _pieces_at(pieces: npt.NDArray[Any], seeds_yx: npt.ArrayLike) -> npt.NDArray[Any]:
    at = np.rint(np.reshape(np.asarray(seeds_yx, dtype=np.float64), (-1, 2))).astype(np.intp)
    inside = ((at >= 0) & (at < pieces.shape)).all(axis=1)
    found: npt.NDArray[Any] = pieces[tuple(at[inside].T)]
    return found


def clean(
    mask: BoolArray,
    fill_holes: bool = True,
    min_size: int = 0,
    seeds_yx: npt.ArrayLike | None = None,
) -> BoolArray:
    """Return a mask without holes and without small pieces.

    Parameters
    ----------
    mask : (H, W) bool
        One object.
    fill_holes : bool
        Fill background that does not reach the border of the array.
    min_size : int
        Drop pieces of fewer pixels (touching corners belong together); the largest piece stays.
    seeds_yx : (N, 2) array_like, optional
        Pieces under these pixels stay as well, however small.

    Examples
    --------
    >>> mask = np.array([[1, 1, 1, 0, 0], [1, 0, 1, 0, 1], [1, 1, 1, 0, 0]], bool)
    >>> clean(mask, min_size=2).astype(int)
    array([[1, 1, 1, 0, 0],
           [1, 1, 1, 0, 0],
           [1, 1, 1, 0, 0]])
    """
    box = box_of(mask)
    if box is None:
        return mask
    part = mask[box[0] : box[2], box[1] : box[3]]
    if fill_holes:
        part = _without_holes(part)
    if min_size > 1:
        seeds = None if seeds_yx is None else np.reshape(seeds_yx, (-1, 2)) - np.array(box[:2])
        part = _without_small(part, min_size, seeds)
    cleaned = np.zeros_like(mask)
    cleaned[box[0] : box[2], box[1] : box[3]] = part
    return cleaned


def iou(a: Instance, b: Instance) -> float:
    """Return the pixels that two objects share over the pixels that either has, 0 to 1.

    Examples
    --------
    >>> square = Instance((0, 0, 2, 2), np.ones((2, 2), bool))
    >>> iou(square, Instance((1, 0, 3, 2), np.ones((2, 2), bool)))
    0.3333333333333333
    """
    shared = intersection(a.box_yx, b.box_yx)
    if shared is None:
        return 0.0
    both = a.mask[_within(shared, a.box_yx)] & b.mask[_within(shared, b.box_yx)]
    common = int(np.count_nonzero(both))
    return common / max(a.area + b.area - common, 1)


def nms(instances: Sequence[Instance], threshold: float = 0.7) -> tuple[int, ...]:
    """Return which objects to keep so that no two overlap by more than a threshold.

    Parameters
    ----------
    instances : sequence of Instance
        Candidates; of two that overlap, the one with the better score stays.
    threshold : float
        Largest mask IoU of two objects that stay.

    Returns
    -------
    tuple of int
        Positions in `instances`, best score first.
    """
    kept: list[int] = []
    for number in np.argsort([-one.score for one in instances], kind="stable"):
        if all(iou(instances[number], instances[other]) <= threshold for other in kept):
            kept.append(int(number))
    return tuple(kept)


def instance_from_mask(
    mask: npt.NDArray[Any],
    offset_yx: tuple[int, int] = (0, 0),
    score: float = 1.0,
    stability: float = 1.0,
) -> Instance | None:
    """Return the object of a mask, cut to its bounding box; None when the mask is empty.

    Parameters
    ----------
    mask : (h, w) array
        Non-zero inside.
    offset_yx : (y, x)
        Where pixel (0, 0) of the mask lies in the plane.
    score, stability : float
        What the model says about it, 0 to 1.

    Examples
    --------
    >>> instance_from_mask(np.array([[0, 0], [0, 1]]), (10, 20)).box_yx
    (11, 21, 12, 22)
    """
    box = box_of(mask)
    if box is None:
        return None
    part = np.array(mask[box[0] : box[2], box[1] : box[3]], dtype=bool, order="C")
    y, x = offset_yx
    return Instance((box[0] + y, box[1] + x, box[2] + y, box[3] + x), part, score, stability)


def outline(mask: BoolArray) -> BoolArray:
    """Return the pixels of a mask that touch, by an edge, a pixel outside it.

    Examples
    --------
    >>> outline(np.ones((3, 4), bool)).astype(int)
    array([[1, 1, 1, 1],
           [1, 0, 0, 1],
           [1, 1, 1, 1]])
    """
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner


def _pixels_of(extent_yx: BoxYX, shape: Shape2D, what: str) -> IntBoxYX:
    """Return the pixels whose centres may lie in a float box, inside the plane."""
    low = np.ceil(np.array(extent_yx[:2]) - 0.5).astype(int)
    high = np.floor(np.array(extent_yx[2:]) + 0.5).astype(int) + 1
    top, left = np.maximum(low, 0).tolist()
    bottom, right = np.minimum(high, shape).tolist()
    if top >= bottom or left >= right:
        raise PromptError(
            f"the {what} at {tuple(round(float(value), 1) for value in extent_yx)} lies outside "
            f"the image of {shape[0]} x {shape[1]} pixels; move it inside or delete it"
        )
    return top, left, bottom, right


def _prompt_of(mask: BoolArray, box: IntBoxYX, what: str) -> MaskPrompt:
    instance = instance_from_mask(mask, box[:2])
    if instance is None:
        raise PromptError(f"the {what} holds no pixel of the image; draw it larger")
    return MaskPrompt(instance.box_yx, instance.mask)


def polygon_mask(vertices_yx: npt.ArrayLike, shape: Shape2D) -> MaskPrompt:
    """Return the pixels whose centres lie in a polygon, as a rough mask of one object.

    Parameters
    ----------
    vertices_yx : (V, 2) array_like
        Corners in plane pixels, V ≥ 3; parts outside the plane are cut off.
    shape : (height, width)
        Size of the plane.

    Raises
    ------
    PromptError
        Fewer than three corners, outside the plane, or without a pixel.

    Examples
    --------
    >>> polygon_mask([[1, 1], [1, 3], [2, 3], [2, 1]], (8, 8)).box_yx
    (1, 1, 3, 4)
    """
    from skimage.draw import polygon

    vertices = np.asarray(vertices_yx, dtype=np.float64)
    if vertices.ndim != 2 or vertices.shape[1] != 2 or len(vertices) < 3:
        raise PromptError(f"a polygon needs three corners or more in (y, x), got {vertices.shape}")
    if not np.isfinite(vertices).all():
        raise PromptError(f"the corners of a polygon must be finite, got {vertices.tolist()}")
    extent = (*vertices.min(axis=0).tolist(), *vertices.max(axis=0).tolist())
    box = _pixels_of(extent, shape, "polygon")
    mask = np.zeros((box[2] - box[0], box[3] - box[1]), dtype=bool)
    corners = vertices - box[:2]
    rows, columns = polygon(corners[:, 0], corners[:, 1], mask.shape)  # type: ignore[no-untyped-call]
    mask[rows, columns] = True
    return _prompt_of(mask, box, "polygon")


def ellipse_mask(box_yx: BoxYX, shape: Shape2D) -> MaskPrompt:
    """Return the pixels whose centres lie in an ellipse, as a rough mask of one object.

    Parameters
    ----------
    box_yx : (y0, x0, y1, x1)
        The box it fills, corners in any order; parts outside the plane are cut off.
    shape : (height, width)
        Size of the plane.

    Raises
    ------
    PromptError
        Outside the plane, or without a pixel.

    Examples
    --------
    >>> ellipse_mask((0, 0, 4, 4), (8, 8)).mask.astype(int)
    array([[0, 0, 1, 0, 0],
           [0, 1, 1, 1, 0],
           [1, 1, 1, 1, 1],
           [0, 1, 1, 1, 0],
           [0, 0, 1, 0, 0]])
    """
    corners = np.reshape(np.asarray(box_yx, dtype=np.float64), (2, 2))
    if not np.isfinite(corners).all():
        raise PromptError(f"the corners of an ellipse must be finite, got {corners.tolist()}")
    low, high = corners.min(axis=0), corners.max(axis=0)
    box = _pixels_of((*low.tolist(), *high.tolist()), shape, "ellipse")
    centre, radius = (low + high) / 2, np.maximum((high - low) / 2, 1e-9)
    y = (np.arange(box[0], box[2]) - centre[0]) / radius[0]
    x = (np.arange(box[1], box[3]) - centre[1]) / radius[1]
    return _prompt_of(y[:, None] ** 2 + x[None] ** 2 <= 1 + 1e-9, box, "ellipse")
