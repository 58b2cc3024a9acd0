"""How proposals are drawn: colours seen on the image, large planes band by band."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from napari.utils.colormaps import CyclicLabelColormap

from napari_segmate.core.types import LabelArray
from napari_segmate.plugin.planes.geometry import DisplayedPlane
from napari_segmate.plugin.worker.debounce import IdleLoop

__all__ = ["ON_BRIGHT", "ON_DARK", "ProposalPainter", "ProposalStyle", "is_bright", "redraw"]

BAND_PIXELS = 1 << 18
"""Pixels that are written and outlined in one go (some 5 ms); smaller planes are drawn at once."""
BUDGET_S = 0.01
"""How long the event loop is held up before it gets its turn."""

ON_DARK = ("#00e5ff", "#ffd600", "#ff6d00", "#76ff03", "#ff80ab", "#b388ff")
ON_BRIGHT = ("#d500f9", "#2979ff", "#ff1744", "#00a651", "#ff6d00")
"""Contrasts of at least 2.8 to white and 5 to black: dark objects lie on a bright ground."""
LUMINANCE = (0.2126, 0.7152, 0.0722)
"""Weights of red, green and blue in what the eye sees as bright (Rec. 709)."""
ROUNDS = 17
AREA_OPACITY = 0.5
OUTLINED_COST = 1 << 23
"""Most pixels of a plane, times the width of outlines, that napari outlines within 0.3 s."""

Rows = Callable[[int, int], LabelArray]


def redraw(layer: Labels, box_yx: tuple[int, int, int, int]) -> None:
    """Have napari draw a box of a flat numpy labels layer whose pixels were set behind its back.

    napari draws the box round pixels that it writes itself: it is given two corners to write.
    """
    y0, x0, y1, x1 = box_yx
    corners = (np.array([y0, y1 - 1]), np.array([x0, x1 - 1]))
    values = layer.data[corners].copy()
    layer.data[corners] = values ^ 1
    layer.data_setitem(corners, values)


class ProposalPainter:
    """Writes planes into a layer; the last call for a plane counts."""

    def __init__(self) -> None:
        self._work: list[tuple[DisplayedPlane, Rows, int, int]] = []
        self._layer: Labels | None = None
        self._timer = IdleLoop(self._draw_some)

    @property
    def busy(self) -> bool:
        """True while bands are still to be written."""
        return bool(self._work)

    def draw(self, layer: Labels, planes: Iterable[tuple[DisplayedPlane, Rows]]) -> None:
        """Draw planes.

        Parameters
        ----------
        layer : Labels
            A layer that nobody else writes to.
        planes : iterable of (plane, rows)
            ``rows(top, bottom)`` returns what some rows of the plane hold.
        """
        self._layer = layer
        for plane, rows in planes:
            self._work = [one for one in self._work if one[0] != plane]
            height, width = plane.shape
            step = max(1, BAND_PIXELS // max(width, 1))
            bands = [(top, min(top + step, height)) for top in range(0, height, step)]
            self._work += [(plane, rows, *band) for band in bands]
        if len(self._work) <= 1:
            self.finish()
        else:
            self._timer.start()

    def finish(self) -> None:
        """Write at once what is left."""
        self._run(until=float("inf"))

    def stop(self) -> None:
        """Write nothing more."""
        self._timer.stop()
        self._work.clear()

    def _draw_some(self) -> None:
        self._run(until=time.monotonic() + BUDGET_S)

    def _run(self, until: float) -> None:
        layer = self._layer
        while self._work and layer is not None:
            plane, rows, top, bottom = self._work.pop(0)
            box = (top, 0, bottom, plane.shape[1])
            layer.data[plane.slices(box)] = rows(top, bottom)
            # Outlines of a whole plane take long. Without them the plane is drawn once, at the end.
            if _outlined(layer) and (self._work or top):
                redraw(layer, box)
            elif not self._work:
                layer.refresh()
            if time.monotonic() > until:
                break
        if not self._work:
            self._timer.stop()


def _outlined(layer: Labels) -> Any:
    return layer.contour and layer.ndim == 2 and isinstance(layer.data, np.ndarray)


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


class ProposalStyle:
    """The style of one layer of proposals; what the user changes of it stays.

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
