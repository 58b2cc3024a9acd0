"""The dock in a real window, worked with mouse and keys."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from blob_images import BOXES, blob_image, centre
from npe2 import PluginManifest
from vispy.util import keys

from napari_segmate.plugin.labels.layer_names import PREVIEW_NAME
from napari_segmate.sessions.state import Phase
from napari_segmate.widgets.actions import SegmentAction

pytestmark = [pytest.mark.gui, pytest.mark.viewer]


def count(labels) -> int:
    return len(np.unique(labels)) - 1


def test_click_refine_commit_and_undo_with_mouse_and_keys(make_hands) -> None:
    hands = make_hands(blob_image(), scale=(0.5, 0.5), rotate=20)
    image = hands.viewer.layers[0]
    hands.click(image, centre(0))
    hands.preview()
    np.testing.assert_allclose(hands.prompts.points.data, [centre(0)], atol=0.6)
    assert hands.viewer.layers[PREVIEW_NAME].visible
    hands.click(image, (9, 9), button=2)
    assert hands.prompts.points.features["polarity"].tolist() == ["positive", "negative"]
    hands.click(image, (18, 20), modifiers=(keys.SHIFT,))
    assert hands.prompts.points.features["polarity"].tolist()[-1] == "negative"
    hands.click(image, (12, 12))
    assert hands.prompts.points.features["polarity"].tolist()[-1] == "positive"
    hands.key("U")
    assert len(hands.prompts.points.data) == 3
    hands.key("U", (keys.SHIFT,))
    assert len(hands.prompts.points.data) == 4
    hands.key("K")
    assert count(hands.output.data) == 1
    hands.key("Z", (keys.CONTROL,))
    assert count(hands.output.data) == 0
    assert len(hands.prompts.points.data) == 4
    hands.key("K")
    assert count(hands.output.data) == 1
    hands.click(image, centre(1))
    hands.key("N")
    assert hands.state.candidate == 1
    hands.key("K")
    assert count(hands.output.data) == 2
    hands.viewer.layers.selection.active = hands.output
    hands.key("Z", (keys.CONTROL,))
    assert count(hands.output.data) == 1
    hands.key("Q")
    assert count(hands.output.data) == 0


def test_boxes_outlines_and_scribbles_are_drawn_with_the_mouse(make_hands) -> None:
    hands = make_hands(blob_image())
    image = hands.viewer.layers[0]
    hands.key("H")
    assert hands.prompts.tool == "box"
    y0, x0, y1, x1 = BOXES[0]
    hands.drag(image, [(y0 - 1, x0 - 1), (y0 + 5, x0 + 5), (y1, x1)])
    hands.preview()
    assert hands.session.prompts.boxes[0].box_yx == pytest.approx((y0 - 1, x0 - 1, y1, x1), abs=1)
    hands.key("K")
    assert count(hands.output.data) == 1
    assert hands.prompts.tool == "box"
    hands.key("H")
    assert hands.prompts.tool == "outline"
    angles = np.linspace(0, 2 * np.pi, 30)
    circle = np.stack([35 + 6 * np.sin(angles), 30 + 6 * np.cos(angles)], axis=1)
    hands.drag(image, list(circle))
    assert len(hands.session.prompts.polygons) == 1
    hands.key("J")
    assert hands.session.prompts.empty
    hands.key("H")
    hands.drag(image, [(12, 38), (12, 40), (12, 42), (12, 45), (12, 48)])
    assert len(hands.session.prompts.scribbles) == 1
    hands.preview()


def test_click_without_drag_leaves_no_box_behind(make_hands) -> None:
    hands = make_hands(blob_image())
    hands.prompts.take_tool("box")
    hands.click(hands.viewer.layers[0], (10, 10))
    assert "at least 1 x 1 pixel" in hands.state.error
    assert len(hands.prompts.shapes.data) == 0


def test_object_under_the_mouse_is_edited(make_hands) -> None:
    hands = make_hands(blob_image())
    image = hands.viewer.layers[0]
    hands.click(image, centre(0))
    hands.key("K")
    hands.hover(image, centre(0))
    hands.key("W")
    assert hands.state.editing == 1
    hands.key("J")
    hands.panel.button(SegmentAction.EDIT_OBJECT).click()
    assert "Click on the labelled object" in hands.hint
    hands.click(image, centre(0))
    assert hands.state.editing == 1
    assert len(hands.prompts.points.data) == 0
    assert hands.prompts.tool == "point"


def test_polarity_key_and_panel_agree(make_hands) -> None:
    hands = make_hands(blob_image())
    hands.key("G")
    assert not hands.prompts.positive
    hands.click(hands.viewer.layers[0], centre(0))
    assert hands.prompts.points.features["polarity"].tolist() == ["negative"]


def test_stack_plane_by_plane(make_hands) -> None:
    hands = make_hands(np.stack([blob_image()] * 4), scale=(3, 1, 1))
    image = hands.viewer.layers[0]
    hands.viewer.dims.set_current_step(0, 2)
    hands.settle()
    hands.click(image, (2, *centre(0)))
    hands.key("K")
    assert count(hands.output.data[2]) == 1
    assert not hands.output.data[[0, 1, 3]].any()


def test_window_closed_while_encoding(make_hands) -> None:
    hands = make_hands(blob_image())
    hands.model.gate.clear()
    hands.viewer.layers[0].data = 255 - blob_image()
    hands.prompts.points.add([(1, 1)])
    hands.until(lambda: hands.state.phase.busy)
    hands.viewer.close()
    hands.until(
        lambda: not any(one.name.startswith("napari-segmate") for one in threading.enumerate())
    )


def test_dock_closed_by_its_button_gives_keys_back(make_hands) -> None:
    hands = make_hands(blob_image())
    hands.click(hands.viewer.layers[0], centre(0))
    hands.viewer.window.remove_dock_widget(hands.dock)
    hands.qtbot.wait(20)
    assert "K" not in {str(key) for key in hands.viewer.keymap}
    assert PREVIEW_NAME not in hands.viewer.layers
    hands.dock.deleteLater()
    hands.qtbot.wait(20)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_nothing_is_cut_off_at_1280_by_800(make_hands, theme) -> None:
    hands = make_hands(blob_image())
    hands.viewer.theme = theme
    hands.viewer.window._qt_window.resize(1280, 800)
    hands.panel.options.expand()
    hands.click(hands.viewer.layers[0], centre(0))
    hands.qtbot.wait(100)
    for action in SegmentAction:
        if action in (
            SegmentAction.CANCEL,
            SegmentAction.RETRY,
            SegmentAction.SWITCH_POLARITY,
            SegmentAction.SWITCH_TOOL,
        ):
            continue
        button = hands.panel.button(action)
        needed = button.fontMetrics().horizontalAdvance(button.text())
        assert button.width() >= needed + 8, button.text()
        assert button.visibleRegion().boundingRect().height() == button.height(), button.text()
    assert hands.state.phase is Phase.PREVIEW


def test_napari_opens_the_dock_from_its_menu(
    make_napari_viewer, qtbot, npe2pm, monkeypatch
) -> None:
    npe2pm.register(PluginManifest.from_distribution("napari-segmate"))
    monkeypatch.setattr("napari_segmate.plugin.docks.dock.all_models", tuple)
    viewer = make_napari_viewer(show=True)
    viewer.add_image(blob_image())
    _, dock = viewer.window.add_plugin_dock_widget("napari-segmate", "Segment")
    qtbot.wait(50)
    assert dock.controller.image is viewer.layers[0]
    assert dock.controller.prompts.points in list(viewer.layers)
