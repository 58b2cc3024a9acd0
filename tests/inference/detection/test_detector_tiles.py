from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fakes import ArrayPlane
from scipy import ndimage

from napari_segmate.core.context import Context
from napari_segmate.core.errors import Cancelled
from napari_segmate.core.images.pictures import as_plane
from napari_segmate.core.masks.coarse_masks import CoarseMask
from napari_segmate.core.text.detections import Detections, select
from napari_segmate.inference.detection.detector_tiles import (
    detector_tiles,
    overview,
    window_side,
    windows,
)
from napari_segmate.inference.detection.search import SearchOptions, Tiling, search


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


def tiles(side: int) -> SearchOptions:
    return SearchOptions(Tiling.ALWAYS, tile=side)


def spots() -> np.ndarray:
    image = np.zeros((160, 160, 3), np.uint8)
    for y, x in SPOTS:
        image[y : y + 8, x : x + 8] = 255
    return image


def test_small_objects_are_seen_in_windows() -> None:
    detector = SpotDetector()
    assert len(search(as_plane(spots()), ("spot",), detector)) == 0
    found = search(as_plane(spots()), ("spot",), detector, tiles(64))
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
    search(as_plane(spots()), ("spot",), detector, tiles(400))
    assert detector.shapes == [(160, 160)]


def test_cancelled_within_one_window() -> None:
    detector = SpotDetector()
    stop = Context(cancelled=lambda: len(detector.shapes) >= 3)
    with pytest.raises(Cancelled):
        search(as_plane(spots()), ("spot",), detector, tiles(64), context=stop)
    assert len(detector.shapes) == 3


class Wide(ArrayPlane):
    """A large plane that is made up where it is read."""

    def __init__(self, shape) -> None:
        self.shape, self.reads = shape, []

    def read(self, box_yx, shape=None):
        size = (box_yx[2] - box_yx[0], box_yx[3] - box_yx[1]) if shape is None else shape
        self.reads.append((box_yx, size))
        return np.zeros((*size, 3), np.uint8)


def test_large_planes_are_never_read_whole_in_full_size() -> None:
    plane = Wide((20_000, 30_000))
    count, shown = detector_tiles(plane, (0, 0, *plane.shape), side=4000)
    assert count == 1 + 7 * 10 and plane.reads == []
    for view in shown:
        assert view.image.nbytes <= 3 * 4000**2
    whole, size = plane.reads[0]
    assert (whole, size) == ((0, 0, 20_000, 30_000), (1600, 2400))
    assert len(plane.reads) == count


@pytest.mark.parametrize("detail", [400, 800, 1600])
@pytest.mark.parametrize("shape", [(5000, 5000), (20_000, 3000), (300, 90_000), (700, 900)])
def test_overview_has_more_pixels_than_the_detector_sees(shape, detail) -> None:
    size = overview(shape, detail)
    seen = min(detail / min(shape), 5 / 3 * detail / max(shape), 1)
    assert min(size) >= np.floor(seen * min(shape)) and max(size) >= np.floor(seen * max(shape))
    assert np.prod(size) <= 4 * 5 / 3 * max(detail, 800) ** 2 or size == shape


def test_boxes_and_masks_of_an_overview_lie_in_the_plane() -> None:
    class Corner:
        def detect(self, image, phrases, *, detail, context):
            shape = image.shape[:2]
            box = np.array([[-0.5, shape[1] / 2 - 0.5, shape[0] / 4 - 0.5, shape[1] - 0.5]])
            mask = CoarseMask.of(np.ones((4, 4)), tuple(box[0]))
            scores = np.ones((1, 1), np.float32)
            return Detections(box, scores, tuple(phrases), shape, "corner", (mask,))

    found = search(Wide((8000, 4000)), ("cell",), Corner())
    np.testing.assert_allclose(found.boxes_yx, [[-0.5, 1999.5, 1999.5, 3999.5]])
    np.testing.assert_allclose(found.masks[0].area_yx, found.boxes_yx[0])
    part = search(Wide((9000, 9000)), ("cell",), Corner(), region=(500, 600, 8500, 4600))
    np.testing.assert_allclose(part.boxes_yx, found.boxes_yx)
    assert part.shape == (8000, 4000)


def test_masks_of_boxes_that_a_tile_cuts_off_go_with_them() -> None:
    class Filled(SpotDetector):
        """Its masks have a hole where the spot begins."""

        def detect(self, image, phrases, **options):
            seen = super().detect(image, phrases, **options)
            cells = np.ones((8, 8), bool)
            cells[0, 0] = False
            masks = [CoarseMask.of(cells, tuple(box)) for box in seen.boxes_yx]
            return replace(seen, masks=tuple(masks))

    chosen = select(search(as_plane(spots()), ("spot",), Filled(), tiles(64)))
    assert {tuple(box[:2]) for box in chosen.boxes_yx} == set(SPOTS)
    for box, mask in zip(chosen.boxes_yx.tolist(), chosen.masks, strict=True):
        assert mask.area_yx == tuple(box)
