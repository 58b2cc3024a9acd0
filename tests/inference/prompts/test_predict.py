import numpy as np
import pytest
from fakes import ArrayPlane, FakeSegmenter

from napari_segmate.core.context import Context
from napari_segmate.core.errors import Cancelled, ImageError, PromptError
from napari_segmate.core.images.image_source import Contrast, ImageAxes, ImageSource
from napari_segmate.core.prompts import Box, MaskPrompt, ObjectPrompts, Points
from napari_segmate.core.types import MaskResult
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.inference.prompts.predict import predict
from napari_segmate.inference.prompts.request import MaskOptions, Request


def click(*points, positive=None):
    return ObjectPrompts(Points(points, positive))


def ask(plane, model, *prompts, store=None, **more):
    request = Request(1, plane, tuple(prompts), **more)
    return predict(request, model, store or EmbeddingStore())


def overlap(instance, box):
    """IoU of an instance with a rectangle."""
    truth = np.zeros((2000, 2000), bool)
    truth[box[0] : box[2], box[1] : box[3]] = True
    mask = np.zeros_like(truth)
    y0, x0, y1, x1 = instance.box_yx
    mask[y0:y1, x0:x1] = instance.mask
    return (truth & mask).sum() / (truth | mask).sum()


def test_a_click_gives_three_candidates_best_first(fake_model, blobs):
    (result,) = ask(blobs, fake_model, click((12, 12))).objects
    assert [round(one.score, 3) for one in result.candidates] == [0.9, 0.7, 0.5]
    assert overlap(result.instance, (8, 8, 20, 22)) > 0.8
    assert result.logits.shape == (3, 32, 32)
    assert result.chosen == 0


def test_more_prompts_give_one_candidate(fake_model, blobs):
    (result,) = ask(blobs, fake_model, click((12, 12), (10, 10))).objects
    assert len(result.candidates) == 1


def test_prediction_names_request_and_model(fake_model, blobs):
    prediction = ask(blobs, fake_model, click((12, 12)))
    assert (prediction.generation, prediction.model, prediction.model_key) == (1, "fake", "fake@1")
    assert prediction.timings.embed > 0


def test_many_boxes_are_decoded_in_one_batch(fake_model, blobs):
    boxes = [(7, 7, 21, 23), (5, 35, 19, 51), (27, 19, 43, 41)]
    prediction = ask(blobs, fake_model, *(ObjectPrompts(box=Box(box)) for box in boxes))
    assert len(fake_model.encoded) == 1
    assert [len(prompts) for prompts, _ in fake_model.decoded] == [3]
    for result, (y0, x0, y1, x1) in zip(prediction.objects, boxes, strict=True):
        assert overlap(result.instance, (y0 + 1, x0 + 1, y1 - 1, x1 - 1)) > 0.8


def test_clicks_and_boxes_keep_their_order(fake_model, blobs):
    prompts = [
        ObjectPrompts(box=Box((7, 7, 21, 23))),
        click((10, 40)),
        ObjectPrompts(box=Box((27, 19, 43, 41))),
    ]
    prediction = ask(blobs, fake_model, *prompts)
    assert [result.prompts for result in prediction.objects] == prompts
    assert overlap(prediction.objects[1].instance, (6, 36, 18, 50)) > 0.8


def test_no_objects_need_no_model(fake_model, blobs):
    assert ask(blobs, fake_model).objects == ()
    assert fake_model.encoded == []


def test_nothing_found_is_an_answer_without_candidates(fake_model):
    dark = ArrayPlane(np.zeros((40, 40), np.uint8))
    prompts = ObjectPrompts(box=Box((5, 5, 20, 20)))
    (result,) = ask(dark, fake_model, prompts).objects
    assert result.candidates == ()
    assert result.instance is None
    assert result.as_previous() is None


