"""Many objects at once into a labels layer: one step of undo, the window stays responsive."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from napari.layers import Labels

from napari_segmate.core.errors import LabelsError
from napari_segmate.core.labels.commit import MOST_OVERLAP, CommitPolicy
from napari_segmate.core.labels.find_duplicate import MOST_COVERED
from napari_segmate.plugin.labels import undo_steps as steps
from napari_segmate.plugin.labels.output_layer import OutputLabels, set_records
from napari_segmate.plugin.labels.patches import Indices, ManyObjects, Patch
from napari_segmate.plugin.labels.undo_steps import Step
from napari_segmate.plugin.planes.displayed_plane import show
from napari_segmate.plugin.worker.debounce import IdleLoop

__all__ = ["ManyWriter", "WrittenMany", "features_of"]

INDEX = "index"
"""Column of a labels layer's features that holds the label values."""


@dataclass(eq=False)
class WrittenMany:
    """What one commit of `count` objects did to a labels layer; object 1 became label `first`.

    `labels` are those that have pixels; while it is being written they are in `got`.
    """

    layer: Labels
    labels: tuple[int, ...] = ()
    first: int = 1
    count: int = 0
    steps: list[Step] = field(default_factory=list)
    got: set[int] = field(default_factory=set)

    @property
    def left_out(self) -> int:
        """How many objects got no pixel, because they lie on others."""
        return self.count - len(self.labels)

    @property
    def is_there(self) -> bool:
        """True unless it has been undone, with Ctrl+Z for instance."""
        return steps.is_there(self.layer, self.steps)


class ManyWriter:
    """Writes `ManyObjects`, plane after plane, and takes them back.

    Parameters
    ----------
    output : OutputLabels
        Knows which label values are free.
    """

    def __init__(self, output: OutputLabels) -> None:
        self._output = output
        self._work: list[Callable[[], None]] = []
        self._history: ExitStack | None = None
        self._timer = IdleLoop(self._go_on)

    @property
    def busy(self) -> bool:
        """True while planes are still to be written."""
        return self._history is not None

    def write(
        self,
        layer: Labels,
        objects: ManyObjects,
        policy: CommitPolicy,
        done: Callable[[WrittenMany], None],
    ) -> None:
        """Write objects as one step of the layer's undo; `done` is called when all are there.

        The first plane is written at once, the others one by one as the event loop is free.

        Raises
        ------
        LabelsError
            There is no object, another commit is on its way, or no label value is left.
        """
        if self.busy:
            raise LabelsError("the last objects are still being written; wait a moment")
        if not objects.count:
            raise LabelsError("there is no object to write")
        first = self._output.reserve(layer, objects.count)
        written = WrittenMany(layer, first=first, count=objects.count)

        def finish() -> None:
            self._finish(written, objects, first)
            done(written)

        def writing(patch: Patch) -> Callable[[], None]:
            return lambda: _write_patch(written, patch, first, policy)

        self._start(layer, [*map(writing, objects.patches), finish])

    def take_back(self, written: WrittenMany, done: Callable[[], None]) -> None:
        """Give the pixels back what they had before, unless somebody has painted there since."""

        def restore(step: Step) -> Callable[[], None]:
            return lambda: steps.restore(written.layer, step)

        def finish() -> None:
            set_records(written.layer, [], set(written.labels))
            _drop_features(written.layer, written.labels)
            done()

        self._start(written.layer, [*map(restore, written.steps), finish])

    def stop(self) -> None:
        """Finish at once what has been begun: half of the objects would be worse."""
        while self._work:
            self._next()
        self._timer.stop()

    def _start(self, layer: Labels, work: Sequence[Callable[[], None]]) -> None:
        # A hidden layer keeps a stale slice, which napari would write through.
        show(layer)
        self._history = ExitStack()
        self._history.enter_context(layer.block_history())
        self._work = list(work)
        self._next()
        if self._work and len(self._work) > 1:
            self._timer.start()
        else:
            self.stop()

    def _go_on(self) -> None:
        self._next()
        if not self._work:
            self._timer.stop()

    def _next(self) -> None:
        act = self._work.pop(0)
        if not self._work:
            # The last one is told of everything, as one step of undo.
            self._close_history()
        try:
            act()
        except BaseException:
            self._work.clear()
            self._close_history()
            raise

    def _close_history(self) -> None:
        if self._history is not None:
            self._history.close()
            self._history = None

    def _finish(self, written: WrittenMany, objects: ManyObjects, first: int) -> None:
        there = written.got
        numbers = sorted(there)
        written.labels = tuple(numbers)
        records = [
            {**record, "label": record["label"] + first - 1}
            for record in objects.stored
            if record["label"] + first - 1 in there
        ]
        layer = written.layer
        set_records(layer, records, there)
        rows = [number - first for number in numbers]
        columns = {name: [values[row] for row in rows] for name, values in objects.features.items()}
        if columns and numbers:
            layer.features = features_of(layer, numbers, columns)


def _write_patch(written: WrittenMany, patch: Patch, first: int, policy: CommitPolicy) -> None:
    layer = written.layer
    indices = patch.plane.indices(patch.y, patch.x)
    before = np.asarray(layer.data[indices])
    free = _free(before, patch.number, policy)
    if not free.any():
        return
    indices = tuple(axis[free] for axis in indices)
    after = patch.number[free] + first - 1
    written.steps.append(steps.write(layer, indices, before[free], after))
    written.got.update(np.unique(after).tolist())


def _free(before: npt.NDArray[Any], number: Indices, policy: CommitPolicy) -> npt.NDArray[np.bool_]:
    """Tell which pixels new objects get; what is there already gets none, to leave no slivers."""
    if policy is CommitPolicy.OVERWRITE or not number.size:
        return np.ones(number.shape, bool)
    taken = before != 0
    most = MOST_OVERLAP if policy is CommitPolicy.ONLY_BACKGROUND else MOST_COVERED
    left_out = np.bincount(number, weights=taken) > most * np.bincount(number)
    return np.asarray(~taken & ~left_out[number])


def features_of(
    layer: Labels, labels: Sequence[int], columns: Mapping[str, Sequence[Any]]
) -> pd.DataFrame:
    """Return the features of a labels layer with rows for new labels; other columns stay.

    Parameters
    ----------
    layer : Labels
        Rows of these labels are replaced.
    labels : sequence of int
        Label values.
    columns : mapping of str to sequence
        One value per label.
    """
    table = layer.features.reset_index(drop=True)
    if INDEX not in table:
        # Without this column napari takes the number of a row for the label.
        table = table.assign(**{INDEX: range(len(table))})
    table = table[~table[INDEX].isin(list(labels))]
    new = pd.DataFrame({INDEX: list(labels), **columns})
    if table.empty:
        return new
    return pd.concat([table, new], ignore_index=True)


def _drop_features(layer: Labels, labels: Sequence[int]) -> None:
    table = layer.features
    if INDEX in table and table[INDEX].isin(list(labels)).any():
        layer.features = table[~table[INDEX].isin(list(labels))].reset_index(drop=True)
