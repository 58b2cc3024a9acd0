from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from napari.components import ViewerModel

from napari_segmate.core.errors import LabelsError
from napari_segmate.core.images.image_source import ImageAxes
from napari_segmate.core.labels.commit import CommitPolicy, commit
from napari_segmate.core.types import Instance
from napari_segmate.io.provenance import METADATA_KEY, Record
from napari_segmate.plugin.labels import commit_many
from napari_segmate.plugin.labels.commit import OutputLabels
from napari_segmate.plugin.labels.commit_many import ManyObjects, ManyWriter, Patch
from napari_segmate.plugin.planes.geometry import DisplayedPlane

pytestmark = pytest.mark.gui

SHAPE = (40, 50)
BOXES = ((2, 2, 10, 10), (8, 8, 16, 16), (20, 30, 30, 40))


def plane_at(*index: int) -> DisplayedPlane:
    axes = ImageAxes(y=len(index), x=len(index) + 1)
    return DisplayedPlane(axes, (*index, 0, 0), SHAPE)


def patch(plane: DisplayedPlane, boxes=BOXES, numbers=()) -> Patch:
    found = [Instance(box, np.ones((box[2] - box[0], box[3] - box[1]), bool)) for box in boxes]
    changes = commit(np.zeros(SHAPE, int), found, first_id=1)
    return Patch.of(plane, changes, numbers)


def record(number: int, index: tuple[int, ...] = ()) -> Record:
    return Record(number, index, BOXES[0], "tiny", "tiny@1", (), {}, 0.9, 0.9)


class Desk:
    def __init__(self, qtbot, shape=SHAPE) -> None:
        self.qtbot = qtbot
        self.viewer = ViewerModel()
        self.layer = self.viewer.add_labels(np.zeros(shape, np.uint8))
        self.output = OutputLabels(self.viewer)
        self.output.layer = self.layer
        self.writer = ManyWriter(self.output)
        self.written = []

    def write(self, objects: ManyObjects, policy=CommitPolicy.KEEP_OBJECTS):
        before = len(self.written)
        self.writer.write(self.layer, objects, policy, self.written.append)
        self.qtbot.waitUntil(lambda: len(self.written) > before)
        return self.written[-1]

    def take_back(self, written) -> None:
        done = []
        self.writer.take_back(written, lambda: done.append(True))
        self.qtbot.waitUntil(lambda: bool(done))


@pytest.fixture
def desk(qtbot) -> Desk:
    return Desk(qtbot)


def three(**kwargs) -> ManyObjects:
    records = [record(number) for number in (1, 2, 3)]
    return ManyObjects(
        3, [patch(plane_at())], records, {"class": ["cell", "cell", "nucleus"]}, **kwargs
    )


def test_objects_enter_as_one_step_of_undo(desk) -> None:
    desk.layer.data[0, 0] = 6
    written = desk.write(three())
    assert written.labels == (7, 8, 9)
    assert set(np.unique(desk.layer.data)) == {0, 6, 7, 8, 9}
    desk.layer.undo()
    assert set(np.unique(desk.layer.data)) == {0, 6}
    assert not written.is_there
    desk.layer.redo()
    assert written.is_there


def test_class_and_story_are_kept_with_the_layer(desk) -> None:
    desk.layer.features = pd.DataFrame({"index": [1], "mine": ["a"]})
    desk.layer.data[0, 0] = 1
    desk.write(three())
    table = desk.layer.features
    assert table["index"].tolist() == [1, 2, 3, 4]
    assert table["class"].tolist()[1:] == ["cell", "cell", "nucleus"]
    assert table["mine"].tolist()[0] == "a"
    assert [one["label"] for one in desk.layer.metadata[METADATA_KEY]] == [2, 3, 4]


def test_others_keep_their_pixels_unless_overwritten(desk) -> None:
    desk.layer.data[:, :5] = 1
    desk.write(three())
    assert (desk.layer.data[:, :5] == 1).all()
    desk.layer.undo()
    desk.write(three(), CommitPolicy.OVERWRITE)
    assert desk.layer.data[3, 3] > 1


def test_objects_on_labelled_ground_are_left_out(desk) -> None:
    desk.layer.data[:, :5] = 1
    written = desk.write(three(), CommitPolicy.ONLY_BACKGROUND)
    assert written.labels == (3, 4)
    assert desk.layer.features["class"].tolist() == ["cell", "nucleus"]
    assert [one["label"] for one in desk.layer.metadata[METADATA_KEY]] == [3, 4]


@pytest.mark.parametrize(("columns", "labels"), [(7, (3, 4)), (6, (2, 3, 4))])
def test_no_slivers_of_objects_that_are_there_already(desk, columns, labels) -> None:
    desk.layer.data[:, :columns] = 1
    assert desk.write(three()).labels == labels
    assert (desk.layer.data == 2).any() == (2 in labels)


def test_taking_back_leaves_what_was_painted_since(desk) -> None:
    desk.layer.data[:, :5] = 1
    written = desk.write(three(), CommitPolicy.OVERWRITE)
    desk.layer.paint((25, 35), 77)
    assert desk.output.ids.next_id(desk.layer) == 78
    desk.take_back(written)
    assert set(np.unique(desk.layer.data)) == {0, 1, 77}
    assert (desk.layer.data[:, :5] == 1).all()
    assert len(desk.layer.features) == 0
    assert desk.layer.metadata[METADATA_KEY] == []
    assert not written.is_there