def test_previous_logits_are_fed_back_in_the_same_frame(fake_model, blobs):
    store = EmbeddingStore()
    (first,) = ask(blobs, fake_model, click((12, 12)), store=store).objects
    previous = first.choose(1).as_previous()
    ask(blobs, fake_model, click((12, 12), (10, 40)), store=store, previous=(previous,))
    (asked,), multimask = fake_model.decoded[-1]
    np.testing.assert_array_equal(asked.logits, first.logits[1])
    assert not multimask


def test_previous_mask_is_carried_into_another_frame(fake_model):
    plane = ArrayPlane.with_blobs((400, 400), [(100, 100, 120, 120), (100, 200, 120, 220)])
    store = EmbeddingStore()
    (first,) = ask(plane, fake_model, click((110, 110)), store=store).objects
    (second,) = ask(
        plane,
        fake_model,
        click((110, 110), (110, 210)),
        store=store,
        previous=(first.as_previous(),),
    ).objects
    assert second.frame != first.frame
    (asked,), _ = fake_model.decoded[-1]
    assert (asked.logits > 0).any()
    _, x0, _, x1 = second.instance.box_yx
    assert x0 < 110 and x1 > 210


def test_an_earlier_answer_keeps_its_frame(fake_model):
    plane = ArrayPlane.with_blobs((1000, 1000), [(100, 100, 400, 400)])
    store = EmbeddingStore()
    (first,) = ask(plane, fake_model, click((250, 250)), store=store).objects
    encoded = len(fake_model.encoded)
    (second,) = ask(
        plane,
        fake_model,
        click((250, 250), (260, 260)),
        store=store,
        previous=(first.as_previous(),),
    ).objects
    assert second.frame == first.frame
    assert len(fake_model.encoded) == encoded


@pytest.mark.parametrize("side", [10, 40, 63, 64, 65, 100, 128, 150, 300, 700])
@pytest.mark.parametrize("origin", [0, 31, 200])
@pytest.mark.parametrize("click_at", [0.05, 0.5, 0.95])
def test_objects_of_any_size_come_out_whole(fake_model, side, origin, click_at):
    shape = (1000, 900)
    box = (origin, origin + 5, origin + side, origin + 5 + side)
    plane = ArrayPlane.with_blobs(shape, [box])
    at = (origin + side * click_at, origin + 5 + side * click_at)
    (result,) = ask(plane, fake_model, click(at)).objects
    cell = max(result.frame.size) / fake_model.low
    np.testing.assert_allclose(result.instance.box_yx, box, atol=1.5 * cell)
    assert result.instance.area > 0.7 * side**2
    assert not result.cut[0]


def test_an_object_cut_by_the_image_border_does_not_grow_the_frame(fake_model):
    plane = ArrayPlane.with_blobs((1000, 1000), [(0, 0, 30, 30)])
    (result,) = ask(plane, fake_model, click((10, 10))).objects
    assert result.frame.size == (64, 64)
    assert len(fake_model.encoded) == 1


def test_a_box_says_where_the_object_ends_so_the_frame_stays(fake_model):
    plane = ArrayPlane.with_blobs((1000, 1000), [(100, 100, 700, 700)])
    (result,) = ask(plane, fake_model, ObjectPrompts(box=Box((200, 200, 220, 220)))).objects
    assert result.frame.size == (64, 64)


def test_a_click_on_the_background_of_a_huge_plane_does_not_read_all_of_it(fake_model):
    plane = ArrayPlane(np.full((4000, 4000), 255, np.uint8))
    (result,) = ask(plane, fake_model, click((2000, 2000))).objects
    assert result.cut[0]
    assert max(result.frame.size) <= 20 * 64
    assert max(y1 - y0 for y0, _, y1, _ in plane.reads) <= 20 * 64


def test_only_the_cut_objects_of_a_batch_are_decoded_again(fake_model):
    plane = ArrayPlane.with_blobs((1000, 1000), [(100, 100, 110, 110), (110, 120, 400, 400)])
    prediction = ask(plane, fake_model, click((105, 105)), click((115, 125)))
    assert overlap(prediction.objects[0].instance, (100, 100, 110, 110)) > 0.8
    assert overlap(prediction.objects[1].instance, (110, 120, 400, 400)) > 0.8
    assert all(len(prompts) == 1 for prompts, _ in fake_model.decoded[1:])


