"""The rectangle in which the user wants something found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Shapes
from napari.layers.base import ActionType

from napari_segmate.core.types import IntBoxYX
from napari_segmate.plugin.planes.displayed_plane import DisplayedPlane, show
from napari_segmate.plugin.planes.geometry import Geometry

__all__ = ["REGION_NAME", "RegionLayer"]

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
