from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_segmate.core.context import Context
from napari_segmate.core.detections import Detections, select
from napari_segmate.core.errors import Cancelled
from napari_segmate.inference.detect import detect_in_windows, window_side, windows


class SpotDetector:
    """Sees bright spots that are at least a twelfth of the image wide."""

    def __init__(self) -> None:
        self.shapes = []

    def detect(self, image, phrases, *, detail=800, context=None):
        self.shapes.append(image.shape[:2])
        found = ndimage.find_objects(ndimage.label(image[..., 0] > 127)[0])
        boxes = [
            (y.start, x.start, y.stop - 1, x.stop - 1)
            for y, x in found
            if x.stop - x.start >= image.shape[1] / 12
        ]
        scores = np.full((len(boxes), len(phrases)), 0.9, np.float32)
        return Detections(
            np.array(boxes, float).reshape(-1, 4), scores, tuple(phrases), image.shape[:2], "spots"
        )


SPOTS = ((10, 10), (60, 60), (10, 110), (140, 145), (44, 44))


def spots() -> np.ndarray:
    image = np.zeros((160, 160, 3), np.uint8)
    for y, x in SPOTS:
        image[y : y + 8, x : x + 8] = 255
    return image


def test_small_objects_are_seen_in_windows() -> None:
    detector = SpotDetector()
    assert len(detect_in_windows(spots(), ("spot",), detector)) == 0
    found = detect_in_windows(spots(), ("spot",), detector, side=64)
    chosen = select(found)
    assert {tuple(box[:2]) for box in chosen.boxes_yx} == set(SPOTS)
    assert (chosen.boxes_yx[:, 2:] - chosen.boxes_yx[:, :2] == 7).all()
    assert found.shape == (160, 160)


@pytest.mark.parametrize(("shape", "side"), [((100, 100), 40), ((33, 200), 50), ((10, 10), 64)])
def test_windows_cover_every_pixel_and_stay_inside(shape, side) -> None:
    seen = np.zeros(shape, int)
    for y0, x0, y1, x1 in windows(shape, side):
        assert min(y0, x0) >= 0 and y1 <= shape[0] and x1 <= shape[1]
        seen[y0:y1, x0:x1] += 1
    assert seen.min() >= 1


def test_windows_are_only_used_where_objects_would_be_small() -> None:
    assert window_side((1000, 1000), 50) == 0
    assert window_side((4000, 4000), 30) == 500


def test_one_window_as_large_as_the_image_is_not_looked_at_twice() -> None:
    detector = SpotDetector()
    detect_in_windows(spots(), ("spot",), detector, side=400)
    assert detector.shapes == [(160, 160)]


def test_cancelled_within_one_window() -> None:
    detector = SpotDetector()
    stop = Context(cancelled=lambda: len(detector.shapes) >= 3)
    with pytest.raises(Cancelled):
        detect_in_windows(spots(), ("spot",), detector, side=64, context=stop)
    assert len(detector.shapes) == 3
