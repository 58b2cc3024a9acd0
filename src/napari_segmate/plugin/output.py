"""The labels layer that objects are committed to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
from napari.components import Dims, ViewerModel
from napari.layers import Image, Labels

from napari_segmate.core.errors import LabelsError, NothingNewError
from napari_segmate.core.labels import Change, CommitPolicy, commit, dtype_for, next_id
from napari_segmate.core.prompts import MaskPrompt
from napari_segmate.core.twins import twin
from napari_segmate.core.types import IntBoxYX, LabelArray
from napari_segmate.io.provenance import METADATA_KEY, to_json
from napari_segmate.plugin.geometry import Geometry
from napari_segmate.plugin.layers import DisplayedPlane, plane_in_labels, spatial_shape
from napari_segmate.sessions.commit import Commit

__all__ = [
    "OUTPUT_NAME",
    "OutputLabels",
    "Written",
    "empty_labels",
    "in_memory",
    "is_writable",
    "object_mask",
    "set_records",
]

OUTPUT_NAME = "SegMate labels"
LARGEST_NUMPY_BYTES = 1 << 28
"""Larger label images live in compressed chunks: most of their pixels stay empty."""
CHUNK = 1024
SMALL_PLANE_PIXELS = 1 << 22
"""Up to here a whole plane is compared at once (a few milliseconds)."""


def empty_labels(shape: Sequence[int], dtype: npt.DTypeLike = np.uint16) -> Any:
    """Return an editable label array of zeros; in chunks when it would be large.

    Examples
    --------
    >>> empty_labels((2, 3)).dtype
    dtype('uint16')
    """
    if int(np.prod(shape, dtype=np.float64)) * np.dtype(dtype).itemsize <= LARGEST_NUMPY_BYTES:
        return np.zeros(shape, dtype)
    return _chunked(shape, np.dtype(dtype))


def labels_for(
    image: Image, channel: int | None, name: str, dtype: npt.DTypeLike = np.uint16
) -> Labels:
    """Return an empty labels layer whose pixels are those of an image, without its channels."""
    shape = list(spatial_shape(image))
    geometry = Geometry.of(image).without_channel(channel, 1 if channel is None else shape[channel])
    if channel == 0:
        del shape[0]
    elif channel is not None:
        shape[channel] = 1
    return Labels(empty_labels(shape, dtype), name=name, opacity=0.5, **geometry.kwargs())


def _chunked(shape: Sequence[int], dtype: np.dtype[Any]) -> Any:
    import zarr

    chunks = (1,) * (len(shape) - 2) + tuple(min(CHUNK, size) for size in shape[-2:])
    return zarr.create_array(
        store=zarr.storage.MemoryStore(),
        shape=tuple(shape),
        chunks=chunks,
        dtype=dtype,
        fill_value=0,
    )


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


class _PlaneView:
    """One plane of a label array that is read piece by piece."""

    def __init__(self, data: Any, plane: DisplayedPlane) -> None:
        self._data = data
        self._plane = plane
        self.shape = plane.shape
        self.dtype = np.dtype(data.dtype)
        self.ndim = 2

    def __getitem__(self, index: tuple[slice, slice]) -> LabelArray:
        (y0, y1, _), (x0, x1, _) = (
            part.indices(size) for part, size in zip(index, self.shape, strict=True)
        )
        return np.asarray(self._data[self._plane.slices((y0, x0, y1, x1))])


@dataclass(frozen=True, eq=False)
class Written:
    """What a commit did to a labels layer; `left_out` objects were there already."""

    layer: Labels
    plane: DisplayedPlane
    commit: Commit
    labels: tuple[int, ...]
    changes: tuple[Change, ...]
    left_out: int = 0

    @property
    def new(self) -> tuple[int, ...]:
        """The labels of objects that got pixels."""
        return tuple(sorted({change.value for change in self.changes} - {0}))


class OutputLabels:
    """Finds, makes and writes the labels layer of one viewer."""

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._last_id: WeakKeyDictionary[Labels, int] = WeakKeyDictionary()
        self._chosen: Labels | None = None

    @property
    def layer(self) -> Labels | None:
        """The layer chosen, None for a new one (also when the chosen one was deleted)."""
        if self._chosen is not None and self._chosen not in self._viewer.layers:
            self._chosen = None
        return self._chosen

    @layer.setter
    def layer(self, layer: Labels | None) -> None:
        self._chosen = layer

    def plane(
        self, image: Image, plane: DisplayedPlane, dims: Dims
    ) -> tuple[Labels, DisplayedPlane]:
        """Return the layer to write to, made if need be, and where the plane lies in it.

        Raises
        ------
        LabelsError
            The chosen layer cannot take objects of this image.
        """
        layer = self.layer
        if layer is None:
            layer = self._chosen = self._new(image, plane.axes.channel)
        if layer.multiscale:
            raise LabelsError(
                f"'{layer.name}' is a multiscale layer, which napari cannot edit; choose another "
                "output, or 'new labels'"
            )
        return layer, plane_in_labels(layer, image, plane, dims)

    def _new(self, image: Image, channel: int | None) -> Labels:
        layer = labels_for(image, channel, OUTPUT_NAME)
        active = self._viewer.layers.selection.active
        self.watch(layer, 0)
        # Above the image, below prompts and preview.
        self._viewer.layers.insert(self._viewer.layers.index(image) + 1, layer)
        if active is not None:
            self._viewer.layers.selection.active = active
        return layer

    # Objects in

    def write(
        self, layer: Labels, plane: DisplayedPlane, taken: Commit, policy: CommitPolicy
    ) -> Written:
        """Write the objects of a commit that are not there yet; one step of the layer's own undo.

        Raises
        ------
        LabelsError
            No label value is left, or nothing would change.
        """
        view = _PlaneView(layer.data, plane)
        there = {} if policy is CommitPolicy.OVERWRITE else _twins(view, taken)
        taken = taken.without(there)
        if not taken.instances:
            raise _nothing_new(layer, there.values())
        first = self.next_id(layer)
        labels = tuple(record.label for record in taken.labelled(first))
        self._grow(layer, max(labels))
        changes = commit(
            _PlaneView(layer.data, plane),
            taken.instances,
            first_id=first,
            policy=policy,
            replace_id=taken.replaced_id,
        )
        if not changes:
            raise _nothing_new(layer, there.values())
        # A hidden layer keeps a stale slice, which napari would write through.
        layer.visible = True
        with layer.block_history():
            for change in changes:
                layer.data_setitem(plane.indices(*change.index), change.value)
        self._last_id[layer] = max(first - 1, *labels)
        self._note(layer, taken, first)
        return Written(layer, plane, taken, labels, changes, len(there))

    def take_back(self, written: Written) -> None:
        """Undo the last step of the layer's own history, and forget the records."""
        written.layer.undo()
        set_records(written.layer, [], set(written.labels))

    def next_id(self, layer: Labels) -> int:
        """Return a label value that the layer has never had, as far as known."""
        if layer not in self._last_id:
            self.watch(layer, next_id(layer.data) - 1)
        return self._last_id[layer] + 1

    def reserve(self, layer: Labels, count: int) -> int:
        """Return the first of `count` label values in a row that are free, and can be held."""
        first = self.next_id(layer)
        self._grow(layer, first + count - 1)
        self.watch(layer, first + count - 1)
        return first

    def knows(self, layer: Labels) -> bool:
        """Tell whether the largest label of a layer is known, so that a commit is quick."""
        return layer in self._last_id

    def watch(self, layer: Labels, last_id: int) -> None:
        """Take note of the largest label of a layer, and follow it from now on."""
        if layer not in self._last_id:
            layer.events.paint.connect(self._on_paint)
            layer.events.data.connect(self._on_data)
        self._last_id[layer] = max(last_id, self._last_id.get(layer, 0))

    def _on_paint(self, event: Any) -> None:
        for atom in event.value:
            # The brush tells of a mask, everything else of (indices, old values, new values).
            values = getattr(atom, "new_value", None)
            largest = int(np.max(atom[2] if values is None else values))
            self._last_id[event.source] = max(self._last_id.get(event.source, 0), largest)

    def _on_data(self, event: Any) -> None:
        layer = event.source
        layer.events.paint.disconnect(self._on_paint)
        layer.events.data.disconnect(self._on_data)
        self._last_id.pop(layer, None)

    def _grow(self, layer: Labels, largest: int) -> None:
        dtype = dtype_for(largest, layer.data.dtype)
        if dtype == layer.data.dtype:
            return
        known = self._last_id[layer]
        layer.visible = True
        # The layer, its undo history and its settings stay; only the array is another one.
        layer.data = _cast(layer.data, dtype)
        self.watch(layer, known)

    def _note(self, layer: Labels, taken: Commit, first_id: int) -> None:
        new = taken.labelled(first_id)
        set_records(layer, to_json(new), {record.label for record in new})


