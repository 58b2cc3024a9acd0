from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Labels

from napari_segmate.plugin.labels import recovery
from napari_segmate.plugin.labels.chunked_labels import ChunkedLabels
from napari_segmate.plugin.labels.recovery import PaintLog, Window, filled, windows_of

SHAPE = (3, 40, 50)


class Followed:
    """A layer, and what a journal of its windows would bring back."""

    def __init__(self, data=None) -> None:
        self.layer = Labels(np.zeros(SHAPE, np.uint16) if data is None else data)
        self.layer.brush_size = 5
        self.copy = np.array(self.layer.data)
        self.log = PaintLog()
        self.read = 0
        self.atoms = []
        self.layer.events.paint.connect(lambda event: self.atoms.extend(event.value))

    def tell(self) -> None:
        self._apply(self.log.painted(self.layer.data, self.atoms))
        self.atoms.clear()

    def look(self) -> None:
        self._apply(self.log.changed(self.layer.data))

    def _apply(self, patches) -> None:
        for patch in patches:
            y0, x0, y1, x1 = patch.box_yx
            self.copy[(*patch.index, slice(y0, y1), slice(x0, x1))] = patch.values
            self.read += patch.values.size

    def check(self) -> None:
        np.testing.assert_array_equal(self.copy, np.asarray(self.layer.data))


@pytest.fixture(params=["numpy", "chunked"])
def followed(request) -> Followed:
    return Followed(ChunkedLabels(SHAPE, np.uint16) if request.param == "chunked" else None)


def strokes(layer) -> list:
    y, x = np.mgrid[4:9, 30:45].reshape(2, -1)
    return [
        lambda: layer.data_setitem((np.full_like(y, 2), y, x), 6),
        lambda: layer.paint((1, 12, 13), 3),
        lambda: layer.paint((1, 12, 14), 0),
        lambda: layer.fill((1, 30, 30), 4),
        lambda: layer.paint_polygon([[0, 5, 5], [0, 30, 8], [0, 20, 40]], 2),
    ]


@pytest.mark.parametrize("edited", [2, 3])
def test_every_tool_is_noted_where_it_painted(followed, edited) -> None:
    followed.layer.n_edit_dimensions = edited
    # The polygon of napari knows two dimensions.
    for stroke in strokes(followed.layer)[: -1 if edited == 3 else None]:
        stroke()
        followed.tell()
        followed.check()


def test_undo_and_redo_are_noticed_whatever_their_number(followed) -> None:
    for stroke in strokes(followed.layer):
        stroke()
        followed.tell()
    for steps in (1, 2, 2):
        for _ in range(steps):
            followed.layer.undo()
        followed.look()
        followed.check()
    for steps in (3, 1):
        for _ in range(steps):
            followed.layer.redo()
        followed.look()
        followed.check()


def test_nothing_is_told_when_nothing_has_changed(followed) -> None:
    for stroke in strokes(followed.layer):
        stroke()
    followed.tell()
    assert followed.log.changed(followed.layer.data) == []


def test_windows_of_scattered_pixels_are_small(monkeypatch) -> None:
    monkeypatch.setattr(recovery, "TILE", 10)
    y, x = np.array([1, 2, 95, 97]), np.array([3, 4, 93, 99])
    found = list(windows_of(((y, x), None, 1)))
    assert found == [Window((), (1, 3, 3, 5)), Window((), (95, 93, 98, 100))]
    pixels = np.arange(200)
    planes = (pixels % 2, pixels // 10, pixels % 7)
    covered = np.zeros((2, 20, 10), bool)
    for window in windows_of((planes, None, 1)):
        y0, x0, y1, x1 = window.box
        covered[(*window.index, slice(y0, y1), slice(x0, x1))] = True
    assert covered[planes].all()


@pytest.mark.parametrize("chunked", [True, False])
def test_all_that_is_filled_comes_back(monkeypatch, chunked) -> None:
    monkeypatch.setattr(recovery, "TILE", 16)
    data = ChunkedLabels(SHAPE, np.uint16) if chunked else np.zeros(SHAPE, np.uint16)
    data[1, 3:30, 7:9] = 5
    data[2, 39, 49] = 6
    copy = np.zeros(SHAPE, np.uint16)
    for patch in filled(data):
        y0, x0, y1, x1 = patch.box_yx
        copy[(*patch.index, slice(y0, y1), slice(x0, x1))] = patch.values
    np.testing.assert_array_equal(copy, np.asarray(data))


def test_no_more_is_compared_than_there_is_time_for(monkeypatch) -> None:
    followed = Followed(np.zeros((1000, 1000), np.uint16))
    monkeypatch.setattr(recovery, "REMEMBERED_PIXELS", 5000)
    for number in range(20):
        box = np.mgrid[50 * number : 50 * number + 40, 0:40].reshape(2, -1)
        followed.layer.data_setitem(tuple(box), number + 1)
        followed.tell()
    followed.layer.undo()
    followed.layer.undo()
    followed.read = 0
    followed.look()
    assert followed.read == 2 * 1600
    followed.check()
