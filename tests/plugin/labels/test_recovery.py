from __future__ import annotations

import os
import threading

import numpy as np
import pytest
from blob_images import blob_image, centre
from napari.layers import Labels

from napari_segmate.io.provenance import METADATA_KEY
from napari_segmate.plugin.labels import recovery
from napari_segmate.sessions.recovery import leftovers
from napari_segmate.widgets.actions import SegmentAction

pytestmark = pytest.mark.gui


def crash(bench) -> None:
    """Leave the recovery files as a killed process would."""
    bench.qtbot.wait(5)
    for writer in bench.dock.recovery._writers.values():
        writer.close()
    bench.dock.recovery._writers.clear()


def test_commits_survive_a_crash(make_bench, tmp_path) -> None:
    first = make_bench(blob_image(), scale=(0.5, 0.5), units=("um", "um"))
    for number in range(2):
        first.point(*centre(number))
        first.controller.trigger(SegmentAction.COMMIT)
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
    second.controller.trigger(SegmentAction.COMMIT)
    assert layer.data.max() == 3


def test_labels_that_were_there_before_are_in_the_file_too(make_bench) -> None:
    first = make_bench(blob_image())
    labels = np.zeros((48, 60), np.uint16)
    labels[40:44, 2:5] = 6
    layer = first.viewer.add_labels(labels)
    first.dock._outputs.choose(layer)
    first.point(*centre(0))
    first.controller.trigger(SegmentAction.COMMIT)
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
        first.controller.trigger(SegmentAction.COMMIT)
    first.controller.trigger(SegmentAction.TAKE_BACK)
    crash(first)
    second = make_bench(blob_image())
    second.panel.banner.restore_clicked.emit()
    second.settle()
    assert np.unique(second.viewer.layers["SegMate labels (recovered)"].data).tolist() == [0, 1]


def test_discarded_files_are_gone(make_bench, tmp_path) -> None:
    first = make_bench(blob_image())
    first.point(*centre(0))
    first.controller.trigger(SegmentAction.COMMIT)
    crash(first)
    second = make_bench(blob_image())
    second.panel.banner.discard_clicked.emit()
    assert not second.panel.banner.isVisibleTo(second.panel)
    assert leftovers(tmp_path / "recovery") == ()


def test_a_session_that_ends_leaves_nothing(make_bench, tmp_path) -> None:
    bench = make_bench(blob_image())
    bench.point(*centre(0))
    bench.controller.trigger(SegmentAction.COMMIT)
    bench.dock.shut_down()
    assert list((tmp_path / "recovery").glob("*")) == []


@pytest.mark.skipif(os.name == "nt", reason="a file in the place of a folder says the same")
def test_folder_that_cannot_be_written_costs_a_warning_only(make_bench, tmp_path, monkeypatch):
    (tmp_path / "recovery").write_text("not a folder")
    said = []
    bench = make_bench(blob_image())
    monkeypatch.setattr(bench.dock.recovery, "_warn", said.append)
    bench.point(*centre(0))
    bench.controller.trigger(SegmentAction.COMMIT)
    assert bench.output.data.any()
    bench.until(lambda: bool(said))
    assert "cannot be written" in said[0]


def paint_by_hand(layer) -> None:
    layer.brush_size = 4
    layer.paint((44, 4), 9)
    layer.paint((44, 8), 9)
    layer.fill((30, 2), 5)


def restored(make_bench) -> Labels:
    second = make_bench(blob_image())
    second.panel.banner.restore_clicked.emit()
    second.settle()
    (layer,) = (one for one in second.viewer.layers if one.name.endswith("(recovered)"))
    return layer


def test_strokes_of_the_brush_survive_a_crash(make_bench) -> None:
    first = make_bench(blob_image())
    first.point(*centre(0))
    first.controller.trigger(SegmentAction.COMMIT)
    paint_by_hand(first.output)
    first.point(*centre(1))
    first.controller.trigger(SegmentAction.COMMIT)
    first.output.paint((44, 50), 0)
    expected = first.output.data.copy()
    assert {5, 9} <= set(np.unique(expected))
    crash(first)
    np.testing.assert_array_equal(restored(make_bench).data, expected)


def test_strokes_before_the_first_commit_survive_too(make_bench) -> None:
    first = make_bench(blob_image())
    layer = first.viewer.add_labels(np.zeros((48, 60), np.uint16))
    first.dock._outputs.choose(layer)
    paint_by_hand(layer)
    crash(first)
    np.testing.assert_array_equal(restored(make_bench).data, layer.data)


def test_undo_and_redo_of_napari_are_followed(make_bench) -> None:
    first = make_bench(blob_image())
    for number in range(2):
        first.point(*centre(number))
        first.controller.trigger(SegmentAction.COMMIT)
    paint_by_hand(first.output)
    first.qtbot.wait(5)
    for writer in first.dock.recovery._writers.values():
        writer.flush()
    for _ in range(4):
        first.output.undo()
    first.output.redo()
    expected = first.output.data.copy()
    assert np.unique(expected).tolist() == [0, 1, 2]
    crash(first)
    np.testing.assert_array_equal(restored(make_bench).data, expected)


def test_taking_back_leaves_strokes_made_since(make_bench) -> None:
    first = make_bench(blob_image())
    first.point(*centre(0))
    first.controller.trigger(SegmentAction.COMMIT)
    first.output.paint((44, 4), 9)
    first.controller.trigger(SegmentAction.TAKE_BACK)
    expected = first.output.data.copy()
    assert np.unique(expected).tolist() == [0, 9]
    crash(first)
    np.testing.assert_array_equal(restored(make_bench).data, expected)


def test_another_array_starts_another_file(make_bench, tmp_path) -> None:
    first = make_bench(blob_image())
    first.point(*centre(0))
    first.controller.trigger(SegmentAction.COMMIT)
    data = np.zeros((48, 60), np.uint32)
    data[2:4, 2:4] = 70_000
    first.output.data = data
    first.output.paint((44, 4), 9)
    crash(first)
    assert len(leftovers(tmp_path / "recovery")) == 1
    layer = restored(make_bench)
    np.testing.assert_array_equal(layer.data, first.output.data)
    assert layer.data.dtype == np.uint32


def test_what_a_commit_touches_is_read_away_from_the_window(make_bench, monkeypatch) -> None:
    readers = []
    read = recovery.Window.read

    def noted(self, data):
        readers.append(threading.current_thread().name)
        return read(self, data)

    monkeypatch.setattr(recovery.Window, "read", noted)
    bench = make_bench(blob_image())
    for number in range(2):
        bench.point(*centre(number))
        bench.controller.trigger(SegmentAction.COMMIT)
        bench.output.paint((44, 4 + number), 9)
    bench.until(lambda: len(readers) >= 4)
    assert set(readers) == {"napari-segmate-recovery"}
