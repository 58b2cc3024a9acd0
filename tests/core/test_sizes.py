import numpy as np
import pytest

from napari_segmate.core.sizes import estimate_diameter, nearest_zoom, typical_diameter
from napari_segmate.core.types import DenseMaps
from napari_segmate.training.targets import flow_targets


def squares(sides, size=200):
    labels = np.zeros((size, size), np.int32)
    y = x = 2
    for number, side in enumerate(sides, start=1):
        if x + side + 2 > size:
            y, x = y + max(sides) + 2, 2
        labels[y : y + side, x : x + side] = number
        x += side + 2
    return labels


def test_specks_do_not_outvote_cells():
    found = typical_diameter(squares([30] * 6 + [2] * 20))
    assert found == pytest.approx(2 * 30 / np.sqrt(np.pi), rel=0.01)


def test_too_few_objects_say_nothing_unless_few_are_asked_for():
    labels = squares([20, 20])
    assert typical_diameter(labels) == 0
    assert typical_diameter(labels, fewest=1) == pytest.approx(22.6, abs=0.1)
    assert typical_diameter(np.zeros((9, 9), int), fewest=1) == 0


def test_the_estimate_is_in_pixels_of_the_image():
    inside = (squares([12] * 8) > 0).astype(np.float32)
    maps = DenseMaps(inside, inside, inside, (400, 400))
    as_bytes = DenseMaps(*[(255 * inside).astype(np.uint8)] * 3, (400, 400))
    assert estimate_diameter(maps) == pytest.approx(2 * 24 / np.sqrt(np.pi), rel=0.01)
    assert estimate_diameter(as_bytes) == estimate_diameter(maps)


def test_sizes_of_maps_with_a_flow_come_from_its_objects():
    labels = squares([12] * 8)
    targets = flow_targets(labels)
    maps = DenseMaps(
        targets.foreground, targets.distance, targets.distance, labels.shape, targets.flow_yx
    )
    assert estimate_diameter(maps) == pytest.approx(2 * 12 / np.sqrt(np.pi), rel=0.05)


@pytest.mark.parametrize("diameter", [5, 20, 46, 200, 1000, 4000])
def test_objects_of_any_size_are_shown_at_a_size_that_a_model_sees(diameter):
    assert 14 <= nearest_zoom(46, diameter) * diameter <= 73
