"""The part of a plane inside the user's own shapes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
from napari.components import Dims
from napari.layers import Image, Shapes

from napari_segmate.core.errors import PromptError
from napari_segmate.core.masks.object_masks import ellipse_mask, polygon_mask
from napari_segmate.core.prompts import MaskPrompt
from napari_segmate.core.types import BoxYX
from napari_segmate.plugin.planes.displayed_plane import DisplayedPlane, convert
from napari_segmate.sessions.prompt_set import Drawn, to_prompts

__all__ = ["region_of_shapes"]

Coordinates = npt.NDArray[np.float64]


def region_of_shapes(shapes: Shapes, image: Image, plane: DisplayedPlane, dims: Dims) -> MaskPrompt:
    """Return the pixels inside any shape of a layer; the shapes hold for all planes of a stack.

    Lines and paths enclose nothing.

    Raises
    ------
    PromptError
        No shape encloses a pixel of the plane.
    """
    drawn = [
        Drawn(str(kind), plane.to_plane(convert(shapes, image, vertices, dims)))
        for kind, vertices in zip(shapes.shape_type, shapes.data, strict=True)
    ]
    prompts = to_prompts(np.zeros((0, 2)), (), drawn)
    outlines = [*prompts.polygons, *(_corners(box.box_yx) for box in prompts.boxes)]
    makers = [partial(polygon_mask, outline, plane.shape) for outline in outlines]
    makers += [partial(ellipse_mask, box, plane.shape) for box in prompts.ellipses]
    masks = []
    for make in makers:
        try:
            masks.append(make())
        except PromptError:
            continue  # the others may lie on the image
    if not masks:
        raise PromptError(
            f"no shape of '{shapes.name}' encloses a part of '{image.name}'; draw a polygon on it"
        )
    return _joined(masks)


def _corners(box: BoxYX) -> Coordinates:
    y0, x0, y1, x1 = box
    return np.array([(y0, x0), (y0, x1), (y1, x1), (y1, x0)])


def _joined(masks: Sequence[MaskPrompt]) -> MaskPrompt:
    boxes = np.array([one.box_yx for one in masks])
    (top, left), (bottom, right) = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    mask = np.zeros((bottom - top, right - left), bool)
    for one in masks:
        y0, x0, y1, x1 = one.box_yx
        mask[y0 - top : y1 - top, x0 - left : x1 - left] |= one.mask
    return MaskPrompt((int(top), int(left), int(bottom), int(right)), mask)
