"""The text dock in a real window, with a real detector of random weights and the embedded model."""

from __future__ import annotations

import numpy as np
import pytest
import small_owl
import small_sam3
from qtpy.QtCore import Qt
from small_dino import build

from napari_segmate.core import synthetic
from napari_segmate.detectors import folder_of, get_detector
from napari_segmate.io.provenance import METADATA_KEY, from_json
from napari_segmate.plugin.text.detector_engine import PackageDetectors, Query
from napari_segmate.plugin.text.dock import TextDock
from napari_segmate.sessions.state import Phase
from napari_segmate.widgets.actions import TextAction
from napari_segmate.widgets.checkpoint_dialog import CheckpointDialog
from napari_segmate.widgets.filter_view import FilterValues
from napari_segmate.widgets.text_options import SearchOptions

pytestmark = [pytest.mark.gui, pytest.mark.viewer]

pytest.importorskip("transformers")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SEGMATE_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def with_files(cache):
    build(folder_of(get_detector("grounding-dino-tiny")))


@pytest.fixture
def make_dock(make_napari_viewer, qtbot, tmp_path):
    made = []

    def make(image) -> TextDock:
        viewer = make_napari_viewer(show=True)
        viewer.add_image(image)
        dock = TextDock(viewer, history=tmp_path / "prompts.json")
        viewer.window.add_dock_widget(dock, name="Find by text", area="right")
        made.append(dock)
        qtbot.wait(200)
        return dock

    yield make
    for dock in made:
        dock.shut_down()


def settle(qtbot, dock) -> None:
    controller = dock.controller
    qtbot.wait(50)
    qtbot.waitUntil(
        lambda: (
            controller.runner.idle
            and not controller.state.status.phase.busy
            and controller.boxes.shapes.complete
            and not controller.committer.writer.busy
        ),
        timeout=60_000,
    )
    qtbot.wait(50)


def test_typed_text_becomes_committed_labels(with_files, make_dock, qtbot) -> None:
    image, _ = synthetic.nuclei()
    dock = make_dock(image)
    panel, controller = dock.panel, dock.controller
    panel.options._detail.setValue(256)
    qtbot.keyClicks(panel.phrases._editor, "dark nucleus, cell")
    qtbot.keyClick(panel.phrases._editor, Qt.Key.Key_Return)
    settle(qtbot, dock)
    assert controller.state.status.error == ""
    found = controller.boxes.detections.on(())
    assert found.phrases == ("dark nucleus", "cell")
    assert len(found.boxes_yx) == 20
    # Weights are random: take the best few boxes, whatever their scores.
    panel.filter._set(score=float(np.sort(found.best)[-8]) - 1e-6, overlap=1.0)
    settle(qtbot, dock)
    boxes = controller.boxes.shapes.layer
    controller.boxes.draw()
    boxes = controller.boxes.shapes.layer
    boxes.add([[[40, 40], [40, 80], [80, 80], [80, 40]]], shape_type="rectangle")
    settle(qtbot, dock)
    assert set(boxes.features["concept"]) <= {"dark nucleus", "cell"}
    panel.button(TextAction.SEGMENT).click()
    settle(qtbot, dock)
    assert controller.state.status.error == ""
    labels = controller.committer.output.layer
    assert labels.data.any()
    assert set(labels.features["class"]) <= {"dark nucleus", "cell"}
    labels.undo()
    assert not labels.data.any()


def test_example_finds_more_with_an_own_checkpoint(cache, make_dock, qtbot, tmp_path) -> None:
    folder = small_owl.build(tmp_path / "my owl")
    image, _ = synthetic.nuclei()
    dock = make_dock(image)
    panel, controller = dock.panel, dock.controller
    assert "only understands words" in panel.button(TextAction.FIND_SIMILAR).toolTip()
    panel._detector.setCurrentIndex(panel._detector.count() - 1)
    dialog = panel.findChild(CheckpointDialog)
    dialog.give(str(folder))
    dialog._buttons.accepted.emit()
    settle(qtbot, dock)
    assert panel._detector.currentText() == "my owl"
    controller.boxes.draw()
    controller.boxes.shapes.layer.add(
        [[[40, 40], [40, 80], [80, 80], [80, 40]]], shape_type="rectangle"
    )
    settle(qtbot, dock)
    panel.filter._set(score=0.0, overlap=1.0)
    panel.button(TextAction.FIND_SIMILAR).click()
    settle(qtbot, dock)
    assert controller.state.status.error == ""
    found = controller.boxes.detections.on(())
    assert len(found.boxes_yx) == 16
    assert set(controller.boxes.shapes.layer.features["origin"]) == {"found", "drawn"}
    panel.button(TextAction.SEGMENT).click()
    settle(qtbot, dock)
    labels = controller.committer.output.layer
    assert labels.data.any()
    assert set(labels.features["class"]) == {"object"}
    labels.undo()
    assert not labels.data.any()


