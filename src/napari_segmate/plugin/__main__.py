"""``python -m napari_segmate.plugin IMAGE [LABELS]``: napari on files, with the Segment panel."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["open_files"]


def open_files(viewer: Any, image: str, labels: str | None = None) -> None:
    """Open an image, and labels on top of it, in a viewer, and show the panel beside them."""
    viewer.open(image, plugin="napari")
    if labels is not None:
        viewer.open(labels, plugin="napari", layer_type="labels")
    viewer.window.add_plugin_dock_widget("napari-segmate", "Segment")


def main(paths: list[str]) -> None:
    """Open files in a new viewer, and stay until it is closed."""
    # Before Qt: on Windows the order in which their libraries load matters.
    import torch  # noqa: F401

    import napari  # isort: skip

    open_files(napari.Viewer(), *paths)
    napari.run()


if __name__ == "__main__":
    main(sys.argv[1:])
