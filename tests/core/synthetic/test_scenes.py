from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from napari_segmate.core.synthetic import (
    nuclei,
    packed_scene,
    random_scene,
    stack_3d,
    timelapse_divisions,
    touching_cells,
)
from napari_segmate.core.synthetic.appearance import PACKED_STYLES, STYLES, lay_out, speckle
from napari_segmate.core.synthetic.packed import PACKED
from napari_segmate.core.synthetic.shapes import SHAPES, smooth_noise

SMALL = {
    nuclei: {"shape": (96, 128), "count": 8, "radius": 8},
    touching_cells: {"shape": (96, 128), "radius": 10},
    stack_3d: {"shape": (10, 64, 72), "count": 6},
    timelapse_divisions: {"shape": (8, 96, 100), "count": 5},
}


@pytest.mark.parametrize("make", SMALL, ids=lambda make: make.__name__)
def test_samples_have_the_asked_shape_and_numbered_objects(make):
    image, labels = make(**SMALL[make])
    assert image.shape == labels.shape == SMALL[make]["shape"]
    assert image.dtype == np.uint16 and labels.dtype == np.int32
    assert labels.min() == 0
    assert np.unique(labels).tolist() == list(range(labels.max() + 1))
    assert labels.max() >= 4


@pytest.mark.parametrize("make", SMALL, ids=lambda make: make.__name__)
def test_a_seed_gives_the_same_sample_again(make):
    first, again = make(**SMALL[make], seed=3), make(**SMALL[make], seed=3)
    other = make(**SMALL[make], seed=4)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (first[1] != other[1]).any()


@pytest.mark.parametrize("make", SMALL, ids=lambda make: make.__name__)
def test_objects_are_brighter_than_their_surroundings(make):
    image, labels = make(**SMALL[make])
    assert np.median(image[labels > 0]) > np.percentile(image[labels == 0], 90)


def test_nuclei_are_apart_and_whole():
    _, labels = nuclei(**SMALL[nuclei])
    pieces, count = ndimage.label(labels > 0)
    assert count == labels.max() == pieces.max()


def test_touching_cells_touch():
    _, labels = touching_cells(**SMALL[touching_cells])
    assert ndimage.label(labels > 0)[1] < labels.max()


def test_nuclei_keep_their_number_until_they_divide():
    _, labels = timelapse_divisions(**SMALL[timelapse_divisions])
    present = [set(np.unique(frame)) - {0} for frame in labels]
    assert len(present[-1]) > len(present[0])
    for earlier, later in pairwise(present):
        gone, new = earlier - later, later - earlier
        assert len(new) == 2 * len(gone)
        assert all(number > max(earlier) for number in new)


def test_daughters_start_where_their_mother_was():
    _, labels = timelapse_divisions(**SMALL[timelapse_divisions])
    first = next(t for t in range(1, 8) if labels[t].max() > labels[t - 1].max())
    before, after = labels[first - 1], labels[first]
    mothers = np.setdiff1d(before, after)
    daughters = np.setdiff1d(after, before)
    area = ndimage.binary_dilation(np.isin(before, mothers), iterations=6)
    assert area[np.isin(after, daughters)].mean() > 0.8


def test_scenes_vary_and_stay_valid():
    rng = np.random.default_rng(0)
    scenes = [random_scene(rng, (96, 96)) for _ in range(40)]
    counts = [len(np.unique(scene.labels)) - 1 for scene in scenes]
    assert min(counts) == 0 and max(counts) > 40
    for scene in scenes:
        assert scene.image.shape == (96, 96, 3) and scene.image.dtype == np.uint8
        assert scene.labels.dtype == scene.parts.dtype == np.int32
        inside = scene.parts > 0
        np.testing.assert_array_equal(scene.parts[inside], scene.labels[inside])


def test_scenes_show_both_polarities_and_some_have_parts_and_colour():
    rng = np.random.default_rng(1)
    scenes = [random_scene(rng, (96, 96)) for _ in range(40)]
    grey = [scene.image.mean(axis=2) for scene in scenes]
    brighter = [
        image[scene.labels > 0].mean() > image[scene.labels == 0].mean()
        for image, scene in zip(grey, scenes, strict=True)
        if (scene.labels > 0).any()
    ]
    assert 0.3 < np.mean(brighter) < 0.95
    assert any((scene.parts > 0).any() for scene in scenes)
    assert any(np.ptp(scene.image, axis=2).max() > 30 for scene in scenes)


