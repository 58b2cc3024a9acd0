from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels

from napari_segmate.core.errors import LabelsError, NothingNewError
from napari_segmate.core.images.image_source import ImageAxes
from napari_segmate.core.labels.commit import CommitPolicy
from napari_segmate.core.types import Instance
from napari_segmate.io.provenance import METADATA_KEY, Record
from napari_segmate.plugin.labels import label_pixels
from napari_segmate.plugin.labels.chunked_labels import ChunkedLabels
from napari_segmate.plugin.labels.commit import OutputLabels
from napari_segmate.plugin.labels.label_pixels import object_mask
from napari_segmate.plugin.labels.prepare_layer import empty_labels
from napari_segmate.plugin.planes.geometry import DisplayedPlane
from napari_segmate.sessions.history import Commit, Entry

FLAT = DisplayedPlane(ImageAxes(0, 1), (0, 0), (600, 700))


def test_small_labels_are_numpy_and_large_ones_live_in_chunks() -> None:
    assert isinstance(empty_labels((10, 20)), np.ndarray)
    large = empty_labels((30_000, 40_000))
    assert isinstance(large, ChunkedLabels)
    assert large.shape == (30_000, 40_000)
    assert not large.written


@pytest.mark.parametrize("small", [True, False])
def test_object_under_a_pixel_is_cut_out_whole(monkeypatch, small) -> None:
    if not small:
        monkeypatch.setattr(label_pixels, "SMALL_PLANE_PIXELS", 0)
    labels = np.zeros((600, 700), np.uint16)
    labels[10:580, 300:320] = 4
    labels[20, 315:690] = 4
    label, mask = object_mask(labels, FLAT, (300, 310))
    assert label == 4
    assert mask.box_yx == (10, 300, 580, 690)
    np.testing.assert_array_equal(mask.mask, labels[10:580, 300:690] == 4)


@pytest.mark.parametrize("at", [(0, 0), (-1, 5), (5, 700)])
def test_no_object_no_mask(at) -> None:
    with pytest.raises(LabelsError, match="There is no labelled object"):
        object_mask(np.zeros((600, 700), np.uint16), FLAT, at)


def test_object_of_a_plane_of_a_stack() -> None:
    labels = np.zeros((3, 20, 4, 30), np.uint8)
    labels[1, 5:8, 2, 10:15] = 9
    labels[2, 5:8, 2, 10:20] = 9
    plane = DisplayedPlane(ImageAxes(1, 3), (1, 0, 2, 0), (20, 30))
    label, mask = object_mask(labels, plane, (6, 12))
    assert (label, mask.box_yx) == (9, (5, 10, 8, 15))


@pytest.mark.parametrize("policy", [CommitPolicy.KEEP_OBJECTS, CommitPolicy.ONLY_BACKGROUND])
def test_objects_that_get_no_pixel_are_refused_and_leave_no_trace(policy) -> None:
    layer = Labels(np.ones((20, 30), np.uint8))
    plane = DisplayedPlane(ImageAxes(0, 1), (0, 0), (20, 30))
    mask = np.ones((4, 5), bool)
    record = Record(0, (), (2, 3, 6, 8), "fake", "fake@1", (), {}, 1.0, 1.0)
    taken = Commit((Instance((2, 3, 6, 8), mask),), (record,), None, "plane", (), Entry())
    labels = OutputLabels(ViewerModel())
    with pytest.raises(LabelsError, match="overwrite other objects"):
        labels.write(layer, plane, taken, policy)
    assert (layer.data == 1).all()
    assert not layer.metadata
    assert labels.ids.next_id(layer) == 2


def committed(
    layer: Labels, output: OutputLabels, *boxes, policy=CommitPolicy.KEEP_OBJECTS, edit=None
):
    plane = DisplayedPlane(ImageAxes(0, 1), (0, 0), (20, 30))
    instances = tuple(
        Instance(box, np.ones((box[2] - box[0], box[3] - box[1]), bool)) for box in boxes
    )
    records = tuple(Record(0, (), box, "fake", "fake@1", (), {}, 1.0, 1.0) for box in boxes)
    return output.write(
        layer, plane, Commit(instances, records, edit, "plane", (), Entry()), policy
    )


def test_an_object_that_is_there_already_leaves_no_slivers() -> None:
    layer, output = Labels(np.zeros((20, 30), np.uint8)), OutputLabels(ViewerModel())
    committed(layer, output, (2, 3, 12, 13))
    before = layer.data.copy()
    with pytest.raises(NothingNewError) as refused:
        committed(layer, output, (2, 3, 13, 14))
    assert refused.value.labels == (1,)
    np.testing.assert_array_equal(layer.data, before)


def test_of_several_objects_those_that_are_there_already_are_left_out() -> None:
    layer, output = Labels(np.zeros((20, 30), np.uint8)), OutputLabels(ViewerModel())
    committed(layer, output, (2, 3, 12, 13))
    written = committed(layer, output, (2, 3, 13, 14), (2, 20, 10, 28))
    assert (written.new, written.left_out) == ((2,), 1)
    assert sorted(np.unique(layer.data)) == [0, 1, 2]
    assert [record["label"] for record in layer.metadata[METADATA_KEY]] == [1, 2]


