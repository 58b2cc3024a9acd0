"""A detector without a network: boxes round what is bright, and noise as real ones bring it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from napari_segmate.core.context import Context
from napari_segmate.core.text.detections import Detections
from napari_segmate.detectors.base import DetectorInfo

NOISE = 30


class BrightDetector:
    """Bright objects in turn are of the first phrase, the second, …, each a bit less likely."""

    info = DetectorInfo("bright", "Bright", "finds what is bright", "CC0-1.0", "nowhere/bright")

    def __init__(self) -> None:
        self.shapes: list[tuple[int, int]] = []
        self.phrases: list[tuple[str, ...]] = []

    def detect(
        self,
        image: np.ndarray,
        phrases: Sequence[str],
        *,
        detail: int = 800,
        context: Context | None = None,
    ) -> Detections:
        (context or Context()).check()
        shape = image.shape[:2]
        self.shapes.append(shape)
        self.phrases.append(tuple(phrases))
        found = ndimage.find_objects(ndimage.label(image.max(axis=2) > 127)[0])
        boxes = [(y.start - 0.5, x.start - 0.5, y.stop - 0.5, x.stop - 0.5) for y, x in found]
        scores = np.full((len(boxes), len(phrases)), 0.05, np.float32)
        for number in range(len(boxes)):
            scores[number, number % len(phrases)] = max(0.9 - 0.01 * number, 0.4)
        rng = np.random.default_rng(0)
        corners = rng.uniform(0, 20, (NOISE, 2))
        noise = np.concatenate([corners, corners + rng.uniform(3, 9, (NOISE, 2))], axis=1)
        low = rng.uniform(0, 0.1, (NOISE, len(phrases)))
        return Detections(
            np.concatenate([np.reshape(boxes, (-1, 4)), noise]),
            np.concatenate([scores, low]).astype(np.float32),
            tuple(phrases),
            shape,
            self.info.name,
        )
