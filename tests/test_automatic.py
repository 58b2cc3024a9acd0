"""Our automatic mask generator against upstream's, on the same weights."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from segment_anything import SamAutomaticMaskGenerator
from segment_anything.modeling import Sam
from torch import nn

from napari_segmate.automatic import AutomaticMaskGenerator
from napari_segmate.core.errors import ImageError, ParameterError
from napari_segmate.core.pictures import as_rgb
from napari_segmate.core.rle import decode_rle
from napari_segmate.core.synthetic import nuclei
from napari_segmate.models import load_model
from napari_segmate.models.base import ModelInfo
from napari_segmate.models.sam import SamSegmenter
from napari_segmate.predictor import Predictor

Records = list[dict[str, Any]]


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return as_rgb(nuclei()[0])[60:188, 40:200]


def small_sam() -> Sam:
    from functools import partial

    from segment_anything.modeling import (
        ImageEncoderViT,
        MaskDecoder,
        PromptEncoder,
        TwoWayTransformer,
    )

    torch.manual_seed(3)
    sam = Sam(
        ImageEncoderViT(
            img_size=128,
            embed_dim=32,
            depth=1,
            num_heads=2,
            out_chans=32,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=0,
            global_attn_indexes=(0,),
        ),
        PromptEncoder(32, (8, 8), (128, 128), 16),
        MaskDecoder(
            transformer_dim=32,
            transformer=TwoWayTransformer(depth=2, embedding_dim=32, mlp_dim=64, num_heads=8),
            iou_head_hidden_dim=16,
        ),
        [123.675, 116.28, 103.53],
        [58.395, 57.12, 57.375],
    )
    for parameter in sam.parameters():
        nn.init.normal_(parameter, std=0.3)
    return sam.eval()


def upstream_on(model: Any, **options: Any) -> SamAutomaticMaskGenerator:
    """Upstream's generator, with our predictor in the place of its own."""
    stub = SimpleNamespace(
        image_encoder=SimpleNamespace(img_size=512), mask_threshold=0.0, device="cpu"
    )
    generator = SamAutomaticMaskGenerator(stub, **options)
    predictor: Any = Predictor(model)
    generator.predictor = SimpleNamespace(
        transform=SimpleNamespace(apply_coords=lambda points, shape: points),
        model=stub,
        device="cpu",
        set_image=predictor.set_image,
        reset_image=predictor.reset_image,
        predict_torch=predictor.predict_torch,
    )
    return generator


def overlaps(first: Records, second: Records) -> np.ndarray:
    a, b = (
        np.stack([one["segmentation"].ravel() for one in side]).astype(np.float32)
        for side in (first, second)
    )
    common = a @ b.T
    return common / (a.sum(1)[:, None] + b.sum(1) - common)


def assert_equal(found: Records, wanted: Records) -> None:
    assert len(wanted) >= 3, "the comparison needs some masks"
    assert len(found) == len(wanted)
    iou = overlaps(wanted, found)
    partners = iou.argmax(axis=1)
    assert len(set(partners)) == len(wanted)
    assert np.mean(iou.max(axis=1) >= 0.99) >= 0.99
    for one, partner in zip(wanted, partners, strict=True):
        other = found[partner]
        np.testing.assert_allclose(other["bbox"], one["bbox"], atol=1)
        np.testing.assert_allclose(other["point_coords"], one["point_coords"], atol=1e-6)
        assert other["crop_box"] == one["crop_box"]
        assert other["predicted_iou"] == pytest.approx(one["predicted_iou"], abs=1e-3)
        assert other["stability_score"] == pytest.approx(one["stability_score"], abs=0.01)
        assert other["area"] == pytest.approx(one["area"], abs=max(3, 0.01 * one["area"]))
        assert set(other) == set(one)


EMBEDDED = {"points_per_side": 12, "pred_iou_thresh": 0.6, "stability_score_thresh": 0.7}


@pytest.mark.parametrize("more", [{}, {"crop_n_layers": 1, "points_per_side": 8}])
def test_exact_equals_upstream_on_the_embedded_model(
    image: np.ndarray, more: dict[str, Any]
) -> None:
    model = load_model("tiny", device="cpu")
    options = {**EMBEDDED, **more}
    wanted = upstream_on(model, **options).generate(image)
    found = AutomaticMaskGenerator(model, exact=True, **options).generate(image)
    assert_equal(found, wanted)


