from __future__ import annotations

import numpy as np
import pytest

from napari_segmate.core.errors import ImageError
from napari_segmate.core.images.pictures import as_plane, as_rgb


class Lazy:
    """An array that counts what is read of it."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.shape, self.dtype = values, values.shape, values.dtype
        self.pixels = 0

    def __getitem__(self, index):
        part = self.values[index]
        self.pixels += part.size
        return part


def test_as_rgb_refuses_stacks():
    with pytest.raises(ImageError, match="choose one plane"):
        as_rgb(np.zeros((5, 40, 50)))


def test_as_rgb_takes_limits():
    assert as_rgb(np.array([[0, 5], [10, 20]]), (0, 10))[..., 0].tolist() == [[0, 128], [255, 255]]


def test_plane_of_a_lazy_picture_reads_what_is_asked_for() -> None:
    rng = np.random.default_rng(0)
    lazy = Lazy(rng.integers(0, 4000, (3000, 3000), dtype=np.uint16))
    plane = as_plane(lazy)
    assert plane.shape == (3000, 3000)
    sampled, lazy.pixels = lazy.pixels, 0
    assert sampled <= 1.1 * 2**20
    part = plane.read((100, 200, 150, 260))
    assert part.shape == (50, 60, 3) and lazy.pixels == 50 * 60
    np.testing.assert_array_equal(part, as_rgb(lazy.values)[100:150, 200:260])
