"""The image a dock works on: its planes as a model sees them, and the one on the screen."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image

from napari_segmate.core.images.image_source import (
    ChannelMap,
    Contrast,
    ContrastMode,
    ImageSource,
    Plane,
)
from napari_segmate.core.types import IntBoxYX, RGBImage, Shape2D
from napari_segmate.plugin.planes.geometry import (
    DisplayedPlane,
    Geometry,
    displayed_plane,
    visible_box,
)
from napari_segmate.widgets.options_view import OptionValues

__all__ = ["ImagePlanes", "ImageView", "ViewedPlane", "channel_axes", "channels_on_offer"]

MAX_PLANES = 64


class ViewedPlane:
    """A plane whose contrast is only estimated once somebody reads it.

    Attributes
    ----------
    shape : (height, width)
        Size of the plane in pixels.
    """

    def __init__(
        self, source: ImageSource, index: tuple[int, ...], contrast: ContrastMode | Contrast
    ) -> None:
        self._source = source
        self._index = index
        self._contrast = contrast
        self._plane: Plane | None = None
        self.shape = source.shape

    def read(self, box_yx: IntBoxYX, shape: Shape2D | None = None) -> RGBImage:
        """Return the part inside a half-open box, resampled to `shape`; for the worker thread."""
        if self._plane is None:
            contrast = self._contrast
            if isinstance(contrast, ContrastMode):
                contrast = self._source.estimate_contrast(contrast, self._index)
            self._plane = self._source.plane(self._index, contrast)
        return self._plane.read(box_yx, shape)


class ImagePlanes:
    """The planes of one image layer, seen with one mapping of channels and one contrast.

    Parameters
    ----------
    layer : Image
        The layer.
    mode : ContrastMode
        How intensities become grey values.
    channels : tuple of int or None, optional
        Channels shown as red, green and blue; used when a plane has a channel axis.
    """

    def __init__(
        self,
        layer: Image,
        mode: ContrastMode,
        channels: tuple[int | None, int | None, int | None] | None = None,
    ) -> None:
        self.layer = layer
        self._mode = mode
        self._channels = channels
        self._data = layer.data
        self._limits = _limits(layer) if mode is ContrastMode.LAYER else None
        self._sources: dict[Hashable, ImageSource] = {}
        self._planes: OrderedDict[Hashable, ViewedPlane] = OrderedDict()

    @property
    def outdated(self) -> bool:
        """True when the layer got other data or, if they count, other contrast limits."""
        if self.layer.data is not self._data:
            return True
        return self._mode is ContrastMode.LAYER and _limits(self.layer) != self._limits

    def plane(self, displayed: DisplayedPlane) -> ViewedPlane:
        """Return a plane; the same object for the same plane, as long as it is remembered."""
        key = (displayed.axes, displayed.index)
        if key not in self._planes:
            source = self._source(displayed)
            self._planes[key] = ViewedPlane(source, displayed.index, self._contrast(source))
            if len(self._planes) > MAX_PLANES:
                self._planes.popitem(last=False)
        self._planes.move_to_end(key)
        return self._planes[key]

    def _source(self, displayed: DisplayedPlane) -> ImageSource:
        if displayed.axes not in self._sources:
            data: Any = list(self._data) if self.layer.multiscale else self._data
            channels = None
            if displayed.axes.channel is not None and self._channels is not None:
                channels = ChannelMap(*self._channels)
            self._sources[displayed.axes] = ImageSource(data, displayed.axes, channels)
        return self._sources[displayed.axes]

    def _contrast(self, source: ImageSource) -> ContrastMode | Contrast:
        if self._limits is None:
            return self._mode
        return Contrast((self._limits,) * source.n_channels)


def _limits(layer: Image) -> tuple[float, float]:
    if layer.rgb:
        return 0.0, float(255 if layer.data.dtype.kind in "bui" else 1)
    low, high = layer.contrast_limits
    return float(low), float(high)


def channel_axes(layer: Image, displayed: tuple[int, int]) -> dict[int, int]:
    """Return the axes that may hold channels, with their lengths: short and not on the screen."""
    if layer.rgb:
        return {}
    return {
        axis: int(size)
        for axis, size in enumerate(layer.data.shape)
        if axis not in displayed and 2 <= size <= 16
    }


def channels_on_offer(
    viewer: ViewerModel, layer: Image | None
) -> tuple[dict[int, str], dict[int, int]]:
    """Return titles and lengths of the axes of an image that may hold channels in this view."""
    axes: dict[int, int] = {}
    if layer is not None:
        offset = viewer.dims.ndim - layer.ndim
        shown = tuple(axis - offset for axis in viewer.dims.displayed)
        axes = channel_axes(layer, (shown[0], shown[1]))
    return {axis: f"axis {axis} ({count})" for axis, count in axes.items()}, axes


OUTLINE_SCREEN_PX = 2.5
WIDEST_OUTLINE_PX = 50
IMAGE_EVENTS = ("data", "scale", "translate", "rotate", "shear", "affine", "units")
DIMS_EVENTS = ("point", "order", "ndisplay", "ndim", "units")


class ImageView:
    """The image that a dock works on, and the plane of it on the screen.

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
        """Disconnect from viewer and image."""
        for name in DIMS_EVENTS:
            getattr(self._viewer.dims.events, name).disconnect(self._on_moved)
        self.choose(None)

    # What is looked at

    def choose(self, image: Image | None) -> None:
        """Set the image; None for none."""
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
        """Return the plane that is on the screen now; None without an image.

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
