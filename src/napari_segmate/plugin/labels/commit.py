"""Commits to the labels layer that is the output, and back again."""

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
from napari_segmate.core.labels.commit import Change, CommitPolicy, commit, find_duplicate
from napari_segmate.core.prompts import MaskPrompt
from napari_segmate.io.provenance import METADATA_KEY, to_json
from napari_segmate.plugin.labels.label_pixels import (
    PlaneView,
    UndoStep,
    draw_changes_alone,
    holds_steps,
    object_mask,
    restore_pixels,
    write_pixels,
)
from napari_segmate.plugin.labels.layer_names import OUTPUT_NAME
from napari_segmate.plugin.labels.prepare_layer import LabelIds, Preparer, empty_labels
from napari_segmate.plugin.planes.geometry import (
    DisplayedPlane,
    Geometry,
    plane_in_labels,
    show,
    spatial_shape,
    to_pixels,
)
from napari_segmate.plugin.worker.runner import Runner
from napari_segmate.sessions.history import Commit
from napari_segmate.sessions.interactive import Session
from napari_segmate.sessions.state import nothing_new_texts, written_note

__all__ = [
    "Committer",
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
    steps: tuple[UndoStep, ...]
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
        return holds_steps(self.layer, self.steps)


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
        there = {} if policy is CommitPolicy.OVERWRITE else _find_duplicates(view, taken)
        taken = taken.without(there)
        if not taken.instances:
            raise _nothing_new(layer, there.values())
        first = self.ids.next_id(layer)
        labels = tuple(record.label for record in taken.labelled(first))
        self.ids.make_room(layer, max(labels))
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
            done = tuple(_write_change(layer, view, plane, change) for change in changes)
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
                restore_pixels(written.layer, step)
        set_records(written.layer, [], set(written.labels))

    def _note(self, layer: Labels, taken: Commit, first_id: int) -> None:
        new = taken.labelled(first_id)
        set_records(layer, to_json(new), {record.label for record in new})


def _write_change(
    layer: Labels, view: PlaneView, plane: DisplayedPlane, change: Change
) -> UndoStep:
    y0, x0, y1, x1 = change.box_yx
    rows, columns = change.index
    before = view[y0:y1, x0:x1][rows - y0, columns - x0]
    return write_pixels(layer, plane.indices(rows, columns), before, change.value)


def _find_duplicates(view: PlaneView, taken: Commit) -> dict[int, int]:
    """Return the labels of the objects that are there already, by their number in the commit."""
    first = 0 if taken.replaced_id is None else 1
    found = {at: find_duplicate(view, one) for at, one in enumerate(taken.instances) if at >= first}
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


REMEMBERED = 100
"""As many steps as a labels layer of napari can undo."""


class Committer:
    """Writes commits of a session to the output of one viewer, and takes them back.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layers are.
    session : Session
        Gets back what cannot be written.
    runner : Runner
        Does what takes long: copying lazy labels, finding the next free value.
    notify : callable
        Called with a sentence for the user.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        session: Session,
        runner: Runner,
        notify: Callable[[str], None],
    ) -> None:
        self._viewer = viewer
        self._session = session
        self._written: list[Written] = []
        self.output = OutputLabels(viewer)
        self._preparer = Preparer(viewer, self.output.ids, runner, notify)
        self.output.chosen = self._preparer.count_when_idle
        self.policy = CommitPolicy.KEEP_OBJECTS
        self.written: Callable[[Written], None] = lambda written: None
        self.taken_back: Callable[[Written], None] = lambda written: None
        self.changed: Callable[[], None] = lambda: None

    @property
    def can_take_back(self) -> bool:
        """True when something was committed and not yet taken back."""
        return bool(self._written)

    def write(self, image: Image, shown: DisplayedPlane, dims: Dims, commit: Commit) -> None:
        """Write a commit; what cannot be written goes back to the session with the reason."""
        try:
            layer, plane = self.output.plane(image, shown, dims)
            self._preparer.prepare(
                layer,
                len(commit.instances),
                lambda: self._write(layer, plane, commit),
                lambda error: self._give_back(commit, error),
            )
        except Exception as error:  # nothing that the user has drawn may be lost
            self._give_back(commit, error)

    def _write(self, layer: Labels, plane: DisplayedPlane, commit: Commit) -> None:
        written = self.output.write(layer, plane, commit, self.policy)
        self._written = [*self._written, written][-REMEMBERED:]
        self.written(written)
        self.changed()
        keys, edited = self._session.keys, commit.replaced_id
        note = written_note(written.new, layer.name, keys, edited=edited, left_out=written.left_out)
        self._session.say(note=note)

    def _give_back(self, commit: Commit, error: BaseException) -> None:
        self._session.restore(commit)
        text = str(error) or type(error).__name__
        if isinstance(error, NothingNewError):
            edited = commit.replaced_id
            self._session.say(*nothing_new_texts(error.labels, self._session.keys, edited=edited))
        else:
            self._session.refuse(error if isinstance(error, LabelsError) else LabelsError(text))
        self.changed()

    def take_back(self) -> Commit | None:
        """Undo the latest commit that is still there; None when there is none."""
        while self._written:
            written = self._written.pop()
            if written.layer in self._viewer.layers and written.is_there:
                self.output.take_back(written)
                self._session.say()
                self.taken_back(written)
                self.changed()
                return written.commit
        self.changed()
        return None

    def forget(self, layer: Layer) -> None:
        """Forget the commits to a layer that is gone."""
        self._written = [one for one in self._written if one.layer is not layer]
        self.changed()

    def pick(
        self, image: Image, shown: DisplayedPlane, dims: Dims, position: Any
    ) -> tuple[int, MaskPrompt]:
        """Return label and mask of the object at a world position, and make its layer the output.

        The output is looked at first, then the other visible labels layers from the top.

        Raises
        ------
        LabelsError
            There is no object.
        """
        problem = LabelsError("There is no labelled object under the cursor; point at one")
        for layer in self._candidates():
            try:
                plane = plane_in_labels(layer, image, shown, dims)
                at = plane.to_plane(to_pixels(layer, [position], dims))[0]
                y, x = (int(np.floor(value + 0.5)) for value in at)
                found = object_mask(layer.data, plane, (y, x))
            except LabelsError as error:
                problem = error if layer is self.output.layer else problem
                continue
            self.output.layer = layer
            self.changed()
            return found
        raise problem

    def _candidates(self) -> list[Labels]:
        chosen = self.output.layer
        others = [
            layer
            for layer in reversed(self._viewer.layers)
            if isinstance(layer, Labels)
            and layer.visible
            and not layer.multiscale
            and layer.editable
            and layer is not chosen
        ]
        return [chosen, *others] if chosen is not None else others
