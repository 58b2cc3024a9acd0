"""Small annotated planes, and networks small enough to train in a test."""

from __future__ import annotations

import numpy as np

from napari_segmate.training.data import Annotation, Sample, sample_of


def grid_of_objects(
    name: str = "grid",
    group: str | None = None,
    shape: tuple[int, int] = (96, 128),
    annotation: Annotation = Annotation.PLANES,
    seed: int = 0,
) -> Sample:
    """Bright discs on a dark, noisy ground."""
    rng = np.random.default_rng(seed)
    y, x = np.indices(shape)
    labels = np.zeros(shape, np.int32)
    for row in range(16, shape[0], 32):
        for column in range(16, shape[1], 32):
            dy, dx = rng.integers(-3, 4, 2)
            near = (y - row - dy) ** 2 + (x - column - dx) ** 2 < rng.integers(60, 120)
            labels[near] = labels.max() + 1
    image = np.where(labels > 0, 180.0, 40.0) + rng.normal(0, 12, shape)
    rgb = np.repeat(np.clip(image, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    return sample_of(rgb, labels, annotation, name=name, group=group)
