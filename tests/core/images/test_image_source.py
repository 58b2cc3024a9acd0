from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from napari_segmate.core.errors import ImageError
from napari_segmate.core.images.image_source import (
    ChannelMap,
    Contrast,
    ContrastMode,
    ImageAxes,
    ImageSource,
    guess_axes,
)


class Recorder:
    """An array that notes what is read of it, and refuses to be read whole."""

    def __init__(self, data: np.ndarray, largest: int) -> None:
        self.data, self.shape, self.dtype = data, data.shape, data.dtype
        self.largest = largest
        self.read: list[tuple] = []

    def __getitem__(self, index):
        part = self.data[index]
        assert part.size <= self.largest, f"{part.size} values read at once"
        self.read.append(index)
        return part

    def __array__(self, *args, **kwargs):
        raise AssertionError("read whole")


def source_of(data, **kwargs) -> ImageSource:
    first = data[0] if isinstance(data, list) else data
    return ImageSource(data, guess_axes(first.shape, first.dtype), **kwargs)


def whole(data, mode=ContrastMode.PLANE, index=(), **kwargs) -> np.ndarray:
    source = source_of(data, **kwargs)
    plane = source.plane(index, source.estimate_contrast(mode, index))
    return plane.read((0, 0, *source.shape))


DTYPES = [
    "?",
    "u1",
    "u2",
    "u4",
    "u8",
    "i1",
    "i2",
    "i4",
    "i8",
    "f2",
    "f4",
    "f8",
    ">u2",
    ">i2",
    ">f4",
]


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_type_shows_dark_to_bright(dtype):
    ramp = np.arange(100).reshape(10, 10).astype(dtype)
    grey = whole(ramp)[..., 0].ravel()
    assert (grey[0], grey[-1]) == (0, 255)
    assert (np.diff(grey.astype(int)) >= 0).all()


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "f4"])
def test_negative_intensities_are_ordered(dtype):
    grey = whole(np.linspace(-100, 100, 64).reshape(8, 8).astype(dtype))[..., 0].ravel()
    assert (np.diff(grey.astype(int)) >= 0).all()
    assert grey[0] == 0
    assert grey[-1] == 255


@pytest.mark.parametrize("values", [2.0**63, 1e308, 65504.0], ids=["uint64", "float64", "float16"])
def test_the_largest_numbers_of_a_type_do_not_overflow(values):
    dtype = {2.0**63: np.uint64, 1e308: np.float64, 65504.0: np.float16}[values]
    data = np.full((4, 4), 0, dtype)
    data[2:] = values
    if dtype is not np.uint64:
        data[:1] = -values
    grey = whole(data)[..., 0]
    assert grey[0, 0] == 0
    assert grey[3, 3] == 255


@pytest.mark.parametrize("dtype", ["?", "u1", "u2", "i4", "f4"])
def test_an_even_image_becomes_one_grey(dtype):
    assert len(np.unique(whole(np.full((6, 7), 1, dtype)))) == 1


def test_an_even_image_that_is_not_bool_becomes_mid_grey():
    assert whole(np.full((6, 7), 300, np.uint16))[0, 0, 0] == 128


def test_an_image_without_finite_value_becomes_black():
    assert not whole(np.full((6, 7), np.nan)).any()


def test_one_pixel_is_an_image():
    assert whole(np.array([[7]], np.uint16)).shape == (1, 1, 3)


def test_values_that_are_not_finite_become_black_and_do_not_change_the_contrast():
    clean = np.linspace(1, 2, 10000).reshape(100, 100)
    dirty = clean.copy()
    dirty[0, :3] = [np.nan, np.inf, -np.inf]
    np.testing.assert_allclose(whole(clean)[1:].astype(int), whole(dirty)[1:], atol=1)
    assert not whole(dirty)[0, :3].any()


def test_hot_pixels_do_not_flatten_the_contrast():
    image = np.random.default_rng(0).integers(100, 200, (128, 128)).astype(np.uint16)
    image[3, 4] = 65535
    assert np.ptp(whole(image)[10:, 10:].astype(int)) > 240


def test_few_bright_spots_on_an_even_background_are_seen():
    image = np.zeros((100, 100), np.uint16)
    image[5, 5] = 900
    grey = whole(image)[..., 0]
    assert grey[5, 5] == 255
    assert grey[6, 6] == 0


