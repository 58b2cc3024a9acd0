"""Labelled objects that are picked up to be corrected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.components import ViewerModel

from napari_segmate.core.errors import LabelsError
from napari_segmate.plugin.docks.picking import Picker
from napari_segmate.plugin.labels.commit import Committer
from napari_segmate.plugin.planes.image_view import View
from napari_segmate.plugin.segment.prompt_layers import PromptLayers
from napari_segmate.sessions.interactive import Session

__all__ = ["Editing"]

USUAL_TOOL = "point"


class Editing:
    """Turns the object under the cursor into the one that prompts correct.

    Parameters
    ----------
    viewer : ViewerModel
        Whose cursor points.
    view : View
        What is on the screen.
    session : Session
        Takes the object.
    prompts : PromptLayers
        Give the tool in hand, and get it back.
    committer : Committer
        Knows the labels.
    say : callable
        Called with a hint for the user, empty to take it back.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        view: View,
        session: Session,
        prompts: PromptLayers,
        committer: Committer,
        say: Callable[[str], None],
    ) -> None:
        self._viewer, self._view, self._session = viewer, view, session
        self._prompts, self._committer, self._say = prompts, committer, say
        self._picker = Picker(viewer)

    def stop_waiting(self) -> None:
        """Leave the next click to others."""
        self._picker.stop()

    def under_cursor(self) -> None:
        """Pick up the object under the cursor."""
        self._pick_up(self._viewer.cursor.position)

    def next_click(self) -> None:
        """Pick up the object that is clicked next, if there is a plane to click on."""
        if self._view.shown is None:
            return
        tool = self._prompts.tool or USUAL_TOOL

        def picked(position: Any) -> None:
            self._say("")
            self._pick_up(position)
            self._prompts.take_tool(tool)

        for layer in self._prompts.layers:
            layer.mode = "pan_zoom"
        self._picker.start(picked)
        self._say("Click on the labelled object to correct")

    def _pick_up(self, position: Any) -> None:
        image, shown = self._view.image, self._view.shown
        if image is None or shown is None:
            return
        try:
            label, mask = self._committer.pick(image, shown, self._viewer.dims, position)
        except LabelsError as error:
            self._say(str(error))
            return
        self._session.edit_object(label, mask)
        if self._prompts.tool is None:
            self._prompts.take_tool(USUAL_TOOL)
