"""The boxes of a text search in the viewer: what was found, and what the user makes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from napari.components import ViewerModel

from napari_segmate.core.text.detections import Masks
from napari_segmate.plugin.planes.image_view import ImageView
from napari_segmate.plugin.text.box_layer import BoxLayer
from napari_segmate.plugin.text.detector_engine import DetectorEngine, Found
from napari_segmate.plugin.worker.debounce import Debouncer, IdleLoop
from napari_segmate.sessions.text_boxes import BoxBook, PlaneIndex, TextBox, colour_of
from napari_segmate.widgets.filter_view import FilterValues
from napari_segmate.widgets.histogram_view import Series

__all__ = ["DEFAULT_CONCEPT", "DetectionFilter", "TextBoxes"]

SIZES_COLOUR = "#78909c"
LEAST_SHOWN = 0.05
"""Detectors always return hundreds of boxes near 0: no one wants to see their bars."""
DEFAULT_CONCEPT = "object"
"""Concept of boxes that are drawn before anything was typed."""


class DetectionFilter:
    """Keeps all that detectors found, plane by plane, and hands on what the filters let through.

    The plane on the screen is filtered at once, the others one by one as the event loop is free.

    Parameters
    ----------
    detector_engine : DetectorEngine
        Knows how to filter.
    book : BoxBook
        Is told what is to be seen.
    changed : callable
        Called when the book has changed.
    """

    def __init__(
        self, detector_engine: DetectorEngine, book: BoxBook, changed: Callable[[], None]
    ) -> None:
        self._detector_engine = detector_engine
        self._book = book
        self._changed = changed
        self._found: dict[PlaneIndex, Found] = {}
        self._waiting: list[PlaneIndex] = []
        self.values = FilterValues()
        self._timer = IdleLoop(self._filter_next)

    def add(self, index: PlaneIndex, found: Found) -> None:
        """Take what a detector found on a plane; it replaces what was found there before."""
        self._book.forget_found(index)
        self._found[index] = found
        self._filter(index)
        self._changed()

    def add_similar(self, index: PlaneIndex, found: Found, concept: str) -> None:
        """Take boxes that resemble an example, as more boxes of one concept."""
        self.add(index, _joined(self._found.get(index), found, concept))

    def set_values(self, values: FilterValues, shown: PlaneIndex | None) -> None:
        """Filter again; the plane that is shown at once."""
        self.values = values
        self._book.overlap = values.overlap
        self._waiting = [index for index in self._found if index != shown]
        if shown in self._found:
            assert shown is not None
            self._filter(shown)
        self._changed()
        if self._waiting:
            self._timer.start()

    def catch_up(self) -> None:
        """Filter all planes that wait."""
        while self._waiting:
            self._filter(self._waiting.pop(0))
        self._timer.stop()

    def clear(self) -> None:
        """Forget everything."""
        self._timer.stop()
        self._found.clear()
        self._waiting.clear()
        self._book.clear()

    def stop(self) -> None:
        """Filter nothing more."""
        self._timer.stop()

    def _filter_next(self) -> None:
        if self._waiting:
            self._filter(self._waiting.pop(0))
        if not self._waiting:
            self._timer.stop()
            self._changed()

    def _filter(self, index: PlaneIndex) -> None:
        self._book.set_found(index, self._detector_engine.select(self._found[index], self.values))

    # Out

    @property
    def has_masks(self) -> bool:
        """True when a detector has drawn outlines, too."""
        return any(found.masks is not None for found in self._found.values())

    def with_mask(self, box: TextBox) -> TextBox:
        """Return a box with what the detector drew in it, unless the user has moved it since."""
        found, row = self._found.get(box.plane), self._book.key_of(box)
        if found is None or found.masks is None or not isinstance(row, int):
            return box
        same = box.lies_at(found.boxes_yx[row].tolist())
        return replace(box, mask=found.masks[row]) if same else box

    def on(self, index: PlaneIndex | None) -> Found | None:
        """Return what was found on a plane; None where nobody searched."""
        return None if index is None else self._found.get(index)

    @property
    def concepts(self) -> tuple[str, ...]:
        """All concepts that were searched for, in the order of the last search."""
        names: dict[str, None] = {}
        for found in reversed(self._found.values()):
            names.update(dict.fromkeys(found.phrases))
        return tuple(names)

    def series(
        self, index: PlaneIndex | None, concepts: Sequence[str]
    ) -> tuple[list[Series], list[Series]]:
        """Return how scores are spread on a plane, and the sizes of what scores high enough."""
        found = self.on(index)
        if found is None:
            return [], []
        scores = [
            Series(
                phrase,
                colour_of(phrase, concepts),
                found.best[(found.concept == number) & (found.best >= LEAST_SHOWN)],
            )
            for number, phrase in enumerate(found.phrases)
        ]
        sizes = found.sizes[found.best >= self.values.score]
        return scores, [Series("", SIZES_COLOUR, sizes)]


def _joined(before: Found | None, more: Found, concept: str) -> Found:
    """Return what was found before and more boxes, all of which are of one concept."""
    if before is None:
        return replace(more, phrases=(concept,), scores=more.best[:, None])
    phrases = before.phrases if concept in before.phrases else (*before.phrases, concept)
    old: Any = np.zeros((len(before.boxes_yx), len(phrases)))
    old[:, : before.scores.shape[1]] = before.scores
    new: Any = np.zeros((len(more.boxes_yx), len(phrases)))
    new[:, phrases.index(concept)] = more.best
    return Found(
        phrases,
        np.concatenate([before.boxes_yx, more.boxes_yx]),
        np.concatenate([old, new]),
        before.shape,
        _masks_of(before, more),
        more.finder,
    )


def _masks_of(*parts: Found) -> Masks | None:
    """Return the masks of several searches, None for each box without one."""
    if all(part.masks is None for part in parts):
        return None
    return tuple(mask for part in parts for mask in part.masks or (None,) * len(part.boxes_yx))


class TextBoxes:
    """Keeps what detectors found, the book of boxes, and the layer that shows them, in step.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layer is.
    detector_engine : DetectorEngine
        Knows how to filter.
    view : ImageView
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
        view: ImageView,
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
        self.detections = DetectionFilter(detector_engine, self.book, self._show_filtered)
        self.shapes = BoxLayer(viewer, self._read_later)

    def stop(self) -> None:
        """Filter, read and show nothing more."""
        self._read_later.stop()
        self.detections.stop()
        self.shapes.stop()

    def clear(self) -> None:
        """Forget all boxes."""
        self.detections.clear()
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
        self.shapes.set_features(self.book.take(*self.shapes.read()))
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
        names = dict.fromkeys((*self.detections.concepts, *self._typed))
        names.update(dict.fromkeys(box.concept for box in self.book.shown))
        return tuple(names)

    def example(self, index: PlaneIndex | None) -> TextBox | None:
        """Return the box of a plane that is selected, or was drawn last."""
        if index is None:
            return None
        boxes = self.book.on(index)
        selected = [box for box in boxes if box.number in self.shapes.selected]
        own = [box for box in boxes if box.score != box.score]
        found = selected or own
        return found[-1] if found else None
