import json

import numpy as np
import pytest
from fakes import ArrayPlane, FakeSegmenter

from napari_segmate.core.errors import ModelError
from napari_segmate.core.prompts import Box, MaskPrompt, ObjectPrompts, Points
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.inference.prompts.predict import predict
from napari_segmate.inference.prompts.replay import replay
from napari_segmate.inference.prompts.request import MaskOptions, Request
from napari_segmate.io.provenance import Record, from_json, to_json


def through_json(records):
    return from_json(json.loads(json.dumps(to_json(records))))


def record(result, key="fake@1", options=None):
    return Record(
        label=1,
        index=(),
        box_yx=result.instance.box_yx,
        model="fake",
        model_key=key,
        steps=result.steps,
        options=options or {},
        score=result.instance.score,
        stability=result.instance.stability,
    )


def chain(plane, model, prompts, candidates, options=None):
    """The result of a dialogue: each prompt goes on from the candidate chosen before."""
    store, previous = EmbeddingStore(), None
    for one, candidate in zip(prompts, candidates, strict=True):
        request = Request(1, plane, (one,), previous=(previous,), options=options or MaskOptions())
        result = predict(request, model, store).objects[0].choose(candidate)
        previous = result.as_previous()
    return result


DIALOGUES = {
    "click": ([ObjectPrompts(Points([(12, 12)]))], [0]),
    "other candidate": ([ObjectPrompts(Points([(12, 12)]))], [2]),
    "box": ([ObjectPrompts(box=Box((7, 7, 21, 23)))], [0]),
    "mask": (
        [ObjectPrompts(mask=MaskPrompt((8, 8, 20, 22), np.eye(12, 14, dtype=bool)))],
        [0],
    ),
    "refined": (
        [
            ObjectPrompts(Points([(12, 12)])),
            ObjectPrompts(Points([(12, 12), (10, 40)])),
            ObjectPrompts(Points([(12, 12), (10, 40), (9, 9)], [True, True, False])),
        ],
        [1, 0, 0],
    ),
}


@pytest.mark.parametrize("name", DIALOGUES)
def test_replay_gives_the_identical_object(fake_model, blobs, name):
    result = chain(blobs, fake_model, *DIALOGUES[name])
    (again,) = replay(through_json([record(result)]), blobs, fake_model, EmbeddingStore())
    assert again.box_yx == result.instance.box_yx
    np.testing.assert_array_equal(again.mask, result.instance.mask)
    assert again.score == result.instance.score


def test_replay_of_an_object_in_a_grown_frame(fake_model):
    plane = ArrayPlane.with_blobs((1000, 1000), [(100, 100, 400, 420)])
    prompts = [ObjectPrompts(Points([(250, 250)])), ObjectPrompts(Points([(250, 250), (110, 110)]))]
    result = chain(plane, fake_model, prompts, [0, 0])
    (again,) = replay(through_json([record(result)]), plane, fake_model, EmbeddingStore())
    np.testing.assert_array_equal(again.mask, result.instance.mask)


def test_replay_uses_the_mask_options_of_the_time(fake_model, blobs):
    options = MaskOptions(fill_holes=False, min_size=3, threshold=2.0)
    prompts, candidates = DIALOGUES["refined"]
    result = chain(blobs, fake_model, prompts, candidates, options)
    kept = {"fill_holes": False, "min_size": 3, "threshold": 2.0}
    (again,) = replay([record(result, options=kept)], blobs, fake_model, EmbeddingStore())
    np.testing.assert_array_equal(again.mask, result.instance.mask)


def test_replay_with_the_embedded_model(blobs):
    from napari_segmate.models import load_model

    model = load_model("tiny", device="cpu")
    plane = ArrayPlane(np.kron(blobs.values, np.ones((4, 4), np.uint8)))
    prompts = [
        ObjectPrompts(Points([(50, 60)])),
        ObjectPrompts(Points([(50, 60), (70, 80)])),
        ObjectPrompts(Points([(50, 60), (70, 80), (10, 10)], [True, True, False])),
    ]
    result = chain(plane, model, prompts, [1, 0, 0])
    kept = through_json([record(result, model.key)])
    (again,) = replay(kept, plane, model, EmbeddingStore())
    assert again.box_yx == result.instance.box_yx
    np.testing.assert_array_equal(again.mask, result.instance.mask)


def test_another_model_is_refused_unless_allowed(blobs):
    result = chain(blobs, FakeSegmenter(), *DIALOGUES["click"])
    other = FakeSegmenter(key="fake@2")
    with pytest.raises(ModelError, match=r"'fake@1'.*'fake@2'"):
        replay([record(result)], blobs, other, EmbeddingStore())
    (again,) = replay([record(result)], blobs, other, EmbeddingStore(), any_model=True)
    np.testing.assert_array_equal(again.mask, result.instance.mask)


def test_an_object_that_is_no_longer_found_is_none(fake_model, blobs):
    result = chain(blobs, fake_model, *DIALOGUES["box"])
    dark = ArrayPlane(np.zeros((48, 60), np.uint8))
    assert replay([record(result)], dark, fake_model, EmbeddingStore()) == (None,)
