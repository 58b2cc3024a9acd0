"""The labels layer that objects are committed to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

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
from napari_segmate.plugin import steps
from napari_segmate.plugin.geometry import Geometry
from napari_segmate.plugin.label_arrays import cast, empty_labels
from napari_segmate.plugin.label_ids import LabelIds
from napari_segmate.plugin.large_planes import draw_changes_alone
from napari_segmate.plugin.layers import DisplayedPlane, plane_in_labels, show, spatial_shape
from napari_segmate.plugin.steps import Step
from napari_segmate.sessions.commit import Commit

__all__ = [
    "OUTPUT_NAME",
    "OutputLabels",
    "Written",
    "labels_for",
    "object_mask",
    "set_records",
]

OUTPUT_NAME = "SegMate labels"
SMALL_PLANE_PIXELS = 1 << 22
"""Up to here a whole plane is compared at once (a few milliseconds)."""


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
    """What a commit did to a labels layer; `left_out` objects got no pixels."""

    layer: Labels
    plane: DisplayedPlane
    commit: Commit
    labels: tuple[int, ...]
    steps: tuple[Step, ...]
    left_out: int = 0

    @property
    def new(self) -> tuple[int, ...]:
        """The labels of objects that got pixels."""
        return tuple(sorted({int(step.after[0]) for step in self.steps} - {0}))

    @property
    def is_there(self) -> bool:
        """True unless it has been undone, with Ctrl+Z for instance."""
        return steps.is_there(self.layer, self.steps)


class OutputLabels:
    """Finds, makes and writes the labels layer of one viewer.

    Attributes
    ----------
    ids : LabelIds
        Knows which label values are free.
    chosen : callable
        Called with a layer that becomes the output.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._chosen: Labels | None = None
        self.ids = LabelIds()
        self.chosen: Callable[[Labels], None] = lambda layer: None

    @property
    def layer(self) -> Labels | None:
        """The layer chosen, None for a new one (also when the chosen one was deleted)."""
        if self._chosen is not None and self._chosen not in self._viewer.layers:
            self._chosen = None
        return self._chosen

    @layer.setter
    def layer(self, layer: Labels | None) -> None:
        new = layer is not self._chosen
        self._chosen = layer
        if layer is not None and new and not layer.multiscale:
            draw_changes_alone(layer, self._viewer)
            self.chosen(layer)

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
        self.ids.count(layer, 0)
        # Above the image, below prompts and preview.
        self._viewer.layers.insert(self._viewer.layers.index(image) + 1, layer)
        draw_changes_alone(layer, self._viewer)
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
        asked, view = len(taken.instances), _PlaneView(layer.data, plane)
        there = {} if policy is CommitPolicy.OVERWRITE else _twins(view, taken)
        taken = taken.without(there)
        if not taken.instances:
            raise _nothing_new(layer, there.values())
        first = self.next_id(layer)
        labels = tuple(record.label for record in taken.labelled(first))
        self._grow(layer, max(labels))
        view = _PlaneView(layer.data, plane)
        changes = commit(
            view,
            taken.instances,
            first_id=first,
            policy=policy,
            replace_id=taken.replaced_id,
        )
        if not changes:
            raise _nothing_new(layer, there.values())
        # A hidden layer keeps a stale slice, which napari would write through.
        show(layer)
        with layer.block_history():
            done = tuple(_write(layer, view, plane, change) for change in changes)
        self.ids.note(layer, max(labels))
        self._note(layer, taken, first)
        new = {change.value for change in changes} - {0}
        return Written(layer, plane, taken, labels, done, asked - len(new))

    def take_back(self, written: Written) -> None:
        """Give the pixels of a commit back what they had, and forget the records.

        This is a step of the layer's undo of its own: the last step there may be somebody else's.
        """
        show(written.layer)
        with written.layer.block_history():
            for step in written.steps:
                steps.restore(written.layer, step)
        set_records(written.layer, [], set(written.labels))

    def next_id(self, layer: Labels) -> int:
        """Return a label value that the layer has never had, as far as known."""
        if not self.ids.knows(layer):
            self.ids.count(layer, next_id(layer.data) - 1)
        return self.ids.largest(layer) + 1

    def reserve(self, layer: Labels, count: int) -> int:
        """Return the first of `count` label values in a row that are free, and can be held."""
        first = self.next_id(layer)
        self._grow(layer, first + count - 1)
        self.ids.note(layer, first + count - 1)
        return first

    def dtype_for(self, layer: Labels, count: int) -> np.dtype[Any]:
        """Return the type that a layer needs to hold `count` more labels."""
        return dtype_for(self.next_id(layer) + count - 1, layer.data.dtype)

    def replace(self, layer: Labels, data: Any) -> None:
        """Give a layer an array with the same content, of a larger type.

        The layer, its undo history and its settings stay.
        """
        largest = self.next_id(layer) - 1
        show(layer)
        layer.data = data
        self.ids.count(layer, largest)

    def _grow(self, layer: Labels, largest: int) -> None:
        dtype = dtype_for(largest, layer.data.dtype)
        if dtype != layer.data.dtype:
            self.replace(layer, cast(layer.data, dtype))

    def _note(self, layer: Labels, taken: Commit, first_id: int) -> None:
        new = taken.labelled(first_id)
        set_records(layer, to_json(new), {record.label for record in new})


def _write(layer: Labels, view: _PlaneView, plane: DisplayedPlane, change: Change) -> Step:
    y0, x0, y1, x1 = change.box_yx
    rows, columns = change.index
    before = view[y0:y1, x0:x1][rows - y0, columns - x0]
    return steps.write(layer, plane.indices(rows, columns), before, change.value)


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
