"""From a new model to the labels of everything else: one click opens the Automask dock."""

from __future__ import annotations

from typing import Any

from napari.layers import Image

from napari_segmate.plugin.docks.model_lists import announce_model

__all__ = ["segment_rest"]

PLUGIN, WIDGET = "napari-segmate", "Automask"


def segment_rest(viewer: Any, image: Image | None, model: str) -> None:
    """Open the Automask dock of a viewer, and let it find all objects of an image with a model.

    Parameters
    ----------
    viewer : Viewer
        The viewer.
    image : Image, optional
        What to segment; by default what is chosen there.
    model : str
        The model.
    """
    if image is not None and image in viewer.layers:
        # A dock that opens takes the active layer.
        viewer.layers.selection.active = image
    # Opens it, or finds it where it is open.
    place, dock = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET, tabify=True)
    place.show()
    place.raise_()
    announce_model(model, viewer)
    dock.controller.run()
