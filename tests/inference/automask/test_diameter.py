from dataclasses import replace

import numpy as np
import pytest
from fakes import ArrayPlane, FakeSegmenter

from napari_segmate.core.types import DenseMaps
from napari_segmate.inference.automask.diameter import estimate_diameter
from napari_segmate.inference.embeddings.store import EmbeddingStore


class LimitedHead(FakeSegmenter):
    """Sees bright squares, but none of more or less than some cells a side."""

    def __init__(self, smallest=0, largest=10**6):
        super().__init__()
        self.info = replace(self.info, instance_head=True, diameter=12.0)
        self.limits = smallest, largest
        self.shown = []

    def instance_maps(self, embedding):
        from scipy import ndimage

        image = self.encoded[-1]
        self.shown.append(image.shape)
        labels, _ = ndimage.label(image[..., 0] > 127)
        sides = np.sqrt(np.bincount(labels.ravel()))
        sides[0] = 0
        visible = (sides >= self.limits[0]) & (sides <= self.limits[1]) & (sides > 0)
        inside = visible[labels].astype(np.float32)
        return DenseMaps(inside, inside, inside, embedding.image_shape)


def squares(side, pitch, size=64):
    boxes = [
        (y, x, y + side, x + side)
        for y in range(2, size - side, pitch)
        for x in range(2, size - side, pitch)
    ]
    return ArrayPlane.with_blobs((size, size), boxes)


def diameter(side):
    return pytest.approx(2 * side / np.sqrt(np.pi), rel=0.2)


def test_objects_of_the_middle_are_measured_once_per_plane():
    plane, model, store = squares(8, 14), LimitedHead(), EmbeddingStore()
    assert estimate_diameter(plane, model, store) == diameter(8)
    looks = len(model.shown)
    assert estimate_diameter(plane, model, store) == diameter(8)
    assert looks == len(model.shown) == 1


def test_objects_too_small_to_be_seen_are_looked_for_enlarged():
    model = LimitedHead(smallest=8)
    assert estimate_diameter(squares(4, 9), model, EmbeddingStore()) == diameter(4)


def test_an_object_too_large_to_be_seen_is_looked_for_smaller():
    plane = ArrayPlane.with_blobs((160, 160), [(15, 15, 145, 145)])
    assert estimate_diameter(plane, LimitedHead(largest=40), EmbeddingStore()) == diameter(130)


def test_a_large_plane_is_looked_at_in_its_quarters_too():
    far = [(10, 10, 18, 18), (10, 30, 18, 38), (30, 10, 38, 18)]
    plane = ArrayPlane.with_blobs((256, 256), [tuple(32 + at for at in box) for box in far])
    assert estimate_diameter(plane, LimitedHead(), EmbeddingStore()) == diameter(8)


def test_only_the_field_is_looked_at():
    plane = squares(8, 14, size=400)
    estimate_diameter(plane, LimitedHead(), EmbeddingStore(), field_yx=(300, 300, 360, 360))
    assert all(box[0] >= 260 and box[1] >= 260 for box in plane.reads)


def test_where_nothing_is_there_is_no_size():
    plane = ArrayPlane.with_blobs((90, 90), [])
    assert estimate_diameter(plane, LimitedHead(), EmbeddingStore()) == 0
