"""How proposals look: colours that are seen on the image, outlines as wide as on any zoom."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from napari.layers import Image, Labels
from napari.utils.colormaps import CyclicLabelColormap

__all__ = ["ON_BRIGHT", "ON_DARK", "Look", "is_bright"]

ON_DARK = ("#00e5ff", "#ffd600", "#ff6d00", "#76ff03", "#ff80ab", "#b388ff")
ON_BRIGHT = ("#d500f9", "#2979ff", "#ff1744", "#00a651", "#ff6d00")
"""Contrasts of at least 2.8 to white and 5 to black: dark objects lie on a bright ground."""
LUMINANCE = (0.2126, 0.7152, 0.0722)
"""Weights of red, green and blue in what the eye sees as bright (Rec. 709)."""
ROUNDS = 17
AREA_OPACITY = 0.5
OUTLINED_COST = 1 << 23
"""Most pixels of a plane, times the width of outlines, that napari outlines within 0.3 s."""


def is_bright(image: Image) -> bool:
    """Tell whether an image is bright for the most part, as it is shown."""
    pixels = np.asarray(image.thumbnail, np.float64).reshape(-1, 4) / 255
    seen = pixels[pixels[:, 3] > 0, :3]
    return bool(seen.size and np.median(seen @ LUMINANCE) > 0.5)


def colormap(colours: Sequence[str]) -> CyclicLabelColormap:
    """Return a colormap that goes round some colours; background is not seen.

    Their order changes from round to round: numbers of neighbours are often as far apart all along
    a row, and would share a colour.
    """
    return CyclicLabelColormap(colors=["transparent", *_mixed(colours)], background_value=0)


def _mixed(colours: Sequence[str]) -> list[str]:
    rng = np.random.default_rng(0)
    found: list[str] = []
    while len(found) < ROUNDS * len(colours):
        some = [str(colour) for colour in rng.permutation(colours)]
        if not found or some[0] != found[-1]:
            found += some
    return found


class Look:
    """The look of one layer of proposals; what the user changes of it stays.

    Parameters
    ----------
    layer : Labels
        Where the proposals are.
    pixels : int
        Of a plane.
    outlined : bool
        Draw outlines, unless that takes too long; otherwise areas.
    """

    def __init__(self, layer: Labels, pixels: int, *, outlined: bool) -> None:
        self._layer, self._pixels, self._outlined = layer, pixels, outlined
        self._bright: bool | None = None
        self._width: int | None = None

    def fit(self, image: Image, width: int) -> None:
        """Take colours that are seen on an image, and outlines of `width` pixels."""
        bright = is_bright(image)
        if bright is not self._bright:
            self._bright = bright
            self._layer.colormap = colormap(ON_BRIGHT if bright else ON_DARK)
        self.set_width(width)

    def set_width(self, width: int) -> None:
        """Draw outlines of `width` pixels; areas where these take too long."""
        cheap = self._pixels * max(width, 2) <= OUTLINED_COST
        width = width if self._outlined and cheap else 0
        if self._width not in (None, self._layer.contour) or width == self._width:
            return
        # Areas have to let the image through.
        if self._width is None or bool(width) is not bool(self._width):
            self._layer.opacity = 1.0 if width else AREA_OPACITY
        self._layer.contour = self._width = width
