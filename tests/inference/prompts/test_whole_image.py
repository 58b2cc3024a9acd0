"""A picture looked at whole, enlarged where its objects are small."""

import numpy as np
import pytest

from napari_segmate.core.prompts import ObjectPrompts, Points
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.inference.prompts.whole_image import WholeImage
from napari_segmate.models import load_model


@pytest.fixture(scope="module")
def model():
    return load_model("tiny", device="cpu")


def dots(radius, pitch=32, side=160):
    """Bright discs on a grid, and the middle of the first."""
    y, x = np.mgrid[:side, :side] % pitch - pitch // 2
    inside = np.hypot(y, x) <= radius
    image = np.where(inside, 200, 20).astype(np.uint8)
    first = inside.copy()
    first[pitch:], first[:, pitch:] = False, False
    return np.repeat(image[..., None], 3, axis=2), first


def overlap(found, truth):
    return (found & truth).sum() / (found | truth).sum()


def test_small_objects_are_found_better_enlarged(model):
    image, truth = dots(radius=5)
    store = EmbeddingStore()
    whole = WholeImage(image, model, store)
    click = ObjectPrompts(Points([(16, 16)]))
    logits, scores = whole.decode([click], multimask=True)
    assert logits.shape == (1, 3, 160, 160)
    enlarged = overlap(logits[0, scores[0].argmax()] > 0, truth)
    embedding = model.encode(image)
    plain = model.decode(embedding, [click])
    as_it_is = model.upscale(plain.logits, (160, 160))[0, plain.scores[0].argmax()] > 0
    assert enlarged > 0.75
    assert enlarged >= overlap(as_it_is, truth)


def test_large_objects_are_looked_at_as_they_are(model):
    image, _ = dots(radius=17, pitch=40)
    store = EmbeddingStore()
    whole = WholeImage(image, model, store)
    click = [ObjectPrompts(Points([(20, 20)]))]
    logits, _ = whole.decode(click, multimask=False)
    embedding = model.encode(image)
    expected = model.upscale(model.decode(embedding, click, multimask=False).logits, (160, 160))
    np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_a_mask_given_back_stays_where_it_was(model):
    image, truth = dots(radius=5)
    whole = WholeImage(image, model, EmbeddingStore())
    assert overlap(whole.upscale(whole.mask_input(truth)) > 0, truth) > 0.9


def test_a_second_question_encodes_nothing(fake_model):
    image, store = dots(radius=5)[0], EmbeddingStore()
    for _ in range(2):
        whole = WholeImage(image, fake_model, store)
        whole.decode([ObjectPrompts(Points([(16, 16)]))], multimask=False)
    assert len(fake_model.encoded) == 1


def test_a_large_picture_of_small_objects_is_enlarged_less(model):
    image, _ = dots(radius=4, side=608)
    whole = WholeImage(image, model, EmbeddingStore())
    shape = whole.mask_input(np.ones((608, 608), bool)).shape
    # Logits have half the side of what the model sees: at most two inputs of 512.
    assert 304 < max(shape) <= 512
