"""The points and shapes layers in which the user draws prompts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from napari.components import ViewerModel
from napari.layers import Layer, Points, Shapes
from napari.layers.base import ActionType

from napari_segmate.core.prompts import Points as PointPrompts
from napari_segmate.plugin.planes.geometry import DisplayedPlane, Geometry, show
from napari_segmate.sessions.prompt_set import DrawnShape, PromptSet, from_prompts, to_prompts

__all__ = ["POINTS_NAME", "SHAPES_NAME", "TOOLS", "PromptLayers"]

POINTS_NAME = "SegMate points"
SHAPES_NAME = "SegMate shapes"
TOOLS = {
    "point": "add",
    "box": "add_rectangle",
    "outline": "add_polygon_lasso",
    "scribble": "add_path",
}
"""Tools of the panel and the modes of napari's layers behind them."""
SAME_TOOL = {"add_polygon": "outline", "add_polyline": "scribble", "add_line": "scribble"}
POLARITY = "polarity"
COLOURS = {"positive": "#00c853", "negative": "#ff1744"}
FINISHED = (ActionType.ADDED, ActionType.REMOVED, ActionType.CHANGED)
RIGHT_BUTTON = 2


def _polarity(positive: bool) -> str:
    return "positive" if positive else "negative"


class PromptLayers:
    """A points and a shapes layer of one viewer, placed like the image they belong to.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layers are.
    changed : callable
        Called without arguments after the user has drawn, moved or deleted something.
    tool_changed : callable
        Called with the name of the active tool (one of `TOOLS`), or None.
    keys : mapping of str to callable
        Keys of the two layers, beside those that napari gives them.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        changed: Callable[[], None],
        tool_changed: Callable[[str | None], None],
        keys: Mapping[str, Callable[[], None]] = MappingProxyType({}),
    ) -> None:
        self._viewer = viewer
        self._keys = keys
        self._changed = changed
        self._tool_changed = tool_changed
        self._geometry: Geometry | None = None
        self._writing = False
        self._drawing = False
        self._positive = True
        self.points: Points | None = None
        self.shapes: Shapes | None = None

    # Where they are

    def place(self, geometry: Geometry) -> None:
        """Put the layers where an image is; what was drawn for another number of axes is lost."""
        if self._geometry is not None and self._geometry.ndim != geometry.ndim:
            self.remove()
        self._geometry = geometry
        for layer in self.layers:
            with self._quiet():
                geometry.apply(layer)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Those of the two layers that are in the viewer."""
        both = (self.shapes, self.points)
        return tuple(one for one in both if one is not None and one in self._viewer.layers)

    def ensure(self) -> None:
        """Make the layers that are missing."""
        if self._geometry is None:
            return
        active = self._viewer.layers.selection.active
        if self.shapes is None or self.shapes not in self._viewer.layers:
            self.shapes = self._viewer.add_layer(self._new_shapes(self._geometry))
        if self.points is None or self.points not in self._viewer.layers:
            self.points = self._viewer.add_layer(self._new_points(self._geometry))
        if active is not None and active in self._viewer.layers:
            self._viewer.layers.selection.active = active

    def remove(self) -> None:
        """Take both layers away."""
        for layer in self.layers:
            self._viewer.layers.remove(layer)
        self.points = self.shapes = None

    def _new_points(self, geometry: Geometry) -> Points:
        layer = Points(
            ndim=geometry.ndim,
            name=POINTS_NAME,
            features=pd.DataFrame({POLARITY: pd.Series([], dtype=str)}),
            feature_defaults={POLARITY: _polarity(self._positive)},
            face_color=POLARITY,
            face_color_cycle=COLOURS,
            border_color="white",
            border_width=0.15,
            size=8,
            canvas_size_limits=(11, 15),
            opacity=1.0,
            **geometry.kwargs(),
        )
        layer.events.data.connect(self._on_data)
        # Pasting and undoing tell of themselves through this event only.
        layer.events.set_data.connect(self._on_set_data)
        self._listen(layer)
        return layer

    def _new_shapes(self, geometry: Geometry) -> Shapes:
        layer = Shapes(
            ndim=geometry.ndim,
            name=SHAPES_NAME,
            features=pd.DataFrame({POLARITY: pd.Series([], dtype=str)}),
            feature_defaults={POLARITY: _polarity(self._positive)},
            # Unlike points, shapes take no mapping from categories to colours.
            edge_color=COLOURS[_polarity(self._positive)],
            face_color="transparent",
            edge_width=1,
            opacity=1.0,
            **geometry.kwargs(),
        )
        layer.events.data.connect(self._on_data)
        self._listen(layer)
        return layer

    def _listen(self, layer: Points | Shapes) -> None:
        layer.events.features.connect(self._on_features)
        layer.events.mode.connect(self.report_tool)
        layer.mouse_drag_callbacks.append(self._on_press)
        for key, act in self._keys.items():
            layer.bind_key(key, lambda _, act=act: act())

    # What the user does

    def _on_data(self, event: Any) -> None:
        if event.source is self.shapes:
            self._drawing = event.action == ActionType.ADDING
        if event.action == ActionType.ADDED:
            self._set_default(event.source, self._positive)
        if event.action in FINISHED:
            self._tell()

    def _on_set_data(self, event: Any) -> None:
        self._tell()

    def _on_features(self, event: Any) -> None:
        self._tell()

    def _tell(self) -> None:
        if not self._writing:
            self._changed()

    def _on_press(self, layer: Points | Shapes, event: Any) -> None:
        """Make what is drawn with the right button or Shift exclude; runs before napari's own."""
        if "add" not in str(layer.mode):
            return
        other = event.button == RIGHT_BUTTON or "Shift" in event.modifiers
        # napari reads the default when the button is released; `_on_data` sets it back.
        self._set_default(layer, self._positive != other)

    def _set_default(self, layer: Points | Shapes, positive: bool) -> None:
        with self._quiet():
            layer.feature_defaults = {POLARITY: _polarity(positive)}
            if isinstance(layer, Shapes):
                with layer.block_update_properties():
                    layer.current_edge_color = COLOURS[_polarity(positive)]

    # The active tool

    @property
    def positive(self) -> bool:
        """Whether a plain left click includes."""
        return self._positive

    def set_positive(self, positive: bool) -> None:
        """Say whether a plain left click includes."""
        self._positive = positive
        for layer in self.layers:
            self._set_default(layer, positive)

    @property
    def tool(self) -> str | None:
        """The active tool, None when another layer or mode is active."""
        active = self._viewer.layers.selection.active
        if active is None or active not in (self.points, self.shapes):
            return None
        mode = str(active.mode)
        names = {mode: name for name, mode in TOOLS.items()}
        return names.get(mode, SAME_TOOL.get(mode))

    def take_tool(self, name: str) -> None:
        """Make a tool active: select its layer and set its mode."""
        self.ensure()
        layer = self.points if name == "point" else self.shapes
        if layer is None:
            return
        show(layer)
        self._viewer.layers.selection.active = layer
        layer.mode = TOOLS[name]
        self.report_tool()

    def report_tool(self, event: Any = None) -> None:
        """Tell the panel which tool is active."""
        self._tool_changed(self.tool)

    def set_width(self, pixels: float) -> None:
        """Set the width of shapes drawn from now on."""
        if self.shapes is not None and self.shapes in self._viewer.layers:
            with self._quiet():
                self.shapes.current_edge_width = max(pixels, 0.1)

    # Prompts in and out

    def read(self, plane: DisplayedPlane) -> PromptSet:
        """Return what is drawn on a plane (in the axes of the prompt layers).

        Raises
        ------
        PromptError
            A shape that cannot be used, a rectangle without area for one.
        """
        yx, positive = self._points_on(plane)
        return to_prompts(yx, positive, self._shapes_on(plane))

    def write(self, prompts: PromptSet, plane: DisplayedPlane) -> None:
        """Replace what is drawn on a plane; other planes keep theirs."""
        self.ensure()
        with self._quiet():
            self._write_points(prompts.points, plane)
            self._write_shapes(from_prompts(prompts), plane)
        # Setting a table of features also sets the defaults of the next point.
        self.set_positive(self._positive)

    def clear(self) -> None:
        """Remove everything drawn on any plane."""
        with self._quiet():
            for layer in self.layers:
                _empty(layer)

    def _points_on(self, plane: DisplayedPlane) -> tuple[Any, list[bool]]:
        layer = self.points
        if layer is None or layer not in self._viewer.layers or len(layer.data) == 0:
            return np.zeros((0, 2)), []
        chosen = plane.holds(layer.data)
        positive = self._are_positive(layer)[chosen]
        return plane.to_plane(layer.data[chosen]), positive.tolist()

    def _are_positive(self, layer: Points | Shapes) -> Any:
        return layer.features[POLARITY].to_numpy() != "negative"

    def _shapes_on(self, plane: DisplayedPlane) -> list[DrawnShape]:
        return [shape for at, shape in enumerate(self._all_shapes(plane)) if self._is_on(at, plane)]

    def _all_shapes(self, plane: DisplayedPlane) -> list[DrawnShape]:
        layer = self.shapes
        if layer is None or layer not in self._viewer.layers:
            return []
        rows = zip(layer.shape_type, layer.data, self._are_positive(layer), strict=False)
        drawn = [DrawnShape(str(kind), plane.to_plane(data), bool(yes)) for kind, data, yes in rows]
        return drawn[:-1] if self._drawing else drawn

    def _is_on(self, number: int, plane: DisplayedPlane) -> bool:
        assert self.shapes is not None
        return bool(plane.holds(self.shapes.data[number]).all())

    def _write_points(self, points: PointPrompts | None, plane: DisplayedPlane) -> None:
        layer = self.points
        if layer is None:
            return
        new = points if points is not None else PointPrompts(np.zeros((0, 2)))
        elsewhere = ~plane.holds(layer.data) if len(layer.data) else np.zeros(0, bool)
        polarity = layer.features[POLARITY].to_numpy()[elsewhere].tolist()
        polarity += [_polarity(bool(yes)) for yes in new.positive]
        data = np.concatenate([layer.data[elsewhere], plane.from_plane(new.points_yx)])
        # An empty table with coloured categories breaks the layer: drop the points, not the rows.
        layer.data = data
        if polarity:
            layer.features = pd.DataFrame({POLARITY: polarity})
        layer.selected_data = set()

    def _write_shapes(self, drawn: tuple[DrawnShape, ...], plane: DisplayedPlane) -> None:
        layer = self.shapes
        if layer is None:
            return
        self._drawing = False
        kept = [
            (str(layer.shape_type[at]), layer.data[at], bool(yes))
            for at, yes in enumerate(self._are_positive(layer))
            if not self._is_on(at, plane)
        ]
        rows = [*kept, *((d.kind, plane.from_plane(d.vertices_yx), d.positive) for d in drawn)]
        if len(layer.data):
            _empty(layer)
        if rows:
            layer.add([data for _, data, _ in rows], shape_type=[kind for kind, _, _ in rows])
            polarity = [_polarity(yes) for _, _, yes in rows]
            layer.features = pd.DataFrame({POLARITY: polarity})
            layer.edge_color = [COLOURS[one] for one in polarity]
            layer.selected_data = set()

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        before, self._writing = self._writing, True
        try:
            yield
        finally:
            self._writing = before


def _empty(layer: Points | Shapes) -> None:
    """Remove everything from a layer, with its rows of features."""
    # Assigning no data leaves the features of shapes behind.
    layer.selected_data = set(range(len(layer.data)))
    layer.remove_selected()
