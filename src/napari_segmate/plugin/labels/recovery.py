"""Keeps on disk what is painted and committed until the session ends, and brings it back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import product
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import numpy as np
import numpy.typing as npt
import pint
from napari.layers import Image, Labels

from napari_segmate.core.context import Context
from napari_segmate.core.labels.commit import dtype_for
from napari_segmate.core.types import IntBoxYX
from napari_segmate.io.provenance import METADATA_KEY, Record, from_json, to_json
from napari_segmate.plugin.labels.chunked_labels import ChunkedLabels
from napari_segmate.plugin.labels.commit import Written
from napari_segmate.plugin.labels.prepare_layer import empty_labels
from napari_segmate.plugin.planes.geometry import Geometry
from napari_segmate.plugin.worker.debounce import Debouncer
from napari_segmate.plugin.worker.runner import Job, Runner
from napari_segmate.sessions.journal import Patch
from napari_segmate.sessions.recovery import (
    Entry,
    Header,
    Leftover,
    Recovered,
    RecoveryWriter,
    discard,
    leftovers,
    read_journal,
)

__all__ = ["PaintLog", "RecoveryKeeper", "Window", "filled", "restored_layer", "windows_of"]

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


SNAPSHOT_PIXELS = 1 << 25
"""Larger label images are journaled from the first change on, without what they held before."""


def _in_thread(job: Callable[[], None]) -> None:
    threading.Thread(target=job, name="napari-segmate-recovery", daemon=True).start()


def _extra(layer: Labels) -> dict[str, Any]:
    return {
        name: [str(one) for one in value] if isinstance(value, tuple) else value.tolist()
        for name, value in Geometry.of(layer).kwargs().items()
    }


def _layer_options(extra: Mapping[str, Any]) -> dict[str, Any]:
    registry: Any = pint.get_application_registry()  # type: ignore[no-untyped-call]
    options = dict(extra)
    options["units"] = tuple(registry.Unit(one) for one in extra["units"])
    return options


def restored_layer(recovered: Recovered) -> Labels:
    """Return a new layer with the content of a recovery file."""
    header = recovered.header
    data = empty_labels(header.shape, dtype_for(recovered.largest_label, header.dtype))
    recovered.apply(data)
    options = _layer_options(header.extra)
    layer = Labels(data, name=f"{header.labels} (recovered)", opacity=0.5, **options)
    layer.metadata[METADATA_KEY] = to_json(recovered.records)
    return layer


class RecoveryKeeper:
    """The recovery files of one dock.

    Parameters
    ----------
    folder : Path
        Where recovery files lie.
    runner : Runner
        Reads the files.
    warn : callable
        Called with a sentence for the user; from any thread.
    """

    def __init__(self, folder: Path, runner: Runner, warn: Callable[[str], None]) -> None:
        self._folder = folder
        self._runner = runner
        self._warn = warn
        self._images: WeakKeyDictionary[Labels, str] = WeakKeyDictionary()
        self._writers: WeakKeyDictionary[Labels, RecoveryWriter] = WeakKeyDictionary()
        self._logs: WeakKeyDictionary[RecoveryWriter, PaintLog] = WeakKeyDictionary()
        self._painted: WeakKeyDictionary[Labels, list[Any]] = WeakKeyDictionary()
        self._tell = Debouncer(self._tell_painted)
        self._looking: WeakSet[RecoveryWriter] = WeakSet()
        self._found: tuple[Leftover, ...] = ()

    # While working

    def follow(self, layer: Labels, image: Image | None) -> None:
        """Take note of whatever is painted on a layer from now on, by hand too.

        Parameters
        ----------
        layer : Labels
            Its file starts with the first change.
        image : Image, optional
            What it belongs to.
        """
        if layer not in self._images:
            layer.events.paint.connect(self._on_paint)
            layer.events.set_data.connect(self._on_drawn)
            layer.events.data.connect(self._on_data)
        if image is not None or layer not in self._images:
            self._images[layer] = image.name if image is not None else ""

    def written(self, written: Written, image: Image | None) -> None:
        """Take note of a commit: its records; its pixels are painted like any others."""
        layer = written.layer
        self.follow(layer, image)
        records = tuple(map(Record.with_label, written.commit.records, written.labels))
        # The file of a layer that was not followed so far starts with all that is there.
        self._writer(layer).add(Entry((), records))

    def taken_back(self, written: Written) -> None:
        """Take note that a commit was undone."""
        self._writer(written.layer).add(Entry((), (), written.labels))

    def _on_paint(self, event: Any) -> None:
        """Remember a step; napari tells of it before it writes the pixels."""
        self._painted.setdefault(event.source, []).extend(event.value)
        self._tell()

    def _tell_painted(self) -> None:
        for layer, atoms in list(self._painted.items()):
            writer, data = self._writer(layer), layer.data
            writer.add(self._reading(self._logs[writer], data, atoms))
        self._painted.clear()

    def _reading(self, log: PaintLog, data: Any, atoms: list[Any]) -> Callable[[], Entry]:
        return lambda: Entry(tuple(log.painted(data, atoms)))

    def _on_drawn(self, event: Any) -> None:
        """Look for what was undone or redone; napari draws for other reasons, too."""
        writer, data = self._writers.get(event.source), event.source.data
        if writer is None or writer in self._looking:
            return
        self._looking.add(writer)
        log = self._logs[writer]

        def look() -> Entry:
            self._looking.discard(writer)
            return Entry(tuple(log.changed(data)))

        writer.add(look)

    def _on_data(self, event: Any) -> None:
        """Start again when the layer has another array."""
        layer = event.source
        painted, old = self._painted.pop(layer, None), self._writers.pop(layer, None)
        if painted or old is not None:
            records = from_json(layer.metadata.get(METADATA_KEY) or [])
            self._writer(layer).add(Entry((), records))
        if old is not None:
            old.discard()

    def _writer(self, layer: Labels) -> RecoveryWriter:
        """Return the writer of a layer; a new one writes first what the layer holds."""
        if layer not in self._writers:
            writer = RecoveryWriter(self._folder, self._header(layer), _in_thread, warn=self._warn)
            self._writers[layer] = writer
            self._logs[writer] = PaintLog()
            data = layer.data
            if isinstance(data, ChunkedLabels) or (
                isinstance(data, np.ndarray) and data.size <= SNAPSHOT_PIXELS
            ):
                writer.add(lambda: Entry(tuple(filled(data))))
        return self._writers[layer]

    def _header(self, layer: Labels) -> Header:
        return Header(
            labels=layer.name,
            image=self._images.get(layer, ""),
            shape=tuple(int(size) for size in layer.data.shape),
            dtype=str(np.dtype(layer.data.dtype)),
            source=str(layer.source.path or ""),
            extra=_extra(layer),
        )

    def forget(self, layer: Any) -> None:
        """Drop the file of a layer that the user removed."""
        if self._images.pop(layer, None) is not None:
            self._leave(layer)
        self._painted.pop(layer, None)
        writer = self._writers.pop(layer, None)
        if writer is not None:
            writer.discard()

    def _leave(self, layer: Labels) -> None:
        layer.events.paint.disconnect(self._on_paint)
        layer.events.set_data.disconnect(self._on_drawn)
        layer.events.data.disconnect(self._on_data)

    def close(self) -> None:
        """Remove the files: the session ends as it should."""
        for layer in list(self._images):
            self._leave(layer)
        self._images.clear()
        self._tell.stop()
        for writer in list(self._writers.values()):
            writer.discard()
        self._writers.clear()

    # After a crash

    def look(self, offer: Callable[[str], None]) -> None:
        """Look for files left behind and call `offer` with what there is to say about them."""

        def found(files: tuple[Leftover, ...]) -> None:
            self._found = files
            offer(_sentence(files))

        self._runner.submit(Job(lambda context: leftovers(self._folder), found))

    def restore(self, done: Callable[[Labels], None]) -> None:
        """Build the layers again and call `done` with each."""
        for file in self._found:
            self._restore(file, done)
        self._found = ()

    def _restore(self, file: Leftover, done: Callable[[Labels], None]) -> None:
        def work(context: Context) -> tuple[Recovered, Labels]:
            recovered = read_journal(file.path)
            return recovered, restored_layer(recovered)

        def built(result: tuple[Recovered, Labels]) -> None:
            recovered, layer = result
            done(layer)
            self.follow(layer, None)
            writer = self._writer(layer)
            writer.add(Entry((), recovered.records))
            self._runner.submit(Job(lambda context: _replace(file, writer)))

        self._runner.submit(Job(work, built, lambda error: self._warn(str(error))))

    def discard(self) -> None:
        """Remove what was left behind."""
        for file in self._found:
            discard(file.path)
        self._found = ()


def _replace(file: Leftover, writer: RecoveryWriter) -> None:
    """Remove a file once its content is in another one: another crash may follow."""
    writer.flush()
    if not writer.failed:
        discard(file.path)


def _sentence(files: tuple[Leftover, ...]) -> str:
    if not files:
        return ""
    objects = sum(file.n_objects for file in files)
    names = ", ".join(dict.fromkeys(f"'{file.header.image}'" for file in files))
    return (
        f"napari did not close properly last time. {objects} objects of {names} that were not "
        "saved can be restored."
    )
