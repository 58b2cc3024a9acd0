"""The format of recovery files: one JSON line per change; a crash cuts off one line at most."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.errors import CacheError, LabelsError
from napari_segmate.core.types import IntBoxYX
from napari_segmate.io.provenance import Record, from_json, to_json
from napari_segmate.io.runs import decode_runs, encode_runs

__all__ = ["Entry", "Header", "Patch", "Recovered", "entry_line", "header_line", "read_journal"]

SCHEMA = 1


@dataclass(frozen=True, eq=False)
class Patch:
    """What one box of one plane of a label image holds after a change.

    Parameters
    ----------
    index : tuple of int
        Plane: one number per axis other than y and x, in data order.
    box_yx : (y0, x0, y1, x1)
        Half-open, plane pixels.
    values : (y1 - y0, x1 - x0) int
        The label values inside the box.
    """

    index: tuple[int, ...]
    box_yx: IntBoxYX
    values: npt.NDArray[np.integer[Any]]

    def __post_init__(self) -> None:
        y0, x0, y1, x1 = self.box_yx
        if self.values.shape != (y1 - y0, x1 - x0):
            raise LabelsError(f"values {self.values.shape} do not fill the box {self.box_yx}")


@dataclass(frozen=True)
class Header:
    """Which label image a recovery file belongs to.

    Parameters
    ----------
    labels : str
        Name of the labels layer.
    image : str
        Name of the image.
    shape : tuple of int
        Shape of the label image.
    dtype : str
        Type of the label image.
    source : str
        File that the labels were loaded from, empty for new ones.
    extra : mapping
        Whatever the caller needs to build the layer again (JSON values: scale, units, ...).
    started : str
        Time, ISO 8601, UTC.
    """

    labels: str
    image: str
    shape: tuple[int, ...]
    dtype: str
    source: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


@dataclass(frozen=True, eq=False)
class Entry:
    """One change: what the label image holds now, and the records that go with it.

    Parameters
    ----------
    patches : tuple of Patch
        Boxes that changed.
    records : tuple of Record
        Records of new or changed objects; one for a label that has a record replaces it.
    dropped : tuple of int
        Labels whose record no longer holds (the commit was undone).
    """

    patches: tuple[Patch, ...]
    records: tuple[Record, ...] = ()
    dropped: tuple[int, ...] = ()

    @property
    def empty(self) -> bool:
        """True when nothing has changed."""
        return not (self.patches or self.records or self.dropped)


@dataclass(frozen=True, eq=False)
class Recovered:
    """The content of a recovery file.

    Parameters
    ----------
    path : Path
        The file.
    header : Header
        Which label image it belongs to.
    entries : tuple of Entry
        The changes, oldest first.
    """

    path: Path
    header: Header
    entries: tuple[Entry, ...]

    @property
    def records(self) -> tuple[Record, ...]:
        """The records that hold at the end."""
        found: dict[int, Record] = {}
        for entry in self.entries:
            for label in entry.dropped:
                found.pop(label, None)
            found.update({record.label: record for record in entry.records})
        return tuple(found.values())

    @property
    def largest_label(self) -> int:
        """The largest value that any change wrote; 0 without changes."""
        patches = [patch for entry in self.entries for patch in entry.patches]
        return max((int(patch.values.max(initial=0)) for patch in patches), default=0)

    def apply(self, labels: Any) -> None:
        """Write the changes into a label image, in order.

        Parameters
        ----------
        labels : array
            Anything with a shape and item assignment (numpy, zarr), shaped as the header says.

        Raises
        ------
        LabelsError
            The shape differs, or the type is too small for the largest label.
        """
        if tuple(labels.shape) != self.header.shape:
            raise LabelsError(
                f"the labels have shape {tuple(labels.shape)}, the recovered ones "
                f"{self.header.shape}; make a new layer of that shape"
            )
        if self.largest_label > np.iinfo(labels.dtype).max:
            raise LabelsError(
                f"label {self.largest_label} does not fit {labels.dtype}; use a larger type"
            )
        for entry in self.entries:
            for patch in entry.patches:
                y0, x0, y1, x1 = patch.box_yx
                window = (*patch.index, slice(y0, y1), slice(x0, x1))
                labels[window] = patch.values.astype(labels.dtype)


def header_line(header: Header) -> str:
    """Return the first line of a recovery file."""
    return json.dumps({"schema": SCHEMA, **asdict(header)}) + "\n"


def entry_line(entry: Entry) -> str:
    """Return one change as a line."""
    patches = [
        {
            "index": list(patch.index),
            "box_yx": list(patch.box_yx),
            "runs": encode_runs(patch.values),
        }
        for patch in entry.patches
    ]
    content = {"patches": patches, "records": to_json(entry.records), "dropped": entry.dropped}
    return json.dumps(content) + "\n"


def read_journal(path: str | os.PathLike[str]) -> Recovered:
    """Return what a recovery file holds; a last line that was cut off is left out.

    Raises
    ------
    CacheError
        The file cannot be read, or is no recovery file of this version.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        header = _header(lines)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise CacheError(f"{path} cannot be recovered ({error!r}); delete it") from error
    return Recovered(path, header, tuple(_entries(lines[1:])))


def _header(lines: Sequence[str]) -> Header:
    content = json.loads(lines[0])
    if content.pop("schema") != SCHEMA:
        raise ValueError("written by another version of napari-segmate")
    content["shape"] = tuple(content["shape"])
    return Header(**content)


def _entries(lines: Iterable[str]) -> list[Entry]:
    """Return the changes up to the first damaged line: later ones may build on it."""
    found: list[Entry] = []
    for line in lines:
        try:
            found.append(_entry(json.loads(line)))
        except (ValueError, KeyError, TypeError):
            break
    return found


def _entry(content: Mapping[str, Any]) -> Entry:
    return Entry(
        patches=tuple(map(_patch, content["patches"])),
        records=from_json(content["records"]),
        dropped=tuple(map(int, content["dropped"])),
    )


def _patch(content: Mapping[str, Any]) -> Patch:
    y0, x0, y1, x1 = map(int, content["box_yx"])
    values = decode_runs(content["runs"], (y1 - y0, x1 - x0))
    return Patch(tuple(map(int, content["index"])), (y0, x0, y1, x1), values)
