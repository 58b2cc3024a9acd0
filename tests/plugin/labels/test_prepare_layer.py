from __future__ import annotations

import threading

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_segmate.core.errors import LabelsError
from napari_segmate.plugin.labels import prepare_layer as preparing
from napari_segmate.plugin.labels.chunked_labels import ChunkedLabels
from napari_segmate.plugin.labels.commit import OutputLabels
from napari_segmate.plugin.labels.prepare_layer import Preparer
from napari_segmate.plugin.worker.runner import Runner

pytestmark = pytest.mark.gui


class Desk:
    """A labels layer too large to be looked through at once."""

    def __init__(self, qtbot, monkeypatch, dtype) -> None:
        monkeypatch.setattr(preparing, "QUICK_PIXELS", 0)
        self.qtbot = qtbot
        self.viewer = ViewerModel()
        self.layer = self.viewer.add_labels(np.zeros((30, 40), dtype))
        self.layer.data[3, 4] = 7
        self.output = OutputLabels(self.viewer)
        self.runner = Runner()
        self.preparer = Preparer(self.viewer, self.output.ids, self.runner, lambda text: None)
        self.output.chosen = self.preparer.count_when_idle
        self.ready: list[np.dtype] = []
        self.failed: list[BaseException] = []

    def prepare(self, count: int = 1) -> None:
        self.preparer.prepare(
            self.layer, count, lambda: self.ready.append(self.layer.data.dtype), self.failed.append
        )

    def wait(self) -> None:
        self.qtbot.waitUntil(lambda: bool(self.ready or self.failed))


@pytest.fixture
def make_desk(qtbot, monkeypatch):
    desks = []

    def make(dtype=np.uint8) -> Desk:
        desks.append(Desk(qtbot, monkeypatch, dtype))
        return desks[-1]

    yield make
    for desk in desks:
        desk.runner.close(5)


def test_a_large_layer_is_counted_in_the_worker(make_desk) -> None:
    desk = make_desk()
    desk.prepare()
    assert not desk.ready
    desk.wait()
    assert desk.output.ids.next_id(desk.layer) == 8


def test_what_is_painted_while_counting_counts(make_desk, monkeypatch) -> None:
    desk = make_desk()
    gate = threading.Event()
    count = preparing.next_id
    monkeypatch.setattr(preparing, "next_id", lambda data: (count(data), gate.wait(10))[0])
    desk.prepare()
    desk.layer.data_setitem((np.array([0]), np.array([0])), 90)
    desk.layer.data_setitem((np.array([0]), np.array([0])), 0)
    gate.set()
    desk.wait()
    assert desk.output.ids.next_id(desk.layer) == 91


def test_a_chosen_layer_is_counted_ahead(make_desk) -> None:
    desk = make_desk()
    desk.output.layer = desk.layer
    desk.qtbot.waitUntil(lambda: desk.output.ids.knows(desk.layer))
    desk.prepare()
    assert desk.ready


def test_a_type_too_small_grows_in_the_worker_and_loses_no_stroke(make_desk, monkeypatch) -> None:
    desk = make_desk()
    desk.output.ids.count(desk.layer, 250)
    gate = threading.Event()
    cast, copies = preparing.cast, []

    def slow(data, dtype):
        copies.append(cast(data, dtype))
        gate.wait(10)
        return copies[-1]

    monkeypatch.setattr(preparing, "cast", slow)
    desk.prepare(count=10)
    desk.qtbot.waitUntil(lambda: bool(copies))
    desk.layer.data_setitem((np.array([1]), np.array([1])), 5)
    gate.set()
    desk.wait()
    assert desk.ready == [np.uint16]
    assert desk.layer.data[1, 1] == 5 and desk.layer.data[3, 4] == 7
    assert len(copies) == 2
    assert desk.output.ids.next_id(desk.layer) == 251


def test_chunked_labels_grow_too(make_desk) -> None:
    desk = make_desk()
    desk.layer.data = ChunkedLabels((30, 40), np.uint8)
    desk.layer.data[2, 2] = 255
    desk.prepare()
    desk.wait()
    assert isinstance(desk.layer.data, ChunkedLabels)
    assert desk.ready == [np.uint16]
    assert desk.layer.data[2, 2] == 255


def test_a_layer_that_is_gone_is_told(make_desk) -> None:
    desk = make_desk()
    desk.prepare()
    desk.viewer.layers.clear()
    desk.wait()
    assert isinstance(desk.failed[0], LabelsError)
    assert "was removed" in str(desk.failed[0])
