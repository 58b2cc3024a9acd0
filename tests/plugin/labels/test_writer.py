from __future__ import annotations

import numpy as np
import pytest
import tifffile
from blob_images import blob_image, centre
from napari.components import ViewerModel

from napari_segmate.io.provenance import METADATA_KEY, sidecar_path
from napari_segmate.plugin.labels.writer import write_labels_and_records
from napari_segmate.widgets.actions import SegmentAction

pytestmark = pytest.mark.gui


def read_again(bench, path):
    """Add a labels layer as napari's reader would."""
    from napari.layers import Labels
    from napari.layers._source import layer_source

    with layer_source(path=str(path)):
        layer = Labels(tifffile.imread(path))
    return bench.viewer.add_layer(layer)


def test_prompts_of_objects_survive_saving_and_reading(make_bench, tmp_path) -> None:
    first = make_bench(blob_image())
    for number in range(2):
        first.point(*centre(number))
        first.controller.trigger(SegmentAction.COMMIT)
    path = tmp_path / "cells.tif"
    data, attributes, _ = first.output.as_layer_data_tuple()
    written = write_labels_and_records(str(path), data, attributes)
    assert written == [str(path), str(sidecar_path(path))]
    second = make_bench(blob_image())
    layer = read_again(second, path)
    second.dock._outputs.choose(layer)
    np.testing.assert_array_equal(layer.data, data)
    assert layer.metadata[METADATA_KEY] == first.output.metadata[METADATA_KEY]


def test_labels_without_records_get_no_file_beside_them(tmp_path) -> None:
    viewer = ViewerModel()
    layer = viewer.add_labels(np.eye(5, dtype=int))
    data, attributes, _ = layer.as_layer_data_tuple()
    path = tmp_path / "plain.tif"
    assert write_labels_and_records(str(path), data, attributes) == [str(path)]


def test_damaged_records_are_reported_and_the_labels_used(
    make_bench, tmp_path, monkeypatch
) -> None:
    said = []
    monkeypatch.setattr("napari_segmate.plugin.segment.dock.warn", said.append)
    path = tmp_path / "cells.tif"
    tifffile.imwrite(path, np.zeros((48, 60), np.uint16))
    sidecar_path(path).write_text("{")
    bench = make_bench(blob_image())
    layer = read_again(bench, path)
    bench.dock._outputs.choose(layer)
    assert "damaged" in said[0]
    bench.point(*centre(0))
    bench.controller.trigger(SegmentAction.COMMIT)
    assert layer.data.any()
