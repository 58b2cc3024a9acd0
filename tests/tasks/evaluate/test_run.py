import numpy as np
import pytest
from fakes import FakeSegmenter

from napari_segmate.core.errors import LabelsError
from napari_segmate.tasks.evaluate import run as evaluate
from napari_segmate.tasks.evaluate import simulated_prompts as prompted
from napari_segmate.training.data import sample_of

ONE, TWO = np.s_[8:20, 8:22], np.s_[28:40, 20:42]


@pytest.fixture
def image():
    pixels = np.full((48, 60), 20, np.uint8)
    for at in (ONE, TWO):
        pixels[at] = 220
    return pixels


def fine_model():
    return FakeSegmenter(stride=1)


def sample(image, *objects):
    labels = np.zeros(image.shape, np.int32)
    for number, at in enumerate(objects, start=1):
        labels[at] = number
    return sample_of(image, labels, name="blobs")


def judged(image, model, *objects, **params):
    wanted = evaluate.Params(automatic=False, **params)
    return evaluate.run([sample(image, *objects)], model, wanted)


def test_objects_that_one_click_meets_need_one_click(image):
    scores = judged(image, fine_model(), ONE, TWO)
    assert scores.clicks == 1
    assert scores.objects == 2
    assert scores.click_iou > 0.9 and scores.box_iou > 0.9


def test_objects_that_are_never_met_need_the_most(image):
    empty_corner = np.s_[0:6, 50:60]
    scores = judged(image, fine_model(), ONE, empty_corner, clicks=4)
    assert scores.clicks == (1 + 4) / 2
    assert judged(image, fine_model(), empty_corner, clicks=9).clicks == 9


def test_every_click_goes_on_from_the_answer_before(image):
    # Two blobs labelled as one object: the first click finds one of them.
    model = fine_model()
    both = np.zeros(image.shape, np.int32)
    both[ONE] = both[TWO] = 1
    scores = evaluate.run(
        [sample_of(image, both, name="both")], model, evaluate.Params(automatic=False)
    )
    assert scores.clicks == 2
    clicked = [one for prompts, _ in model.decoded for one in prompts if one.points is not None]
    assert [len(one.points.points_yx) for one in clicked] == [1, 2]
    assert [one.logits is not None for one in clicked] == [False, True]


def test_many_objects_are_asked_for_in_batches(image, monkeypatch):
    monkeypatch.setattr(prompted, "BATCH", 1)
    model = fine_model()
    scores = judged(image, model, ONE, TWO)
    assert scores.objects == 2 and scores.clicks == 1
    assert {len(prompts) for prompts, _ in model.decoded} == {1}


def test_no_clicks_are_counted_where_none_are_asked_for(image):
    assert judged(image, fine_model(), ONE, clicks=0).clicks == 0


def test_labels_without_objects_are_refused(image):
    with pytest.raises(LabelsError, match="label some objects first"):
        judged(image, fine_model())
