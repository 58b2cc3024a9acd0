from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from napari_segmate.core.errors import ImageError
from napari_segmate.core.labels import instances
from napari_segmate.core.labels.instances import (
    InstanceParams,
    instances_from_dense,
    instances_from_maps,
    label_cells,
)
from napari_segmate.core.numbers.metrics import segmentation_accuracy
from napari_segmate.core.synthetic import nuclei, touching_cells
from napari_segmate.core.types import DenseMaps


def _ideal_maps(labels):
    """Return the maps that a perfect network would predict."""
    distance = np.zeros(labels.shape)
    offset = np.zeros((2, *labels.shape))
    grid = np.indices(labels.shape)
    for number in range(1, labels.max() + 1):
        mask = labels == number
        depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
        distance[mask] = depth[mask] / depth.max()
        centre = np.unravel_index(depth.argmax(), depth.shape)
        for axis in (0, 1):
            offset[axis][mask] = centre[axis] - grid[axis][mask]
    return (labels > 0).astype(float), distance, offset


@pytest.mark.parametrize("make", [nuclei, touching_cells])
def test_perfect_maps_give_back_the_objects(make):
    _, labels = make((160, 160), radius=11)
    found = instances_from_maps(*_ideal_maps(labels))
    assert segmentation_accuracy(labels, found, ignore_min_area=20) > 0.85


def test_labels_are_numbered_without_gaps():
    _, labels = nuclei((128, 128), count=15, radius=8)
    found = instances_from_maps(*_ideal_maps(labels))
    assert found.dtype == np.int32
    assert np.unique(found).tolist() == list(range(found.max() + 1))


def test_touching_objects_part_by_their_centres_even_without_a_dip_in_the_distance():
    inside = np.zeros((20, 60))
    inside[4:16, 4:56] = 1
    offset = np.zeros((2, 20, 60))
    y, x = np.indices((20, 60))
    offset[0] = 10 - y
    offset[1] = np.where(x < 30, 17, 43) - x
    flat = np.full((20, 60), 0.5)
    found = instances_from_maps(inside, flat, offset, InstanceParams(centre_weight=0.5))
    assert len(np.unique(found[inside > 0])) == 2
    assert found[10, 10] != found[10, 50]


def test_small_objects_are_dropped():
    inside = np.zeros((30, 30))
    inside[2:6, 2:6] = inside[10:20, 10:20] = 1
    maps = (inside, inside, np.zeros((2, 30, 30)))
    assert instances_from_maps(*maps).max() == 1
    assert instances_from_maps(*maps, InstanceParams(min_area=5)).max() == 2


@pytest.mark.parametrize("value", [0.0, np.nan, -5.0])
@pytest.mark.parametrize("shape", [(40, 50), (1, 30), (1, 1)])
def test_nothing_is_found_where_nothing_is(value, shape):
    empty = np.full(shape, value)
    found = instances_from_maps(empty, empty, np.full((2, *shape), value))
    assert found.shape == shape
    assert not found.any()


def test_higher_foreground_threshold_gives_smaller_objects():
    _, labels = nuclei((96, 96), count=6, radius=10)
    inside, distance, offset = _ideal_maps(labels)
    soft = ndimage.gaussian_filter(inside, 2)
    areas = [
        np.count_nonzero(
            instances_from_maps(soft, distance, offset, InstanceParams(foreground=threshold))
        )
        for threshold in (0.3, 0.5, 0.7)
    ]
    assert areas[0] > areas[1] > areas[2] > 0


def test_maps_of_different_shapes_are_refused():
    with pytest.raises(ImageError, match=r"\(2, H, W\)"):
        instances_from_maps(np.zeros((4, 4)), np.zeros((4, 4)), np.zeros((2, 4, 5)))


def _dense(labels, step=2):
    """Return ideal maps with cells of `step` pixels."""
    inside, distance, offset = _ideal_maps(labels)
    near = np.exp(-np.square(offset).sum(0) / 32) * inside
    height, width = labels.shape

    def shrunk(values):
        cells = values.reshape(height // step, step, width // step, step)
        return cells.mean((1, 3)).astype(np.float32)

    return DenseMaps(shrunk(inside), shrunk(distance), shrunk(near), labels.shape)


@pytest.mark.parametrize("make", [nuclei, touching_cells])
def test_coarse_maps_give_objects_with_fine_outlines(make):
    _, labels = make((160, 160), radius=11)
    found = instances_from_dense(_dense(labels))
    assert found.shape == labels.shape
    assert segmentation_accuracy(labels, found, ignore_min_area=20) > 0.8


def test_bytes_and_floats_describe_the_same_objects():
    _, labels = nuclei((96, 96), count=8, radius=9)
    maps = _dense(labels)
    arrays = (maps.foreground, maps.depth, maps.centre)
    as_bytes = DenseMaps(*[np.rint(255 * array).astype(np.uint8) for array in arrays], (96, 96))
    found = instances_from_dense(as_bytes)
    assert segmentation_accuracy(instances_from_dense(maps), found) > 0.97


def test_objects_across_the_borders_of_blocks_stay_whole(monkeypatch):
    _, labels = touching_cells((192, 192), radius=10)
    maps = _dense(labels)
    whole = label_cells(maps, InstanceParams())
    monkeypatch.setattr(instances, "BLOCK", 20)
    monkeypatch.setattr(instances, "BLOCK_HALO", 24)
    by_blocks = label_cells(maps, InstanceParams())
    assert (by_blocks == whole).mean() > 0.999
    assert by_blocks.max() == whole.max() > 20


def test_seeds_can_be_asked_to_be_deep_and_central_each() -> None:
    foreground = np.ones((12, 24), np.float32)
    deep, central = np.zeros((2, 12, 24), np.float32)
    deep[2:10, 2:22] = 0.9
    central[4:8, 3:8] = central[4:8, 15:20] = 0.9
    maps = DenseMaps(foreground, deep, central, (12, 24))
    params = InstanceParams(seed=0.5, smoothing=0, least_centre=0.6)
    assert instances_from_dense(maps, params).max() == 2
    assert instances_from_dense(maps, replace(params, least_centre=0.95)).max() == 0
    assert instances_from_dense(maps, replace(params, seed=0.95)).max() == 0
