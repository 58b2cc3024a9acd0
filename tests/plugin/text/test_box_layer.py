from __future__ import annotations

import math
import time

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_segmate.core.images.image_source import ImageAxes
from napari_segmate.plugin.planes.geometry import DisplayedPlane, Geometry
from napari_segmate.plugin.planes.region import RegionLayer
from napari_segmate.plugin.text.box_layer import BOXES_NAME, BoxLayer, corners_of
from napari_segmate.sessions.text_boxes import COLOURS, BoxBook, Origin, TextBox

pytestmark = pytest.mark.gui

PLANE = DisplayedPlane(ImageAxes(y=0, x=1), (0, 0), (100, 120))
STACK = DisplayedPlane(ImageAxes(y=1, x=2), (3, 0, 0), (100, 120))


class Desk:
    """A box layer with the book behind it, as a dock keeps them."""

    def __init__(self, qtbot, plane: DisplayedPlane = PLANE) -> None:
        self.qtbot = qtbot
        self.viewer = ViewerModel()
        self.plane = plane
        shape = (5, 100, 120)[-len(plane.position) :]
        self.image = self.viewer.add_image(np.zeros(shape, np.uint8), scale=(2.0,) * len(shape))
        self.book = BoxBook()
        self.boxes = BoxLayer(self.viewer, self.taken)
        self.boxes.set_concepts(["nucleus", "cell"])
        self.boxes.set_concept("nucleus")
        self.boxes.place(Geometry.of(self.image), plane)

    def taken(self) -> None:
        self.boxes.set_features(self.book.take(*self.boxes.read()))

    def find(self, *found, plane=()) -> None:
        self.book.set_found(plane, list(found))
        self.boxes.show(self.book.shown)
        self.qtbot.waitUntil(lambda: self.boxes.complete)

    @property
    def layer(self):
        return self.boxes.layer

    def draw(self, y0, x0, y1, x1) -> None:
        """Add a rectangle as the mouse does."""
        at = [*self.plane.position[:-2]]
        corners = [[*at, y, x] for y, x in ((y0, x0), (y0, x1), (y1, x1), (y1, x0))]
        self.layer.add([np.array(corners, float)], shape_type="rectangle")


@pytest.fixture
def desk(qtbot) -> Desk:
    return Desk(qtbot)


FOUND = (
    (0, (10.0, 10.0, 20.0, 20.0), "nucleus", 0.9),
    (1, (40.0, 40.0, 60.0, 60.0), "cell", 0.5),
)


def test_boxes_are_shapes_with_concept_and_score(desk) -> None:
    desk.find(*FOUND)
    layer = desk.layer
    assert layer.name == BOXES_NAME
    assert layer.features["concept"].tolist() == ["nucleus", "cell"]
    assert layer.features["score"].tolist() == [0.9, 0.5]
    assert layer.features["origin"].tolist() == ["found", "found"]
    np.testing.assert_allclose(layer.data[1].min(axis=0), [40, 40])
    assert set(layer.shape_type) == {"rectangle"}
    np.testing.assert_allclose(layer.scale, desk.image.scale)


def test_every_concept_has_its_colour(desk) -> None:
    desk.find(*FOUND)
    colours = ["#" + "".join(f"{round(255 * v):02x}" for v in c[:3]) for c in desk.layer.edge_color]
    assert colours == list(COLOURS[:2])
    desk.boxes.set_concepts(["cell", "nucleus"])
    again = ["#" + "".join(f"{round(255 * v):02x}" for v in c[:3]) for c in desk.layer.edge_color]
    assert again == [COLOURS[1], COLOURS[0]]


def test_filters_change_only_what_differs(desk) -> None:
    desk.find(*FOUND)
    first = desk.layer.data[0]
    desk.find(FOUND[0])
    assert len(desk.layer.data) == 1
    assert desk.layer.features["concept"].tolist() == ["nucleus"]
    desk.find(*FOUND)
    np.testing.assert_array_equal(desk.layer.data[0], first)
    assert desk.layer.features["score"].tolist() == [0.9, 0.5]


