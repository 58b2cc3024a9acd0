"""Picks a labelled object for correction: the one under the cursor, or the one clicked next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.components import ViewerModel

from napari_segmate.core.errors import LabelsError
from napari_segmate.plugin.docks.picking import Picker
from napari_segmate.plugin.labels.commit import Committer
from napari_segmate.plugin.planes.image_view import ImageView
from napari_segmate.plugin.segment.prompt_layers import PromptLayers
from napari_segmate.sessions.interactive import Session

__all__ = ["ObjectPicker"]

USUAL_TOOL = "point"


class ObjectPicker:
    """Hands an object of the output labels to the session, whose prompts then correct it.

    Parameters
    ----------
    viewer : ViewerModel
        Whose cursor points.
    view : ImageView
        What is on the screen.
    session : Session
        Takes the object.
    prompts : PromptLayers
        Give the active tool, and get it back.
    committer : Committer
        Knows the labels.
    show_notice : callable
        Called with a hint for the user, empty to take it back.

    Attributes
    ----------
    click : Picker, optional
        Waits for the next click on the canvas; None unless one is awaited.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        view: ImageView,
        session: Session,
        prompts: PromptLayers,
        committer: Committer,
        show_notice: Callable[[str], None],
    ) -> None:
        self._viewer, self._view, self._session = viewer, view, session
        self._prompts, self._committer, self._show_notice = prompts, committer, show_notice
        self.click: Picker | None = None

    def stop_waiting(self) -> None:
        """Leave the next click to the tool."""
        if self.click is not None:
            self.click.stop()
            self.click = None

    def pick_under_cursor(self) -> None:
        """Pick up the object under the cursor."""
        self._pick(self._viewer.cursor.position)

    def pick_next_click(self) -> None:
        """Pick up the object that is clicked next, if there is a plane to click on."""
        if self._view.shown is None:
            return
        self.stop_waiting()
        tool = self._prompts.tool or USUAL_TOOL

        def picked(position: Any) -> None:
            self.click = None
            self._show_notice("")
            self._pick(position)
            self._prompts.take_tool(tool)

        for layer in self._prompts.layers:
            layer.mode = "pan_zoom"
        self.click = Picker(self._viewer)
        self.click.start(picked)
        self._show_notice("Click on the labelled object to correct")

    def _pick(self, position: Any) -> None:
        image, shown = self._view.image, self._view.shown
        if image is None or shown is None:
            return
        try:
            label, mask = self._committer.pick(image, shown, self._viewer.dims, position)
        except LabelsError as error:
            self._show_notice(str(error))
            return
        self._session.edit_object(label, mask)
        if self._prompts.tool is None:
            self._prompts.take_tool(USUAL_TOOL)
