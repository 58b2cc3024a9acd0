from itertools import product

import numpy as np
import pytest

from napari_segmate.core.errors import ImageError
from napari_segmate.core.types import Frame
from napari_segmate.inference.embeddings.crop_window import choose_frame, grow, is_cut, shift

SIZES = [1, 3, 63, 64, 80, 81, 100, 200, 777, 5000]
SHAPES = list(product(SIZES, SIZES))


def _random_extent(shape, rng, side):
    lows = [rng.uniform(0, length - 1) for length in shape]
    highs = [min(low + rng.uniform(0, side), n - 1) for low, n in zip(lows, shape, strict=True)]
    return (*lows, *highs)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_frame_holds_the_prompts_lies_in_the_plane_and_fits_the_model(shape):
    rng = np.random.default_rng(sum(shape))
    for side in (0, 20, 60, 300, 5000):
        extent = _random_extent(shape, rng, side)
        frame = choose_frame(shape, extent, 64)
        y0, x0, y1, x1 = frame.box_yx
        assert 0 <= y0 < y1 <= shape[0] and 0 <= x0 < x1 <= shape[1]
        assert frame.contains(extent)
        assert max(frame.shape) <= 64 and min(frame.shape) >= 1


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_frame_shows_both_axes_at_the_same_scale(shape):
    extent = (shape[0] // 2, shape[1] // 2, shape[0] // 2, shape[1] // 2)
    frame = choose_frame(shape, extent, 64)
    # The number of frame pixels is rounded, so half a pixel of either axis is allowed.
    for axis in (0, 1):
        expected = frame.size[axis] * max(frame.shape) / max(frame.size)
        assert abs(frame.shape[axis] - max(1, expected)) <= 0.5 + expected / max(frame.shape)


@pytest.mark.parametrize("shape", [(64, 64), (80, 80), (10, 80), (1, 1), (80, 33)])
def test_a_plane_of_up_to_a_quarter_more_than_the_input_is_looked_at_whole(shape):
    frame = choose_frame(shape, (0, 0, 0, 0), 64)
    assert frame.box_yx == (0, 0, *shape)


def test_a_plane_that_fits_is_not_enlarged():
    assert choose_frame((20, 30), (5, 5, 5, 5), 64).shape == (20, 30)


def test_a_larger_plane_is_looked_at_through_a_window_at_full_size():
    frame = choose_frame((81, 1000), (40, 500, 40, 500), 64)
    assert frame.size == (64, 64)
    assert frame.zoom_yx == (1, 1)


def test_neighbouring_clicks_share_a_window():
    clicks = [(y, x) for y in range(500, 516, 3) for x in range(500, 516, 3)]
    frames = {choose_frame((2000, 2000), (y, x, y, x), 64) for y, x in clicks}
    assert len(frames) <= 4
    assert len({choose_frame((2000, 2000), (y, y, y, y), 64) for y in range(2000)}) < 2000 / 20


@pytest.mark.parametrize("at", [0, 15, 16, 31, 32, 500, 511, 999])
def test_a_click_has_room_round_it_except_at_the_image_border(at):
    frame = choose_frame((1000, 1000), (at, at, at, at), 64)
    y0, _, y1, _ = frame.box_yx
    assert at - y0 >= 16 or y0 == 0
    assert y1 - 1 - at >= 15 or y1 == 1000


def test_prompts_that_fill_most_of_the_window_get_a_larger_one_shown_smaller():
    small = choose_frame((5000, 5000), (1000, 1000, 1037, 1037), 64)
    large = choose_frame((5000, 5000), (1000, 1000, 1042, 1042), 64)
    assert small.size == (64, 64)
    assert large.size == (128, 128)
    assert large.shape == (64, 64)


def test_a_very_wide_field_on_the_screen_widens_the_window():
    near = choose_frame((5000, 5000), (9, 9, 9, 9), 64, visible_yx=(0, 0, 500, 500))
    far = choose_frame((5000, 5000), (9, 9, 9, 9), 64, visible_yx=(0, 0, 4000, 4000))
    assert near.size == (64, 64)
    assert far.size == (512, 512)


def test_zoom_shows_a_smaller_window_larger():
    frame = choose_frame((5000, 5000), (900, 900, 900, 900), 64, zoom=2)
    assert frame.size == (32, 32)
    assert frame.shape == (64, 64)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0)])
def test_an_empty_plane_is_refused(shape):
    with pytest.raises(ImageError, match="empty"):
        choose_frame(shape, (0, 0, 0, 0), 64)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_growing_ends_at_the_whole_plane_and_never_shrinks(shape):
    middle = (shape[0] / 2 - 0.5, shape[1] / 2 - 0.5) * 2
    frame = choose_frame(shape, middle, 64)
    for _ in range(20):
        if frame.box_yx == (0, 0, *shape):
            break
        larger = grow(frame, shape, 64)
        assert np.prod(larger.size) > np.prod(frame.size)
        assert larger.contains(
            (*frame.to_plane((0, 0)), *frame.to_plane(np.array(frame.shape) - 1))
        )
        frame = larger
    assert frame.box_yx == (0, 0, *shape)


def test_growing_keeps_mask_and_prompts_inside():
    frame = choose_frame((5000, 5000), (100, 100, 100, 100), 64)
    larger = grow(frame, (5000, 5000), 64, (100, 100, 400, 110))
    assert larger.contains((100, 100, 400, 110))


def test_shift_centres_a_mask_at_the_border_in_a_window_of_the_same_size():
    frame = Frame((64, 64, 128, 128), (64, 64))
    moved = shift(frame, (1000, 1000), (110, 90, 127, 100), 64)
    assert moved is not None
    assert moved.size == frame.size
    assert moved.box_yx[2] > 140


def test_shift_has_nothing_to_offer_for_a_mask_as_large_as_the_window():
    frame = Frame((64, 64, 128, 128), (64, 64))
    assert shift(frame, (1000, 1000), (64, 64, 127, 127), 64) is None


@pytest.mark.parametrize(
    ("box", "cut"),
    [
        ((10, 10, 50, 50), False),
        ((0, 0, 50, 50), False),  # the frame begins where the image begins
        ((10, 10, 64, 50), True),
        ((10, 10, 50, 64), True),
        ((10, 10, 62, 50), False),
    ],
)
def test_only_frame_borders_inside_the_image_cut(box, cut):
    assert is_cut(box, Frame((0, 0, 64, 64), (64, 64)), (200, 200)) is cut


def test_no_border_of_a_whole_plane_cuts():
    assert not is_cut((0, 0, 64, 64), Frame((0, 0, 64, 64), (64, 64)), (64, 64))


def test_a_mask_that_ends_just_short_of_the_border_counts_as_cut():
    assert is_cut((10, 10, 61, 50), Frame((0, 0, 64, 64), (64, 64)), (200, 200), margin=4)


def test_large_objects_may_be_shown_smaller_than_they_are():
    frame = choose_frame((600, 640), (300, 300, 300, 300), 512, zoom=0.5)
    assert frame == Frame((0, 0, 600, 640), (300, 320))
    assert choose_frame((5000, 5000), (2500, 2500, 2500, 2500), 512, zoom=0.5).size == (1024, 1024)


def test_a_frame_that_grows_to_the_whole_plane_is_not_shown_smaller_than_need_be():
    frame = choose_frame((1200, 1200), (300, 300, 300, 300), 512)
    whole = grow(grow(frame, (1200, 1200), 512), (1200, 1200), 512)
    assert whole == Frame((0, 0, 1200, 1200), (512, 512))
