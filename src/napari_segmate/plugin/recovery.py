"""Keeps what was committed on disk until the session ends properly, and brings it back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import pint
from napari.layers import Image, Labels

from napari_segmate.core.context import Context
from napari_segmate.io.provenance import METADATA_KEY, Record, to_json
from napari_segmate.plugin.geometry import Geometry
from napari_segmate.plugin.label_arrays import empty_labels
from napari_segmate.plugin.output import Written
from napari_segmate.plugin.runner import Job, Runner
from napari_segmate.sessions.recovery import (
    Entry,
    Header,
    Leftover,
    Patch,
    Recovered,
    RecoveryWriter,
    discard,
    leftovers,
    read_journal,
)

__all__ = ["RecoveryKeeper", "patches", "restored_layer"]

SNAPSHOT_PIXELS = 1 << 25
"""Larger label images are journaled from the first commit on, without what they held before."""


def _in_thread(job: Callable[[], None]) -> None:
    threading.Thread(target=job, name="napari-segmate-recovery", daemon=True).start()


def patches(data: Any, index: tuple[npt.NDArray[Any], ...]) -> Iterator[Patch]:
    """Return what the boxes round some pixels of a label array hold now.

    Parameters
    ----------
    data : (..., Y, X) int
        Label array.
    index : tuple of (N,) int
        Pixels, one array per axis.
    """
    leading = np.stack(index[:-2]) if len(index) > 2 else np.zeros((0, len(index[0])), int)
    planes, members = np.unique(leading, axis=1, return_inverse=True)
    for number in range(planes.shape[1]):
        chosen = members.reshape(-1) == number
        y, x = index[-2][chosen], index[-1][chosen]
        box = (int(y.min()), int(x.min()), int(y.max()) + 1, int(x.max()) + 1)
        place = tuple(int(at) for at in planes[:, number])
        values = np.array(data[(*place, slice(box[0], box[2]), slice(box[1], box[3]))])
        yield Patch(place, box, values)


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
    data = empty_labels(header.shape)
    if np.dtype(header.dtype) != data.dtype:
        data = data.astype(header.dtype) if isinstance(data, np.ndarray) else data
    if recovered.largest_label > np.iinfo(data.dtype).max and isinstance(data, np.ndarray):
        data = data.astype(np.uint32)
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
        self._writers: WeakKeyDictionary[Labels, RecoveryWriter] = WeakKeyDictionary()
        self._found: tuple[Leftover, ...] = ()

    # While working

    def written(self, written: Written, image: Image | None) -> None:
        """Take note of a commit."""
        records = tuple(map(Record.with_label, written.commit.records, written.labels))
        self._add(written, image, records, ())

    def taken_back(self, written: Written) -> None:
        """Take note that a commit was undone."""
        self._add(written, None, (), written.labels)

    def _add(
        self,
        written: Written,
        image: Image | None,
        records: tuple[Record, ...],
        dropped: tuple[int, ...],
    ) -> None:
        layer = written.layer
        if layer not in self._writers:
            # The first file holds everything, this commit included.
            self._start(layer, image)
        changed = tuple(
            patch for step in written.steps for patch in patches(layer.data, step.indices)
        )
        self._writers[layer].add(Entry(changed, records, dropped))

    def _start(self, layer: Labels, image: Image | None) -> None:
        header = Header(
            labels=layer.name,
            image=image.name if image is not None else "",
            shape=tuple(int(size) for size in layer.data.shape),
            dtype=str(np.dtype(layer.data.dtype)),
            source=str(layer.source.path or ""),
            extra=_extra(layer),
        )
        writer = RecoveryWriter(self._folder, header, _in_thread, warn=self._warn)
        self._writers[layer] = writer
        if isinstance(layer.data, np.ndarray) and layer.data.size <= SNAPSHOT_PIXELS:
            filled = np.nonzero(layer.data)
            if len(filled[0]):
                writer.add(Entry(tuple(patches(layer.data, filled))))

    def forget(self, layer: Any) -> None:
        """Drop the file of a layer that the user removed."""
        writer = self._writers.pop(layer, None)
        if writer is not None:
            writer.discard()

    def close(self) -> None:
        """Remove the files: the session ends as it should."""
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
            self._start(layer, None)
            # Another crash may follow: the old file goes once the new one is written.
            self._writers[layer].add(Entry((), recovered.records))
            self._writers[layer].flush()
            discard(file.path)

        self._runner.submit(Job(work, built, lambda error: self._warn(str(error))))

    def discard(self) -> None:
        """Remove what was left behind."""
        for file in self._found:
            discard(file.path)
        self._found = ()


def _sentence(files: tuple[Leftover, ...]) -> str:
    if not files:
        return ""
    objects = sum(file.n_objects for file in files)
    names = ", ".join(dict.fromkeys(f"'{file.header.image}'" for file in files))
    return (
        f"napari did not close properly last time. {objects} objects of {names} that were not "
        "saved can be restored."
    )
