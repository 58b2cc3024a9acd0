"""Prompts in the (x, y) order and the arrays of Segment Anything's own interfaces."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.errors import PromptError
from napari_segmate.core.masks.object_masks import instance_from_mask
from napari_segmate.core.prompts import Box, MaskPrompt, ObjectPrompts, Points
from napari_segmate.inference.prompts.whole_image import WholeImage

__all__ = ["prompts_of"]


def prompts_of(
    points: tuple[npt.ArrayLike, npt.ArrayLike] | None,
    boxes: npt.ArrayLike | None,
    masks: npt.ArrayLike | None,
    whole: WholeImage,
) -> list[ObjectPrompts]:
    """Return what points, boxes and masks say about objects.

    Parameters
    ----------
    points : (coords_xy, labels), optional
        (N, 2) and (N,), or (N, P, 2) and (N, P); labels are 1, 0 or -1 for no point.
    boxes : (N, 4) array_like, optional
        x0, y0, x1, y1.
    masks : (N, H, W) array_like, optional
        Masks of the size of the picture, or low-resolution logits.
    whole : WholeImage
        The picture.

    Raises
    ------
    PromptError
        No prompt, or shapes that do not match.
    """
    parts: dict[str, list[Any]] = {}
    if points is not None:
        parts["points"] = _points(*points)
    if boxes is not None:
        parts["box"] = _boxes(boxes)
    if masks is not None:
        parts["mask"], parts["logits"] = _masks(masks, whole)
    counts = {name: len(values) for name, values in parts.items()}
    if not counts or not max(counts.values()):
        raise PromptError("no prompt: give points_prompt, boxes_prompt or mask_input")
    if len(set(counts.values())) > 1:
        raise PromptError(f"prompts for different numbers of objects: {counts}")
    objects = [dict(zip(parts, one, strict=True)) for one in zip(*parts.values(), strict=True)]
    return [_located(ObjectPrompts(**one)) for one in objects]


def _located(prompts: ObjectPrompts) -> ObjectPrompts:
    """Return prompts that also say as a box where a mask is."""
    if prompts.mask is None or prompts.box is not None or prompts.points is not None:
        return prompts
    y0, x0, y1, x1 = prompts.mask.box_yx
    return replace(prompts, box=Box((y0 - 0.5, x0 - 0.5, y1 - 0.5, x1 - 0.5)))


def _points(coords_xy: npt.ArrayLike, labels: npt.ArrayLike) -> list[Points]:
    coords = np.asarray(coords_xy, dtype=np.float64)
    values = np.asarray(labels)
    if coords.ndim == 2:
        coords, values = coords[:, None], values[..., None]
    if coords.ndim != 3 or coords.shape[-1] != 2 or values.shape != coords.shape[:2]:
        raise PromptError(
            f"points_prompt is (coords, labels) of shapes (N, 2) and (N,), or (N, P, 2) and "
            f"(N, P), not {np.shape(coords_xy)} and {np.shape(labels)}"
        )
    if not np.isin(values, (-1, 0, 1)).all():
        raise PromptError(f"labels of points are 1, 0 or -1, got {np.unique(values).tolist()}")
    return [
        Points(one[label >= 0][:, ::-1], label[label >= 0] == 1)
        for one, label in zip(coords, values, strict=True)
    ]


def _boxes(boxes_xyxy: npt.ArrayLike) -> list[Box]:
    boxes = np.atleast_2d(np.asarray(boxes_xyxy, dtype=np.float64))
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise PromptError(f"boxes_prompt has shape (N, 4), x0 y0 x1 y1, not {np.shape(boxes_xyxy)}")
    return [Box((y0, x0, y1, x1)) for x0, y0, x1, y1 in boxes.tolist()]


def _masks(
    masks: npt.ArrayLike, whole: WholeImage
) -> tuple[list[MaskPrompt], list[npt.NDArray[np.float32]]]:
    values = np.asarray(masks)
    if values.ndim == 4 and values.shape[1] == 1:
        values = values[:, 0]
    values = values[None] if values.ndim == 2 else values
    if values.ndim != 3:
        raise PromptError(f"mask_input has shape (N, H, W), not {np.shape(masks)}")
    full = values.shape[1:] == whole.shape and values.dtype.kind in "bui"
    if not full and values.dtype.kind != "f":
        raise PromptError(
            f"masks of {values.shape[1:]} pixels for an image of {whole.shape}; give masks as "
            "large as the image, or low-resolution logits"
        )
    if full:
        inner = values != 0
        logits = [whole.mask_input(one) for one in inner]
    else:
        logits = [one.astype(np.float32) for one in values]
        inner = whole.upscale(values.astype(np.float32)) > 0
    rough = [_rough(one) for one in inner]
    return rough, [one.reshape(one.shape[-2:]) for one in logits]


def _rough(mask: npt.NDArray[np.bool_]) -> MaskPrompt:
    instance = instance_from_mask(mask)
    if instance is None:
        raise PromptError("a mask in mask_input is empty; leave it out or mark at least one pixel")
    return MaskPrompt(instance.box_yx, instance.mask)
