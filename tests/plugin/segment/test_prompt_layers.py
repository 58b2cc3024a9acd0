from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_segmate.core.errors import PromptError
from napari_segmate.core.images.image_source import ImageAxes
from napari_segmate.core.prompts import Box, Points, Scribble
from napari_segmate.plugin.planes.geometry import DisplayedPlane, Geometry
from napari_segmate.plugin.segment.prompt_layers import POLARITY, PromptLayers
from napari_segmate.sessions.prompt_set import PromptSet

PLANE = DisplayedPlane(ImageAxes(0, 1), (0, 0), (40, 50))


class Drawer:
    """Prompt layers of one viewer, and what they told."""

    def __init__(self, shape=(40, 50)) -> None:
        self.viewer = ViewerModel()
        self.image = self.viewer.add_image(np.zeros(shape), scale=(0.5,) * len(shape))
        self.changes = 0
        self.tools: list[str | None] = []
        self.layers = PromptLayers(self.viewer, self._changed, self.tools.append)
        self.layers.place(Geometry.of(self.image))
        self.layers.ensure()

    def _changed(self) -> None:
        self.changes += 1


@pytest.fixture
def drawer() -> Drawer:
    return Drawer()


def test_layers_lie_like_the_image(drawer) -> None:
    for layer in drawer.layers.layers:
        np.testing.assert_array_equal(layer.scale, drawer.image.scale)
    assert len(drawer.layers.layers) == 2


def test_added_points_are_read_and_told(drawer) -> None:
    drawer.layers.points.add([[3, 4]])
    assert drawer.changes > 0
    points = drawer.layers.read(PLANE).points
    assert points.points_yx.tolist() == [[3, 4]]
    assert points.positive.tolist() == [True]


def test_first_point_may_exclude_and_keeps_its_colour(drawer) -> None:
    drawer.layers.set_positive(False)
    drawer.layers.points.add([[3, 4]])
    red = drawer.layers.points.face_color[0]
    assert red[0] > red[1]
    assert drawer.layers.read(PLANE).points.positive.tolist() == [False]


def test_switching_polarity_leaves_earlier_points_alone(drawer) -> None:
    drawer.layers.points.add([[3, 4]])
    drawer.layers.points.selected_data = {0}
    drawer.layers.set_positive(False)
    assert drawer.layers.read(PLANE).points.positive.tolist() == [True]


def test_pasted_points_count(drawer) -> None:
    drawer.layers.points.add([[3, 4]])
    drawer.layers.points.selected_data = {0}
    drawer.layers.points._copy_data()
    before = drawer.changes
    drawer.layers.points._paste_data()
    assert drawer.changes > before
    assert len(drawer.layers.read(PLANE).points) == 2


def test_shapes_become_prompts(drawer) -> None:
    square = [[2, 2], [2, 9], [9, 9], [9, 2]]
    drawer.layers.shapes.add([square], shape_type="rectangle")
    drawer.layers.shapes.add([square], shape_type="ellipse")
    drawer.layers.shapes.add([square], shape_type="polygon")
    drawer.layers.shapes.add([square[:2]], shape_type="path")
    prompts = drawer.layers.read(PLANE)
    assert [len(group) for group in (prompts.boxes, prompts.ellipses, prompts.polygons)] == [1] * 3
    assert prompts.scribbles[0].positive


def test_box_without_area_is_refused_with_words(drawer) -> None:
    drawer.layers.shapes.add([np.full((4, 2), 3.0)], shape_type="rectangle")
    with pytest.raises(PromptError, match="at least 1 x 1"):
        drawer.layers.read(PLANE)


def test_other_planes_are_ignored() -> None:
    drawer = Drawer((5, 40, 50))
    plane = DisplayedPlane(ImageAxes(1, 2), (2, 0, 0), (40, 50))
    drawer.layers.points.add([[2, 3, 4], [3, 5, 6]])
    square = np.array([[1, 2, 2], [1, 2, 9], [1, 9, 9], [1, 9, 2]])
    drawer.layers.shapes.add([square], shape_type="rectangle")
    prompts = drawer.layers.read(plane)
    assert prompts.points.points_yx.tolist() == [[3, 4]]
    assert not prompts.boxes


