"""Draws proposals into their layer: small planes at once, large ones in bands, as there is time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from napari.layers import Labels

from napari_segmate.core.types import LabelArray
from napari_segmate.plugin.planes.geometry import DisplayedPlane
from napari_segmate.plugin.worker.debounce import IdleLoop

__all__ = ["ProposalDrawing", "redraw"]

BAND_PIXELS = 1 << 18
"""Pixels that are written and outlined in one go (some 5 ms); smaller planes are drawn at once."""
BUDGET_S = 0.01
"""How long the event loop is held up before it gets its turn."""

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


class ProposalDrawing:
    """Writes planes into a layer; the last call for a plane counts."""

    def __init__(self) -> None:
        self._work: list[tuple[DisplayedPlane, Rows, int, int]] = []
        self._layer: Labels | None = None
        self._timer = IdleLoop(self._go_on)

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

    def _go_on(self) -> None:
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
