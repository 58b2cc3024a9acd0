"""What was painted on a labels layer lately, by whatever means, and whether it is still there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.types import IntBoxYX
from napari_segmate.plugin.labels.chunked_labels import ChunkedLabels
from napari_segmate.sessions.journal import Patch

__all__ = ["PaintLog", "Window", "filled", "windows_of"]

TILE = 1024
"""Side of the largest window: reading one holds up other threads for a millisecond."""
REMEMBERED_PIXELS = 1 << 26
"""How much of a layer is compared when something may have been undone (below a second)."""


@dataclass(frozen=True)
class Window:
    """A box of one plane of a label array.

    Parameters
    ----------
    index : tuple of int
        Plane: one number per axis but the last two.
    box : (y0, x0, y1, x1)
        Half-open, in the last two axes.
    """

    index: tuple[int, ...]
    box: IntBoxYX

    @property
    def area(self) -> int:
        """Number of pixels."""
        y0, x0, y1, x1 = self.box
        return (y1 - y0) * (x1 - x0)

    def read(self, data: Any) -> Patch:
        """Return what an array holds here now."""
        y0, x0, y1, x1 = self.box
        values = np.array(data[(*self.index, slice(y0, y1), slice(x0, x1))])
        return Patch(self.index, self.box, values)


def windows_of(atom: Any) -> Iterator[Window]:
    """Yield where a step of the undo history of a labels layer has changed pixels.

    Parameters
    ----------
    atom : tuple
        As in the layer's paint events: index arrays, old and new values; or, from the brush and its
        like, something with a ``slice_key`` of slices.

    Examples
    --------
    >>> list(windows_of((([2, 2, 0], [5, 9, 1], [7, 3, 1]), [0, 0, 0], 1)))
    [Window(index=(0,), box=(1, 1, 2, 2)), Window(index=(2,), box=(5, 3, 10, 8))]
    """
    key = getattr(atom, "slice_key", None)
    if key is None:
        yield from _round(tuple(np.ravel(axis) for axis in atom[0]))
        return
    y, x = key[-2:]
    for index in product(*(range(part.start, part.stop) for part in key[:-2])):
        yield from _tiles(index, (y.start, x.start, y.stop, x.stop))


def _tiles(index: tuple[int, ...], box: IntBoxYX) -> Iterator[Window]:
    """Yield a box in pieces."""
    for y, x in product(range(box[0], box[2], TILE), range(box[1], box[3], TILE)):
        yield Window(index, (y, x, min(y + TILE, box[2]), min(x + TILE, box[3])))


def _round(pixels: tuple[npt.NDArray[Any], ...]) -> Iterator[Window]:
    """Yield boxes round pixels, one per tile of each plane."""
    y, x = pixels[-2:]
    groups = np.stack([*pixels[:-2], y // TILE, x // TILE])
    # Most steps lie in one tile; sorting many pixels takes long.
    members: list[Any] = [slice(None)]
    if not (groups == groups[:, :1]).all():
        _, number = np.unique(groups, axis=1, return_inverse=True)
        order = np.argsort(number.reshape(-1), kind="stable")
        ends = np.flatnonzero(np.diff(number.reshape(-1)[order])) + 1
        members = np.split(order, ends)
    for some in members:
        rows, columns = y[some], x[some]
        index = tuple(int(axis[some][0]) for axis in pixels[:-2])
        low, high = (int(rows.min()), int(columns.min())), (int(rows.max()), int(columns.max()))
        yield Window(index, (*low, high[0] + 1, high[1] + 1))


def filled(data: Any) -> Iterator[Patch]:
    """Yield all of a label array that is not empty."""
    for window in _parts(data):
        patch = window.read(data)
        rows, columns = (np.flatnonzero(patch.values.any(axis=axis)) for axis in (1, 0))
        if rows.size:
            (y0, x0), (top, left) = window.box[:2], (int(rows[0]), int(columns[0]))
            bottom, right = int(rows[-1]) + 1, int(columns[-1]) + 1
            box = (y0 + top, x0 + left, y0 + bottom, x0 + right)
            yield Patch(window.index, box, patch.values[top:bottom, left:right])


def _parts(data: Any) -> Iterator[Window]:
    if isinstance(data, ChunkedLabels):
        for *planes, y, x in data.windows():
            index = tuple(int(part.start) for part in planes)
            yield Window(index, (y.start, x.start, y.stop, x.stop))
    else:
        for index in np.ndindex(*data.shape[:-2]):
            yield from _tiles(tuple(index), (0, 0, int(data.shape[-2]), int(data.shape[-1])))


class PaintLog:
    """The windows of a label array that were painted lately, and what they held.

    napari tells of a stroke where it was, but of undo and redo only that something has changed:
    what the windows of the last strokes hold is compared then. All methods are for one thread, not
    the one that paints: what changes while it is read is read again, as it is told of afterwards.
    """

    def __init__(self) -> None:
        self._held: dict[Window, bytes] = {}

    def painted(self, data: Any, atoms: list[Any]) -> list[Patch]:
        """Return what the pixels of history steps hold now, after they have been written.

        napari tells of a step before it writes.

        Parameters
        ----------
        data : (..., Y, X) int
            Label array.
        atoms : list
            See `windows_of`.
        """
        windows = dict.fromkeys(window for atom in atoms for window in windows_of(atom))
        return [self._note(window.read(data), window) for window in windows]

    def changed(self, data: Any) -> list[Patch]:
        """Return the windows that hold something else than when they were last read."""
        found = []
        room = REMEMBERED_PIXELS
        for window, held in list(reversed(self._held.items())):
            room -= window.area
            if room < 0:
                del self._held[window]
                continue
            patch = window.read(data)
            if _digest(patch) != held:
                found.append((window, patch))
        return [self._note(patch, window) for window, patch in reversed(found)]

    def _note(self, patch: Patch, window: Window) -> Patch:
        self._held.pop(window, None)
        self._held[window] = _digest(patch)
        return patch


def _digest(patch: Patch) -> bytes:
    return blake2b(patch.values.tobytes(), digest_size=8).digest()
