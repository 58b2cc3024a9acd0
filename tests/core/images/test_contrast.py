"""Intensities to grey values."""

from __future__ import annotations

import numpy as np
import pytest

from napari_segmate.core.errors import ImageError
from napari_segmate.core.images.contrast import Contrast, check_dtype, robust_limits, to_uint8

INTEGERS = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", ">u2", ">i2", ">i4"]
FLOATS = ["f2", "f4", "f8", ">f4", ">f8"]
RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS])
def test_limits_are_percentiles_whatever_the_type(dtype: str) -> None:
    values = RNG.integers(-100 if np.dtype(dtype).kind != "u" else 0, 101, (64, 64)).astype(dtype)
    low, high = robust_limits(values)
    wanted = np.percentile(values.astype(float), (0.5, 99.8))
    np.testing.assert_allclose((low, high), wanted, atol=1)


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS])
def test_limits_become_black_and_white(dtype: str) -> None:
    shown = to_uint8(np.array([0, 10, 30, 110, 120], dtype), (10, 110))
    assert shown.dtype == np.uint8
    np.testing.assert_array_equal(shown, [0, 0, 51, 255, 255])


def test_negative_values_keep_their_order() -> None:
    for dtype in ("i1", "i2", "i4", "f4"):
        shown = to_uint8(np.array([-100, -50, 0, 50, 100], dtype), (-100, 100))
        np.testing.assert_allclose(shown, [0, 64, 127, 191, 255], atol=1)


@pytest.mark.parametrize("dtype", ["i1", "u2", "i8", "u8", "f2", "f4", "f8"])
def test_the_whole_range_of_a_type_does_not_overflow(dtype: str) -> None:
    info = np.finfo(dtype) if np.dtype(dtype).kind == "f" else np.iinfo(dtype)
    values = np.array([info.min, info.max], dtype)
    limits = robust_limits(values)
    np.testing.assert_array_equal(to_uint8(values, limits), [0, 255])


def test_bools_are_black_and_white() -> None:
    mask = np.array([False, True])
    assert robust_limits(mask) == (0.0, 1.0)
    np.testing.assert_array_equal(to_uint8(mask, (0, 1)), [0, 255])


def test_hot_and_dead_pixels_do_not_count() -> None:
    image = RNG.integers(100, 200, (100, 100)).astype(np.uint16)
    image.flat[:5], image.flat[5:10] = 65535, 0
    low, high = robust_limits(image)
    assert low >= 100
    assert high <= 200


def test_few_bright_spots_on_an_even_background_are_seen() -> None:
    image = np.full((100, 100), 7, np.uint16)
    image[3, 4] = 500
    assert robust_limits(image) == (7.0, 500.0)
    assert robust_limits(image.astype(np.float32)) == (7.0, 500.0)


def test_nan_and_infinite_values_neither_count_nor_show() -> None:
    image = np.array([np.nan, np.inf, -np.inf, 1.0, 3.0])
    assert robust_limits(image) == (1.0, 3.0)
    np.testing.assert_array_equal(to_uint8(image, (1, 3)), [0, 0, 0, 0, 255])


@pytest.mark.parametrize("image", [np.full((3, 3), np.nan), np.zeros((0, 4), np.float32)])
def test_nothing_finite_gives_limits_all_the_same(image: np.ndarray) -> None:
    limits = robust_limits(image)
    assert limits == (0.0, 0.0)
    assert not to_uint8(image, limits).any()


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "u4", "f2", "f4", "f8"])
def test_an_even_image_is_grey(dtype: str) -> None:
    image = np.full((4, 4), 9, dtype)
    limits = robust_limits(image)
    assert limits == (9.0, 9.0)
    assert (to_uint8(image, limits) == 128).all()


def test_eight_bits_with_full_limits_are_the_same_memory() -> None:
    image = np.arange(256, dtype=np.uint8)
    assert to_uint8(image, (0, 255)) is image


def test_a_narrow_range_far_from_zero_keeps_its_steps() -> None:
    values = np.float32(1e6) + np.arange(5, dtype=np.float32) * np.float32(0.125)
    shown = to_uint8(values, (1e6, 1e6 + 0.5))
    np.testing.assert_array_equal(shown, [0, 64, 128, 191, 255])


def test_the_given_array_is_left_alone() -> None:
    image = np.array([np.nan, 5.0, 9.0], np.float64)
    before = image.copy()
    to_uint8(image, robust_limits(image))
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("dtype", ["c8", "O", "U3", "M8[s]", [("a", "u1")]])
def test_what_is_no_intensity_is_refused(dtype: object) -> None:
    with pytest.raises(ImageError, match="bools, integers or real numbers"):
        check_dtype(np.dtype(dtype))


@pytest.mark.parametrize("limits", [(2, 1), (np.nan, 1), (0, np.inf)])
def test_impossible_limits_are_refused(limits: tuple[float, float]) -> None:
    with pytest.raises(ImageError, match="low before high"):
        Contrast((limits,))