def test_far_apart_objects_are_each_seen_at_full_size(fake_model):
    boxes = [(100, 100, 112, 112), (800, 850, 812, 862)]
    plane = ArrayPlane.with_blobs((1000, 1000), boxes)
    prediction = ask(plane, fake_model, click((105, 105)), click((805, 855)))
    for result, box in zip(prediction.objects, boxes, strict=True):
        assert result.frame.zoom_yx == (1, 1)
        assert overlap(result.instance, box) > 0.8


def test_objects_close_together_share_one_frame(fake_model):
    plane = ArrayPlane.with_blobs((1000, 1000), [(490, 490, 500, 500), (505, 505, 515, 515)])
    ask(plane, fake_model, click((495, 495)), click((510, 510)))
    assert len(fake_model.encoded) == 1


def test_only_the_frame_is_read(fake_model):
    plane = ArrayPlane.with_blobs((1000, 1000), [(490, 490, 500, 500)])
    ask(plane, fake_model, click((495, 495)))
    ((y0, x0, y1, x1),) = plane.reads
    assert (y1 - y0, x1 - x0) == (64, 64)


def test_a_second_click_neither_reads_nor_encodes(fake_model, blobs):
    store = EmbeddingStore()
    ask(blobs, fake_model, click((12, 12)), store=store)
    ask(blobs, fake_model, click((12, 12), (10, 10)), store=store)
    assert len(blobs.reads) == len(fake_model.encoded) == 1


def test_a_mask_prompt_becomes_logits(fake_model, blobs):
    mask = MaskPrompt((8, 8, 20, 22), np.ones((12, 14), bool))
    (result,) = ask(blobs, fake_model, ObjectPrompts(mask=mask)).objects
    (asked,), _ = fake_model.decoded[-1]
    assert asked.mask is None
    assert asked.logits.shape == (32, 32)
    assert asked.box is not None
    assert overlap(result.instance, (8, 8, 20, 22)) > 0.8


def test_excluding_from_a_mask_removes_pixels(fake_model, blobs):
    mask = MaskPrompt((8, 8, 20, 22), np.ones((12, 14), bool))
    prompts = ObjectPrompts(Points([(12, 12)], [False]), mask=mask)
    (result,) = ask(blobs, fake_model, prompts, options=MaskOptions(fill_holes=False)).objects
    assert 0 < result.instance.area < 12 * 14 - 10


