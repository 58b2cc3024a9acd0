"""How commands read image files: axes, channels, and how large what is in them is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_segmate.core.images.image_source import ChannelMap, ImageSource
from napari_segmate.core.numbers.lengths import Length

if TYPE_CHECKING:
    from napari_segmate.io.layout import Layout

__all__ = ["Reading"]


@dataclass(frozen=True)
class Reading:
    """How files become stacks of planes.

    Parameters
    ----------
    axes : str, optional
        What the axes are, as users write it.
    channels : ChannelMap, optional
        Which channels are shown.
    link : bool
        Objects that go on from plane to plane are one.
    anisotropy : float, optional
        Distance of planes over that of pixels; what the file says by default.
    pixel_size : float, optional
        Side of a pixel in micrometres; what the file says by default.
    volume : str
        How objects of a stack are found: ``"planes"``, ``"views"`` or ``"auto"``.
    """

    axes: str | None = None
    channels: ChannelMap | None = None
    link: bool = True
    anisotropy: float | None = None
    pixel_size: float | None = None
    volume: str = "planes"

    def source(self, image: Path) -> ImageSource:
        """Return an image file as planes that are read when they are needed."""
        from napari_segmate.io.images import read_image

        data, axes = read_image(image, self.axes)
        return ImageSource(data, axes, self.channels)

    def anisotropy_of(self, image: Path) -> float:
        """Return the distance of planes over that of pixels; 1 where nobody says."""
        from napari_segmate.io.pixel_size import sizes_um

        if self.anisotropy is not None:
            return self.anisotropy
        layout = self.layout(image)
        if layout is not None and not layout.depth:
            return 1.0  # Planes of a series in time have no distance.
        sizes = sizes_um(image)
        if "z" in sizes and "x" in sizes:
            return sizes["z"] / sizes["x"]
        if layout is None or layout.scale is None:
            return 1.0
        # Of the same unit, whichever that is.
        return layout.scale[layout.axes.index("z")] / layout.scale[layout.axes.index("x")]

    def layout(self, image: Path) -> Layout | None:
        """Return the axes and pixel sizes of the labels of an image; None where nobody says."""
        from napari_segmate.io.layout import label_layout

        return label_layout(image, self.axes)

    def link_axis(self, image: Path, planes: int) -> int | None:
        """Return the axis of planes along which objects are linked, of so many; None for none."""
        from napari_segmate.io.layout import Layout

        if not self.link or not planes:
            return None
        layout = (self.layout(image) or Layout.default(planes + 2)).of_ndim(planes + 2)
        return layout.link_axis

    def notes(self, image: Path) -> list[str]:
        """Return what a user may want to know about how an image is read, a line each."""
        from napari_segmate.io.images import reading_notes

        return [f"{image}: {note}" for note in reading_notes(image, self.axes)]

    def pixel_size_of(self, image: Path) -> float | None:
        """Return the side of a pixel in micrometres; None where nobody says."""
        from napari_segmate.io.pixel_size import pixel_size_um

        return pixel_size_um(image) if self.pixel_size is None else self.pixel_size

    def pixels(self, image: Path, diameter: Length | None) -> float | None:
        """Return a diameter in pixels of an image; None if it is to be estimated.

        Raises
        ------
        ParameterError
            Micrometres, and nobody says how large a pixel is.
        """
        if diameter is None or not diameter.value:
            return None
        return diameter.pixels(self.pixel_size_of(image) if diameter.micrometres else None)

    def stack_facts(self, image: Path, ndim: int) -> dict[str, Any]:
        """Return how far apart planes were taken to be, for the record; of a stack only."""
        return {"anisotropy": self.anisotropy_of(image)} if ndim > 2 else {}

    def size_facts(self, image: Path, diameter: Length | None) -> dict[str, Any]:
        """Return what a diameter in micrometres meant in an image, for the record."""
        if diameter is None or not diameter.micrometres or not diameter.value:
            return {}
        pixels, side = self.pixels(image, diameter), self.pixel_size_of(image)
        return {"size": {"asked": str(diameter), "pixel_size_um": side, "pixels": pixels}}
