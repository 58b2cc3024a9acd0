import numpy as np
import pytest

from napari_segmate.core import flow
from napari_segmate.core.flow import FlowParams, label_flow
from napari_segmate.core.instances import InstanceParams, instances_from_dense
from napari_segmate.core.metrics import average_precision, segmentation_accuracy
from napari_segmate.core.synthetic import nuclei, touching_cells
from napari_segmate.core.types import DenseMaps
from napari_segmate.training.targets import flow_targets


def _maps(labels, dtype=np.float32):
    """Return the maps that a perfect network would predict."""
    targets = flow_targets(labels)
    arrays = [targets.foreground, targets.distance, targets.distance]
    directions = targets.flow_yx
    if dtype == np.uint8:
        arrays = [np.rint(255 * array).astype(np.uint8) for array in arrays]
        directions = np.rint(127 * directions).astype(np.int8)
    return DenseMaps(*arrays, labels.shape, directions)


def _hooks():
    """Return two hooks that reach into each other."""
    labels = np.zeros((120, 110), np.int32)
    for number in (1, 2):
        labels[10:90, 10:24] = labels[10:24, 10:74] = labels[10:90, 60:74] = number
        labels = labels[::-1, ::-1].copy()
    return labels


@pytest.mark.parametrize("make", [nuclei, touching_cells])
def test_perfect_maps_give_back_the_objects(make):
    _, labels = make((160, 160), radius=11)
    assert segmentation_accuracy(labels, instances_from_dense(_maps(labels))) > 0.9


def test_bytes_give_the_same_objects():
    _, labels = touching_cells((160, 160), radius=11)
    assert segmentation_accuracy(labels, instances_from_dense(_maps(labels, np.uint8))) > 0.9


def test_long_curved_objects_stay_whole_and_apart():
    labels = _hooks()
    assert average_precision(labels, instances_from_dense(_maps(labels)))[0] == 1


def test_a_filament_of_a_few_hundred_pixels_is_one_object():
    labels = np.zeros((40, 700), np.int32)
    labels[15:23, 10:690] = 1
    assert instances_from_dense(_maps(labels)).max() == 1


def test_large_maps_are_worked_on_in_blocks_with_the_same_result(monkeypatch):
    _, labels = touching_cells((160, 160), radius=11)
    maps = _maps(labels)
    whole = label_flow(maps)
    monkeypatch.setattr(flow, "BLOCK", 24)
    monkeypatch.setattr(flow, "REACH", 16)
    np.testing.assert_array_equal(label_flow(maps), whole)


def test_high_seeds_join_what_is_deep_between_two_ends_of_paths():
    y, x = np.indices((80, 80)) - 39.5
    labels = (np.hypot(y, x) < 30).astype(np.int32)
    one, two = flow_targets(labels), flow_targets(labels * np.where(x < 0, 1, 2))
    smooth, parted = (
        DenseMaps(t.foreground, t.distance, t.distance, (80, 80), two.flow_yx) for t in (one, two)
    )
    strict = InstanceParams(seed=0.9)
    assert instances_from_dense(smooth, strict).max() == 1
    assert instances_from_dense(parted, strict).max() == 2


def test_foreground_without_depth_is_no_object():
    inside = np.zeros((40, 40), np.float32)
    inside[8:30, 8:30] = 1
    shallow = np.full((40, 40), 0.2, np.float32)
    maps = DenseMaps(inside, shallow, inside, (80, 80), np.zeros((2, 40, 40), np.float32))
    assert not instances_from_dense(maps).any()


def test_an_object_without_any_flow_is_found_nevertheless():
    inside = np.zeros((40, 40), np.float32)
    inside[8:30, 8:30] = 1
    maps = DenseMaps(inside, inside, inside, (80, 80), np.zeros((2, 40, 40), np.float32))
    found = instances_from_dense(maps)
    assert found.max() == 1
    assert (found > 0).sum() == pytest.approx(4 * inside.sum(), rel=0.1)


def test_higher_seeds_find_fewer_objects():
    rng = np.random.default_rng(0)
    _, labels = touching_cells((200, 200), radius=11)
    maps = _maps(labels)
    noisy = maps.flow_yx + rng.normal(0, 0.8, maps.flow_yx.shape).astype(np.float32)
    noisy_maps = DenseMaps(maps.foreground, maps.depth, maps.centre, maps.image_shape, noisy)
    counts = [
        instances_from_dense(noisy_maps, InstanceParams(seed=seed)).max()
        for seed in (0.0, 0.55, 1.0)
    ]
    assert counts[0] > counts[1] > counts[2]


@pytest.mark.parametrize("value", [0, 1, np.nan, np.inf])
@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (30, 20)])
def test_flat_maps_end_well(value, shape):
    flat = np.full(shape, value, np.float32)
    labels = label_flow(DenseMaps(flat, flat, flat, shape, np.stack([flat, flat])), FlowParams())
    assert labels.shape == shape
    assert np.unique(labels[labels > 0]).tolist() == list(range(1, labels.max() + 1))


def test_flow_of_another_size_is_refused():
    flat = np.zeros((4, 4), np.float32)
    with pytest.raises(ValueError, match="one shape"):
        DenseMaps(flat, flat, flat, (8, 8), np.zeros((2, 4, 5), np.float32))


def test_outlines_lie_where_they_should_in_images_of_odd_sides():
    _, labels = nuclei((161, 161), count=30, radius=9)
    padded = np.pad(labels, ((0, 1), (0, 1)), mode="edge")
    even = _maps(padded)
    maps = DenseMaps(
        even.foreground, even.depth, even.centre, (161, 161), even.flow_yx, cell_yx=(2.0, 2.0)
    )
    found = instances_from_dense(maps)
    np.testing.assert_array_equal(found, instances_from_dense(even)[:161, :161])


def test_ten_thousand_objects_are_found():
    labels = np.zeros((100, 100), np.int32)
    numbers = np.arange(100, dtype=np.int32).reshape(10, 10) + 1
    labels.reshape(10, 10, 10, 10)[:, 2:8, :, 2:8] = numbers[:, None, :, None]
    targets = flow_targets(labels)
    likely, depth = (np.tile(one, (10, 10)) for one in (targets.foreground, targets.distance))
    flow_yx = np.tile(targets.flow_yx, (1, 10, 10))
    found = instances_from_dense(DenseMaps(likely, depth, depth, (1000, 1000), flow_yx))
    areas = np.bincount(found.ravel())[1:]
    assert len(areas) == 10_000
    assert (np.abs(areas - 36) <= 4).all()
