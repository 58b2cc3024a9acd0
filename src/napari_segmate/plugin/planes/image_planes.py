"""An image layer as planes that a model can look at; nothing is read on the GUI thread."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

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
from napari_segmate.plugin.planes.displayed_plane import DisplayedPlane

__all__ = ["ImagePlanes", "ViewedPlane", "channel_axes", "channels_on_offer"]

MAX_PLANES = 64


class ViewedPlane:
    """A plane whose contrast is only estimated once somebody reads it."""

    def __init__(
        self, source: ImageSource, index: tuple[int, ...], contrast: ContrastMode | Contrast
    ) -> None:
        self._source = source
        self._index = index
        self._contrast = contrast
        self._plane: Plane | None = None

    @property
    def shape(self) -> Shape2D:
        """Height and width."""
        return self._source.shape

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