def test_scene_objects_are_connected_and_no_slivers():
    rng = np.random.default_rng(2)
    for _ in range(10):
        labels = random_scene(rng, (96, 96)).labels
        for number in range(1, labels.max() + 1):
            mask = labels == number
            assert ndimage.label(mask)[1] == 1
            assert mask.sum() >= 12


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("radius", [3.0, 12.0, 70.0])
def test_outlines_are_one_piece_of_about_the_asked_size(name, radius):
    rng = np.random.default_rng(5)
    for _ in range(5):
        mask = SHAPES[name](rng, radius)
        assert ndimage.label(mask)[1] == 1
        assert 0.1 < mask.sum() / (np.pi * radius**2) < 4


@pytest.mark.parametrize("name", STYLES)
def test_every_style_shows_the_objects(name):
    rng = np.random.default_rng(7)
    _, labels = nuclei((128, 128), count=12, radius=10)
    layout = lay_out(rng, labels, np.zeros_like(labels), 10)
    picture = STYLES[name](rng, layout)
    assert picture.shape[:2] == labels.shape
    assert np.isfinite(picture).all()
    detail = np.abs(picture - ndimage.uniform_filter(picture, (9, 9, 0)[: picture.ndim]))
    near = ndimage.binary_dilation(labels > 0, iterations=3)
    assert detail[near].mean() > detail[~near].mean()


@pytest.mark.parametrize("sigma", [0.8, 5.0, 60.0])
def test_noise_is_scaled_whatever_its_width(sigma):
    noise = smooth_noise(np.random.default_rng(0), (70, 90), sigma)
    assert noise.shape == (70, 90)
    assert abs(noise.mean()) < 1e-3 and abs(noise.std() - 1) < 1e-3


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize("seed", range(3))
def test_packed_objects_are_connected_and_touch_or_nearly(name, seed):
    labels = PACKED[name](np.random.default_rng(seed), (128, 160), 8.0)
    assert labels.shape == (128, 160) and labels.max() > 5
    assert np.unique(labels).tolist() == list(range(int(labels.min()), labels.max() + 1))
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        assert ndimage.label(labels[box] == number)[1] == 1
    # Most objects have another one within four pixels.
    near = sum(
        len(np.setdiff1d(labels[ndimage.binary_dilation(labels == number, iterations=4)], 0)) > 1
        for number in range(1, labels.max() + 1)
    )
    assert near > 0.7 * labels.max()


@pytest.mark.parametrize(
    "style",
    dict.fromkeys(style for styles in PACKED_STYLES.values() for style in styles),
    ids=lambda style: style.__name__,
)
def test_packed_styles_show_the_borders_of_objects(style):
    rng = np.random.default_rng(5)
    labels = PACKED["colony"](rng, (128, 128), 7.0)
    picture = style(rng, lay_out(rng, labels, np.zeros_like(labels), 7.0))
    assert picture.shape == labels.shape and np.isfinite(picture).all()
    assert picture.std() > 0.02


def test_debris_lies_outside_of_objects():
    labels = np.zeros((90, 90), np.int32)
    labels[20:70, 20:70] = 1
    shown = speckle(np.random.default_rng(0), np.zeros((90, 90)), labels)
    assert not shown[labels > 0].any()
    assert (np.abs(shown) > 0.1).sum() > 8


def test_packed_scenes_are_of_several_kinds_and_the_same_for_a_seed():
    scenes = [packed_scene(np.random.default_rng(seed), (96, 96)) for seed in range(12)]
    again = packed_scene(np.random.default_rng(4), (96, 96))
    np.testing.assert_array_equal(scenes[4].image, again.image)
    np.testing.assert_array_equal(scenes[4].labels, again.labels)
    cover = [(scene.labels > 0).mean() for scene in scenes]
    assert min(cover) < 0.5 < 0.7 < max(cover)
    assert all(scene.image.dtype == np.uint8 and np.ptp(scene.image) > 50 for scene in scenes)
