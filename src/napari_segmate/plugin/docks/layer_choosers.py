"""Choosers of layers that follow the layer list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from magicgui.widgets import ComboBox
from napari.components import ViewerModel
from napari.layers import Layer
from qtpy.QtWidgets import QComboBox, QWidget

from napari_segmate.plugin.labels.commit import made_for
from napari_segmate.plugin.planes.image_view import ImageView

__all__ = ["LayerChooser", "OutputChooser"]

NEW_LABELS = "new labels layer"


class LayerChooser:
    """Lets the user choose one of the layers of a viewer.

    Parameters
    ----------
    viewer : ViewerModel
        Whose layers.
    accepts : callable
        Tells whether a layer may be chosen.
    chosen : callable
        Called with the layer that is chosen from now on, or None.
    none_text : str, optional
        Offers "no layer" under this name, first of all.

    Attributes
    ----------
    declined : bool
        The user has chosen "no layer" himself.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        accepts: Callable[[Layer], bool],
        chosen: Callable[[Any], None],
        none_text: str = "",
    ) -> None:
        self._viewer = viewer
        self._accepts = accepts
        self._chosen = chosen
        self._none_text = none_text
        self.declined = False
        self._box = ComboBox(choices=self._choices, nullable=False)
        self._box.changed.connect(self._on_changed)
        native = self._box.native
        assert isinstance(native, QComboBox)
        # A long layer name must not widen the dock.
        native.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        native.setMinimumContentsLength(8)
        self._events = viewer.layers.events
        for name in ("inserted", "removed", "reordered", "renamed"):
            getattr(self._events, name).connect(self._refresh)

    @property
    def native(self) -> QWidget:
        """The Qt widget."""
        native: QWidget = self._box.native
        return native

    @property
    def layer(self) -> Layer | None:
        """The layer that is chosen, None without one."""
        value = self._box.value
        return None if isinstance(value, str) else value

    def choose(self, layer: Layer | None) -> None:
        """Choose a layer, or none."""
        self._refresh()
        choices = self._box.choices
        wanted = self._none_text if layer is None else layer
        declined = self.declined and layer is None
        if wanted in choices:
            self._box.value = wanted
        self.declined = declined

    def close(self) -> None:
        """Stop following the layers."""
        for name in ("inserted", "removed", "reordered", "renamed"):
            getattr(self._events, name).disconnect(self._refresh)

    def _choices(self, _: Any) -> list[tuple[str, Any]]:
        layers = [(layer.name, layer) for layer in self._viewer.layers if self._accepts(layer)]
        return [(self._none_text, self._none_text), *layers] if self._none_text else layers

    def _refresh(self, event: Any = None) -> None:
        before = self.layer
        with self._box.changed.blocked():
            self._box.reset_choices()
            # A renamed layer is a new entry for the box: keep the layer, not the entry.
            if before is not None and before in self._box.choices:
                self._box.value = before
        if self.layer is not before:
            self._chosen(self.layer)

    def _on_changed(self, value: Any) -> None:
        self.declined = self.layer is None
        self._chosen(self.layer)


class OutputChooser(LayerChooser):
    """Lets the user choose the labels that objects go to.

    Labels that any panel has made for the image are taken unless the user wants new ones: all
    panels write to the same layer.

    Parameters
    ----------
    viewer, accepts, chosen
        As in `LayerChooser`.
    view : ImageView
        Knows the image.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        accepts: Callable[[Layer], bool],
        chosen: Callable[[Any], None],
        view: ImageView,
    ) -> None:
        super().__init__(viewer, accepts, chosen, NEW_LABELS)
        self._view = view
        self._events.inserted.connect(self.choose_default)

    def choose_default(self, event: Any = None) -> None:
        """Choose the labels made for the image last, where nothing else is chosen."""
        image = self._view.image
        if image is None or self.declined or self.layer is not None:
            return
        for layer in reversed(self._viewer.layers):
            if self._accepts(layer) and made_for(layer, image, self._view.channel):
                self.choose(layer)
                return

    def close(self) -> None:
        """Stop following the layers."""
        self._events.inserted.disconnect(self.choose_default)
        super().close()
