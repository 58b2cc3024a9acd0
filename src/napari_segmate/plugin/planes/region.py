"""The part of a plane to search: a rectangle drawn for it, or the user's own shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.components import Dims, ViewerModel
from napari.layers import Image, Shapes
from napari.layers.base import ActionType

from napari_segmate.core.errors import PromptError
from napari_segmate.core.masks.object_masks import ellipse_mask, polygon_mask
from napari_segmate.core.prompts import MaskPrompt
from napari_segmate.core.types import BoxYX, IntBoxYX
from napari_segmate.plugin.planes.geometry import DisplayedPlane, Geometry, convert, show
from napari_segmate.sessions.prompt_set import DrawnShape, to_prompts

__all__ = ["REGION_NAME", "RegionLayer", "region_of_shapes"]

REGION_NAME = "SegMate region"
COLOUR = "#ff4081"
FINISHED = (ActionType.ADDED, ActionType.REMOVED, ActionType.CHANGED)


class RegionLayer:
    """A shapes layer in which the rectangle drawn last counts, for all planes of a stack.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layer is.
    changed : callable
        Called without arguments when the rectangle is another one.
    """

    def __init__(self, viewer: ViewerModel, changed: Callable[[], None]) -> None:
        self._viewer = viewer
        self._changed = changed
        self._layer: Shapes | None = None
        self._drawing = False

    @property
    def layer(self) -> Shapes | None:
        """The layer; None while there is none, or the user has removed it."""
        if self._layer is not None and self._layer not in self._viewer.layers:
            self._layer = None
        return self._layer

    def take_tool(self, geometry: Geometry, width: float) -> None:
        """Let the user draw a rectangle on an image with this geometry."""
        if self.layer is not None and self.layer.ndim != geometry.ndim:
            self.remove()
        layer = self.layer or self._viewer.add_layer(self._new(geometry, width))
        self._layer = layer
        geometry.apply(layer)
        show(layer)
        self._viewer.layers.selection.active = layer
        layer.mode = "add_rectangle"

    def remove(self) -> None:
        """Take the layer away."""
        if self.layer is not None:
            self._viewer.layers.remove(self.layer)
        self._layer = None

    def box(self, plane: DisplayedPlane) -> IntBoxYX | None:
        """Return the pixels inside the rectangle, half-open, in the image; None without any."""
        layer = self.layer
        data = [] if layer is None else list(layer.data)
        if self._drawing:
            data = data[:-1]
        if not data:
            return None
        corners = plane.to_plane(data[-1])
        low = np.maximum(np.floor(corners.min(axis=0) + 0.5), 0).astype(int)
        high = np.minimum(np.floor(corners.max(axis=0) + 0.5), plane.shape).astype(int)
        if (high <= low).any():
            return None
        return int(low[0]), int(low[1]), int(high[0]), int(high[1])

    def _new(self, geometry: Geometry, width: float) -> Shapes:
        layer = Shapes(
            ndim=geometry.ndim,
            name=REGION_NAME,
            edge_color=COLOUR,
            face_color="transparent",
            edge_width=width,
            **geometry.kwargs(),
        )
        layer.events.data.connect(self._on_data)
        return layer

    def _on_data(self, event: Any) -> None:
        self._drawing = event.action == ActionType.ADDING
        if event.action in FINISHED:
            self._changed()


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
        DrawnShape(str(kind), plane.to_plane(convert(shapes, image, vertices, dims)))
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
