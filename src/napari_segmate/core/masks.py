"""Functions on masks: bounding boxes, cleaning, overlap, run lengths, shapes to masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.errors import PromptError
from napari_segmate.core.prompts import MaskPrompt
from napari_segmate.core.types import BoolArray, BoxYX, Instance, IntBoxYX, Shape2D

__all__ = [
    "bounding_box",
    "clean",
    "ellipse_mask",
    "instance_from_mask",
    "intersection",
    "iou",
    "outline",
    "paste",
    "polygon_mask",
    "rle_decode",
    "rle_encode",
    "stability_score",
    "suppress",
]


def bounding_box(mask: BoolArray) -> IntBoxYX | None:
    """Return the half-open box round the pixels of a mask, None when it is empty.

    Examples
    --------
    >>> bounding_box(np.array([[0, 0, 0], [0, 1, 1]], bool))
    (1, 1, 2, 3)
    """
    rows = np.flatnonzero(mask.any(axis=1))
    if rows.size == 0:
        return None
    columns = np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def instance_from_mask(
    mask: BoolArray,
    offset_yx: tuple[int, int] = (0, 0),
    score: float = 1.0,
    stability: float = 1.0,
) -> Instance | None:
    """Return a mask cropped to its bounding box, None when it is empty.

    Parameters
    ----------
    mask : (H, W) bool
        The object.
    offset_yx : (y, x)
        Where the first pixel of `mask` lies in the plane.
    score, stability : float
        0 to 1.
    """
    box = bounding_box(mask)
    if box is None:
        return None
    y0, x0, y1, x1 = box
    dy, dx = offset_yx
    cropped = np.ascontiguousarray(mask[y0:y1, x0:x1])
    return Instance((y0 + dy, x0 + dx, y1 + dy, x1 + dx), cropped, score, stability)


def paste(instance: Instance, shape: Shape2D) -> BoolArray:
    """Return an object as a mask of a whole plane; what lies outside it is cut off."""
    plane = np.zeros(shape, bool)
    part, inside = _inside(instance.box_yx, shape)
    plane[part] = instance.mask[inside]
    return plane


def _inside(box_yx: IntBoxYX, shape: Shape2D) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return the part of a box that lies in a plane, as slices of the plane and of the box."""
    low = [min(max(start, 0), size) for start, size in zip(box_yx[:2], shape, strict=True)]
    high = [min(max(stop, 0), size) for stop, size in zip(box_yx[2:], shape, strict=True)]
    plane = slice(low[0], high[0]), slice(low[1], high[1])
    own = (
        slice(low[0] - box_yx[0], high[0] - box_yx[0]),
        slice(low[1] - box_yx[1], high[1] - box_yx[1]),
    )
    return plane, own


def intersection(first: Instance, second: Instance) -> int:
    """Return the number of pixels that two objects share."""
    y0, x0 = np.maximum(first.box_yx[:2], second.box_yx[:2])
    y1, x1 = np.minimum(first.box_yx[2:], second.box_yx[2:])
    if y0 >= y1 or x0 >= x1:
        return 0
    parts = [
        one.mask[y0 - one.box_yx[0] : y1 - one.box_yx[0], x0 - one.box_yx[1] : x1 - one.box_yx[1]]
        for one in (first, second)
    ]
    return int(np.count_nonzero(parts[0] & parts[1]))


def iou(first: Instance, second: Instance) -> float:
    """Return intersection over union of two objects of one plane, 0 to 1.

    Examples
    --------
    >>> one = Instance((0, 0, 2, 2), np.ones((2, 2), bool))
    >>> iou(one, Instance((0, 1, 2, 3), np.ones((2, 2), bool)))
    0.333...
    """
    shared = intersection(first, second)
    return shared / (first.area + second.area - shared) if shared else 0.0


def suppress(instances: Sequence[Instance], threshold: float = 0.7) -> list[int]:
    """Return the numbers of the objects to keep: of each overlapping group the best score.

    Parameters
    ----------
    instances : sequence of Instance
        Objects of one plane.
    threshold : float
        IoU above which two objects count as the same.
    """
    kept: list[int] = []
    for number in np.argsort([-one.score for one in instances], kind="stable"):
        if all(iou(instances[number], instances[other]) <= threshold for other in kept):
            kept.append(int(number))
    return kept


def stability_score(
    logits: npt.NDArray[Any], threshold: float = 0.0, offset: float = 1.0
) -> npt.NDArray[np.float64]:
    """Return how little masks change with the threshold, 0 to 1 (Kirillov et al., 2023).

    Parameters
    ----------
    logits : (..., H, W) float
        Logits of masks.
    threshold, offset : float
        Masks at ``threshold + offset`` and ``threshold - offset`` are compared by IoU.

    Returns
    -------
    (...) float
        0 where even the larger mask is empty.

    Examples
    --------
    >>> float(stability_score(np.array([[5.0, 0.5], [-5.0, -5.0]])))
    0.5
    """
    inner = np.count_nonzero(logits > threshold + offset, axis=(-2, -1))
    outer = np.count_nonzero(logits > threshold - offset, axis=(-2, -1))
    return np.asarray(inner / np.maximum(outer, 1), dtype=np.float64)


