"""Masks as the records that ``segment_anything`` writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_segmate.core.errors import ParameterError
from napari_segmate.core.masks.object_masks import paste
from napari_segmate.core.masks.rle import compress_rle, encode_instance
from napari_segmate.core.types import Instance, IntBoxYX, Shape2D
from napari_segmate.inference.automask.grid import Found

__all__ = ["OUTPUT_MODES", "records"]

OUTPUT_MODES = ("binary_mask", "uncompressed_rle", "coco_rle")


def records(
    found: Sequence[Found], shape: Shape2D, output_mode: str = "binary_mask"
) -> list[dict[str, Any]]:
    """Return masks as ``SamAutomaticMaskGenerator.generate`` does.

    Parameters
    ----------
    found : sequence of Found
        The masks.
    shape : (height, width)
        Size of the image.
    output_mode : {"binary_mask", "uncompressed_rle", "coco_rle"}
        What ``segmentation`` holds: an (H, W) bool array, COCO's run lengths, or those with
        compressed counts.

    Returns
    -------
    list of dict
        With ``segmentation``, ``area``, ``bbox`` (x, y, width, height; as upstream, the width is
        that from the first to the last pixel), ``predicted_iou``, ``point_coords`` ([[x, y]]),
        ``stability_score`` and ``crop_box`` (x, y, width, height).

    Raises
    ------
    ParameterError
        No such output mode.
    """
    if output_mode not in OUTPUT_MODES:
        raise ParameterError(f"no output mode {output_mode!r}; choose one of {list(OUTPUT_MODES)}")
    return [_record(one, shape, output_mode) for one in found]


def _record(one: Found, shape: Shape2D, output_mode: str) -> dict[str, Any]:
    instance = one.instance
    y0, x0, y1, x1 = instance.box_yx
    return {
        "segmentation": _segmentation(instance, shape, output_mode),
        "area": instance.area,
        "bbox": [x0, y0, x1 - 1 - x0, y1 - 1 - y0],
        "predicted_iou": instance.score,
        "point_coords": [list(one.point_yx[::-1])],
        "stability_score": instance.stability,
        "crop_box": _xywh(one.crop_yx),
    }


def _segmentation(instance: Instance, shape: Shape2D, output_mode: str) -> Any:
    if output_mode == "binary_mask":
        return np.array(paste(instance, shape))
    runs = encode_instance(instance.box_yx, instance.mask, shape)
    return runs if output_mode == "uncompressed_rle" else compress_rle(runs)


def _xywh(box_yx: IntBoxYX) -> list[int]:
    y0, x0, y1, x1 = box_yx
    return [x0, y0, x1 - x0, y1 - y0]
