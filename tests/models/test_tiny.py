from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from napari_segmate.core.errors import ImageError
from napari_segmate.core.prompts import Box, ObjectPrompts, Points
from napari_segmate.models import load_model
from napari_segmate.models._tiny_network import TinyConfig, TinyNetwork, load_tiny, save_tiny


@pytest.fixture(scope="module")
def model():
    return load_model("tiny", device="cpu")


def disc(shape, centre, radius):
    y, x = np.ogrid[: shape[0], : shape[1]]
    return np.hypot(y - centre[0], x - centre[1]) <= radius


@pytest.fixture(scope="module")
def nuclei():
    """Three bright discs on a dark, slightly noisy ground."""
    rng = np.random.default_rng(0)
    masks = [disc((200, 230), c, 18) for c in [(50, 60), (120, 90), (90, 170)]]
    image = 20 + 8 * rng.standard_normal((200, 230)) + 150 * np.any(masks, axis=0)
    return np.repeat(image.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2), masks


def iou(logits, mask):
    found = logits > 0
    return (found & mask).sum() / (found | mask).sum()


def test_a_click_finds_the_nucleus_under_it(model, nuclei):
    image, masks = nuclei
    embedding = model.encode(image)
    centres = [(50, 60), (120, 90), (90, 170)]
    result = model.decode(embedding, [ObjectPrompts(points=Points([c])) for c in centres])
    large = model.upscale(result.logits, embedding.image_shape)
    for number, mask in enumerate(masks):
        assert iou(large[number, result.scores[number].argmax()], mask) > 0.7


def test_a_box_finds_the_nucleus_in_it(model, nuclei):
    image, masks = nuclei
    embedding = model.encode(image)
    result = model.decode(embedding, [ObjectPrompts(box=Box((32, 42, 68, 78)))], multimask=False)
    assert iou(model.upscale(result.logits, embedding.image_shape)[0, 0], masks[0]) > 0.75


def test_batched_objects_equal_single_ones(model, nuclei):
    embedding = model.encode(nuclei[0])
    prompts = [
        ObjectPrompts(points=Points([[50, 60]])),
        ObjectPrompts(box=Box((100, 70, 140, 110))),
        ObjectPrompts(points=Points([[90, 170], [50, 60]], [True, False])),
    ]
    together = model.decode(embedding, prompts)
    for number, prompt in enumerate(prompts):
        alone = model.decode(embedding, [prompt])
        np.testing.assert_allclose(together.logits[number], alone.logits[0], atol=1e-3)


def test_a_second_click_elsewhere_grows_the_object(model, nuclei):
    embedding = model.encode(nuclei[0])
    one = ObjectPrompts(points=Points([[50, 60]]))
    two = ObjectPrompts(points=Points([[50, 60], [120, 90]]))
    areas = [
        (model.upscale(model.decode(embedding, [p], multimask=False).logits, (200, 230)) > 0).sum()
        for p in (one, two)
    ]
    assert areas[1] > areas[0]


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (37, 5), (512, 512), (530, 640)])
def test_any_size_is_encoded(model, shape):
    image = np.zeros((*shape, 3), np.uint8)
    embedding = model.encode(image)
    result = model.decode(embedding, [ObjectPrompts(points=Points([[0, 0]]))])
    assert embedding.image_shape == shape
    assert np.isfinite(result.logits).all()
    assert model.upscale(result.logits, shape).shape == (1, 3, *shape)
    assert model.mask_input(np.ones(shape, bool), shape).shape == result.logits.shape[-2:]


def test_mask_prompt_is_positive_inside_and_negative_outside(model):
    mask = disc((200, 230), (50, 60), 18)
    logits = model.mask_input(mask, mask.shape)
    inner = disc((200, 230), (50, 60), 15)[::2, ::2]
    assert (logits[:100, :115][inner] > 0).all()
    assert (logits > 0).sum() == pytest.approx(mask.sum() / 4, rel=0.1)


def test_other_shapes_are_refused(model):
    with pytest.raises(ImageError, match="expected"):
        model.encode(np.zeros((5, 5), np.uint8))


def test_weights_survive_saving_and_loading_by_path(tmp_path):
    path = tmp_path / "mine.safetensors"
    save_tiny(path, TinyNetwork(TinyConfig(width=32, detail=16)), {"trained_on": "nothing"})
    loaded = load_model(path, device="cpu")
    assert loaded.info.name == "mine"
    assert loaded.info.architecture == "tiny"
    assert load_tiny(path).config == TinyConfig(width=32, detail=16)


def test_key_changes_with_the_weights(tmp_path, model):
    path = tmp_path / "tiny.safetensors"
    save_tiny(path, TinyNetwork(TinyConfig(width=32, detail=16)), {})
    assert load_model(path, device="cpu").key != model.key


def test_embedded_weights_are_small():
    from importlib.resources import files

    path = files("napari_segmate") / "weights" / "tiny.safetensors"
    assert len(path.read_bytes()) < 20_000_000


def test_candidates_differ(model, nuclei):
    result = model.decode(model.encode(nuclei[0]), [ObjectPrompts(points=Points([[50, 60]]))])
    assert all(not np.allclose(a, b) for a, b in pairwise(result.logits[0]))
