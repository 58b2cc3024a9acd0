"""Which label values of a layer are free, without looking at all of it for each object."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import numpy as np
from napari.layers import Labels

__all__ = ["LabelIds"]


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