def test_float_steps_far_from_zero_stay_apart():
    ramp = (1e6 + np.linspace(0, 1, 256)).reshape(16, 16)
    assert len(np.unique(whole(ramp))) > 200


@pytest.mark.parametrize("depth", [3, 4])
def test_rgb_of_8_bits_stays_as_it_is(depth):
    image = np.random.default_rng(1).integers(0, 256, (20, 24, depth)).astype(np.uint8)
    np.testing.assert_array_equal(whole(image), image[..., :3])


def test_float_rgb_between_0_and_1_keeps_its_colours():
    image = np.random.default_rng(1).uniform(0.4, 0.6, (20, 24, 3))
    np.testing.assert_array_equal(whole(image), np.rint(image * 255).astype(np.uint8))


def test_colours_of_16_bit_rgb_share_their_limits():
    image = np.zeros((20, 24, 3), np.uint16)
    image[..., 0] = np.linspace(0, 4000, 480).reshape(20, 24)
    image[..., 1] = image[..., 0] // 2
    shown = whole(image).astype(int)
    np.testing.assert_allclose(shown[..., 1], shown[..., 0] / 2, atol=2)


def test_each_channel_gets_its_own_contrast():
    image = np.stack([np.linspace(0, 10, 100), np.linspace(1000, 5000, 100)]).reshape(2, 10, 10)
    axes = ImageAxes(y=1, x=2, channel=0)
    source = ImageSource(image.astype(np.uint16), axes, ChannelMap(red=1, green=0, blue=None))
    plane = source.plane((), source.estimate_contrast(ContrastMode.PLANE, ()))
    shown = plane.read((0, 0, 10, 10))
    assert shown[..., 0].max() == shown[..., 1].max() == 255
    assert not shown[..., 2].any()


def test_a_channel_axis_may_lie_anywhere():
    image = np.random.default_rng(0).integers(0, 99, (6, 3, 20, 30)).astype(np.uint8)
    first = ImageSource(image, ImageAxes(y=2, x=3, channel=1))
    last = ImageSource(np.moveaxis(image, 1, 3), ImageAxes(y=1, x=2, channel=3))
    contrast = Contrast(((0, 99),) * 3)
    np.testing.assert_array_equal(
        first.plane((4,), contrast).read((2, 3, 10, 20)),
        last.plane((4,), contrast).read((2, 3, 10, 20)),
    )


def test_transposed_axes_are_read_upright():
    image = np.arange(200, dtype=np.uint8).reshape(10, 20)
    plane = ImageSource(image.T, ImageAxes(y=1, x=0)).plane((), Contrast(((0, 255),)))
    assert plane.shape == (10, 20)
    np.testing.assert_array_equal(plane.read((2, 3, 5, 9))[..., 0], image[2:5, 3:9])


def test_only_the_box_asked_for_is_read():
    data = Recorder(np.random.default_rng(0).integers(0, 99, (4, 5, 300, 200)), largest=30 * 40)
    plane = source_of(data).plane((3, 2), Contrast(((0, 99),)))
    plane.read((100, 50, 130, 90))
    assert data.read == [(3, 2, slice(100, 130), slice(50, 90))]


def test_contrast_is_the_same_for_all_boxes_of_a_plane():
    image = np.random.default_rng(0).integers(0, 5000, (100, 90)).astype(np.uint16)
    source = source_of(image)
    plane = source.plane((), source.estimate_contrast(ContrastMode.PLANE, ()))
    full = plane.read((0, 0, 100, 90))
    np.testing.assert_array_equal(plane.read((20, 30, 60, 80)), full[20:60, 30:80])


def test_contrast_of_a_large_plane_is_estimated_from_blocks():
    data = Recorder(np.random.default_rng(0).integers(0, 256, (4000, 5000), np.uint8), 256 * 256)
    (low, high), *_ = source_of(data).estimate_contrast(ContrastMode.PLANE, ()).limits
    assert 0 <= low <= 5
    assert 250 <= high <= 255
    assert sum(data[index].size for index in list(data.read)) < data.data.size / 10


