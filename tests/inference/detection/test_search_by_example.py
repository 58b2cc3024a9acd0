"""More of what is in a box: where it is looked for, and how large it is seen."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import ArrayPlane
from scipy import ndimage

from napari_segmate.core.context import Context
from napari_segmate.core.errors import Cancelled, PromptError
from napari_segmate.core.masks.coarse_masks import CoarseMask
from napari_segmate.core.text.detections import Detections, select
from napari_segmate.inference.detection.search import SearchOptions, Tiling
from napari_segmate.inference.detection.search_by_example import search_by_example

SPOTS = [(10, 10), (200, 300), (390, 50), (120, 205), (44, 44)]
SIDE = 8


def plane(shape=(400, 400)) -> ArrayPlane:
    return ArrayPlane.with_blobs(shape, [(y, x, y + SIDE, x + SIDE) for y, x in SPOTS])


def box(number: int, grow: float = 0.0) -> tuple[float, float, float, float]:
    y, x = SPOTS[number]
    return (y - 0.5 - grow, x - 0.5 - grow, y + SIDE - 0.5 + grow, x + SIDE - 0.5 + grow)


class InOnePicture:
    """Finds what is as bright as the middle of the example, if it is a tenth of the picture."""

    def __init__(self) -> None:
        self.shapes, self.examples = [], []

    def detect_similar(self, image, box_yx, phrase, *, context):
        self.examples.append(box_yx)
        y0, x0, y1, x1 = box_yx
        value = int(image[round((y0 + y1) / 2), round((x0 + x1) / 2), 0])
        return self._bright(image, value, phrase, context)

    def _bright(self, image, value, phrase, context) -> Detections:
        context.check()
        self.shapes.append(image.shape[:2])
        found = ndimage.find_objects(ndimage.label(image[..., 0] == value)[0])
        corners = [(y.start, x.start, y.stop, x.stop) for y, x in found]
        boxes = np.reshape(corners, (-1, 4)) - 0.5
        boxes = boxes[boxes[:, 2] - boxes[:, 0] >= min(image.shape[:2]) / 10]
        masks = tuple(CoarseMask.of(np.ones((2, 2)), tuple(one)) for one in boxes.tolist())
        scores = np.full((len(boxes), 1), 0.9, np.float32)
        return Detections(boxes, scores, (phrase,), image.shape[:2], "bright", masks)


class InEveryPicture(InOnePicture):
    """The same, with a pattern that works elsewhere, too."""

    def encode_pattern(self, image, box_yx, *, context):
        self.learned = image.shape[:2]
        y0, x0, y1, x1 = self.example = box_yx
        return int(image[round((y0 + y1) / 2), round((x0 + x1) / 2), 0])

    def detect_pattern(self, image, pattern, phrase, *, context):
        return self._bright(image, pattern, phrase, context)


def corners(found: Detections) -> set[tuple[float, float]]:
    return {tuple(one[:2] + 0.5) for one in select(found).boxes_yx}


def test_small_examples_are_looked_for_in_tiles_as_words_are() -> None:
    detector = InEveryPicture()
    found = search_by_example(plane(), box(0), "spot", detector, SearchOptions(detail=400))
    assert corners(found) == set(SPOTS)
    assert detector.shapes[0] == (400, 400) and set(detector.shapes[1:]) == {(66, 66)}
    assert detector.learned == (66, 66) and detector.example == box(0)
    assert found.shape == (400, 400) and found.phrases == ("spot",)
    for one, mask in zip(found.boxes_yx.tolist(), found.masks, strict=True):
        assert mask.area_yx == tuple(one)


def test_typical_size_of_the_user_comes_before_that_of_the_example() -> None:
    detector = InEveryPicture()
    search_by_example(plane(), box(0), "spot", detector, diameter=100)
    assert detector.shapes == [(400, 400)]


@pytest.mark.parametrize(
    ("options", "tiles"),
    [(SearchOptions(Tiling.NEVER), 0), (SearchOptions(Tiling.ALWAYS, tile=200), 9)],
)
def test_tiles_as_the_options_say(options, tiles) -> None:
    detector = InEveryPicture()
    search_by_example(plane(), box(1), "spot", detector, options)
    assert len(detector.shapes) == 1 + tiles


def test_only_the_region_is_searched_wherever_the_example_lies() -> None:
    detector = InEveryPicture()
    options = SearchOptions(Tiling.ALWAYS, tile=64)
    region = (0, 0, 150, 250)
    found = search_by_example(plane(), box(2), "spot", detector, options, region=region)
    assert corners(found) == {(10, 10), (120, 205), (44, 44)}
    assert found.shape == (150, 250)


def test_detector_that_must_see_the_example_sees_everything_once() -> None:
    detector = InOnePicture()
    options = SearchOptions(Tiling.ALWAYS, tile=64)
    small = (100, 190, 160, 220)
    found = search_by_example(plane(), box(4), "spot", detector, options, region=small)
    assert detector.shapes == [(117, 177)]
    assert detector.examples == [(0.5, 0.5, 8.5, 8.5)]
    assert found.shape == (117, 177)


def test_example_lies_right_in_a_reduced_view() -> None:
    detector = InOnePicture()
    wide = ArrayPlane.with_blobs((4000, 4000), [(1000, 2000, 1500, 2500)])
    found = search_by_example(wide, (999.5, 1999.5, 1499.5, 2499.5), "spot", detector)
    assert detector.shapes == [(1600, 1600)]
    np.testing.assert_allclose(detector.examples, [[399.5, 799.5, 599.5, 999.5]])
    np.testing.assert_allclose(found.boxes_yx, [[999.5, 1999.5, 1499.5, 2499.5]], atol=3)


def test_example_outside_the_image_is_refused() -> None:
    with pytest.raises(PromptError, match="has no area in an image of 400 x 400"):
        search_by_example(plane(), (500, 500, 510, 510), "spot", InEveryPicture())


def test_progress_and_cancel_within_one_tile() -> None:
    detector, told = InEveryPicture(), []
    context = Context(
        progress=lambda done, total, text: told.append((done, total, text)),
        cancelled=lambda: len(detector.shapes) == 3,
    )
    options = SearchOptions(Tiling.ALWAYS, tile=100)
    with pytest.raises(Cancelled):
        search_by_example(plane(), box(0), "spot", detector, options, context=context)
    assert len(detector.shapes) == 3
    assert told[0] == (0, 26, "the example") and told[1] == (0, 26, "whole image")
    assert told[-1][2] == "tile 2 of 25"