def test_objects_that_lie_on_others_count_as_left_out() -> None:
    layer, output = Labels(np.zeros((20, 30), np.uint8)), OutputLabels(ViewerModel())
    committed(layer, output, (2, 3, 12, 13))
    written = committed(layer, output, (4, 4, 8, 8), (2, 20, 10, 28))
    assert (written.new, written.left_out) == ((3,), 1)


def test_overwriting_replaces_an_object_that_is_there_already() -> None:
    layer, output = Labels(np.zeros((20, 30), np.uint8)), OutputLabels(ViewerModel())
    committed(layer, output, (2, 3, 12, 13))
    committed(layer, output, (2, 3, 12, 14), policy=CommitPolicy.OVERWRITE)
    assert sorted(np.unique(layer.data)) == [0, 2]


def test_an_edited_object_may_stay_nearly_the_same() -> None:
    layer, output = Labels(np.zeros((20, 30), np.uint8)), OutputLabels(ViewerModel())
    committed(layer, output, (2, 3, 12, 13))
    written = committed(layer, output, (2, 3, 12, 14), edit=1)
    assert (written.new, written.left_out) == ((1,), 0)
    assert np.count_nonzero(layer.data == 1) == 110


def test_an_edited_object_may_only_give_pixels_up_and_gets_them_back() -> None:
    layer, output = Labels(np.zeros((20, 30), np.uint8)), OutputLabels(ViewerModel())
    committed(layer, output, (2, 3, 12, 13))
    before = layer.data.copy()
    written = committed(layer, output, (2, 3, 8, 13), edit=1)
    assert (written.new, written.left_out) == ((1,), 0)
    assert np.count_nonzero(layer.data) == 60
    assert written.is_there
    layer.undo()
    assert not written.is_there
    layer.redo()
    output.take_back(written)
    np.testing.assert_array_equal(layer.data, before)
    assert not written.is_there


class CountedLabels:
    """A label array that notes how much of it is read and written."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self._data = empty_labels(shape)
        self.shape, self.dtype, self.ndim = self._data.shape, self._data.dtype, 2
        self.read = self.written = 0

    def __getitem__(self, index):
        found = self._data[index]
        self.read += found.size
        return found

    def __setitem__(self, index, values) -> None:
        self._data[index] = values
        self.written += np.size(self._data[index])


def taken_at(y: int, x: int) -> Commit:
    box = (y, x, y + 40, x + 50)
    record = Record(0, (), box, "fake", "fake@1", (), {}, 1.0, 1.0)
    instance = Instance(box, np.ones((40, 50), bool))
    return Commit((instance,), (record,), None, "plane", (), Entry())


def test_a_commit_touches_its_box_of_a_large_plane_only() -> None:
    side = 20_000
    viewer = ViewerModel()
    data = CountedLabels((side, side))
    layer = viewer.add_layer(Labels(data))
    plane = DisplayedPlane(ImageAxes(0, 1), (0, 0), (side, side))
    labels = OutputLabels(viewer)
    labels.ids.count(layer, 0)
    data.read = data.written = 0
    written = labels.write(layer, plane, taken_at(900, 15_000), CommitPolicy.KEEP_OBJECTS)
    assert labels.ids.next_id(layer) == 2
    assert written.is_there
    labels.take_back(written)
    assert not written.is_there
    area = 40 * 50
    assert area <= data.written <= 2 * area
    assert area <= data.read <= 40 * area


def test_taking_back_leaves_what_was_painted_since() -> None:
    viewer = ViewerModel()
    layer = viewer.add_labels(np.zeros((60, 70), np.uint16))
    layer.data[5, 5] = 3
    labels = OutputLabels(viewer)
    plane = DisplayedPlane(ImageAxes(0, 1), (0, 0), (60, 70))
    written = labels.write(layer, plane, taken_at(0, 0), CommitPolicy.OVERWRITE)
    layer.data_setitem((np.array([7]), np.array([7])), 9)
    labels.take_back(written)
    assert np.unique(layer.data).tolist() == [0, 3, 9]
    assert layer.data[5, 5] == 3
    layer.undo()
    assert written.is_there


def test_hidden_output_is_shown_and_a_visible_one_not_drawn_anew() -> None:
    viewer = ViewerModel()
    layer = viewer.add_labels(np.zeros((60, 70), np.uint16))
    labels = OutputLabels(viewer)
    plane = DisplayedPlane(ImageAxes(0, 1), (0, 0), (60, 70))
    layer.visible = False
    drawn = []
    layer.events.set_data.connect(drawn.append)
    labels.write(layer, plane, taken_at(0, 0), CommitPolicy.KEEP_OBJECTS)
    assert layer.visible and len(drawn) == 1
    labels.write(layer, plane, taken_at(15, 15), CommitPolicy.KEEP_OBJECTS)
    assert len(drawn) == 1
