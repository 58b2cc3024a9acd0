from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from segment_anything import SamPredictor

from napari_segmate.core.errors import ImageError, ModelError, PromptError
from napari_segmate.predictor import Predictor

from .models.conftest import small_sam

IMAGE = np.random.default_rng(1).integers(0, 256, (70, 110, 3), np.uint8)
POINTS = np.array([[20, 30], [80, 50], [60, 10]])
LABELS = np.array([1, 0, 1])
BOX = np.array([10, 15, 70, 60])


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    sam = small_sam()
    path = tmp_path_factory.mktemp("weights") / "sam.pth"
    torch.save(sam.state_dict(), path)
    ours, upstream = Predictor(path, device="cpu"), SamPredictor(sam)
    ours.set_image(IMAGE)
    upstream.set_image(IMAGE)
    return ours, upstream


COMBINATIONS = [
    (points, box, mask, multimask)
    for points, box, mask, multimask in itertools.product(
        (0, 1, 3), (False, True), (False, True), (False, True)
    )
    if points or box or mask
]


@pytest.mark.parametrize(("points", "box", "mask", "multimask"), COMBINATIONS)
def test_every_combination_of_prompts_equals_upstream(pair, points, box, mask, multimask):
    prompts = {
        "point_coords": POINTS[:points] if points else None,
        "point_labels": LABELS[:points] if points else None,
        "box": BOX if box else None,
        "mask_input": np.random.default_rng(2).normal(size=(1, 32, 32)) if mask else None,
        "multimask_output": multimask,
    }
    if mask:
        prompts["mask_input"] = prompts["mask_input"].astype(np.float32)
    ours, upstream = (one.predict(**prompts, return_logits=True) for one in pair)
    for found, expected in zip(ours, upstream, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(pair[0].predict(**prompts)[0], ours[0] > 0)


def test_batched_boxes_equal_upstream(pair):
    ours, upstream = pair
    boxes = torch.tensor([[10.0, 15, 70, 60], [5, 5, 30, 40], [40, 20, 100, 65]])
    transformed = upstream.transform.apply_boxes_torch(boxes, IMAGE.shape[:2])
    expected = upstream.predict_torch(None, None, boxes=transformed, multimask_output=False)
    found = ours.predict_torch(None, None, boxes=boxes, multimask_output=False)
    assert found[0].shape == (3, 1, 70, 110)
    assert (found[0] == expected[0]).float().mean() > 0.999
    torch.testing.assert_close(found[2], expected[2], rtol=1e-4, atol=1e-4)


def test_embedding_equals_upstream(pair):
    found, expected = (one.get_image_embedding() for one in pair)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_bgr_is_turned_round(pair):
    ours, _ = pair
    other = Predictor(ours.model)
    other.set_image(np.ascontiguousarray(IMAGE[..., ::-1]), "BGR")
    torch.testing.assert_close(other.get_image_embedding(), ours.get_image_embedding())


def test_embedded_model_answers_too():
    predictor = Predictor()
    predictor.set_image(IMAGE)
    masks, scores, logits = predictor.predict(POINTS[:1], LABELS[:1])
    again, _, _ = predictor.predict(
        POINTS[:1], LABELS[:1], mask_input=logits[:1], multimask_output=False
    )
    assert masks.shape == (3, 70, 110)
    assert masks.dtype == bool
    assert scores.shape == (3,)
    assert again.shape == (1, 70, 110)


def test_image_must_be_set_first(pair):
    predictor = Predictor(pair[0].model)
    assert not predictor.is_image_set
    with pytest.raises(ModelError, match="set_image"):
        predictor.predict(POINTS, LABELS)


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ({}, "no prompt"),
        ({"point_coords": POINTS}, "together"),
        ({"point_coords": POINTS, "point_labels": LABELS[:2]}, "3 points but 2 labels"),
        ({"box": np.zeros(3)}, r"box must have shape \(4,\)"),
    ],
)
def test_prompts_that_do_not_fit_are_refused(pair, prompts, message):
    with pytest.raises(PromptError, match=message):
        pair[0].predict(**prompts)


@pytest.mark.parametrize("image", [np.zeros((5, 5), np.uint8), np.zeros((5, 5, 3), np.float32)])
def test_other_images_are_refused(pair, image):
    with pytest.raises(ImageError, match="uint8"):
        Predictor(pair[0].model).set_image(image)
