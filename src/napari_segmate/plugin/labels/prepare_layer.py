"""A labels layer made ready for new objects: writable, counted, of a type for their values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import numpy as np
import numpy.typing as npt
from napari.components import ViewerModel
from napari.layers import Labels

from napari_segmate.core.context import Context
from napari_segmate.core.errors import LabelsError
from napari_segmate.core.labels.commit import dtype_for, next_id
from napari_segmate.core.types import LabelArray
from napari_segmate.plugin.labels.chunked_labels import ChunkedLabels
from napari_segmate.plugin.planes.geometry import show
from napari_segmate.plugin.worker.runner import Job, Runner

__all__ = ["LabelIds", "Preparer", "cast", "empty_labels", "in_memory", "is_writable"]

LARGEST_NUMPY_BYTES = 1 << 28
"""Larger label images live in compressed chunks: most of their pixels stay empty."""
ROWS = 1024
"""How many rows of an array that lives elsewhere are copied at a time."""


def empty_labels(shape: Sequence[int], dtype: npt.DTypeLike = np.uint16) -> Any:
    """Return an editable label array of zeros; in chunks when it would be large.

    Examples
    --------
    >>> empty_labels((2, 3)).dtype
    dtype('uint16')
    """
    if int(np.prod(shape, dtype=np.float64)) * np.dtype(dtype).itemsize <= LARGEST_NUMPY_BYTES:
        return np.zeros(shape, dtype)
    return ChunkedLabels(shape, dtype)


def in_memory(data: Any) -> LabelArray:
    """Return a numpy copy of a label array that cannot be written to."""
    array: LabelArray = np.array(data)
    return array


def is_writable(layer: Labels) -> bool:
    """Tell whether single pixels of a labels layer can be set."""
    data = layer.data
    if isinstance(data, np.ndarray):
        return bool(data.flags.writeable)
    # Dask arrays have __setitem__ but take no index arrays in more than one dimension.
    return hasattr(data, "__setitem__") and not hasattr(data, "dask")


def cast(data: Any, dtype: npt.DTypeLike) -> Any:
    """Return a copy of a label array of another type; in chunks unless it is a numpy array.

    Examples
    --------
    >>> cast(np.ones((2, 2), np.uint8), np.uint16).dtype
    dtype('uint16')
    """
    if isinstance(data, np.ndarray | ChunkedLabels):
        return data.astype(dtype) if isinstance(data, np.ndarray) else data.cast(dtype)
    larger = ChunkedLabels(data.shape, dtype)
    for number in np.ndindex(*data.shape[:-2]):
        for top in range(0, data.shape[-2], ROWS):
            index = (*number, slice(top, min(top + ROWS, data.shape[-2])), slice(None))
            part = np.asarray(data[index]).astype(dtype)
            if part.any():
                larger[index] = part
    return larger


class LabelIds:
    """The largest label of each layer: counted once, then kept up to date by what is painted."""

    def __init__(self) -> None:
        self._largest: WeakKeyDictionary[Labels, int] = WeakKeyDictionary()
        self._changes: WeakKeyDictionary[Labels, int] = WeakKeyDictionary()
        self._counted: WeakSet[Labels] = WeakSet()

    def follow(self, layer: Labels) -> None:
        """Follow what is painted from now on; before counting, so that nothing is missed."""
        if layer in self._largest:
            return
        self._largest[layer] = self._changes[layer] = 0
        layer.events.paint.connect(self._on_paint)
        layer.events.set_data.connect(self._on_drawn)
        layer.events.data.connect(self._on_data)

    def knows(self, layer: Labels) -> bool:
        """Tell whether a layer has been counted."""
        return layer in self._counted

    def count(self, layer: Labels, largest: int) -> None:
        """Take note of the largest label that was found in the whole layer."""
        self.follow(layer)
        self._counted.add(layer)
        self.note(layer, largest)

    def note(self, layer: Labels, largest: int) -> None:
        """Take note of a label that is in use."""
        self._largest[layer] = max(largest, self._largest.get(layer, 0))

    def largest(self, layer: Labels) -> int:
        """Return the largest label that a layer has had, as far as known."""
        return self._largest.get(layer, 0)

    def changes(self, layer: Labels) -> int:
        """Return a number that is another one after the layer has changed."""
        return self._changes.get(layer, 0)

    def next_id(self, layer: Labels) -> int:
        """Return a label value that the layer has never had, as far as known."""
        if not self.knows(layer):
            self.count(layer, next_id(layer.data) - 1)
        return self.largest(layer) + 1

    def reserve(self, layer: Labels, count: int) -> int:
        """Return the first of `count` label values in a row that are free, and can be held."""
        first = self.next_id(layer)
        self.make_room(layer, first + count - 1)
        self.note(layer, first + count - 1)
        return first

    def dtype_for(self, layer: Labels, count: int) -> np.dtype[Any]:
        """Return the type that a layer needs to hold `count` more labels."""
        return dtype_for(self.next_id(layer) + count - 1, layer.data.dtype)

    def make_room(self, layer: Labels, largest: int) -> None:
        """Give a layer a type that holds the label value `largest`."""
        dtype = dtype_for(largest, layer.data.dtype)
        if dtype != layer.data.dtype:
            self.replace(layer, cast(layer.data, dtype))

    def replace(self, layer: Labels, data: Any) -> None:
        """Give a layer an array with the same content, of a larger type.

        The layer, its undo history and its settings stay.
        """
        largest = self.next_id(layer) - 1
        show(layer)
        layer.data = data
        self.count(layer, largest)

    def _on_paint(self, event: Any) -> None:
        self._on_drawn(event)
        for atom in event.value:
            # The brush tells of a mask, everything else of (indices, old values, new values).
            values = getattr(atom, "new_value", None)
            self.note(event.source, int(np.max(atom[2] if values is None else values)))

    def _on_drawn(self, event: Any) -> None:
        """Count: napari tells of undo and redo in this way alone."""
        self._changes[event.source] = self._changes.get(event.source, 0) + 1

    def _on_data(self, event: Any) -> None:
        layer = event.source
        layer.events.paint.disconnect(self._on_paint)
        layer.events.set_data.disconnect(self._on_drawn)
        layer.events.data.disconnect(self._on_data)
        self._largest.pop(layer, None)
        self._counted.discard(layer)


QUICK_PIXELS = 1 << 23
"""Largest numpy label image that is looked through on the GUI thread (some 10 ms)."""

_Failed = Callable[[BaseException], None]
_Step = tuple[Callable[[Context], Any], Callable[[Any], None]]
"""What the worker does, and what is done with its result on the GUI thread."""


class Preparer:
    """Makes layers ready: counted, in memory, of a type that holds the next labels.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layers are.
    ids : LabelIds
        Knows which label values are free.
    runner : Runner
        Does what takes long.
    notify : callable
        Called with a sentence for the user.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        ids: LabelIds,
        runner: Runner,
        notify: Callable[[str], None],
    ) -> None:
        self._viewer = viewer
        self._ids = ids
        self._runner = runner
        self._notify = notify

    def count_when_idle(self, layer: Labels) -> None:
        """Count a layer that was chosen, so that the first commit finds it counted."""
        if is_writable(layer) and not self._ids.knows(layer) and not _is_quick(layer):
            work, use = self._counting(layer)
            self._runner.submit(Job(work, use, idle=True))

    def prepare(
        self, layer: Labels, count: int, write: Callable[[], None], failed: _Failed
    ) -> None:
        """Call `write` now, or after the worker has done what takes long.

        Parameters
        ----------
        layer : Labels
            Where objects are to go.
        count : int
            How many new labels they need.
        write : callable
            Called on the GUI thread.
        failed : callable
            Called with what went wrong.
        """
        try:
            if layer not in self._viewer.layers:
                raise LabelsError(f"'{layer.name}' was removed; try again")
            step = self._next_step(layer, count)
            if step is None:
                write()
                return
        except Exception as error:  # the user must learn of every failure, whatever it is
            failed(error)
            return
        work, use = step

        def done(result: Any) -> None:
            if layer in self._viewer.layers:
                use(result)
            self.prepare(layer, count, write, failed)

        self._runner.submit(Job(work, done, failed))

    def _next_step(self, layer: Labels, count: int) -> _Step | None:
        ids = self._ids
        if not is_writable(layer):
            self._notify(f"'{layer.name}' cannot be edited in place: it is copied into memory")
            return self._copying(layer)
        if not ids.knows(layer):
            if not _is_quick(layer):
                return self._counting(layer)
            ids.count(layer, next_id(layer.data) - 1)
        dtype = ids.dtype_for(layer, count)
        if dtype != layer.data.dtype and not _is_quick(layer):
            return self._casting(layer, dtype)
        return None

    def _copying(self, layer: Labels) -> _Step:
        data = layer.data
        return lambda context: in_memory(data), lambda copy: setattr(layer, "data", copy)

    def _counting(self, layer: Labels) -> _Step:
        ids, data = self._ids, layer.data
        ids.follow(layer)

        def use(found: int) -> None:
            if layer.data is data:
                ids.count(layer, found - 1)

        return lambda context: next_id(data), use

    def _casting(self, layer: Labels, dtype: np.dtype[Any]) -> _Step:
        ids, data = self._ids, layer.data
        changes = ids.changes(layer)

        def use(larger: Any) -> None:
            # What was painted meanwhile is not in the copy: then it is made once more.
            if layer.data is data and ids.changes(layer) == changes:
                ids.replace(layer, larger)

        return lambda context: cast(data, dtype), use


def _is_quick(layer: Labels) -> bool:
    return isinstance(layer.data, np.ndarray) and layer.data.size <= QUICK_PIXELS
