import numpy as np
import pytest
from fakes import FakeSegmenter

from napari_segmate.core.prompts import MaskPrompt
from napari_segmate.core.types import Frame
from napari_segmate.inference.prompts.decoding import grid_of, mask_in_frame, to_instance
from napari_segmate.inference.prompts.request import MaskOptions

RAW = MaskOptions(fill_holes=False)


def _smooth_logits(low, rng):
    grid = np.mgrid[:low, :low].astype(np.float32)
    centres, radii = rng.uniform(2, low - 2, (3, 2)), rng.uniform(1.5, low / 3, 3)
    distances = [
        radius - np.hypot(grid[0] - y, grid[1] - x)
        for (y, x), radius in zip(centres, radii, strict=True)
    ]
    return np.max(distances, axis=0).astype(np.float32)


def _whole(instance, shape):
    full = np.zeros(shape, dtype=bool)
    if instance is not None:
        y0, x0, y1, x1 = instance.box_yx
        full[y0:y1, x0:x1] = instance.mask
    return full


@pytest.mark.parametrize("shape", [(64, 64), (64, 40), (33, 64), (7, 50), (1, 64), (20, 20)])
@pytest.mark.parametrize("seed", range(4))
def test_mask_equals_the_models_own_upscaling_of_the_whole_frame(shape, seed):
    model = FakeSegmenter()
    low = _smooth_logits(model.low, np.random.default_rng(seed))
    frame = Frame((0, 0, *shape), shape)
    found = to_instance(low, 0.5, grid_of(model, low.shape, shape), frame, RAW)
    upscaled = model.upscale(low, shape)
    undecided = np.abs(upscaled) < 1e-4
    np.testing.assert_array_equal(_whole(found, shape)[~undecided], (upscaled > 0)[~undecided])


def test_mask_lies_where_the_frame_lies_in_the_plane():
    model = FakeSegmenter()
    low = np.full((32, 32), -8, np.float32)
    low[8:16, 4:12] = 8
    grid = grid_of(model, low.shape, (64, 64))
    here = to_instance(low, 0.5, grid, Frame((0, 0, 64, 64), (64, 64)), RAW)
    there = to_instance(low, 0.5, grid, Frame((1000, 200, 1064, 264), (64, 64)), RAW)
    assert here is not None and there is not None
    assert np.subtract(there.box_yx, here.box_yx).tolist() == [1000, 200, 1000, 200]
    assert here.box_yx == (16, 8, 32, 24)


def test_a_frame_shown_smaller_gives_masks_in_plane_pixels():
    model = FakeSegmenter()
    low = np.full((32, 32), -8, np.float32)
    low[8:16, 4:12] = 8
    grid = grid_of(model, low.shape, (64, 64))
    found = to_instance(low, 0.5, grid, Frame((0, 0, 640, 640), (64, 64)), RAW)
    assert found is not None
    np.testing.assert_allclose(found.box_yx, (160, 80, 320, 240), atol=1)


def test_logits_below_the_threshold_are_no_object():
    model = FakeSegmenter()
    grid = grid_of(model, (32, 32), (64, 64))
    low = np.full((32, 32), 1.0, np.float32)
    assert (
        to_instance(low, 0.5, grid, Frame((0, 0, 64, 64), (64, 64)), MaskOptions(threshold=2))
        is None
    )


def test_logits_in_the_padding_are_no_object():
    model = FakeSegmenter()
    grid = grid_of(model, (32, 32), (20, 64))
    low = np.full((32, 32), -8, np.float32)
    low[20:, :] = 8
    assert to_instance(low, 0.5, grid, Frame((0, 0, 20, 64), (20, 64)), RAW) is None


def test_holes_are_filled_when_asked_for():
    model = FakeSegmenter()
    low = np.full((32, 32), -8, np.float32)
    low[5:25, 5:25] = 8
    low[12:16, 12:16] = -8
    grid, frame = grid_of(model, low.shape, (64, 64)), Frame((0, 0, 64, 64), (64, 64))
    filled = to_instance(low, 0.5, grid, frame, MaskOptions())
    open_ = to_instance(low, 0.5, grid, frame, RAW)
    assert filled is not None and open_ is not None
    assert filled.area == filled.mask.size
    assert open_.area < filled.area


def test_an_object_of_many_million_pixels_is_interpolated_in_strips(monkeypatch):
    model = FakeSegmenter()
    low = _smooth_logits(model.low, np.random.default_rng(3))
    grid, frame = grid_of(model, low.shape, (64, 64)), Frame((0, 0, 320, 320), (64, 64))
    whole = to_instance(low, 0.5, grid, frame, RAW)
    monkeypatch.setattr("napari_segmate.inference.prompts.decoding.STRIP_PX", 1000)
    strips = to_instance(low, 0.5, grid, frame, RAW)
    assert whole is not None and strips is not None
    np.testing.assert_array_equal(whole.mask, strips.mask)


@pytest.mark.parametrize("box", [(3, 5, 20, 30), (0, 0, 64, 64), (60, 60, 64, 64)])
def test_mask_prompt_covers_its_own_box_in_a_frame_of_the_same_scale(box):
    y0, x0, y1, x1 = box
    prompt = MaskPrompt(box, np.ones((y1 - y0, x1 - x0), bool))
    shown = mask_in_frame(prompt, Frame((0, 0, 64, 64), (64, 64)))
    assert shown[y0:y1, x0:x1].all()
    assert shown.sum() == (y1 - y0) * (x1 - x0)


def test_mask_prompt_beyond_the_frame_is_cut_off():
    prompt = MaskPrompt((0, 0, 40, 40), np.ones((40, 40), bool))
    shown = mask_in_frame(prompt, Frame((30, 30, 62, 62), (32, 32)))
    assert shown.sum() == 100
