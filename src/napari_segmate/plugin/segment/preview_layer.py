"""The layer that shows what a commit would add: outlines and a tint, only where the objects are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.components import ViewerModel
from napari.layers import Labels, Layer
from napari.utils.colormaps import DirectLabelColormap

from napari_segmate.core.types import BoolArray, Instance, IntBoxYX
from napari_segmate.plugin.labels.layer_names import PREVIEW_NAME
from napari_segmate.plugin.planes.geometry import DisplayedPlane, Geometry, show

__all__ = ["PreviewLayer", "draw_objects"]

COLOURS = ("#00e5ff", "#ffd600", "#ff6d00", "#76ff03", "#f48fb1", "#b388ff")
"""Told apart by people with the common colour blindnesses, and seen on grey and on H&E."""
TINT = 0.25


def _colormap() -> DirectLabelColormap:
    colours: dict[int | None, Any] = {
        None: "transparent",
        0: "transparent",
    }
    for number, colour in enumerate(COLOURS):
        rgb = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        colours[2 * number + 1] = np.array([*rgb, TINT], np.float32)
        colours[2 * number + 2] = np.array([*rgb, 1.0], np.float32)
    return DirectLabelColormap(color_dict=colours)


def _inside(mask: BoolArray, width: int) -> BoolArray:
    """Return the pixels further than `width` from the outside, along y and x."""
    padded = np.pad(mask, width)
    inside = mask.copy()
    for axis in (0, 1):
        for shift in (-width, width):
            moved = np.roll(padded, shift, axis)
            inside &= moved[width:-width, width:-width]
    return inside


def draw_objects(
    instances: Sequence[Instance], width: int = 1
) -> tuple[npt.NDArray[np.uint8], IntBoxYX]:
    """Return a picture of the objects and the box of the plane that it covers.

    Odd values are insides, even ones outlines of `width` pixels; colours repeat.

    Examples
    --------
    >>> picture, box = draw_objects([Instance((2, 3, 5, 6), np.ones((3, 3), bool))])
    >>> picture.tolist(), box
    ([[2, 2, 2], [2, 1, 2], [2, 2, 2]], (2, 3, 5, 6))
    """
    boxes = np.array([instance.box_yx for instance in instances])
    (y0, x0), (y1, x1) = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    picture = np.zeros((y1 - y0, x1 - x0), np.uint8)
    for number, instance in enumerate(instances):
        top, left, bottom, right = instance.box_yx
        part = picture[top - y0 : bottom - y0, left - x0 : right - x0]
        value = 2 * (number % len(COLOURS)) + 1
        part[instance.mask] = value + 1
        part[_inside(instance.mask, width)] = value
    return picture, (int(y0), int(x0), int(y1), int(x1))


class PreviewLayer:
    """The preview layer of one viewer; made when there is something to show.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layer is.
    below : callable
        Returns the layers that it must not cover.
    """

    def __init__(self, viewer: ViewerModel, below: Callable[[], Sequence[Layer]] = tuple) -> None:
        self._viewer = viewer
        self._below = below
        self.layer: Labels | None = None

    def show(
        self,
        instances: Sequence[Instance],
        plane: DisplayedPlane,
        geometry: Geometry,
        width: int,
    ) -> None:
        """Show objects of a plane, or nothing.

        Parameters
        ----------
        instances : sequence of Instance
            Objects, in plane pixels.
        plane : DisplayedPlane
            The plane, in the axes of `geometry`.
        geometry : Geometry
            Where the whole image lies.
        width : int
            Width of the outlines in pixels of the plane.
        """
        if not instances:
            self.clear()
            return
        picture, (y0, x0, _, _) = draw_objects(instances, width)
        start = list(plane.position)
        start[plane.axes.y], start[plane.axes.x] = y0, x0
        shape = [1] * len(start)
        shape[plane.axes.y], shape[plane.axes.x] = picture.shape
        self._put(picture.reshape(shape), geometry.shifted(start))

    def _put(self, data: npt.NDArray[np.uint8], geometry: Geometry) -> None:
        layer = self.layer
        if layer is None or layer not in self._viewer.layers or layer.ndim != data.ndim:
            self.remove()
            self._add(data, geometry)
            return
        geometry.apply(layer)
        layer.data = data
        show(layer)

    def _add(self, data: npt.NDArray[np.uint8], geometry: Geometry) -> None:
        layer = Labels(
            data,
            name=PREVIEW_NAME,
            colormap=_colormap(),
            opacity=1.0,
            **geometry.kwargs(),
        )
        layer.editable = False
        # Known before it is inserted: those who choose layers must be able to leave it out.
        self.layer = layer
        layers = self._viewer.layers
        active = layers.selection.active
        # Below the prompts: a point must stay visible on its mask.
        above = [layers.index(one) for one in self._below() if one in layers]
        layers.insert(min(above, default=len(layers)), layer)
        if active is not None:
            layers.selection.active = active

    def clear(self) -> None:
        """Show nothing."""
        layer = self.layer
        if layer is not None and layer in self._viewer.layers and layer.visible:
            layer.visible = False

    def remove(self) -> None:
        """Take the layer away."""
        if self.layer is not None and self.layer in self._viewer.layers:
            self._viewer.layers.remove(self.layer)
        self.layer = None
