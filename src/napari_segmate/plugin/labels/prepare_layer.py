"""What must be done before objects can be written to a layer, away from the GUI thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Labels

from napari_segmate.core.context import Context
from napari_segmate.core.errors import LabelsError
from napari_segmate.core.labels.commit import next_id
from napari_segmate.plugin.labels.label_arrays import cast, in_memory, is_writable
from napari_segmate.plugin.labels.output_layer import OutputLabels
from napari_segmate.plugin.worker.runner import Job, Runner

__all__ = ["Preparer"]

QUICK_PIXELS = 1 << 23
"""Largest numpy label image that is looked through on the GUI thread (some 10 ms)."""

Failed = Callable[[BaseException], None]
Step = tuple[Callable[[Context], Any], Callable[[Any], None]]
"""What the worker does, and what is done with its result on the GUI thread."""


class Preparer:
    """Makes layers ready: counted, in memory, of a type that holds the next labels.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layers are.
    output : OutputLabels
        Knows which label values are free.
    runner : Runner
        Does what takes long.
    notify : callable
        Called with a sentence for the user.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        output: OutputLabels,
        runner: Runner,
        notify: Callable[[str], None],
    ) -> None:
        self._viewer = viewer
        self._output = output
        self._runner = runner
        self._notify = notify
        output.chosen = self.look_ahead

    def look_ahead(self, layer: Labels) -> None:
        """Count a layer that was chosen, so that the first commit finds it counted."""
        if is_writable(layer) and not self._output.ids.knows(layer) and not _is_quick(layer):
            work, use = self._counting(layer)
            self._runner.submit(Job(work, use, idle=True))

    def prepare(self, layer: Labels, count: int, write: Callable[[], None], failed: Failed) -> None:
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

    def _next_step(self, layer: Labels, count: int) -> Step | None:
        ids = self._output.ids
        if not is_writable(layer):
            self._notify(f"'{layer.name}' cannot be edited in place: it is copied into memory")
            return self._copying(layer)
        if not ids.knows(layer):
            if not _is_quick(layer):
                return self._counting(layer)
            ids.count(layer, next_id(layer.data) - 1)
        dtype = self._output.dtype_for(layer, count)
        if dtype != layer.data.dtype and not _is_quick(layer):
            return self._casting(layer, dtype)
        return None

    def _copying(self, layer: Labels) -> Step:
        data = layer.data
        return lambda context: in_memory(data), lambda copy: setattr(layer, "data", copy)

    def _counting(self, layer: Labels) -> Step:
        ids, data = self._output.ids, layer.data
        ids.follow(layer)

        def use(found: int) -> None:
            if layer.data is data:
                ids.count(layer, found - 1)

        return lambda context: next_id(data), use

    def _casting(self, layer: Labels, dtype: np.dtype[Any]) -> Step:
        ids, data = self._output.ids, layer.data
        changes = ids.changes(layer)

        def use(larger: Any) -> None:
            # What was painted meanwhile is not in the copy: then it is made once more.
            if layer.data is data and ids.changes(layer) == changes:
                self._output.replace(layer, larger)

        return lambda context: cast(data, dtype), use


def _is_quick(layer: Labels) -> bool:
    return isinstance(layer.data, np.ndarray) and layer.data.size <= QUICK_PIXELS
