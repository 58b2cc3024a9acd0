from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from transforms import TRANSFORMS

from napari_segmate.core.images.image_source import ImageAxes
from napari_segmate.core.types import Instance
from napari_segmate.plugin.planes.geometry import DisplayedPlane, Geometry
from napari_segmate.plugin.segment.preview_layer import PreviewLayer, draw_objects

DISC = np.hypot(*np.mgrid[-8:9, -8:9]) <= 8


def test_outline_has_the_width_asked_for() -> None:
    picture, _ = draw_objects([Instance((0, 0, 17, 17), DISC)], width=3)
    assert picture[8, :3].tolist() == [2, 2, 2]
    assert picture[8, 3] == 1
    assert ((picture > 0) == DISC).all()


def test_objects_get_colours_of_their_own_in_one_picture() -> None:
    objects = [Instance((5, 5, 22, 22), DISC), Instance((30, 40, 47, 57), DISC)]
    picture, box = draw_objects(objects)
    assert box == (5, 5, 47, 57)
    assert set(np.unique(picture)) == {0, 1, 2, 3, 4}


@pytest.mark.parametrize("name", list(TRANSFORMS))
def test_preview_lies_on_its_object(name) -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((60, 70)), **TRANSFORMS[name])
    preview = PreviewLayer(viewer)
    plane = DisplayedPlane(ImageAxes(0, 1), (0, 0), (60, 70))
    preview.show([Instance((20, 30, 37, 47), DISC)], plane, Geometry.of(image), 1)
    world = image.data_to_world((28, 38))
    assert preview.layer.data.shape == (17, 17)
    np.testing.assert_allclose(preview.layer.world_to_data(world), (8, 8), atol=1e-9)


def test_preview_of_a_stack_is_on_one_plane_only() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((5, 60, 70)), scale=(3, 1, 1))
    preview = PreviewLayer(viewer)
    plane = DisplayedPlane(ImageAxes(1, 2), (3, 0, 0), (60, 70))
    preview.show([Instance((20, 30, 37, 47), DISC)], plane, Geometry.of(image), 1)
    assert preview.layer.data.shape == (1, 17, 17)
    np.testing.assert_allclose(preview.layer.world_to_data((9, 28, 38)), (0, 8, 8))


def test_sliders_and_active_layer_stay_while_the_preview_changes() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((5, 60, 70)), scale=(3, 1, 1))
    viewer.dims.point = (9, 0, 0)
    preview = PreviewLayer(viewer)
    plane = DisplayedPlane(ImageAxes(1, 2), (3, 0, 0), (60, 70))
    for at in (5, 15):
        shown = [Instance((at, at, at + 17, at + 17), DISC)]
        preview.show(shown, plane, Geometry.of(image), 1)
        assert viewer.dims.point[0] == 9
        assert viewer.layers.selection.active is image


def test_preview_is_hidden_without_objects_and_made_again_when_deleted() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((60, 70)))
    preview = PreviewLayer(viewer)
    plane = DisplayedPlane(ImageAxes(0, 1), (0, 0), (60, 70))
    shown = [Instance((20, 30, 37, 47), DISC)]
    preview.show(shown, plane, Geometry.of(image), 1)
    preview.show([], plane, Geometry.of(image), 1)
    assert not preview.layer.visible
    viewer.layers.remove(preview.layer)
    preview.show(shown, plane, Geometry.of(image), 1)
    assert preview.layer.visible
    assert not preview.layer.editable


def test_preview_lies_below_the_prompts() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((60, 70)))
    points = viewer.add_points()
    preview = PreviewLayer(viewer, lambda: (points,))
    plane = DisplayedPlane(ImageAxes(0, 1), (0, 0), (60, 70))
    preview.show([Instance((20, 30, 37, 47), DISC)], plane, Geometry.of(image), 1)
    assert list(viewer.layers) == [image, preview.layer, points]
