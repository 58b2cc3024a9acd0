"""The panels of one viewer write to the same labels."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from blob_images import blob_image, centre, other_model
from fake_engine import FakeEngine
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.plugin.automask.dock import AutoDock
from napari_segmate.plugin.labels.commit import OutputLabels, labels_for, made_for
from napari_segmate.plugin.labels.layer_names import OUTPUT_NAME
from napari_segmate.plugin.text.dock import TextDock
from napari_segmate.plugin.worker.engine import ModelEngine
from napari_segmate.widgets.actions import SegmentAction

pytestmark = pytest.mark.gui


def nobody(choice, context):
    raise AssertionError("no model is needed")


@pytest.fixture(params=["automask", "text"])
def make_other(request, qtbot, tmp_path):
    """Another panel on a viewer."""
    made = []

    def make(viewer):
        more = {"engine": ModelEngine(EmbeddingStore(), nobody), "models": [other_model("b")]}
        if request.param == "automask":
            dock = AutoDock(viewer, **more)
        else:
            dock = TextDock(
                viewer, detector_engine=FakeEngine(), history=tmp_path / "words.json", **more
            )
        made.append(dock)
        return dock

    yield make
    for dock in made:
        dock.shut_down()
        dock.deleteLater()
        qtbot.wait(10)
    gc.collect()


def commit(bench, number: int = 0) -> Labels:
    bench.point(*centre(number))
    bench.controller.trigger(SegmentAction.COMMIT)
    return bench.output


def choose_new(dock) -> None:
    """Choose 'new labels layer' as the user does."""
    dock._outputs.native.setCurrentIndex(0)


def test_a_panel_opened_later_takes_the_labels_that_are_there(bench, make_other) -> None:
    layer = commit(bench)
    other = make_other(bench.viewer)
    assert other._outputs.layer is layer
    assert other.controller.committer.output.layer is layer


def test_a_panel_takes_the_labels_that_another_one_makes(bench, make_other) -> None:
    other = make_other(bench.viewer)
    assert other._outputs.layer is None
    layer = commit(bench)
    assert other._outputs.layer is layer
    assert other.controller.committer.output.layer is layer


def test_segment_takes_the_labels_that_another_panel_makes(bench, make_other) -> None:
    output = make_other(bench.viewer).controller.committer.output
    layer, _ = output.plane(bench.controller.image, bench.controller.view.shown, bench.viewer.dims)
    assert commit(bench) is layer
    assert [one.name for one in bench.viewer.layers].count(OUTPUT_NAME) == 1


def test_new_labels_that_the_user_wants_stay_new(bench, make_other) -> None:
    other = make_other(bench.viewer)
    first = commit(bench)
    choose_new(other)
    choose_new(bench.dock)
    second = commit(bench, 1)
    assert second is not first
    assert other._outputs.layer is None
    third = bench.viewer.add_layer(labels_for(bench.controller.image, None, OUTPUT_NAME))
    assert (other._outputs.layer, bench.output) == (None, second)
    bench.viewer.layers.remove(third)


def test_labels_of_other_pixels_or_of_the_user_are_not_taken(bench, make_other) -> None:
    bench.viewer.add_labels(np.zeros((48, 60), int), name="mine")
    bench.viewer.add_labels(np.zeros((48, 60), int), name=OUTPUT_NAME, translate=(5, 0))
    bench.viewer.add_labels(np.zeros((20, 60), int), name=OUTPUT_NAME)
    assert bench.output is None
    assert make_other(bench.viewer)._outputs.layer is None


def test_labels_are_taken_with_the_image_they_belong_to(make_bench, make_other) -> None:
    bench = make_bench(blob_image())
    layer = commit(bench)
    other = make_other(ViewerModel())
    small = other.viewer.add_image(np.zeros((9, 9)), name="small")
    other.viewer.add_layer(Labels(layer.data, name=OUTPUT_NAME))
    assert other._outputs.layer is None
    image = other.viewer.add_image(blob_image(), name="large")
    other._images.choose(image)
    assert other._outputs.layer is other.viewer.layers[OUTPUT_NAME]
    assert small in other.viewer.layers


@pytest.mark.parametrize("channel", [None, 0, 1])
def test_made_labels_are_known_by_name_and_pixels(channel) -> None:
    image = Image(np.zeros((2, 3, 20, 30)), scale=(1, 2, 0.5, 0.5), translate=(0, 4, 1, 1))
    layer = labels_for(image, channel, f"{OUTPUT_NAME} [2]")
    assert made_for(layer, image, channel)
    assert not made_for(layer, image, 0 if channel is None else None)
    layer.name = "SegMate labels of mine"
    assert not made_for(layer, image, channel)


def test_label_values_that_one_panel_holds_are_not_given_to_another() -> None:
    viewer = ViewerModel()
    layer = viewer.add_labels(np.zeros((20, 30), np.uint16))
    one, other = OutputLabels(viewer), OutputLabels(viewer)
    assert one.ids.reserve(layer, 5) == 1
    assert other.ids.next_id(layer) == 6
