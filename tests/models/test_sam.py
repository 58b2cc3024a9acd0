from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_segmate.core.context import Context
from napari_segmate.core.errors import Cancelled, ImageError, WeightsError
from napari_segmate.core.prompts import Box, ObjectPrompts, Points
from napari_segmate.models import load_model


@pytest.fixture(scope="module")
def model(sam_file):
    return load_model(sam_file, device="cpu")


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)


def test_encoder_in_half_precision_stays_close(sam_file, image):
    exact = load_model(sam_file, device="cpu").encode(image).arrays["embedding"]
    fast = load_model(sam_file, device="cpu", fast=True).encode(image).arrays["embedding"]
    assert 0 < np.abs(fast - exact).mean() < 0.05 * np.abs(exact).mean()


def test_lower_precision_has_its_own_key(sam_file):
    keys = {load_model(sam_file, device="cpu", fast=fast).key for fast in (False, True)}
    assert len(keys) == 2


def test_encoding_reports_each_block_and_stops_when_cancelled(model, image):
    seen = []

    def cancelled() -> bool:
        return len(seen) == 1

    with pytest.raises(Cancelled):
        model.encode(image, Context(lambda *report: seen.append(report), cancelled))
    assert seen == [(0, 2, "encoding the image")]


def test_batched_objects_equal_single_ones(model, image):
    embedding = model.encode(image)
    prompts = [
        ObjectPrompts(points=Points([[10, 20]])),
        ObjectPrompts(box=Box((5, 5, 40, 50))),
        ObjectPrompts(points=Points([[30, 40], [60, 70]], [True, False])),
        ObjectPrompts(points=Points([[50, 60]]), box=Box((30, 30, 80, 90))),
        ObjectPrompts(points=Points([[70, 100]])),
    ]
    together = model.decode(embedding, prompts)
    for number, prompt in enumerate(prompts):
        alone = model.decode(embedding, [prompt])
        np.testing.assert_allclose(together.logits[number], alone.logits[0], atol=1e-4)
        np.testing.assert_allclose(together.scores[number], alone.scores[0], atol=1e-5)


def test_earlier_logits_change_the_answer(model, image):
    embedding = model.encode(image)
    click = Points([[40, 60]])
    first = model.decode(embedding, [ObjectPrompts(points=click)], multimask=False)
    again = ObjectPrompts(points=click, logits=first.logits[0, 0])
    second = model.decode(embedding, [again], multimask=False)
    assert first.logits.shape == second.logits.shape == (1, 1, 32, 32)
    assert not np.allclose(first.logits, second.logits)


def test_mask_prompt_lies_where_the_mask_is(model):
    mask = np.zeros((90, 120), bool)
    mask[:45, 60:] = True
    logits = model.mask_input(mask, mask.shape)
    # 120 pixels wide is 32 cells, 90 high is 24; the rest is padding.
    assert (logits[1:11, 17:31] > 0).all()
    assert (logits[13:, :] < 0).all()
    assert (logits[:, :15] < 0).all()


def test_scores_are_shares(model, image):
    result = model.decode(model.encode(image), [ObjectPrompts(points=Points([[1, 1]]))])
    assert ((result.scores >= 0) & (result.scores <= 1)).all()


@pytest.mark.parametrize("shape", [(0, 5, 3), (5, 5), (5, 5, 4)])
def test_images_of_other_shapes_are_refused(model, shape):
    with pytest.raises(ImageError, match="expected"):
        model.encode(np.zeros(shape, np.uint8))


def test_one_pixel_is_an_image(model):
    result = model.decode(
        model.encode(np.zeros((1, 1, 3), np.uint8)), [ObjectPrompts(points=Points([[0, 0]]))]
    )
    assert model.upscale(result.logits, (1, 1)).shape == (1, 3, 1, 1)


def test_training_checkpoint_of_micro_sam_loads(sam, tmp_path):
    path = tmp_path / "best.pt"
    state = {f"sam.{name}": value for name, value in sam.state_dict().items()}
    torch.save({"model_state": state, "decoder_state": {"x": torch.zeros(1)}, "epoch": 1}, path)
    assert load_model(path, device="cpu").info.architecture == "vit_32"


def test_safetensors_load_as_the_official_file(sam, sam_file, tmp_path, image):
    from safetensors.torch import save_file

    path = tmp_path / "small.safetensors"
    save_file({name: value.contiguous() for name, value in sam.state_dict().items()}, path)
    expected = load_model(sam_file, device="cpu").encode(image).arrays["embedding"]
    np.testing.assert_array_equal(
        load_model(path, device="cpu").encode(image).arrays["embedding"], expected
    )


def test_incomplete_weights_are_refused(sam, tmp_path):
    path = tmp_path / "part.pth"
    state = dict(sam.state_dict())
    del state["image_encoder.neck.0.weight"]
    torch.save(state, path)
    with pytest.raises(WeightsError, match="not a complete SAM"):
        load_model(path)