def test_write_replaces_one_plane_and_keeps_the_others() -> None:
    drawer = Drawer((5, 40, 50))
    plane = DisplayedPlane(ImageAxes(1, 2), (2, 0, 0), (40, 50))
    drawer.layers.points.add([[2, 3, 4], [3, 5, 6]])
    square = np.array([[1, 2, 2], [1, 2, 9], [1, 9, 9], [1, 9, 2]])
    on_plane = square + np.array([1, 0, 0])
    drawer.layers.shapes.add([square, on_plane], shape_type="rectangle")
    drawer.layers.write(PromptSet(points=Points([[7, 8]], [False])), plane)
    assert drawer.layers.points.data.tolist() == [[3, 5, 6], [2, 7, 8]]
    assert drawer.layers.points.features[POLARITY].tolist() == ["positive", "negative"]
    assert len(drawer.layers.shapes.data) == 1


def test_what_is_written_is_read_again_and_not_told(drawer) -> None:
    drawer.changes = 0
    prompts = PromptSet(
        points=Points([[7, 8], [1, 2]], [False, True]),
        boxes=(Box((1, 2, 8, 9)),),
        ellipses=((3, 4, 10, 12),),
        polygons=(np.array([[1.0, 1], [9, 2], [5, 9]]),),
        scribbles=(Scribble(np.array([[1.0, 2], [3, 4]]), False),),
    )
    drawer.layers.write(prompts, PLANE)
    assert drawer.layers.read(PLANE).same_as(prompts)
    assert drawer.changes == 0


def test_emptying_and_drawing_again_works(drawer) -> None:
    drawer.layers.write(PromptSet(points=Points([[7, 8]], [False])), PLANE)
    drawer.layers.write(PromptSet(), PLANE)
    assert drawer.layers.read(PLANE).empty
    drawer.layers.points.add([[3, 4]])
    assert drawer.layers.read(PLANE).points.positive.tolist() == [True]


@pytest.mark.parametrize("tool", ["point", "box", "outline", "scribble"])
def test_panel_and_napari_agree_on_the_tool(drawer, tool) -> None:
    drawer.layers.take_tool(tool)
    assert drawer.layers.tool == tool
    assert drawer.tools[-1] == tool


def test_napari_s_own_tools_are_followed(drawer) -> None:
    drawer.layers.take_tool("point")
    drawer.viewer.layers.selection.active = drawer.layers.shapes
    drawer.layers.shapes.mode = "add_rectangle"
    assert drawer.tools[-1] == "box"
    drawer.layers.shapes.mode = "select"
    assert drawer.tools[-1] is None
    drawer.viewer.layers.selection.active = drawer.image
    assert drawer.layers.tool is None


def test_deleted_layer_reads_as_empty_and_comes_back_with_its_tool(drawer) -> None:
    drawer.layers.points.add([[3, 4]])
    drawer.viewer.layers.remove(drawer.layers.points)
    assert drawer.layers.read(PLANE).empty
    drawer.layers.take_tool("point")
    assert drawer.layers.points in drawer.viewer.layers
    assert drawer.layers.points.mode == "add"


def test_another_number_of_axes_makes_new_layers(drawer) -> None:
    image = drawer.viewer.add_image(np.zeros((5, 40, 50)))
    drawer.layers.place(Geometry.of(image))
    drawer.layers.ensure()
    assert drawer.layers.points.ndim == 3
    assert len([one for one in drawer.viewer.layers if "SegMate" in one.name]) == 2


def test_shapes_can_be_written_again_and_again(drawer) -> None:
    boxes = (Box((1, 2, 8, 9)), Box((10, 2, 18, 9)))
    for prompts in (PromptSet(boxes=boxes), PromptSet(), PromptSet(boxes=boxes[:1])):
        drawer.layers.write(prompts, PLANE)
        assert drawer.layers.read(PLANE).same_as(prompts)
        assert len(drawer.layers.shapes.features) == len(prompts.boxes)
    drawer.layers.clear()
    drawer.layers.write(PromptSet(boxes=boxes), PLANE)
    assert len(drawer.layers.read(PLANE).boxes) == 2