def test_showing_boxes_is_no_edit_of_the_user(desk) -> None:
    desk.find(*FOUND)
    desk.find(FOUND[1])
    desk.find(*FOUND)
    assert {box.origin for box in desk.book.shown} == {Origin.FOUND}


def test_deleted_box_does_not_come_back(desk) -> None:
    desk.find(*FOUND)
    desk.layer.selected_data = {0}
    desk.layer.remove_selected()
    desk.find(*FOUND)
    assert desk.layer.features["concept"].tolist() == ["cell"]


def test_moved_box_stays_and_is_marked(desk) -> None:
    desk.find(*FOUND)
    data = desk.layer.data
    data[0] = data[0] + [5, 0]
    desk.layer.data = data
    desk.taken()
    desk.find()
    assert desk.layer.features["origin"].tolist() == ["edited"]
    assert desk.layer.features["score"].tolist() == [0.9]
    np.testing.assert_allclose(desk.layer.data[0].min(axis=0), [15, 10])


def test_drawn_box_has_the_current_concept_and_stays(desk) -> None:
    desk.find(*FOUND)
    desk.boxes.set_concept("cell")
    desk.draw(70, 70, 80, 80)
    features = desk.layer.features
    assert features["concept"].tolist() == ["nucleus", "cell", "cell"]
    assert features["origin"].tolist()[-1] == "drawn"
    assert math.isnan(features["score"].tolist()[-1])
    assert features["box"].is_unique
    desk.find()
    assert desk.layer.features["origin"].tolist() == ["drawn"]


def test_concept_is_edited_in_the_table_or_for_selected_boxes(desk) -> None:
    desk.find(*FOUND)
    table = desk.layer.features.copy()
    table.loc[0, "concept"] = "cell"
    desk.layer.features = table
    assert desk.book.shown[-1].concept == "cell"
    assert desk.layer.features["origin"].tolist() == ["edited", "found"]
    desk.layer.selected_data = {1}
    assert desk.boxes.rename_selected("nucleus")
    assert desk.layer.features["concept"].tolist() == ["cell", "nucleus"]
    desk.layer.selected_data = set()
    assert not desk.boxes.rename_selected("cell")


def test_selection_names_boxes_and_survives_filters(desk) -> None:
    desk.find(*FOUND)
    desk.layer.selected_data = {1}
    (number,) = desk.boxes.selected
    desk.find(FOUND[1])
    assert desk.boxes.selected == {number}


def test_layer_that_was_removed_is_made_again(desk) -> None:
    desk.find(*FOUND)
    desk.viewer.layers.remove(desk.layer)
    assert desk.boxes.read() == ([], set())
    desk.find(*FOUND)
    assert len(desk.layer.data) == 2


def test_hundreds_of_boxes_come_without_holding_up_the_window(desk) -> None:
    grid = np.mgrid[0:90:3, 0:114:6].reshape(2, -1).T
    found = [(n, (y, x, y + 2.0, x + 4.0), "cell", 0.5) for n, (y, x) in enumerate(grid)]
    desk.book.set_found((), found)
    start = time.perf_counter()
    desk.boxes.show(desk.book.shown)
    held_up = time.perf_counter() - start
    assert not desk.boxes.complete
    start = time.perf_counter()
    desk.qtbot.waitUntil(lambda: desk.boxes.complete, timeout=30_000)
    assert held_up < time.perf_counter() - start
    assert len(desk.layer.data) == len(found) == 570
    assert desk.layer.features["box"].is_unique


def test_edit_while_boxes_still_come_deletes_none_of_them(desk) -> None:
    found = [(n, (0.0, n, 9.0, n + 1.0), "cell", 0.5) for n in range(100)]
    desk.book.set_found((), found)
    desk.boxes.show(desk.book.shown)
    desk.qtbot.waitUntil(lambda: len(desk.layer.data) > 0)
    assert not desk.boxes.complete
    desk.layer.selected_data = {0}
    desk.layer.remove_selected()
    desk.qtbot.waitUntil(lambda: desk.boxes.complete, timeout=30_000)
    assert len(desk.layer.data) == 99
    assert len(desk.book.shown) == 99


