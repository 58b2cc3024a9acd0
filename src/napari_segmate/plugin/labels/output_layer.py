"""The labels layer that objects are committed to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.components import Dims, ViewerModel
from napari.layers import Image, Labels, Layer

from napari_segmate.core.errors import LabelsError, NothingNewError
from napari_segmate.core.labels.commit import Change, CommitPolicy, commit, dtype_for, next_id
from napari_segmate.core.labels.find_duplicate import twin
from napari_segmate.io.provenance import METADATA_KEY, to_json
from napari_segmate.plugin.labels import undo_steps as steps
from napari_segmate.plugin.labels.label_arrays import cast, empty_labels
from napari_segmate.plugin.labels.label_ids import LabelIds
from napari_segmate.plugin.labels.label_planes import PlaneView
from napari_segmate.plugin.labels.large_planes import draw_changes_alone
from napari_segmate.plugin.labels.layer_names import OUTPUT_NAME
from napari_segmate.plugin.labels.undo_steps import Step
from napari_segmate.plugin.planes.displayed_plane import (
    DisplayedPlane,
    plane_in_labels,
    show,
    spatial_shape,
)
from napari_segmate.plugin.planes.geometry import Geometry
from napari_segmate.sessions.history import Commit

__all__ = [
    "OutputLabels",
    "Written",
    "labels_for",
    "made_for",
    "set_records",
]

OURS = re.compile(rf"{OUTPUT_NAME}( \[\d+\])?")

_IDS = LabelIds()
"""Of all panels: while one writes its objects, another must not take the same values."""


def labels_for(
    image: Image, channel: int | None, name: str, dtype: npt.DTypeLike = np.uint16
) -> Labels:
    """Return an empty labels layer whose pixels are those of an image, without its channels."""
    shape, geometry = _pixels_of(image, channel)
    return Labels(empty_labels(shape, dtype), name=name, opacity=0.5, **geometry.kwargs())


def made_for(layer: Layer, image: Image, channel: int | None) -> bool:
    """Tell by its name and its pixels whether a layer is an output made for an image."""
    if not isinstance(layer, Labels) or layer.multiscale or not OURS.fullmatch(layer.name):
        return False
    shape, geometry = _pixels_of(image, channel)
    if spatial_shape(layer) != shape:
        return False
    return np.allclose(Geometry.of(layer).matrix_in(geometry.units), geometry.matrix)


def _pixels_of(image: Image, channel: int | None) -> tuple[tuple[int, ...], Geometry]:
    shape = list(spatial_shape(image))
    geometry = Geometry.of(image).without_channel(channel, 1 if channel is None else shape[channel])
    if channel == 0:
        del shape[0]
    elif channel is not None:
        shape[channel] = 1
    return tuple(shape), geometry


@dataclass(frozen=True, eq=False)
class Written:
    """What a commit did to a labels layer."""

    layer: Labels
    plane: DisplayedPlane
    commit: Commit
    labels: tuple[int, ...]
    steps: tuple[Step, ...]
    asked: int

    @property
    def new(self) -> tuple[int, ...]:
        """The labels of objects that got pixels, or, of one that was edited, gave some up."""
        edited = self.commit.replaced_id or 0
        return tuple(sorted({int(step.after[0]) or edited for step in self.steps} - {0}))

    @property
    def left_out(self) -> int:
        """How many objects changed nothing."""
        return self.asked - len(self.new)

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
        self.ids = _IDS
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
        asked, view = len(taken.instances), PlaneView(layer.data, plane)
        there = {} if policy is CommitPolicy.OVERWRITE else _twins(view, taken)
        taken = taken.without(there)
        if not taken.instances:
            raise _nothing_new(layer, there.values())
        first = self.next_id(layer)
        labels = tuple(record.label for record in taken.labelled(first))
        self._grow(layer, max(labels))
        view = PlaneView(layer.data, plane)
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
        return Written(layer, plane, taken, labels, done, asked)

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


def _write(layer: Labels, view: PlaneView, plane: DisplayedPlane, change: Change) -> Step:
    y0, x0, y1, x1 = change.box_yx
    rows, columns = change.index
    before = view[y0:y1, x0:x1][rows - y0, columns - x0]
    return steps.write(layer, plane.indices(rows, columns), before, change.value)


def _twins(view: PlaneView, taken: Commit) -> dict[int, int]:
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
