from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest

from napari_segmate.core.masks.coarse_masks import CoarseMask


def disc(cells: int, centre: tuple[float, float], radius: float) -> np.ndarray:
    """Probabilities that fall off over some cells."""
    y, x = np.mgrid[:cells, :cells]
    away = np.hypot(y - centre[0], x - centre[1])
    return 1 / (1 + np.exp(away - radius))


def whole(shape: tuple[int, int]) -> tuple[float, float, float, float]:
    return (-0.5, -0.5, shape[0] - 0.5, shape[1] - 0.5)


@pytest.mark.parametrize("shape", [(64, 64), (100, 77), (400, 300)])
@pytest.mark.parametrize("centre", [(15.2, 16.8), (0, 31), (30, 2)])
def test_pixels_are_those_that_interpolation_gives(shape, centre) -> None:
    torch = pytest.importorskip("torch")
    cells = disc(32, centre, 6)
    wanted = torch.nn.functional.interpolate(
        torch.tensor(np.rint(cells * 255))[None, None], shape, mode="bilinear"
    )[0, 0].numpy()
    found = CoarseMask.of(cells, whole(shape)).instance(shape, 0.75)
    drawn = np.zeros(shape, bool)
    y0, x0, y1, x1 = found.box_yx
    drawn[y0:y1, x0:x1] = found.mask
    sure = np.abs(wanted - 127.5) > 1
    np.testing.assert_array_equal(drawn[sure], (wanted > 127.5)[sure])
    assert found.score == 0.75


def test_bools_stay_what_they_are_at_their_own_size() -> None:
    mask = np.random.default_rng(0).random((20, 30)) > 0.5
    found = CoarseMask.of(mask, whole((20, 30))).instance((20, 30))
    y0, x0, y1, x1 = found.box_yx
    np.testing.assert_array_equal(found.mask, mask[y0:y1, x0:x1])
    assert found.area == mask.sum()


def test_nothing_drawn_is_no_mask() -> None:
    assert CoarseMask.of(np.full((8, 8), 0.4), whole((80, 80))) is None


def test_mask_of_a_tile_lies_where_the_tile_lies() -> None:
    cells = np.zeros((10, 10), bool)
    cells[2:5, 3:7] = True
    mask = CoarseMask.of(cells, whole((10, 10)))
    assert mask.placed((100, 200)).instance((300, 300)).box_yx == (102, 203, 105, 207)
    large = mask.placed((0, 0), (4, 2)).instance((300, 300))
    assert large.box_yx == (8, 6, 20, 14) and large.area > 0.9 * 12 * 8


def test_what_lies_beyond_the_plane_is_cut_off() -> None:
    mask = CoarseMask.of(np.ones((10, 10)), (-5.5, -5.5, 4.5, 4.5))
    assert mask.instance((40, 3)).box_yx == (0, 0, 5, 3)
    assert mask.placed((-10, 0)).instance((40, 40)) is None
    assert mask.placed((90, 0)).instance((40, 40)) is None


def test_hundreds_of_masks_of_a_large_plane_take_little_memory() -> None:
    shape, count = (4096, 4096), 900
    rng = np.random.default_rng(0)
    tracemalloc.start()
    masks = [
        CoarseMask.of(disc(288, rng.uniform(0, 288, 2), rng.uniform(2, 140)), whole(shape))
        for _ in range(count)
    ]
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    masks[0].instance(shape)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 40e6, "a plane of bools for each would take 15 GB"
    assert peak - kept < 150e6
    assert sum(mask.nbytes for mask in masks) < kept


def test_a_large_object_is_drawn_in_no_time() -> None:
    mask = CoarseMask.of(disc(288, (144, 144), 120), whole((2048, 2048)))
    start = time.perf_counter()
    assert mask.instance((2048, 2048)).area > 2e6
    assert time.perf_counter() - start < 3
