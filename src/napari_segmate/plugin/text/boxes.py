"""The boxes of a text search in the viewer: what was found, and what the user makes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.components import ViewerModel

from napari_segmate.plugin.planes.image_view import View
from napari_segmate.plugin.text.box_layer import BoxLayer
from napari_segmate.plugin.text.detections import Findings
from napari_segmate.plugin.text.engine_protocol import DetectorEngine
from napari_segmate.plugin.worker.debounce import Debouncer
from napari_segmate.sessions.text_boxes import BoxBook, PlaneIndex, TextBox

__all__ = ["DEFAULT_CONCEPT", "TextBoxes"]

DEFAULT_CONCEPT = "object"
"""Concept of boxes that are drawn before anything was typed."""


class TextBoxes:
    """Keeps what detectors found, the book of boxes, and the layer that shows them, in step.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layer is.
    detector_engine : DetectorEngine
        Knows how to filter.
    view : View
        The image, and which of its planes is on the screen.
    filtered : callable
        Called without arguments when filters let other boxes through, or the tool changes.
    edited : callable
        Called without arguments when the user has drawn, moved, deleted or renamed a box.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        detector_engine: DetectorEngine,
        view: View,
        *,
        filtered: Callable[[], None],
        edited: Callable[[], None],
    ) -> None:
        self._viewer = viewer
        self._view = view
        self._filtered = filtered
        self._edited = edited
        self._read_later = Debouncer(self.read)
        self.concept = ""
        self._typed: tuple[str, ...] = ()
        self.book = BoxBook()
        self.findings = Findings(detector_engine, self.book, self._show_filtered)
        self.shapes = BoxLayer(viewer, self._read_later)

    def stop(self) -> None:
        """Filter, read and show nothing more."""
        self._read_later.stop()
        self.findings.stop()
        self.shapes.stop()

    def clear(self) -> None:
        """Forget all boxes."""
        self.findings.clear()
        self.shapes.show(())

    # The layer

    def place(self) -> None:
        """Put the layer where the plane on the screen is."""
        geometry = self._view.drawing_geometry.in_units(self._viewer.dims.units)
        self.shapes.place(geometry, self._view.drawing_plane)
        self.shapes.set_width(2 * self._view.outline_width)

    def draw(self) -> None:
        """Let the user draw boxes."""
        if self._view.shown is not None:
            self.place()
            self.shapes.set_concept(self.concept or DEFAULT_CONCEPT)
            self.shapes.take_tool()
            if self.shapes.layer is not None:
                self.shapes.layer.events.mode.connect(self._on_tool)

    def edit(self) -> None:
        """Let the user move and delete boxes."""
        self.shapes.take_select_tool()

    @property
    def drawing(self) -> bool:
        """True while the next drag draws a box."""
        layer = self.shapes.layer
        return layer is not None and layer.mode == "add_rectangle"

    def set_typed(self, concepts: tuple[str, ...]) -> None:
        """Offer concepts that are typed and not searched for yet."""
        self._typed = concepts
        self.shapes.set_concepts(self.concepts)

    def set_concept(self, concept: str) -> None:
        """Take a concept for boxes to be drawn, and give it to the selected ones."""
        self.concept = concept
        self.shapes.set_concept(concept)
        self.shapes.rename_selected(concept)

    def _show_filtered(self) -> None:
        if self._view.shown is not None:
            self.shapes.set_concepts(self.concepts)
            self.shapes.show(self.book.shown)
            self._filtered()

    # What the user did

    def _on_tool(self, event: Any = None) -> None:
        self._filtered()

    def read(self) -> None:
        """Take note of what the user did in the layer."""
        self._read_later.stop()
        if self.shapes.layer is None:
            return
        self.shapes.note(self.book.take(*self.shapes.read()))
        self.shapes.set_concepts(self.concepts)
        # What the user has drawn may hide what was found.
        self.shapes.show(self.book.shown)
        self._edited()

    def catch_up(self) -> None:
        """Take note now of what would be noted soon."""
        if self._read_later.waiting:
            self.read()

    # What there is

    @property
    def concepts(self) -> tuple[str, ...]:
        """All concepts that were searched for, typed, or have boxes; their order gives colours."""
        names = dict.fromkeys((*self.findings.concepts, *self._typed))
        names.update(dict.fromkeys(box.concept for box in self.book.shown))
        return tuple(names)

    def pattern(self, index: PlaneIndex | None) -> TextBox | None:
        """Return the box of a plane that is selected, or was drawn last."""
        if index is None:
            return None
        boxes = self.book.on(index)
        selected = [box for box in boxes if box.number in self.shapes.selected]
        own = [box for box in boxes if box.score != box.score]
        found = selected or own
        return found[-1] if found else None
