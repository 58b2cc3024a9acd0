from __future__ import annotations

import numpy as np
import torch
from segment_anything.modeling import Sam

from napari_segmate.core.types import Embedding
from napari_segmate.models._prompts import PromptArrays
from napari_segmate.models._sam_decoder import PointDecoder
from napari_segmate.models._sam_segmenter import SamSegmenter
from napari_segmate.models.base import ModelInfo


def prompts(sam: Sam, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    points = torch.rand(count, 1, 2) * 128
    sparse, dense = sam.prompt_encoder((points, torch.ones(count, 1)), None, None)
    return torch.randn(1, 32, 8, 8), sparse, dense


@torch.inference_mode()
def test_points_are_decoded_as_upstream_does(sam: Sam) -> None:
    embedding, sparse, dense = prompts(sam, 5)
    positions = sam.prompt_encoder.get_dense_pe()
    wanted = sam.mask_decoder(embedding, positions, sparse, dense, True)
    found = PointDecoder(sam.mask_decoder, embedding, dense[:1], positions).decode(sparse)
    scale = float(wanted[0].abs().max())
    torch.testing.assert_close(found[0], wanted[0], atol=1e-5 * scale, rtol=1e-4)
    torch.testing.assert_close(found[1], wanted[1], atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_only_wanted_masks_are_drawn(sam: Sam) -> None:
    embedding, sparse, dense = prompts(sam, 6)
    decoder = PointDecoder(
        sam.mask_decoder, embedding, dense[:1], sam.prompt_encoder.get_dense_pe()
    )
    everything, scores = decoder.decode(sparse)
    least = float(scores.median())
    found, same = decoder.decode(sparse, least)
    assert torch.equal(scores, same)
    assert 0 < int((scores > least).sum()) < scores.numel()
    torch.testing.assert_close(found[scores > least], everything[scores > least])
    assert bool(torch.isneginf(found[scores <= least]).all())


def test_a_segmenter_follows_from_image_to_image(sam: Sam) -> None:
    info = ModelInfo("small", "Small", "", "vit_32", "", "")
    model = SamSegmenter(info, sam, "0" * 64, "cpu")
    rng = np.random.default_rng(2)
    points = rng.uniform(0, 60, (6, 2))
    for image in rng.integers(0, 255, (2, 60, 80, 3), dtype=np.uint8):
        embedding: Embedding = model.encode(image)
        logits, scores = model.decode_points(embedding, points)
        arrays = PromptArrays(points[:, None, ::-1], np.ones((6, 1), np.int64))
        wanted = model.decode_xy(embedding, arrays)
        scale = float(np.abs(wanted[0]).max())
        np.testing.assert_allclose(logits, wanted[0], atol=1e-4 * scale)
        np.testing.assert_allclose(scores, wanted[1], atol=1e-3)