class Stubborn(FakeSegmenter):
    """Answers several clicks with everything bright, or an earlier answer with that answer.

    Candidates: everything (best score), the left half, the right half; the right half only without
    an earlier answer.
    """

    def decode(self, embedding, prompts, *, multimask=True, context=None):
        self.decoded.append((tuple(prompts), multimask))
        bright = embedding.arrays["bright"] > 127
        left = bright & (np.arange(self.low) < self.low // 2)
        answers = []
        for one in prompts:
            right = left if one.logits is not None else bright & ~left
            answers.append([bright, left, right] if multimask else [bright])
        scores = np.tile(np.float32([0.9, 0.8, 0.7])[: len(answers[0])], (len(prompts), 1))
        logits = np.where(np.array(answers), 8, -8).astype(np.float32)
        return MaskResult(logits, scores, embedding.image_shape)


@pytest.fixture
def bar():
    return ArrayPlane.with_blobs((64, 64), [(20, 10, 40, 54)])


def test_a_mask_that_ignores_clicks_gives_way_to_one_that_heeds_them(bar):
    model = Stubborn()
    plain, split = ask(
        bar,
        model,
        click((30, 15), (30, 50)),
        click((30, 15), (30, 50), positive=[True, False]),
    ).objects
    assert overlap(plain.instance, (20, 10, 40, 54)) > 0.8
    assert overlap(split.instance, (20, 10, 40, 32)) > 0.8
    assert len(split.candidates) == len(split.logits) == len(split.cut) == 1
    # Two objects at once, and then only the one whose click was ignored.
    assert [len(prompts) for prompts, _ in model.decoded] == [2, 1]


def test_an_earlier_answer_is_left_when_clicks_ask_for_it(bar):
    model = Stubborn()
    (first,) = ask(bar, model, click((30, 50))).objects
    prompts = click((30, 50), (30, 15), positive=[True, False])
    (second,) = ask(bar, model, prompts, previous=(first.as_previous(),)).objects
    assert overlap(second.instance, (20, 32, 40, 54)) > 0.8
    assert second.previous is not None


def test_of_masks_that_all_ignore_a_click_the_usual_one_stays(bar):
    prompts = click((30, 15), (30, 50), (5, 5))
    (result,) = ask(bar, Stubborn(), prompts).objects
    assert overlap(result.instance, (20, 10, 40, 54)) > 0.8


def test_a_request_can_be_cancelled(fake_model, blobs):
    context = Context(cancelled=lambda: True)
    with pytest.raises(Cancelled):
        predict(Request(1, blobs, (click((12, 12)),)), fake_model, EmbeddingStore(), context)


def test_encoding_is_reported(fake_model, blobs):
    texts = []
    context = Context(progress=lambda done, total, text: texts.append(text))
    predict(Request(1, blobs, (click((12, 12)),)), fake_model, EmbeddingStore(), context)
    assert "encoding" in texts


@pytest.mark.parametrize("value", [0, 255])
def test_an_even_image_is_answered(fake_model, value):
    plane = ArrayPlane(np.full((30, 30), value, np.uint8))
    (result,) = ask(plane, fake_model, click((10, 10))).objects
    assert len(result.candidates) <= 3


def test_a_one_pixel_image_is_answered(fake_model):
    (result,) = ask(ArrayPlane(np.full((1, 1), 255, np.uint8)), fake_model, click((0, 0))).objects
    assert result.instance.box_yx == (0, 0, 1, 1)


def test_an_empty_image_is_refused(fake_model):
    with pytest.raises(ImageError, match="empty"):
        ask(ArrayPlane(np.zeros((0, 5), np.uint8)), fake_model, click((0, 0)))


def test_five_hundred_points_are_one_question(fake_model, blobs):
    rng = np.random.default_rng(0)
    points = rng.uniform(9, 19, (500, 2))
    (result,) = ask(blobs, fake_model, ObjectPrompts(Points(points))).objects
    assert overlap(result.instance, (8, 8, 20, 22)) > 0.8


def test_earlier_answers_must_match_the_objects(blobs):
    with pytest.raises(PromptError, match="1 objects but 2"):
        Request(1, blobs, (click((1, 1)),), previous=(None, None))


def test_a_negative_smallest_size_is_refused():
    with pytest.raises(PromptError, match="0 or more"):
        MaskOptions(min_size=-1)


def test_another_input_size_gives_another_window():
    plane = ArrayPlane.with_blobs((1000, 1000), [(490, 490, 500, 500)])
    (result,) = ask(plane, FakeSegmenter(input_size=128), click((495, 495))).objects
    assert result.frame.size == (128, 128)


class CountingArray:
    """A huge image that is computed where it is sliced."""

    def __init__(self, shape):
        self.shape, self.ndim, self.dtype, self.read = shape, 2, np.dtype(np.uint8), 0

    def __getitem__(self, key):
        rows, columns = (np.arange(n)[part] for n, part in zip(self.shape, key, strict=True))
        values = np.where((rows[:, None] // 20 + columns // 20) % 2, 220, 20).astype(np.uint8)
        self.read += values.size
        return values


def test_a_click_on_a_huge_lazy_image_reads_a_window_only(fake_model):
    data = CountingArray((20_000, 20_000))
    source = ImageSource(data, ImageAxes(0, 1))
    plane = source.plane((), Contrast(((0.0, 255.0),)))
    (result,) = ask(
        plane, fake_model, ObjectPrompts(box=Box((10_000, 10_020, 10_019, 10_039)))
    ).objects
    assert result.instance.area > 250
    assert data.read <= 70 * 70
