import pytest
from fakes import ArrayPlane

from napari_segmate.core.context import Context
from napari_segmate.core.errors import Cancelled
from napari_segmate.core.prompts import ObjectPrompts, Points
from napari_segmate.inference.embeddings.crop_window import (
    choose_frame,
    first_frame,
    frames_in_view,
    prefetch,
)
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.inference.prompts.predict import predict
from napari_segmate.inference.prompts.request import Request


def planes(count):
    return [ArrayPlane.with_blobs((48, 60), [(8, 8, 20, 22 + n)]) for n in range(count)]


def test_a_prefetched_plane_answers_without_encoding(fake_model):
    store, (plane,) = EmbeddingStore(), planes(1)
    frame = first_frame(plane.shape, fake_model.input_size)
    assert prefetch([(plane, frame)], fake_model, store) == 1
    predict(Request(1, plane, (ObjectPrompts(Points([(10, 10)])),)), fake_model, store)
    assert len(fake_model.encoded) == 1


def test_what_is_held_is_not_encoded_again(fake_model):
    store, (plane,) = EmbeddingStore(), planes(1)
    frame = first_frame(plane.shape, fake_model.input_size)
    prefetch([(plane, frame)], fake_model, store)
    assert prefetch([(plane, frame)], fake_model, store) == 0


def test_cancelling_keeps_what_is_done_and_reads_no_further_plane(fake_model):
    store, stack = EmbeddingStore(), planes(3)
    frame = first_frame(stack[0].shape, fake_model.input_size)
    context = Context(cancelled=lambda: len(fake_model.encoded) == 1)
    with pytest.raises(Cancelled):
        prefetch([(plane, frame) for plane in stack], fake_model, store, context)
    assert store.holds(stack[0], frame, fake_model)
    assert stack[1].reads == [] == stack[2].reads


def test_first_frame_is_the_one_a_click_in_the_middle_of_the_screen_uses(fake_model):
    plane = ArrayPlane.with_blobs((1000, 1000), [(320, 640, 330, 650)])
    visible = (300, 600, 350, 690)
    frame = first_frame(plane.shape, fake_model.input_size, visible)
    request = Request(1, plane, (ObjectPrompts(Points([(325, 645)])),), visible_yx=visible)
    assert predict(request, fake_model, EmbeddingStore()).objects[0].frame == frame


@pytest.mark.parametrize("visible", [None, (100, 100, 300, 300), (0, 900, 150, 1000)])
def test_every_click_on_the_screen_falls_into_a_frame_in_view(visible):
    shape = (500, 1000)
    frames = frames_in_view(shape, 64, visible)
    y0, x0, y1, x1 = visible or (0, 0, *shape)
    for y in range(y0, y1, 7):
        for x in range(x0, x1, 7):
            assert choose_frame(shape, (y, x, y, x), 64, visible_yx=visible) in frames


def test_frames_in_view_begin_in_the_middle():
    frames = frames_in_view((500, 1000), 64, (100, 100, 300, 300))
    assert frames[0] == first_frame((500, 1000), 64, (100, 100, 300, 300))
    assert len(set(frames)) == len(frames)
    assert frames_in_view((500, 1000), 64, (100, 100, 101, 101)) == (
        first_frame((500, 1000), 64, (100, 100, 101, 101)),
    )
