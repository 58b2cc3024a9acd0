from __future__ import annotations

import os

import numpy as np
import pytest
from napari.layers import Labels

from napari_segmate.io.provenance import METADATA_KEY
from napari_segmate.plugin.recovery import patches
from napari_segmate.sessions.recovery import leftovers
from napari_segmate.widgets.actions import Action

from .conftest import blob_image, centre

pytestmark = pytest.mark.gui


@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 0, 2)])
def test_patches_hold_what_changed_whatever_the_axes(axes) -> None:
    data = np.arange(6 * 6 * 6).reshape(6, 6, 6)
    plane = (np.array([2, 2, 2]), np.array([1, 3, 4]), np.array([0, 5, 2]))
    index = tuple(plane[axis] for axis in axes)
    copy = np.zeros_like(data)
    for patch in patches(data, index):
        y0, x0, y1, x1 = patch.box_yx
        copy[(*patch.index, slice(y0, y1), slice(x0, x1))] = patch.values
    np.testing.assert_array_equal(copy[index], data[index])


def crash(bench) -> None:
    """Leave the recovery files as a killed process would."""
    for writer in bench.dock.recovery._writers.values():
        writer.close()
    bench.dock.recovery._writers.clear()


def test_commits_survive_a_crash(make_bench, tmp_path) -> None:
    first = make_bench(blob_image(), scale=(0.5, 0.5), units=("um", "um"))
    for number in range(2):
        first.point(*centre(number))
        first.controller.trigger(Action.COMMIT)
    expected = first.output.data.copy()
    crash(first)
    second = make_bench(blob_image(), scale=(0.5, 0.5), units=("um", "um"))
    assert second.panel.banner.isVisibleTo(second.panel)
    assert "2 objects of 'image 0'" in second.panel.banner._text.text()
    second.panel.banner.restore_clicked.emit()
    second.settle()
    layer = second.viewer.layers["SegMate labels (recovered)"]
    np.testing.assert_array_equal(layer.data, expected)
    np.testing.assert_array_equal(layer.scale, (0.5, 0.5))
    assert [str(unit) for unit in layer.units] == ["micrometer"] * 2
    assert [record["label"] for record in layer.metadata[METADATA_KEY]] == [1, 2]
    assert second.output is layer
    second.point(*centre(2))
    second.controller.trigger(Action.COMMIT)
    assert layer.data.max() == 3


def test_labels_that_were_there_before_are_in_the_file_too(make_bench) -> None:
    first = make_bench(blob_image())
    labels = np.zeros((48, 60), np.uint16)
    labels[40:44, 2:5] = 6
    layer = first.viewer.add_labels(labels)
    first.dock._outputs.choose(layer)
    first.point(*centre(0))
    first.controller.trigger(Action.COMMIT)
    expected = layer.data.copy()
    crash(first)
    second = make_bench(blob_image())
    second.panel.banner.restore_clicked.emit()
    second.settle()
    restored = [one for one in second.viewer.layers if isinstance(one, Labels)]
    np.testing.assert_array_equal(restored[-1].data, expected)


def test_taken_back_commits_are_not_restored(make_bench) -> None:
    first = make_bench(blob_image())
    for number in range(2):
        first.point(*centre(number))
        first.controller.trigger(Action.COMMIT)
    first.controller.trigger(Action.TAKE_BACK)
    crash(first)
    second = make_bench(blob_image())
    second.panel.banner.restore_clicked.emit()
    second.settle()
    assert np.unique(second.viewer.layers["SegMate labels (recovered)"].data).tolist() == [0, 1]


def test_discarded_files_are_gone(make_bench, tmp_path) -> None:
    first = make_bench(blob_image())
    first.point(*centre(0))
    first.controller.trigger(Action.COMMIT)
    crash(first)
    second = make_bench(blob_image())
    second.panel.banner.discard_clicked.emit()
    assert not second.panel.banner.isVisibleTo(second.panel)
    assert leftovers(tmp_path / "recovery") == ()


def test_a_session_that_ends_leaves_nothing(make_bench, tmp_path) -> None:
    bench = make_bench(blob_image())
    bench.point(*centre(0))
    bench.controller.trigger(Action.COMMIT)
    bench.dock.shut_down()
    assert list((tmp_path / "recovery").glob("*")) == []


@pytest.mark.skipif(os.name == "nt", reason="a file in the place of a folder says the same")
def test_folder_that_cannot_be_written_costs_a_warning_only(make_bench, tmp_path, monkeypatch):
    (tmp_path / "recovery").write_text("not a folder")
    said = []
    bench = make_bench(blob_image())
    monkeypatch.setattr(bench.dock.recovery, "_warn", said.append)
    bench.point(*centre(0))
    bench.controller.trigger(Action.COMMIT)
    assert bench.output.data.any()
    bench.until(lambda: bool(said))
    assert "cannot be written" in said[0]