def test_objects_in_a_large_empty_plane_decide_the_contrast():
    data = Recorder(np.zeros((8000, 8000), np.uint16), 256 * 256)
    data.data[3300:4200, 3300:4200] = np.random.default_rng(0).integers(0, 900, (900, 900))
    (low, high), *_ = source_of(data).estimate_contrast(ContrastMode.PLANE, ()).limits
    assert low == 0
    assert 700 < high < 900


def test_contrast_of_a_stack_is_the_same_for_all_planes_and_reads_few():
    data = Recorder(np.ones((60, 64, 64), np.uint16), 64 * 64)
    data.data *= np.arange(60, dtype=np.uint16)[:, None, None]
    source = source_of(data)
    first, last = (source.estimate_contrast(ContrastMode.STACK, (n,)) for n in (0, 59))
    assert first == last
    assert first.limits[0][1] > 50
    assert len(data.read) <= 20
    plane = source.estimate_contrast(ContrastMode.PLANE, (7,))
    assert plane.limits == ((7.0, 7.0),)


def test_the_coarsest_level_that_is_fine_enough_is_read():
    full = np.random.default_rng(0).integers(0, 256, (400, 400)).astype(np.uint8)
    half = full.reshape(200, 2, 200, 2).mean((1, 3)).astype(np.uint8)
    levels = [Recorder(full, 160000), Recorder(half, 40000), Recorder(half[::2, ::2], 10000)]
    plane = source_of(levels).plane((), Contrast(((0, 255),)))
    assert plane.read((0, 0, 400, 400), (200, 200)).shape == (200, 200, 3)
    assert [len(level.read) for level in levels] == [0, 1, 0]
    plane.read((0, 0, 100, 100))
    assert [len(level.read) for level in levels] == [1, 1, 0]


def test_a_level_that_is_smaller_along_z_shows_the_right_plane():
    full = np.arange(8, dtype=np.uint8)[:, None, None] * np.ones((8, 64, 64), np.uint8)
    plane = source_of([full, full[::2, ::2, ::2]]).plane((5,), Contrast(((0, 255),)))
    assert (plane.read((0, 0, 64, 64), (32, 32)) == 4).all()


def test_shrinking_takes_the_mean_of_what_a_pixel_covers():
    image = np.random.default_rng(0).integers(0, 256, (64, 96)).astype(np.uint8)
    plane = source_of(image).plane((), Contrast(((0, 255),)))
    small = plane.read((0, 0, 64, 96), (16, 24))[..., 0]
    np.testing.assert_allclose(small, image.reshape(16, 4, 24, 4).mean((1, 3)), atol=0.51)


def test_a_plane_read_in_strips_has_no_seams(monkeypatch):
    image = np.random.default_rng(0).integers(0, 256, (97, 131)).astype(np.uint8)
    plane = source_of(image).plane((), Contrast(((0, 255),)))
    at_once = plane.read((3, 5, 97, 130), (31, 40))
    monkeypatch.setattr("napari_segmate.core.images.image_source.STRIP_PX", 1000)
    np.testing.assert_array_equal(plane.read((3, 5, 97, 130), (31, 40)), at_once)


def test_enlarging_is_smooth_and_keeps_positions():
    image = np.tile(np.arange(0, 200, 10, dtype=np.uint8), (20, 1))
    plane = source_of(image).plane((), Contrast(((0, 255),)))
    large = plane.read((0, 0, 20, 20), (60, 60))[30, :, 0].astype(float)
    expected = np.clip((np.arange(60) + 0.5) / 3 - 0.5, 0, 19) * 10
    np.testing.assert_allclose(large, expected, atol=0.51)


def test_a_huge_lazy_plane_is_read_in_little_memory():
    da = pytest.importorskip("dask.array")
    touched = []

    def block(block_info=None):
        touched.append(block_info[None]["chunk-location"])
        return np.full((2000, 2000), 50 + sum(touched[-1]), np.uint16)

    image = da.map_blocks(
        block, chunks=((2000,) * 10,) * 2, dtype=np.uint16, meta=np.empty((0, 0), np.uint16)
    )
    source = source_of(image)
    tracemalloc.start()
    contrast = source.estimate_contrast(ContrastMode.PLANE, ())
    source.plane((), contrast).read((9000, 9000, 10024, 10024))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert image.shape == (20000, 20000)
    assert 50 <= contrast.limits[0][0] < contrast.limits[0][1] <= 68
    assert len(touched) <= 24
    assert peak < 200e6