def _twins(view: _PlaneView, taken: Commit) -> dict[int, int]:
    """Return the labels of the objects that are there already, by their number in the commit."""
    first = 0 if taken.replaced_id is None else 1
    found = {at: twin(view, one) for at, one in enumerate(taken.instances) if at >= first}
    return {at: label for at, label in found.items() if label}


def _nothing_new(layer: Labels, labels: Iterable[int]) -> NothingNewError:
    return NothingNewError(
        f"nothing would change in '{layer.name}': what was found is there already or lies "
        "on other objects; prompt differently, or let the options overwrite other objects",
        labels=tuple(sorted(set(labels))),
    )


def set_records(layer: Labels, new: list[dict[str, Any]], replaced: set[int]) -> None:
    """Keep how objects came about with the layer; records of `replaced` labels go."""
    stored = layer.metadata.get(METADATA_KEY) or []
    kept = [record for record in stored if record["label"] not in replaced]
    layer.metadata[METADATA_KEY] = [*kept, *new]


def _cast(data: Any, dtype: np.dtype[Any]) -> Any:
    if isinstance(data, np.ndarray):
        return data.astype(dtype)
    larger = _chunked(data.shape, dtype)
    for number in np.ndindex(*data.shape[:-2]):
        for top in range(0, data.shape[-2], CHUNK):
            index = (*number, slice(top, top + CHUNK))
            larger[index] = np.asarray(data[index]).astype(dtype)
    return larger


