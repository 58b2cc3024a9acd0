"""The image being segmented, and the plane of it that is on the screen."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image

from napari_segmate.core.images.image_source import ContrastMode
from napari_segmate.core.types import IntBoxYX
from napari_segmate.plugin.planes.displayed_plane import (
    DisplayedPlane,
    displayed_plane,
    visible_box,
)
from napari_segmate.plugin.planes.geometry import Geometry
from napari_segmate.plugin.planes.image_planes import ImagePlanes, ViewedPlane
from napari_segmate.widgets.options_view import OptionValues

__all__ = ["View"]

OUTLINE_SCREEN_PX = 2.5
WIDEST_OUTLINE_PX = 50
IMAGE_EVENTS = ("data", "scale", "translate", "rotate", "shear", "affine", "units")
DIMS_EVENTS = ("point", "order", "ndisplay", "ndim", "units")


class View:
    """What a dock looks at in its viewer.

    Parameters
    ----------
    viewer : ViewerModel
        Where the image is.
    moved : callable
        Called when another plane may be on the screen, or other pixels of the same one.
    recoloured : callable
        Called when the contrast limits of the image have changed and count.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        moved: Callable[[], None],
        recoloured: Callable[[], None],
    ) -> None:
        self._viewer = viewer
        self._moved = moved
        self._recoloured = recoloured
        self._options = OptionValues()
        self._planes: ImagePlanes | None = None
        self.image: Image | None = None
        self.shown: DisplayedPlane | None = None
        for name in DIMS_EVENTS:
            getattr(viewer.dims.events, name).connect(self._on_moved)

    def close(self) -> None:
        """Follow nothing any more."""
        for name in DIMS_EVENTS:
            getattr(self._viewer.dims.events, name).disconnect(self._on_moved)
        self.choose(None)

    # What is looked at

    def choose(self, image: Image | None) -> None:
        """Look at another image, or at none."""
        for layer, act in ((self.image, "disconnect"), (image, "connect")):
            if layer is not None:
                for name in IMAGE_EVENTS:
                    getattr(getattr(layer.events, name), act)(self._on_moved)
                getattr(layer.events.contrast_limits, act)(self._on_contrast)
        self.image, self.shown, self._planes = image, None, None

    def set_options(self, options: OptionValues) -> bool:
        """Take the options; True when the image looks different to the model."""
        before, self._options = self._options, options
        seen = ("contrast", "channel_axis", "channels")
        changed = any(getattr(before, name) != getattr(options, name) for name in seen)
        if changed:
            self._planes = None
        return changed

    def update(self) -> ViewedPlane | None:
        """Find out what is on the screen and return it; None without an image.

        Raises
        ------
        ImageError
            What is on the screen is no plane of the image.
        """
        self.shown = None
        image = self.image
        if image is None:
            return None
        shown = displayed_plane(image, self._viewer.dims, self._channel_axis(image))
        if self._planes is None or self._planes.outdated:
            self._planes = ImagePlanes(image, self._options.contrast, self._options.channels)
        plane = self._planes.plane(shown)
        self.shown = shown
        return plane

    @property
    def channel(self) -> int | None:
        """The axis of the image that is its channels, None without one."""
        return None if self.image is None else self._channel_axis(self.image)

    def _channel_axis(self, image: Image) -> int | None:
        axis = self._options.channel_axis
        return None if axis is None or image.rgb or axis >= image.ndim else axis

    def _on_moved(self, event: Any = None) -> None:
        self._moved()

    def _on_contrast(self, event: Any = None) -> None:
        if self._options.contrast is ContrastMode.LAYER:
            self._recoloured()

    # What there is to say about it

    @property
    def key(self) -> Hashable:
        """Names the plane on the screen."""
        image, shown = self._both()
        return image.unique_id, shown.axes, shown.index

    @property
    def drawing_plane(self) -> DisplayedPlane:
        """The plane in the layers that are drawn for this image, which have no channels."""
        return self._both()[1].without_channel()

    @property
    def drawing_geometry(self) -> Geometry:
        """Where layers lie that are drawn for this image."""
        image, shown = self._both()
        channel = shown.axes.channel
        count = 1 if channel is None else int(image.data.shape[channel])
        return Geometry.of(image).without_channel(channel, count)

    @property
    def visible_yx(self) -> IntBoxYX:
        """The part of the plane on the screen."""
        return visible_box(*self._both())

    @property
    def outline_width(self) -> int:
        """A width in image pixels that looks the same at every zoom."""
        image, shown = self._both()
        pixel = float(np.min(np.abs(image.scale[[shown.axes.y, shown.axes.x]])))
        screen = pixel * float(self._viewer.scene.camera.zoom)
        width = round(OUTLINE_SCREEN_PX / max(screen, 1e-6))
        return int(np.clip(width, 1, WIDEST_OUTLINE_PX))

    def shown_at(self, index: tuple[int, ...]) -> DisplayedPlane:
        """Return another plane of the stack: one number per axis that is not on the screen."""
        shown = self._both()[1]
        position = list(shown.position)
        for axis, number in zip(shown.fixed, index, strict=True):
            position[axis] = number
        return replace(shown, position=tuple(position))

    def at(self, index: tuple[int, ...]) -> ViewedPlane:
        """Return the pixels of another plane of the stack."""
        assert self._planes is not None, "the plane on the screen has been looked at"
        return self._planes.plane(self.shown_at(index))

    def slider(self) -> tuple[int, int] | None:
        """Return the place in the index of the axis moved last, and its length; None for one plane.

        Axes of a single plane do not count.
        """
        image, shown = self._both()
        lengths = [int(image.data.shape[axis]) for axis in shown.fixed]
        places = [place for place, length in enumerate(lengths) if length > 1]
        if not places:
            return None
        last = self._viewer.dims.last_used - (self._viewer.dims.ndim - image.ndim)
        chosen = [place for place in places if shown.fixed[place] == last]
        place = chosen[0] if chosen else places[-1]
        return place, lengths[place]

    @property
    def anisotropy(self) -> float:
        """Distance of the planes over that of the pixels, along the slider that was moved last.

        1 where it is not known.
        """
        image, shown = self._both()
        slider = self.slider()
        if slider is None:
            return 1.0
        sides = np.abs(image.scale[[shown.axes.y, shown.axes.x]])
        apart = abs(image.scale[shown.fixed[slider[0]]])
        return float(apart / max(sides.mean(), 1e-12)) or 1.0

    def neighbours(self) -> list[ViewedPlane]:
        """Return the planes next to the one in view, along the slider that was moved last."""
        image, shown = self._both()
        if self._planes is None or not shown.fixed:
            return []
        axis = self._viewer.dims.last_used - (self._viewer.dims.ndim - image.ndim)
        axis = axis if axis in shown.fixed else shown.fixed[-1]
        at, size = shown.position[axis], image.data.shape[axis]
        positions = [
            (*shown.position[:axis], other, *shown.position[axis + 1 :])
            for other in (at + 1, at - 1)
            if 0 <= other < size
        ]
        return [self._planes.plane(replace(shown, position=position)) for position in positions]

    def _both(self) -> tuple[Image, DisplayedPlane]:
        assert self.image is not None
        assert self.shown is not None
        return self.image, self.shown