def test_zarr_arrays_are_images(tmp_path):
    zarr = pytest.importorskip("zarr")
    values = np.random.default_rng(0).integers(0, 999, (3, 50, 60)).astype(np.uint16)
    array = zarr.create_array(
        str(tmp_path / "a.zarr"), shape=values.shape, chunks=(1, 20, 20), dtype="u2"
    )
    array[:] = values
    contrast = Contrast(((0, 999),))
    np.testing.assert_array_equal(
        source_of(array).plane((1,), contrast).read((5, 5, 40, 50)),
        source_of(values).plane((1,), contrast).read((5, 5, 40, 50)),
    )


@pytest.mark.parametrize(
    "shape", [(0, 5), (5, 0), (0, 5, 5)], ids=["no rows", "no columns", "no planes"]
)
def test_an_empty_image_is_an_error(shape):
    with pytest.raises(ImageError, match="empty"):
        source_of(np.zeros(shape))


@pytest.mark.parametrize("shape", [(), (5,)])
def test_too_few_axes_are_an_error(shape):
    with pytest.raises(ImageError, match="at least two axes"):
        guess_axes(shape)


@pytest.mark.parametrize("dtype", ["c8", "O", "U3", "M8[s]"])
def test_what_is_no_number_is_no_image(dtype):
    with pytest.raises(ImageError, match="convert the array"):
        source_of(np.zeros((4, 4), dtype))


@pytest.mark.parametrize("index", [(), (5,), (-1,), (0, 0)])
def test_a_plane_that_is_not_there_is_an_error(index):
    source = source_of(np.zeros((5, 8, 8), np.uint8))
    with pytest.raises(ImageError, match="no plane"):
        source.plane(index, Contrast(((0, 1),)))


@pytest.mark.parametrize("box", [(0, 0, 0, 4), (0, 0, 9, 4), (-1, 0, 4, 4), (5, 5, 3, 7)])
def test_a_box_that_is_not_in_the_plane_is_an_error(box):
    plane = source_of(np.zeros((8, 8), np.uint8)).plane((), Contrast(((0, 1),)))
    with pytest.raises(ImageError, match="does not lie in the image"):
        plane.read(box)


@pytest.mark.parametrize(
    "axes",
    [ImageAxes(0, 0), ImageAxes(0, 3), ImageAxes(0, 1, channel=1), ImageAxes(1, 2, rgb=True)],
)
def test_axes_that_the_array_does_not_have_are_an_error(axes):
    with pytest.raises(ImageError):
        ImageSource(np.zeros((4, 5, 3)), axes)


@pytest.mark.parametrize("channels", [ChannelMap(5, None, None), ChannelMap(None, None, None)])
def test_channels_that_the_image_does_not_have_are_an_error(channels):
    with pytest.raises(ImageError, match="no channel"):
        ImageSource(np.zeros((2, 5, 6)), ImageAxes(1, 2, channel=0), channels)


@pytest.mark.parametrize("limits", [(2, 1), (0, np.nan), (-np.inf, 0)])
def test_contrast_limits_must_be_finite_and_in_order(limits):
    with pytest.raises(ImageError, match="contrast limits"):
        Contrast((limits,))


def test_too_few_contrast_limits_are_an_error():
    source = ImageSource(np.zeros((2, 5, 6)), ImageAxes(1, 2, channel=0))
    with pytest.raises(ImageError, match="one pair per channel"):
        source.plane((), Contrast(((0, 1),)))


def test_the_limits_of_a_layer_are_not_estimated():
    with pytest.raises(ImageError, match="give them"):
        source_of(np.zeros((5, 6))).estimate_contrast(ContrastMode.LAYER, ())


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((40, 50), ImageAxes(0, 1)),
        ((40, 50, 3), ImageAxes(0, 1, rgb=True)),
        ((7, 40, 50, 4), ImageAxes(1, 2, rgb=True)),
        ((7, 40, 50), ImageAxes(1, 2)),
        ((40, 3, 3), ImageAxes(1, 2)),
    ],
)
def test_axes_are_guessed(shape, axes):
    assert guess_axes(shape) == axes
