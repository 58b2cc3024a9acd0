from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_segmate.plugin.labels import label_pixels
from napari_segmate.plugin.labels.label_pixels import draw_changes_alone, thinned

pytestmark = [
    pytest.mark.gui,
    pytest.mark.filterwarnings("ignore:.*GL_MAX_TEXTURE_SIZE:UserWarning"),
]

SIDE = 90


@pytest.mark.parametrize("step", [(1, 1), (2, 2), (3, 2)])
@pytest.mark.parametrize("box", [(0, 0, 9, 9), (3, 4, 8, 9), (5, 5, 6, 6), (1, 1, 2, 2)])
def test_a_thinned_region_is_that_of_the_thinned_plane(step, box) -> None:
    plane = np.arange(81).reshape(9, 9)
    y0, x0, y1, x1 = box
    part, (top, left) = thinned(plane[y0:y1, x0:x1], (y0, x0), step)
    whole = plane[:: step[0], :: step[1]]
    height, width = part.shape
    np.testing.assert_array_equal(part, whole[top : top + height, left : left + width])
    inside = sum(
        y % step[0] == 0 and x % step[1] == 0 for y in range(y0, y1) for x in range(x0, x1)
    )
    assert part.size == inside


@pytest.fixture
def shown(make_napari_viewer, qtbot, monkeypatch):
    """A labels layer on a screen whose graphics card has textures of half its size."""
    from napari._vispy.layers import base

    monkeypatch.setattr(base, "get_max_texture_sizes", lambda: (SIDE // 2 + 1, 64))
    viewer = make_napari_viewer(show=True)
    layer = viewer.add_labels(np.zeros((SIDE, SIDE), np.uint16))
    qtbot.wait(300)
    return viewer, layer


def paint(layer, value: int) -> None:
    y, x = np.mgrid[20:60, 30:70].reshape(2, -1)
    layer.data_setitem((y, x), value)


def middle_of(viewer, qtbot) -> np.ndarray:
    qtbot.wait(100)
    picture = viewer.screenshot(canvas_only=True, flash=False)
    return picture[picture.shape[0] // 2, picture.shape[1] // 2, :3].astype(int)


def count_redraws(layer) -> list:
    redrawn: list = []
    layer.events.set_data.connect(lambda event: redrawn.append(event))
    return redrawn


def test_a_change_is_drawn_without_drawing_the_plane_anew(shown, qtbot) -> None:
    viewer, layer = shown
    draw_changes_alone(layer, viewer)
    draw_changes_alone(layer, viewer)
    redrawn = count_redraws(layer)
    empty = middle_of(viewer, qtbot)
    paint(layer, 3)
    partly = middle_of(viewer, qtbot)
    assert not redrawn
    assert np.abs(partly - empty).max() > 50
    layer.refresh()
    np.testing.assert_array_equal(middle_of(viewer, qtbot), partly)


def test_napari_draws_the_plane_when_the_texture_is_not_as_expected(
    shown, qtbot, monkeypatch
) -> None:
    viewer, layer = shown
    draw_changes_alone(layer, viewer)
    monkeypatch.setattr(label_pixels, "_plane_on_screen", lambda *_: (7, 5))
    redrawn = count_redraws(layer)
    empty = middle_of(viewer, qtbot)
    paint(layer, 3)
    assert redrawn
    assert np.abs(middle_of(viewer, qtbot) - empty).max() > 50


@pytest.mark.parametrize("large", [True, False])
def test_the_brush_of_napari_is_drawn_too(shown, qtbot, large) -> None:
    viewer, layer = shown
    if not large:
        layer.data = np.zeros((SIDE // 2, SIDE // 2), np.uint16)
        viewer.reset_view()
        qtbot.wait(100)
    draw_changes_alone(layer, viewer)
    redrawn = count_redraws(layer)
    empty = middle_of(viewer, qtbot)
    layer.brush_size = SIDE // 4
    layer.paint([size // 2 for size in layer.data.shape], 5)
    assert not redrawn
    assert np.abs(middle_of(viewer, qtbot) - empty).max() > 50


def test_a_layer_without_a_window_is_left_alone() -> None:
    viewer = ViewerModel()
    layer = viewer.add_labels(np.zeros((9, 9), np.uint8))
    before = len(layer.events.labels_update.callbacks)
    draw_changes_alone(layer, viewer)
    assert len(layer.events.labels_update.callbacks) == before