def object_mask(data: Any, plane: DisplayedPlane, at_yx: tuple[int, int]) -> tuple[int, MaskPrompt]:
    """Return the label under a pixel and its mask.

    In a large plane only the part that is connected to the pixel, window by window, is looked for.

    Raises
    ------
    LabelsError
        There is no object under the pixel.
    """
    view = _PlaneView(data, plane)
    y, x = at_yx
    inside = 0 <= y < plane.shape[0] and 0 <= x < plane.shape[1]
    label = int(view[y : y + 1, x : x + 1][0, 0]) if inside else 0
    if label == 0:
        raise LabelsError("there is no labelled object under the cursor; point at one")
    box = _window(plane, at_yx, 1 << 30 if _is_small(plane) else 256)
    while True:
        found = view[box[0] : box[2], box[1] : box[3]] == label
        larger = _window(plane, at_yx, 2 * max(box[2] - box[0], box[3] - box[1]))
        if larger == box or not _touches(found, box, plane):
            break
        box = larger
    rows, columns = np.flatnonzero(found.any(axis=1)), np.flatnonzero(found.any(axis=0))
    top, left, bottom, right = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
    place = (box[0] + top, box[1] + left, box[0] + bottom, box[1] + right)
    return label, MaskPrompt(
        (int(place[0]), int(place[1]), int(place[2]), int(place[3])),
        np.ascontiguousarray(found[top:bottom, left:right]),
    )


def _is_small(plane: DisplayedPlane) -> bool:
    return plane.shape[0] * plane.shape[1] <= SMALL_PLANE_PIXELS


def _window(plane: DisplayedPlane, at_yx: tuple[int, int], side: int) -> IntBoxYX:
    low = [max(0, at - side // 2) for at in at_yx]
    high = [min(size, at + side // 2) for at, size in zip(at_yx, plane.shape, strict=True)]
    return low[0], low[1], high[0], high[1]


def _touches(found: npt.NDArray[np.bool_], box: IntBoxYX, plane: DisplayedPlane) -> bool:
    """Tell whether the object goes on beyond the window."""
    return bool(
        (box[0] > 0 and found[0].any())
        or (box[1] > 0 and found[:, 0].any())
        or (box[2] < plane.shape[0] and found[-1].any())
        or (box[3] < plane.shape[1] and found[:, -1].any())
    )
