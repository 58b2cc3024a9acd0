"""From an accepted preview to the labels layer, whatever has happened to that layer meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from napari.components import Dims, ViewerModel
from napari.layers import Image, Labels, Layer

from napari_segmate.core.errors import LabelsError, NothingNewError
from napari_segmate.core.labels.commit import CommitPolicy
from napari_segmate.core.prompts import MaskPrompt
from napari_segmate.plugin.labels.label_planes import object_mask
from napari_segmate.plugin.labels.output_layer import OutputLabels, Written
from napari_segmate.plugin.labels.prepare_layer import Preparer
from napari_segmate.plugin.planes.displayed_plane import DisplayedPlane, plane_in_labels, to_pixels
from napari_segmate.plugin.worker.runner import Runner
from napari_segmate.sessions.history import Commit
from napari_segmate.sessions.interactive import Session
from napari_segmate.sessions.state import nothing_new_texts, written_note

__all__ = ["Committer"]

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
        self._preparer = Preparer(viewer, self.output, runner, notify)
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