def test_masks_of_an_own_sam3_become_labels(cache, make_dock, qtbot, tmp_path) -> None:
    folder = small_sam3.build(tmp_path / "my sam3")
    image, _ = synthetic.nuclei()
    dock = make_dock(image)
    panel, controller = dock.panel, dock.controller
    assert not panel._masks.isVisible()
    panel._detector.setCurrentIndex(panel._detector.count() - 1)
    dialog = panel.findChild(CheckpointDialog)
    dialog.give(str(folder))
    dialog._buttons.accepted.emit()
    settle(qtbot, dock)
    assert panel._masks.isVisible() and panel._masks.currentText() == "from the detector"
    panel.phrases.show_text("cell")
    panel.button(TextAction.FIND).click()
    settle(qtbot, dock)
    panel.filter._set(score=0.0, overlap=1.0)
    settle(qtbot, dock)
    found = controller.boxes.detections.on(())
    shown = {box.box_yx for box in controller.boxes.book.shown}
    masks = dict(zip(map(tuple, found.boxes_yx.tolist()), found.masks, strict=True))
    assert shown and any(masks[box] for box in shown)
    panel.button(TextAction.SEGMENT).click()
    settle(qtbot, dock)
    assert controller.state.status.error == ""
    labels = controller.committer.output.layer
    first = next(box for box in controller.boxes.book.shown if masks[box.box_yx] is not None)
    drawn = masks[first.box_yx].instance(image.shape)
    y, x = np.argwhere(drawn.mask)[0] + drawn.box_yx[:2]
    assert labels.data[y, x] > 0
    records = from_json(labels.metadata[METADATA_KEY])
    assert "my sam3" in {record.model for record in records}


def test_first_use_explains_the_download(cache, make_dock, qtbot) -> None:
    dock = make_dock(np.zeros((64, 64), np.uint8))
    dock.panel.phrases.show_text("cell")
    dock.panel.button(TextAction.FIND).click()
    settle(qtbot, dock)
    offer = dock.panel.offer
    assert offer.isVisible()
    text = offer._text.text().replace("\u200b", "")
    for part in ("MB", "Apache-2.0", "huggingface.co/IDEA-Research", str(cache)):
        assert part in text


def test_without_network_the_files_and_their_place_are_named(
    cache, make_dock, qtbot, monkeypatch
) -> None:
    def unreachable(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr("napari_segmate.detectors._files.urlopen", unreachable)
    dock = make_dock(np.zeros((64, 64), np.uint8))
    dock.panel.phrases.show_text("cell")
    dock.panel.button(TextAction.FIND).click()
    settle(qtbot, dock)
    dock.trigger(TextAction.DOWNLOAD)
    settle(qtbot, dock)
    status = dock.controller.state.status
    assert status.phase is Phase.ERROR
    assert "no route to host" in status.error
    assert dock.panel.offer._manual.isVisible()
    told = dock.panel.offer._manual.text().replace("\u200b", "")
    assert "config.json" in told and str(cache) in told


def test_region_is_read_alone_and_its_boxes_lie_in_the_plane(with_files) -> None:
    from fakes import ArrayPlane

    plane = ArrayPlane(np.random.default_rng(0).integers(0, 255, (120, 160)).astype(np.uint8))
    detector_engine = PackageDetectors()
    options = SearchOptions(detail=256, separately=True)
    query = Query(
        plane, ("cell", "nucleus"), device="cpu", region=(20, 40, 80, 130), options=options
    )
    from napari_segmate.core.context import Context

    found = detector_engine.detect(query, Context())
    assert plane.reads == [(20, 40, 80, 130)]
    assert found.boxes_yx[:, 0].min() >= 19.5 and found.boxes_yx[:, 3].max() <= 129.5
    assert len(found.boxes_yx) == 40
    chosen = detector_engine.select(found, FilterValues(score=0.0, overlap=1.0))
    assert {concept for _, _, concept, _ in chosen} <= {"cell", "nucleus"}
