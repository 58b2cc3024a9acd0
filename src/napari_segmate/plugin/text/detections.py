"""What was found on which plane, filtered: from detectors to the book of boxes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from napari_segmate.core.text.detections import Masks
from napari_segmate.plugin.text.engine_protocol import DetectorEngine, Found
from napari_segmate.plugin.worker.debounce import IdleLoop
from napari_segmate.sessions.text_boxes import BoxBook, PlaneIndex, TextBox, colour_of
from napari_segmate.widgets.filter_view import FilterValues
from napari_segmate.widgets.histogram_view import Series

__all__ = ["Findings"]

SIZES_COLOUR = "#78909c"
LEAST_SHOWN = 0.05
"""Detectors always return hundreds of boxes near 0: no one wants to see their bars."""


class Findings:
    """All that detectors saw, plane by plane, and what the filters let through.

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
        """Take what a detector saw on a plane; it replaces what was found there before."""
        self._book.forget_found(index)
        self._found[index] = found
        self._filter(index)
        self._changed()

    def join(self, index: PlaneIndex, found: Found, concept: str) -> None:
        """Take boxes that resemble an example, as more boxes of one concept."""
        self.add(index, _with_more(self._found.get(index), found, concept))

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
    def masked(self) -> bool:
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
        """Return what was seen on a plane; None where nobody looked."""
        return None if index is None else self._found.get(index)

    @property
    def concepts(self) -> tuple[str, ...]:
        """All concepts that were looked for, in the order of the last search."""
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


def _with_more(before: Found | None, more: Found, concept: str) -> Found:
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
