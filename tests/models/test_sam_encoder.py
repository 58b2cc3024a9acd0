from __future__ import annotations

import pytest
import torch

from napari_segmate.core.context import Context
from napari_segmate.models import _sam_encoder
from napari_segmate.models._sam_encoder import encode_image

from .conftest import small_sam

SIZES = [(3, 128), (4, 128), (0, 128), (14, 448)]


def assert_equals_upstream(window: int, size: int) -> None:
    sam = small_sam(window, size)
    images = torch.randn(2, 3, size, size)
    with torch.inference_mode():
        expected = sam.image_encoder(images)
        found = encode_image(sam.image_encoder, images, Context())
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("window", "size"), SIZES)
def test_encoder_equals_upstream(window, size):
    assert_equals_upstream(window, size)


@pytest.mark.parametrize(("window", "size"), SIZES)
def test_fused_attention_of_other_devices_equals_upstream(window, size, monkeypatch):
    used = []

    def fused(layer, query, key, value, rows, columns):
        used.append(query.shape)
        return original(layer, query, key, value, rows, columns)

    def on_device(query, key, value, rows, columns):
        # The queries arrive scaled on a processor; the fused kernel scales them itself.
        return fused(Scale(), query, key, value, rows, columns)

    class Scale:
        scale = 1.0

    original = _sam_encoder._fused
    monkeypatch.setattr(_sam_encoder, "_many_small", on_device)
    monkeypatch.setattr(_sam_encoder, "_few_large", on_device)
    assert_equals_upstream(window, size)
    assert len(used) == 2


@pytest.mark.parametrize("rows", [1, 5, 64])
def test_rows_at_a_time_do_not_change_the_result(rows, monkeypatch):
    monkeypatch.setattr(_sam_encoder, "QUERY_ROWS", rows)
    assert_equals_upstream(14, 448)


def test_windows_at_a_time_do_not_change_the_result(monkeypatch):
    monkeypatch.setattr(_sam_encoder, "SCORES", 1)
    assert_equals_upstream(3, 128)