def test_object_through_planes_has_one_label_and_one_step_of_undo(qtbot) -> None:
    desk = Desk(qtbot, (4, *SHAPE))
    patches = [patch(plane_at(z), BOXES[:1], [1]) for z in range(3)]
    patches.append(patch(plane_at(3), BOXES[1:], [2, 3]))
    desk.write(ManyObjects(3, patches))
    assert [np.unique(one).tolist() for one in desk.layer.data] == [[0, 1]] * 3 + [[0, 2, 3]]
    desk.layer.undo()
    assert not desk.layer.data.any()


def test_type_grows_for_many_objects(desk) -> None:
    rows = [(y, x, y + 1, x + 1) for y in range(20) for x in range(20)]
    desk.write(ManyObjects(400, [patch(plane_at(), rows)]))
    assert desk.layer.data.max() == 400
    assert desk.layer.data.dtype == np.uint16


def test_nothing_to_write_and_two_at_once_are_refused(qtbot) -> None:
    desk = Desk(qtbot, (9, *SHAPE))
    with pytest.raises(LabelsError, match="no object"):
        desk.write(ManyObjects(0, []))
    many = ManyObjects(3, [patch(plane_at(z)) for z in range(9)])
    desk.writer.write(desk.layer, many, CommitPolicy.KEEP_OBJECTS, desk.written.append)
    with pytest.raises(LabelsError, match="still being written"):
        desk.writer.write(desk.layer, many, CommitPolicy.KEEP_OBJECTS, desk.written.append)
    desk.writer.stop()
    assert len(desk.written) == 1
    assert desk.layer.data[8].any()


def test_planes_are_written_one_by_one(qtbot) -> None:
    desk = Desk(qtbot, (30, *SHAPE))
    many = ManyObjects(3, [patch(plane_at(z)) for z in range(30)])
    desk.writer.write(desk.layer, many, CommitPolicy.KEEP_OBJECTS, desk.written.append)
    assert desk.layer.data[0].any() and not desk.layer.data[29].any()
    qtbot.waitUntil(lambda: not desk.writer.busy)
    assert desk.layer.data[29].any()


def test_two_hundred_objects_enter_within_a_blink(qtbot) -> None:
    desk = Desk(qtbot, (1024, 1024))
    grid = np.mgrid[0:1000:70, 0:1000:70].reshape(2, -1).T
    boxes = [(y, x, y + 40, x + 40) for y, x in grid.tolist()]
    found = [Instance(box, np.ones((40, 40), bool)) for box in boxes]
    changes = commit(np.zeros((1024, 1024), int), found, first_id=1)
    plane = DisplayedPlane(ImageAxes(y=0, x=1), (0, 0), (1024, 1024))
    many = ManyObjects(len(found), [Patch.of(plane, changes)], (), {"class": ["cell"] * len(found)})
    desk.output.ids.count(desk.layer, 0)
    start = time.perf_counter()
    desk.write(many)
    assert time.perf_counter() - start < 1
    assert len(np.unique(desk.layer.data)) == len(found) + 1


def test_many_pixels_of_one_plane_are_written_piece_by_piece(desk, monkeypatch) -> None:
    monkeypatch.setattr(commit_many, "PIECE", 50)
    whole = three()
    split = whole.prepared()
    assert [np.unique(one.number).tolist() for one in split.patches] == [[1], [2], [3]]
    desk.writer.write(desk.layer, split, CommitPolicy.KEEP_OBJECTS, desk.written.append)
    assert set(np.unique(desk.layer.data)) == {0, 1}
    desk.qtbot.waitUntil(lambda: bool(desk.written))
    pieces = desk.layer.data.copy()
    desk.layer.undo()
    desk.write(whole)
    np.testing.assert_array_equal(pieces > 0, desk.layer.data > 0)


def test_objects_stay_whole_in_pieces(monkeypatch) -> None:
    monkeypatch.setattr(commit_many, "PIECE", 10)
    rng = np.random.default_rng(0)
    number = rng.integers(1, 30, 400)
    y, x = np.divmod(np.arange(400), 50)
    pieces = Patch(plane_at(), y, x, number).pieces()
    seen = [set(np.unique(one.number)) for one in pieces]
    assert sum(map(len, seen)) == len(set().union(*seen)) == len(np.unique(number))
    assert sorted(np.concatenate([one.y * 50 + one.x for one in pieces])) == list(range(400))
    assert len(pieces) > 10


def test_pieces_are_near_each_other(monkeypatch) -> None:
    monkeypatch.setattr(commit_many, "PIECE", 40)
    monkeypatch.setattr(commit_many, "TILE", 10)
    y, x = np.mgrid[0:40, 0:40].reshape(2, -1)
    number = 1 + (y // 2) * 20 + x // 2
    for piece in Patch(plane_at(), y, x, number).pieces():
        assert np.ptp(piece.y) < 10