def clean(mask: BoolArray, *, fill_holes: bool = True, min_size: int = 0) -> BoolArray:
    """Return a mask without holes and without small pieces; the largest piece always stays.

    Parameters
    ----------
    mask : (H, W) bool
        One object.
    fill_holes : bool
        Fill what the mask encloses.
    min_size : int
        Pieces below this many pixels go, when larger ones exist.

    Examples
    --------
    >>> ring = np.ones((3, 3), bool)
    >>> ring[1, 1] = False
    >>> clean(ring).all()
    np.True_
    """
    from scipy import ndimage

    if fill_holes:
        mask = ndimage.binary_fill_holes(mask)
    if min_size <= 1 or not mask.any():
        return mask
    pieces, count = ndimage.label(mask, np.ones((3, 3)))
    if count == 1:
        return mask
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    keep = sizes >= min_size
    keep[sizes.argmax()] = True
    kept: BoolArray = keep[pieces]
    return kept


def outline(mask: BoolArray) -> BoolArray:
    """Return the pixels of a mask that touch its outside (4 neighbours) or the border."""
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner


def rle_encode(mask: BoolArray) -> dict[str, list[int]]:
    """Return COCO's uncompressed run lengths: column by column, beginning with zeros.

    Examples
    --------
    >>> rle_encode(np.array([[0, 1], [0, 1]], bool))
    {'size': [2, 2], 'counts': [2, 2]}
    """
    flat = np.asarray(mask, dtype=bool).ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], changes, [flat.size]]))
    counts = runs.tolist()
    if flat.size and flat[0]:
        counts.insert(0, 0)
    return {"size": [int(side) for side in mask.shape], "counts": counts}


def rle_decode(rle: dict[str, Any]) -> BoolArray:
    """Return the mask of COCO's uncompressed run lengths.

    Examples
    --------
    >>> rle_decode({"size": [2, 2], "counts": [2, 2]}).tolist()
    [[False, True], [False, True]]
    """
    height, width = rle["size"]
    counts = rle["counts"]
    values = np.arange(len(counts)) % 2 == 1
    flat = np.repeat(values, counts)
    if flat.size != height * width:
        raise ValueError(f"the runs have {flat.size} pixels, the mask {height} x {width}")
    return np.ascontiguousarray(flat.reshape((height, width), order="F"))


def polygon_mask(vertices_yx: npt.ArrayLike, shape: Shape2D) -> MaskPrompt:
    """Return the inside of a polygon, cut at the borders of the plane.

    Parameters
    ----------
    vertices_yx : (V, 2) array_like
        Corners, at least three.
    shape : (height, width)
        Size of the plane.

    Raises
    ------
    PromptError
        Too few corners, or nothing of the polygon lies in the plane.
    """
    from skimage.draw import polygon

    vertices = np.asarray(vertices_yx, dtype=np.float64)
    if vertices.ndim != 2 or vertices.shape[1] != 2 or len(vertices) < 3:
        raise PromptError(f"a polygon needs three corners or more, got {vertices.tolist()}")
    return _drawn(polygon(vertices[:, 0], vertices[:, 1], shape), vertices, shape, "polygon")


def ellipse_mask(box_yx: BoxYX, shape: Shape2D) -> MaskPrompt:
    """Return the inside of the ellipse in a box, cut at the borders of the plane.

    Raises
    ------
    PromptError
        Nothing of the ellipse lies in the plane.
    """
    from skimage.draw import ellipse

    y0, x0, y1, x1 = box_yx
    radii = (y1 - y0) / 2, (x1 - x0) / 2
    drawn = ellipse((y0 + y1) / 2, (x0 + x1) / 2, *radii, shape=shape)
    return _drawn(drawn, np.reshape(box_yx, (2, 2)), shape, "ellipse")


def _drawn(
    pixels: tuple[npt.NDArray[Any], npt.NDArray[Any]],
    corners: npt.NDArray[np.float64],
    shape: Shape2D,
    kind: str,
) -> MaskPrompt:
    rows, columns = pixels
    if rows.size == 0:
        raise PromptError(
            f"the {kind} from {corners.min(axis=0).tolist()} to {corners.max(axis=0).tolist()} "
            f"covers no pixel of the {shape[0]} x {shape[1]} image"
        )
    top, left = int(rows.min()), int(columns.min())
    mask = np.zeros((int(rows.max()) - top + 1, int(columns.max()) - left + 1), bool)
    mask[rows - top, columns - left] = True
    return MaskPrompt((top, left, top + mask.shape[0], left + mask.shape[1]), mask)
