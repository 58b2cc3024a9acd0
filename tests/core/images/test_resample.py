from __future__ import annotations

import numpy as np
import pytest

from napari_segmate.core.images.resample import resample, source_rows

IMAGE = np.random.default_rng(0).integers(0, 256, (60, 84)).astype(np.uint8)


@pytest.mark.parametrize("shape", [(60, 84), (30, 42), (17, 23), (61, 200), (1, 1), (20, 168)])
def test_the_mean_brightness_stays(shape):
    assert resample(IMAGE, shape).mean() == pytest.approx(IMAGE.mean(), abs=4)
    assert resample(IMAGE, shape).shape == shape


@pytest.mark.parametrize("shape", [(30, 42), (7, 5), (100, 99)])
def test_an_even_image_stays_even(shape):
    assert (resample(np.full((60, 84), 77, np.uint8), shape) == 77).all()


def test_the_same_size_is_the_same_image():
    np.testing.assert_array_equal(resample(IMAGE, IMAGE.shape), IMAGE)


def test_one_pixel_is_the_mean_of_all():
    assert resample(IMAGE, (1, 1))[0, 0] == np.rint(IMAGE.mean())


def test_colours_are_resampled_one_by_one():
    colours = np.stack([IMAGE, IMAGE[::-1], IMAGE[:, ::-1]], axis=-1)
    together = resample(colours, (17, 23))
    for colour in range(3):
        np.testing.assert_array_equal(
            together[..., colour], resample(colours[..., colour], (17, 23))
        )


def test_a_part_may_begin_and_end_within_a_pixel():
    row = np.array([[0, 100, 200]], np.uint8)
    assert resample(row, (1, 1), columns=(0.5, 2.5))[0, 0] == 100
    assert resample(row, (1, 1), columns=(0.5, 2.0))[0, 0] == round((0.5 * 0 + 100) / 1.5)


def test_rows_of_a_strip_are_all_that_it_needs():
    span, count = (2.3, 57.9), 19
    whole = resample(IMAGE, (count, 84), rows=span)
    step = (span[1] - span[0]) / count
    for start, stop in [(0, 4), (4, 11), (11, 19)]:
        taken = source_rows(span, slice(start, stop), count, 60)
        shown = (span[0] + start * step - taken.start, span[0] + stop * step - taken.start)
        strip = resample(IMAGE[taken], (stop - start, 84), rows=shown)
        np.testing.assert_array_equal(strip, whole[start:stop])
        assert taken.stop - taken.start <= (stop - start) * step + 2
