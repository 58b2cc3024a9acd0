"""The shapes layer that shows the boxes of a text search, and in which the user edits them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from napari.components import ViewerModel
from napari.layers import Shapes
from napari.layers.base import ActionType

from napari_segmate.plugin.planes.geometry import DisplayedPlane, Geometry, show
from napari_segmate.plugin.text.box_queue import BoxQueue
from napari_segmate.sessions.text_boxes import BoxRow, Origin, TextBox, colour_of

__all__ = ["BOXES_NAME", "BoxLayer", "corners_of"]

BOXES_NAME = "SegMate boxes"
NUMBER, CONCEPT, SCORE, ORIGIN = "box", "concept", "score", "origin"
TYPES = {NUMBER: int, CONCEPT: str, SCORE: float, ORIGIN: str}
FINISHED = (ActionType.ADDED, ActionType.REMOVED, ActionType.CHANGED)


class BoxLayer:
    """Boxes in one shapes layer, a colour per concept, with score and concept in its features.

    Only what differs is changed, and many boxes come little by little, so that the window stays
    responsive with hundreds of them.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layer is.
    changed : callable
        Called without arguments after the user has drawn, moved, deleted or renamed a box.
    """

    def __init__(self, viewer: ViewerModel, changed: Callable[[], None]) -> None:
        self._viewer = viewer
        self._changed = changed
        self._layer: Shapes | None = None
        self._geometry: Geometry | None = None
        self._plane: DisplayedPlane | None = None
        self._writing = False
        self._concepts: tuple[str, ...] = ()
        self._concept = ""
        self._width = 1.0
        self._queue = BoxQueue(self._write, self._delete, self._on_shown)

    # Where it is

    @property
    def layer(self) -> Shapes | None:
        """The layer; None while there is none, or the user has removed it."""
        if self._layer is not None and self._layer not in self._viewer.layers:
            self._layer = None
            self._queue.forget()
        return self._layer

    def place(self, geometry: Geometry, plane: DisplayedPlane) -> None:
        """Say where the image is, and which of its planes; both without channels."""
        if self._geometry is not None and self._geometry.ndim != geometry.ndim:
            self.remove()
        self._geometry, self._plane = geometry, plane
        if self.layer is not None:
            with self._writes():
                geometry.apply(self.layer)

    def ensure(self) -> Shapes | None:
        """Return the layer, made if it is missing and an image says where."""
        if self.layer is None and self._geometry is not None:
            active = self._viewer.layers.selection.active
            self._layer = self._viewer.add_layer(self._new(self._geometry))
            if active is not None and active in self._viewer.layers:
                self._viewer.layers.selection.active = active
        return self.layer

    def remove(self) -> None:
        """Take the layer away."""
        if self.layer is not None:
            self._viewer.layers.remove(self.layer)
        self._layer = None
        self._queue.forget()

    def stop(self) -> None:
        """Put nothing more into the layer."""
        self._queue.stop()

    def _new(self, geometry: Geometry) -> Shapes:
        layer = Shapes(
            ndim=geometry.ndim,
            name=BOXES_NAME,
            features=table_of(()),
            edge_color=self._colour(self._concept),
            face_color="transparent",
            edge_width=self._width,
            opacity=1.0,
            **geometry.kwargs(),
        )
        layer.events.data.connect(self._on_data)
        layer.events.features.connect(self._on_features)
        self._layer = layer
        self._set_defaults()
        return layer

    # What the user does

    def _on_data(self, event: Any) -> None:
        self._queue.paused = event.action == ActionType.ADDING
        if event.action in FINISHED:
            self._report_edit()

    def _on_features(self, event: Any = None) -> None:
        self._report_edit()

    def _report_edit(self) -> None:
        if not self._writing:
            self._changed()

    # What is drawn next

    def set_concepts(self, concepts: Sequence[str]) -> None:
        """Say which concepts there are: their order gives the colours."""
        before, self._concepts = self._concepts, tuple(concepts)
        layer = self.layer
        if layer is None or before == self._concepts:
            return
        if any(colour_of(one, before) != self._colour(one) for one in set(layer.features[CONCEPT])):
            self._recolour()
        self._set_defaults()

    def set_concept(self, concept: str) -> None:
        """Say what boxes hold that are drawn from now on."""
        self._concept = concept
        self._set_defaults()

    def set_width(self, pixels: float) -> None:
        """Set the width of lines drawn from now on, in pixels of the image."""
        self._width = max(pixels, 0.1)
        if self.layer is not None:
            with self._writes(), self.layer.block_update_properties():
                self.layer.current_edge_width = self._width

    def take_tool(self) -> None:
        """Let the user draw boxes."""
        layer = self.ensure()
        if layer is not None:
            show(layer)
            self._viewer.layers.selection.active = layer
            layer.mode = "add_rectangle"

    def take_select_tool(self) -> None:
        """Let the user move and delete boxes."""
        if self.layer is not None:
            show(self.layer)
            self._viewer.layers.selection.active = self.layer
            self.layer.mode = "select"

    def _set_defaults(self) -> None:
        layer = self._layer
        if layer is None:
            return
        with self._writes():
            layer.feature_defaults = next_features(self._concept)
            with layer.block_update_properties():
                layer.current_edge_color = self._colour(self._concept)

    def _colour(self, concept: str) -> str:
        return colour_of(concept, self._concepts)

    def _recolour(self) -> None:
        layer = self.layer
        if layer is not None and len(layer.data):
            with self._writes():
                layer.edge_color = [self._colour(one) for one in layer.features[CONCEPT]]

    # Boxes in

    def show(self, boxes: Sequence[TextBox]) -> None:
        """Show these boxes and no others; those that are there already stay untouched.

        They come and go while the event loop is free, see `complete`.
        """
        if not boxes and self.layer is None:
            return
        if self.ensure() is not None:
            self._queue.request(boxes)

    @property
    def complete(self) -> bool:
        """True when the boxes to be shown are in the layer, and no others."""
        return self._queue.complete

    def _delete(self, gone: set[int]) -> None:
        layer = self.layer
        if layer is None:
            return
        numbers = layer.features[NUMBER].tolist()
        rows = {at for at, number in enumerate(numbers) if number in gone}
        if rows:
            with self._writes(), layer.events.data.blocker():
                layer.remove(sorted(rows))

    def _on_shown(self) -> None:
        layer = self.layer
        if layer is not None:
            with self._writes():
                # Once for all that was written: napari looks at the extent of all layers each time.
                layer.events.data(value=layer.data, action=ActionType.CHANGED)

    def _write(self, boxes: Sequence[TextBox]) -> bool:
        layer, plane = self.layer, self._plane
        if layer is None or plane is None:
            return False
        before = layer.features.iloc[: len(layer.data)]
        chosen = set(layer.selected_data)
        with self._writes(), layer.events.data.blocker():
            layer.add(
                [corners_of(box, plane) for box in boxes],
                shape_type="rectangle",
                edge_color=[self._colour(box.concept) for box in boxes],
                edge_width=self._width,
            )
            layer.features = pd.concat([before, table_of(boxes)], ignore_index=True)
            layer.selected_data = chosen
        # Setting a table of features also sets what the next shape gets.
        self._set_defaults()
        return True

    # Boxes out

    def read(self) -> tuple[list[BoxRow], set[int]]:
        """Return the rows of the layer, and the numbers of all boxes that were put into it."""
        layer, plane = self.layer, self._plane
        if layer is None or plane is None:
            return [], set()
        # Rows that are about to go would be taken for boxes of the user's.
        self._queue.delete_now()
        features = layer.features
        rows = [
            row_of(plane, data, number, concept, self._concept)
            for data, number, concept in zip(
                layer.data, features[NUMBER], features[CONCEPT], strict=False
            )
        ]
        return (rows[:-1] if self._queue.paused else rows), set(self._queue.written)

    def set_features(self, boxes: Sequence[TextBox]) -> None:
        """Write into the features what became of the rows, in the order of `read`."""
        layer = self.layer
        if layer is None or len(boxes) != len(layer.data):
            return
        self._queue.set_written(boxes)
        table = table_of(boxes)
        if not table.equals(layer.features.reset_index(drop=True)):
            with self._writes():
                layer.features = table
            self._recolour()
            self._set_defaults()

    @property
    def selected(self) -> set[int]:
        """Numbers of the boxes that the user has selected."""
        layer = self.layer
        if layer is None:
            return set()
        numbers = layer.features[NUMBER].tolist()
        return {int(numbers[at]) for at in layer.selected_data if at < len(numbers)}

    def rename_selected(self, concept: str) -> bool:
        """Give the selected boxes another concept; False when none is selected."""
        layer = self.layer
        if layer is None or not layer.selected_data:
            return False
        table = layer.features.copy()
        table.loc[sorted(layer.selected_data), CONCEPT] = concept
        with self._writes():
            layer.features = table
        self._recolour()
        self._set_defaults()
        self._changed()
        return True

    @contextmanager
    def _writes(self) -> Iterator[None]:
        before, self._writing = self._writing, True
        try:
            yield
        finally:
            self._writing = before


def table_of(boxes: Sequence[TextBox]) -> pd.DataFrame:
    """Return the features of boxes, one row each."""
    rows = [(box.number, box.concept, float(box.score), box.origin.value) for box in boxes]
    if not rows:
        return pd.DataFrame({name: pd.Series([], dtype=kind) for name, kind in TYPES.items()})
    return pd.DataFrame(dict(zip(TYPES, map(list, zip(*rows, strict=True)), strict=True)))


def next_features(concept: str) -> dict[str, Any]:
    """Return the features of a box that the user is about to draw."""
    return {NUMBER: 0, CONCEPT: concept, SCORE: math.nan, ORIGIN: Origin.DRAWN.value}


def corners_of(box: TextBox, plane: DisplayedPlane) -> npt.NDArray[np.float64]:
    """Return the (4, D) corners of a box in the data of the layer.

    Parameters
    ----------
    box : TextBox
        The box, of any plane of the stack.
    plane : DisplayedPlane
        Where the plane on the screen lies.
    """
    y0, x0, y1, x1 = box.box_yx
    corners = np.array([[y0, x0], [y0, x1], [y1, x1], [y1, x0]], float)
    position = list(plane.position)
    for axis, number in zip(plane.fixed, box.plane, strict=True):
        position[axis] = number
    return replace(plane, position=tuple(position)).from_plane(corners)


def row_of(plane: DisplayedPlane, data: Any, number: Any, concept: Any, usual: str) -> BoxRow:
    """Return a row of the layer as a box; `usual` is what it holds when it does not say so."""
    corners = np.asarray(data, dtype=np.float64)
    (y0, x0), (y1, x1) = plane.to_plane(corners).min(axis=0), plane.to_plane(corners).max(axis=0)
    middle = np.floor(corners[:, list(plane.fixed)].mean(axis=0) + 0.5).astype(int)
    return BoxRow(
        int(number) if math.isfinite(number) else 0,
        tuple(int(at) for at in middle),
        (float(y0), float(x0), float(y1), float(x1)),
        concept if isinstance(concept, str) and concept else usual,
    )
