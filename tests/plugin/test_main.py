"""napari on files, from a command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from blob_images import blob_image
from napari.layers import Image, Labels

from napari_segmate.plugin.__main__ import open_files

pytestmark = [pytest.mark.gui, pytest.mark.viewer]


def test_files_open_as_image_and_labels_with_the_panel(make_napari_viewer, tmp_path: Path) -> None:
    image = blob_image()
    tifffile.imwrite(tmp_path / "image.tif", image)
    tifffile.imwrite(tmp_path / "labels.tif", (image > image.mean()).astype(np.uint16))
    viewer = make_napari_viewer()
    open_files(viewer, str(tmp_path / "image.tif"), str(tmp_path / "labels.tif"))
    assert [type(layer) for layer in viewer.layers][:2] == [Image, Labels]
    assert any("Segment" in name for name in viewer.window.dock_widgets)
