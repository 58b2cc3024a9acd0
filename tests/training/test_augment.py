import numpy as np
import pytest

from napari_segmate.core.synthetic import nuclei
from napari_segmate.training.augment import AugmentParams, change_appearance, random_crop


def _nuclei_as_bytes(shape):
    image, labels = nuclei(shape, count=20, radius=8)
    return np.clip(image / 16, 0, 255).astype(np.uint8), labels


@pytest.mark.parametrize("shape", [(200, 300), (40, 300), (64, 64), (20, 24)])
@pytest.mark.parametrize("scale", [(0.6, 0.6), (1, 1), (1.7, 1.7)])
def test_crop_has_the_asked_size_whatever_the_image(shape, scale):
    image, labels = _nuclei_as_bytes(shape)
    params = AugmentParams(size=64, scale=scale)
    crop, layers = random_crop(image, labels[None], np.random.default_rng(0), params)
    assert crop.shape == (64, 64, 1) and layers.shape == (1, 64, 64)
    assert crop.dtype == np.float32 and layers.dtype == np.int32
    assert 0 <= crop.min() <= crop.max() <= 1


@pytest.mark.parametrize("seed", range(8))
def test_labels_stay_on_their_objects(seed):
    _, labels = nuclei((200, 200), count=20, radius=10)
    image = np.where(labels > 0, 255, 0).astype(np.uint8)
    params = AugmentParams(size=96)
    crop, layers = random_crop(image, labels[None], np.random.default_rng(seed), params)
    shown = crop[..., 0] > 0.5
    shared = np.count_nonzero(shown & (layers[0] > 0))
    assert shared / np.count_nonzero(shown | (layers[0] > 0)) > 0.85


def test_all_layers_are_cropped_alike():
    image, labels = _nuclei_as_bytes((128, 128))
    both = np.stack([labels, labels * 2])
    _, layers = random_crop(image, both, np.random.default_rng(1), AugmentParams(size=64))
    np.testing.assert_array_equal(layers[0] * 2, layers[1])


def test_a_crop_with_objects_is_preferred():
    labels = np.zeros((1, 640, 640), np.int32)
    labels[0, :150, :150] = 1
    image = np.zeros((640, 640), np.uint8)
    params = AugmentParams(size=64, scale=(1, 1))
    rng = np.random.default_rng(0)
    with_objects = [random_crop(image, labels, rng, params)[1].any() for _ in range(400)]
    # One try would find the objects in about 7 % of the crops.
    assert np.mean(with_objects) > 0.12


def test_appearance_changes_but_stays_an_rgb_image():
    image, _ = _nuclei_as_bytes((64, 64))
    rng = np.random.default_rng(0)
    grey = (image[..., None] / 255).astype(np.float32)
    colour = np.concatenate([grey, grey * 0.5, 1 - grey], axis=2)
    shown = [change_appearance(source, rng) for source in [grey, colour] * 40]
    for each in shown:
        assert each.shape == (64, 64, 3) and each.dtype == np.float32
        assert 0 <= each.min() <= each.max() <= 255
    slopes = [np.corrcoef(each[..., 0].ravel(), grey.ravel())[0, 1] for each in shown[::2]]
    # Both polarities occur, and none loses the objects.
    assert min(slopes) < -0.5 and max(slopes) > 0.5
    assert min(abs(slope) for slope in slopes) > 0.3


@pytest.mark.parametrize("side", [8, 40])
def test_objects_are_brought_to_the_wanted_diameter(side: int) -> None:
    numbers = np.arange(1, 17, dtype=np.int32).reshape(4, 4)
    lattice = np.kron(numbers, np.pad(np.ones((side, side), np.int32), side // 4))
    params = AugmentParams(size=96, scale=(1, 1), diameter=20, fitted=1)
    image = np.zeros(lattice.shape, np.uint8)
    _, layers = random_crop(image, lattice[None], np.random.default_rng(0), params)
    areas = np.bincount(layers[0].ravel())[1:]
    # A square of 17.7 pixels has the area of a disc of 20.
    assert 16**2 <= areas.max() <= 20**2


def test_looks_of_grey_and_colour_images_stay_in_range_with_uneven_light_and_large_pixels():
    rng = np.random.default_rng(3)
    colour = rng.random((40, 56, 3), dtype=np.float32)
    for source in (colour, colour[..., :1]):
        shown = [change_appearance(source, rng) for _ in range(120)]
        assert all(each.shape == (40, 56, 3) for each in shown)
        assert all(0 <= each.min() <= each.max() <= 255 for each in shown)
    flat = np.full((40, 56, 1), 0.5, np.float32)
    looks = [change_appearance(flat, rng)[..., 0] for _ in range(200)]
    sloping = [np.abs(each[:, :8].mean() - each[:, -8:].mean()) > 8 for each in looks]
    assert 2 < sum(sloping) < 60
