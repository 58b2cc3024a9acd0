"""Small objects are shown to the model enlarged."""

from dataclasses import replace

import numpy as np
import pytest
from fakes import ArrayPlane, FakeSegmenter

from napari_segmate.core.errors import PromptError
from napari_segmate.core.prompts import ObjectPrompts, Points
from napari_segmate.core.types import DenseMaps
from napari_segmate.inference.embeddings.crop_window import zoom_of
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.inference.prompts.predict import predict
from napari_segmate.inference.prompts.request import MaskOptions, Request


class SizedSegmenter(FakeSegmenter):
    """A fake that likes objects of 24 pixels and sees bright blobs in its instance maps."""

    def __init__(self) -> None:
        super().__init__()
        self.info = replace(self.info, diameter=24.0, instance_head=True)

    def instance_maps(self, embedding):
        height, width = embedding.image_shape
        scale = self._scale(embedding.image_shape)
        bright = embedding.arrays["bright"].astype(np.float32) > 127
        bright = bright[: round(height * scale), : round(width * scale)].astype(np.float32)
        return DenseMaps(bright, bright, bright, embedding.image_shape)


@pytest.fixture
def model():
    return SizedSegmenter()


def squares(side, pitch, size=64):
    pixels = np.zeros((size, size), np.uint8)
    for y in range(4, size - side, pitch):
        for x in range(4, size - side, pitch):
            pixels[y : y + side, x : x + side] = 255
    return ArrayPlane(pixels)


def test_small_objects_are_enlarged(model):
    plane = squares(side=8, pitch=20)
    assert zoom_of(plane, model, EmbeddingStore()) == 3


def test_large_objects_are_left_as_they_are(model):
    assert zoom_of(squares(side=22, pitch=30), model, EmbeddingStore()) == 1


def test_the_estimate_is_made_once_per_plane(model):
    plane, store = squares(side=8, pitch=20), EmbeddingStore()
    first = zoom_of(plane, model, store)
    store_diameter = store.diameter(plane, model.key)
    assert 8 <= store_diameter <= 10
    encoded = len(model.encoded)
    assert zoom_of(plane, model, store, visible_yx=(0, 0, 8, 8)) == first
    assert len(model.encoded) == encoded


def test_a_given_diameter_needs_no_estimate(model):
    assert zoom_of(squares(8, 20), model, EmbeddingStore(), diameter=12) == 2
    assert not model.encoded


def test_without_objects_nothing_is_enlarged_or_remembered(model):
    plane, store = ArrayPlane(np.zeros((64, 64), np.uint8)), EmbeddingStore()
    assert zoom_of(plane, model, store) == 1
    assert store.diameter(plane, model.key) == 0


def test_a_model_without_a_favourite_size_sees_images_as_they_are(fake_model):
    assert zoom_of(squares(8, 20), fake_model, EmbeddingStore()) == 1
    assert not fake_model.encoded


def test_a_click_is_answered_in_an_enlarged_frame(model):
    plane = squares(side=8, pitch=20, size=200)
    click = ObjectPrompts(Points([(107, 107)]))
    prediction = predict(Request(1, plane, (click,)), model, EmbeddingStore())
    assert min(prediction.frame.zoom_yx) > 2.5
    assert 8 <= prediction.diameter <= 10


def test_the_size_that_the_user_gives_counts(model):
    plane = squares(side=8, pitch=20, size=200)
    click = ObjectPrompts(Points([(107, 107)]))
    request = Request(1, plane, (click,), options=MaskOptions(diameter=24))
    prediction = predict(request, model, EmbeddingStore())
    assert max(prediction.frame.zoom_yx) == pytest.approx(1)
    assert prediction.diameter == 24


@pytest.mark.parametrize("diameter", [-1, float("nan"), float("inf")])
def test_an_impossible_size_is_refused(diameter):
    with pytest.raises(PromptError, match="diameter"):
        MaskOptions(diameter=diameter)