def test_box_drawn_while_others_come_and_go_stays(desk) -> None:
    desk.find(*FOUND)
    desk.qtbot.waitUntil(lambda: desk.boxes.complete)
    desk.book.set_found((), [])
    desk.boxes.show(desk.book.shown)
    desk.layer.add([[[40, 40], [40, 60], [60, 60], [60, 40]]], shape_type="rectangle")
    desk.qtbot.waitUntil(lambda: desk.boxes.complete)
    desk.qtbot.wait(20)
    assert len(desk.layer.data) == 1
    assert [box.origin.value for box in desk.book.shown] == ["drawn"]


def test_layer_is_written_once_for_many_moves_of_a_slider(desk, monkeypatch) -> None:
    desk.find(*FOUND)
    desk.qtbot.waitUntil(lambda: desk.boxes.complete)
    removed = []
    remove = desk.layer.remove
    monkeypatch.setattr(desk.layer, "remove", lambda rows: removed.append(rows) or remove(rows))
    for found in ([], FOUND, FOUND[:1], FOUND, FOUND[1:]):
        desk.book.set_found((), found)
        desk.boxes.show(desk.book.shown)
    desk.qtbot.waitUntil(lambda: desk.boxes.complete)
    assert len(removed) == 1
    assert len(desk.layer.data) == len(FOUND) - 1


def test_boxes_lie_on_their_planes(qtbot) -> None:
    desk = Desk(qtbot, STACK)
    desk.find(FOUND[0], plane=(1,))
    assert set(desk.layer.data[0][:, 0]) == {1}
    desk.draw(70, 70, 80, 80)
    assert [box.plane for box in desk.book.shown] == [(1,), (3,)]
    assert desk.book.planes == ((1,), (3,))


def test_box_in_a_feature_table_without_number_is_new(desk) -> None:
    desk.find(FOUND[0])
    row = TextBox(0, (), (1, 1, 5, 5), "cell")
    desk.boxes.ensure().add([corners_of(row, PLANE)], shape_type="rectangle")
    assert all(number > 0 for number in desk.layer.features["box"])


def test_region_is_the_rectangle_drawn_last_in_whole_pixels(qtbot) -> None:
    viewer = ViewerModel()
    image = Image(np.zeros((100, 120), np.uint8))
    viewer.add_layer(image)
    seen = []
    region = RegionLayer(viewer, lambda: seen.append(region.box(PLANE)))
    assert region.box(PLANE) is None
    region.take_tool(Geometry.of(image), 2)
    assert region.layer.mode == "add_rectangle"
    region.layer.add([[1, 1], [1, 9], [9, 9], [9, 1]], shape_type="rectangle")
    region.layer.add([[-5, 10.2], [-5, 300], [19.4, 300], [19.4, 10.2]], shape_type="rectangle")
    assert seen[-1] == (0, 10, 19, 120)
    region.layer.data = []
    assert region.box(PLANE) is None
    viewer.layers.remove(region.layer)
    assert region.layer is None


def test_layer_removed_while_boxes_come_is_filled_anew(desk, qtbot) -> None:
    found = [(n, (n, n, n + 5.0, n + 5.0), "cell", 0.9) for n in range(60)]
    desk.book.set_found((), found)
    desk.boxes.show(desk.book.shown)
    qtbot.waitUntil(lambda: len(desk.boxes._queue.written) > 0)
    desk.viewer.layers.remove(desk.layer)
    qtbot.waitUntil(lambda: desk.boxes.complete)
    assert desk.layer is None
    desk.boxes.show(desk.book.shown)
    qtbot.waitUntil(lambda: desk.boxes.complete)
    assert len(desk.layer.data) == 60