def by_point(records: Records) -> Records:
    return sorted(records, key=lambda one: (one["crop_box"], one["point_coords"], one["area"]))


def test_exact_equals_upstream_on_a_sam_of_random_weights(image: np.ndarray) -> None:
    sam = small_sam()
    ours = SamSegmenter(ModelInfo("small", "", "", "vit_32", "", ""), sam, "0" * 64, "cpu")
    # Random masks fill the image, so that all boxes are alike: none is dropped for that.
    options = {
        "points_per_side": 4,
        "pred_iou_thresh": 0.0,
        "stability_score_thresh": 0.5,
        "stability_score_offset": 0.02,
        "box_nms_thresh": 1.0,
    }
    wanted = by_point(SamAutomaticMaskGenerator(sam, **options).generate(image))
    found = by_point(AutomaticMaskGenerator(ours, exact=True, **options).generate(image))
    assert len(found) == len(wanted) > 10
    for one, other in zip(wanted, found, strict=True):
        a, b = one["segmentation"], other["segmentation"]
        assert (a & b).sum() >= 0.99 * (a | b).sum()
        assert other["point_coords"] == one["point_coords"]
        assert other["predicted_iou"] == pytest.approx(one["predicted_iou"], abs=1e-3)
        assert other["stability_score"] == pytest.approx(one["stability_score"], abs=0.01)


def test_the_default_recovers_the_masks_of_upstream(image: np.ndarray) -> None:
    model = load_model("tiny", device="cpu")
    wanted = upstream_on(model, **EMBEDDED).generate(image)
    found = AutomaticMaskGenerator(model, **EMBEDDED).generate(image)
    assert np.mean(overlaps(wanted, found).max(axis=1) >= 0.9) >= 0.98


def test_run_lengths_hold_the_masks(image: np.ndarray) -> None:
    model = load_model("tiny", device="cpu")
    options = {**EMBEDDED, "points_per_side": 5}
    masks, runs, packed = (
        AutomaticMaskGenerator(model, output_mode=mode, **options).generate(image)
        for mode in ("binary_mask", "uncompressed_rle", "coco_rle")
    )
    for mask, run, text in zip(masks, runs, packed, strict=True):
        assert np.array_equal(decode_rle(run["segmentation"]), mask["segmentation"])
        assert text["segmentation"]["size"] == [128, 160]
        assert isinstance(text["segmentation"]["counts"], str)
        assert mask["area"] == mask["segmentation"].sum()


def test_small_regions_are_removed(image: np.ndarray) -> None:
    model = load_model("tiny", device="cpu")
    options = {**EMBEDDED, "points_per_side": 6, "min_mask_region_area": 60}
    for one in AutomaticMaskGenerator(model, **options).generate(image):
        assert one["area"] >= 60


def test_wrong_input_is_named(image: np.ndarray) -> None:
    model = load_model("tiny", device="cpu")
    with pytest.raises(ParameterError, match="no output mode 'png'"):
        AutomaticMaskGenerator(model, output_mode="png")
    with pytest.raises(ImageError, match="as_rgb"):
        AutomaticMaskGenerator(model).generate(image[..., 0])


def test_thresholds_that_are_not_given_suit_the_model(image: np.ndarray) -> None:
    generator = AutomaticMaskGenerator("tiny", points_per_side=6)
    assert 0.5 <= generator.params.pred_iou_thresh < 0.88
    assert generator.generate(image)
    asked = AutomaticMaskGenerator("tiny", pred_iou_thresh=0.88, stability_score_thresh=0.95)
    assert (asked.params.pred_iou_thresh, asked.params.stability_score_thresh) == (0.88, 0.95)
    ours = SamSegmenter(ModelInfo("small", "", "", "vit_32", "", ""), small_sam(), "0" * 64, "cpu")
    params = AutomaticMaskGenerator(ours).params
    assert (params.pred_iou_thresh, params.stability_score_thresh) == (0.88, 0.95)
