"""Many objects at once into the output labels: one step of undo, the window stays responsive."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer

from napari_segmate.core.context import Context
from napari_segmate.core.errors import LabelsError
from napari_segmate.core.labels.commit import MOST_COVERED, MOST_OVERLAP, Change, CommitPolicy
from napari_segmate.io.provenance import Record, to_json
from napari_segmate.plugin.labels.commit import OutputLabels, set_records
from napari_segmate.plugin.labels.label_pixels import (
    UndoStep,
    holds_steps,
    restore_pixels,
    write_pixels,
)
from napari_segmate.plugin.labels.prepare_layer import Preparer
from napari_segmate.plugin.planes.geometry import DisplayedPlane, show
from napari_segmate.plugin.worker.debounce import IdleLoop
from napari_segmate.plugin.worker.runner import Job, Runner

__all__ = [
    "Indices",
    "ManyCommitter",
    "ManyObjects",
    "ManyWriter",
    "Patch",
    "Places",
    "WrittenMany",
    "features_of",
]

Indices = npt.NDArray[np.intp]
PIECE = 50_000
"""How many pixels are written in one turn of the event loop (some 10 ms)."""
TILE = 1024
"""Side of the squares that are written one after the other, in pixels."""


@dataclass(frozen=True, eq=False)
class Patch:
    """The pixels of all new objects of one plane; no pixel twice.

    Parameters
    ----------
    plane : DisplayedPlane
        The plane, in the axes of the labels layer.
    y, x : (N,) int
        Plane pixels.
    number : (N,) int
        Object of each pixel, from 1. An object of several planes has one number.
    """

    plane: DisplayedPlane
    y: Indices
    x: Indices
    number: Indices

    @classmethod
    def of(
        cls, plane: DisplayedPlane, changes: Sequence[Change], numbers: Sequence[int] = ()
    ) -> Patch:
        """Return the pixels of changes to an empty label image.

        Parameters
        ----------
        plane : DisplayedPlane
            The plane.
        changes : sequence of Change
            Their values are numbers of objects.
        numbers : sequence of int
            ``numbers[value - 1]`` is the number of the object; by default the value itself.
        """
        values = [one.value if not numbers else numbers[one.value - 1] for one in changes]
        return cls(
            plane,
            _joined([one.index[0] for one in changes]),
            _joined([one.index[1] for one in changes]),
            _joined([np.full(len(c.index[0]), v) for c, v in zip(changes, values, strict=True)]),
        )

    def pieces(self) -> tuple[Patch, ...]:
        """Return the same pixels in patches that are quick to write.

        Objects stay whole, and those of one patch lie near each other: napari draws the box round
        what was written.
        """
        if len(self.number) <= PIECE:
            return (self,)
        rank = self._ranks()
        order = np.argsort(rank, kind="stable")
        ends = np.flatnonzero(np.diff(rank[order], append=rank.max() + 1)) + 1
        # The first object that ends beyond each multiple of the size ends a piece.
        wanted = np.searchsorted(ends, np.arange(PIECE, len(rank) + PIECE, PIECE))
        cuts = np.unique(ends[np.minimum(wanted, len(ends) - 1)])
        parts = np.split(order, cuts[:-1])
        return tuple(
            Patch(self.plane, self.y[part], self.x[part], self.number[part]) for part in parts
        )

    def _ranks(self) -> Indices:
        """Return the place of each pixel's object in an order of tiles, row by row."""
        _, first, member = np.unique(self.number, return_index=True, return_inverse=True)
        tiles = np.lexsort((self.number[first], self.x[first] // TILE, self.y[first] // TILE))
        ranks = np.empty(len(first), np.intp)
        ranks[tiles] = np.arange(len(first))
        return ranks[member.reshape(-1)]


def _joined(parts: Sequence[npt.NDArray[Any]]) -> Indices:
    return np.concatenate([np.zeros(0, np.intp), *parts]).astype(np.intp)


@dataclass(frozen=True, eq=False)
class ManyObjects:
    """Objects on their way into a labels layer.

    Parameters
    ----------
    count : int
        Their numbers are 1 to `count`.
    patches : sequence of Patch
        Their pixels, plane by plane.
    records : sequence of Record
        How they came about; ``Record.label`` is the number of the object.
    features : mapping of str to sequence
        Columns for the features of the layer: one value per object.
    """

    count: int
    patches: Sequence[Patch]
    records: Sequence[Record] = ()
    features: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    @cached_property
    def stored(self) -> list[dict[str, Any]]:
        """The records as JSON values."""
        return to_json(self.records)

    def prepared(self) -> ManyObjects:
        """Return the same objects in patches that are quick to write, as far as can be prepared."""
        found = replace(self, patches=[one for patch in self.patches for one in patch.pieces()])
        assert len(found.stored) == len(self.records), "one record each"
        return found


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
    steps: list[UndoStep] = field(default_factory=list)
    got: set[int] = field(default_factory=set)

    @property
    def left_out(self) -> int:
        """How many objects got no pixel, because they lie on others."""
        return self.count - len(self.labels)

    @property
    def is_there(self) -> bool:
        """True unless it has been undone, with Ctrl+Z for instance."""
        return holds_steps(self.layer, self.steps)


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
        first = self._output.ids.reserve(layer, objects.count)
        written = WrittenMany(layer, first=first, count=objects.count)

        def finish() -> None:
            self._finish(written, objects, first)
            done(written)

        def writing(patch: Patch) -> Callable[[], None]:
            return lambda: _write_patch(written, patch, first, policy)

        self._start(layer, [*map(writing, objects.patches), finish])

    def take_back(self, written: WrittenMany, done: Callable[[], None]) -> None:
        """Give the pixels back what they had before, unless somebody has painted there since."""

        def restore(step: UndoStep) -> Callable[[], None]:
            return lambda: restore_pixels(written.layer, step)

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
    written.steps.append(write_pixels(layer, indices, before[free], after))
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


REMEMBERED = 20
ALL_TAKEN = "all objects lie on others; let the options overwrite others"

Index = tuple[int, ...]
Places = Mapping[Index, DisplayedPlane]
Failed = Callable[[BaseException], None]
Made = TypeVar("Made")


class ManyCommitter(Generic[Made]):
    """Writes objects to the output of one viewer, and takes them back.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layers are.
    runner : Runner
        Does what takes long.
    notify : callable
        Called with a sentence for the user.
    """

    def __init__(self, viewer: ViewerModel, runner: Runner, notify: Callable[[str], None]) -> None:
        self._viewer = viewer
        self._runner = runner
        self._written: list[tuple[WrittenMany, Made]] = []
        self.output = OutputLabels(viewer)
        self._preparer = Preparer(viewer, self.output.ids, runner, notify)
        self.output.chosen = self._preparer.count_when_idle
        self.writer = ManyWriter(self.output)
        self.policy = CommitPolicy.KEEP_OBJECTS
        self.changed: Callable[[], None] = lambda: None

    def close(self) -> None:
        """Finish what is being written."""
        self.writer.stop()

    @property
    def can_take_back(self) -> bool:
        """True when something was written and not yet taken back."""
        return bool(self._written)

    def write(
        self,
        image: Image,
        planes: Places,
        make: Callable[[Places, Context], tuple[ManyObjects, Made]],
        done: Callable[[WrittenMany, Made], None],
        failed: Failed,
    ) -> None:
        """Write objects.

        Parameters
        ----------
        image : Image
            Where they were found.
        planes : mapping
            Its planes.
        make : callable
            ``make(targets, context)`` returns objects for planes in the output, and whatever `done`
            and `take_back` should hand on; called in the worker thread.
        done : callable
            Called with what was written.
        failed : callable
            Called with what went wrong.
        """
        try:
            dims = self._viewer.dims
            targets = {at: self.output.plane(image, one, dims)[1] for at, one in planes.items()}
            layer = self.output.layer
            if layer is None:
                raise LabelsError("there is no object to write")
            self.changed()

            def write(made: tuple[ManyObjects, Made]) -> None:
                self._preparer.prepare(
                    layer, made[0].count, lambda: self._write(layer, made, done, failed), failed
                )

            def work(context: Context) -> tuple[ManyObjects, Made]:
                objects, more = make(targets, context)
                return objects.prepared(), more

            self._runner.submit(Job(work, write, failed))
        except Exception as error:  # the user must learn of every failure, whatever it is
            failed(error)

    def _write(
        self,
        layer: Labels,
        made: tuple[ManyObjects, Made],
        done: Callable[[WrittenMany, Made], None],
        failed: Failed,
    ) -> None:
        def written(result: WrittenMany) -> None:
            if not result.labels:
                failed(LabelsError(f"nothing changes in '{layer.name}': {ALL_TAKEN}"))
                return
            self._written = [*self._written, (result, made[1])][-REMEMBERED:]
            self.changed()
            done(result, made[1])

        try:
            self.writer.write(layer, made[0], self.policy, written)
        except Exception as error:  # as above
            failed(error)

    def take_back(self, done: Callable[[Made], None]) -> bool:
        """Remove the objects written last that are still there; False when there are none."""
        while self._written:
            written, made = self._written.pop()
            if written.layer in self._viewer.layers and written.is_there:
                self.writer.take_back(written, partial(done, made))
                self.changed()
                return True
        self.changed()
        return False

    def forget(self, layer: Layer) -> None:
        """Forget what was written to a layer that is gone."""
        self._written = [one for one in self._written if one[0].layer is not layer]
        self.changed()
