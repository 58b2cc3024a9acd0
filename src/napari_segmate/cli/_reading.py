"""How commands read image files: axes, channels, and how large what is in them is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_segmate.core.images.image_source import ChannelMap, ImageSource
from napari_segmate.core.numbers.lengths import Length

if TYPE_CHECKING:
    from napari_segmate.io.ome_zarr import OmeImage

__all__ = ["Reading", "ome_of"]


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
        sizes = sizes_um(image)
        if "z" in sizes and "x" in sizes:
            return sizes["z"] / sizes["x"]
        known = ome_of(image)
        if known is None or "z" not in known.axes:
            return 1.0
        # Of the same unit, whichever that is.
        return known.scale[known.axes.index("z")] / known.scale[known.axes.index("x")]

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


def ome_of(image: Path) -> OmeImage | None:
    """Return what an OME-Zarr folder says of itself; None for anything else."""
    from napari_segmate.io.ome_zarr import open_ome

    return open_ome(image) if image.is_dir() else None
