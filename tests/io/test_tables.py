"""Tables of objects."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_segmate.core.errors import LabelsError
from napari_segmate.io.tables import measure, write_coco, write_measurements, write_whole


def test_objects_of_a_volume_are_measured_without_what_only_planes_have():
    labels = np.zeros((4, 5, 6), int)
    labels[1:3, 1:4, 2:4] = 2
    table = measure(labels)
    assert table["area"] == [12]
    assert (table["bbox-0"], table["bbox-3"]) == ([1], [3])
    assert "perimeter" not in table


def test_a_table_of_nothing_has_a_heading(tmp_path):
    path = write_measurements(tmp_path / "table.csv", np.zeros((5, 5), int))
    assert path.read_text().startswith("label,area,")


def test_an_object_of_several_planes_is_one_track(tmp_path):
    labels = np.zeros((3, 6, 6), int)
    labels[:2, 1:4, 2:5] = 5
    found = json.loads(write_coco(tmp_path / "x.json", labels, "a.tif").read_text())
    assert [(one["image_id"], one["track_id"]) for one in found["annotations"]] == [(0, 5), (1, 5)]
    assert [one["id"] for one in found["annotations"]] == [1, 2]
    assert found["annotations"][0]["bbox"] == [2, 1, 3, 3]
    assert len(found["images"]) == 3


def test_a_folder_that_is_not_there_is_named_and_nothing_is_left(tmp_path):
    with pytest.raises(LabelsError, match="cannot write"):
        write_whole(tmp_path / "missing" / "x.csv", "text")
    assert list(tmp_path.iterdir()) == []
