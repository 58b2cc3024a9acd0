from __future__ import annotations

import numpy as np
import pytest

from napari_segmate.core.context import Context
from napari_segmate.core.errors import Cancelled, ParameterError
from napari_segmate.core.images.pictures import as_plane
from napari_segmate.core.text.detections import Detections
from napari_segmate.inference.detection.search import SearchOptions, Tiling, search, tile_side

PLANE = as_plane(np.zeros((200, 300, 3), np.uint8))


class Looks:
    """A detector that remembers what it was shown; it sees one box in each picture."""

    def __init__(self) -> None:
        self.seen: list[tuple[tuple[int, int], tuple[str, ...], int]] = []

    def detect(self, image, phrases, *, detail, context):
        context.check()
        self.seen.append((image.shape[:2], tuple(phrases), detail))
        scores = np.full((1, len(phrases)), 0.5, np.float32)
        return Detections(np.array([[20.0, 20, 40, 40]]), scores, tuple(phrases), image.shape[:2])


def test_all_concepts_are_looked_for_at_once() -> None:
    looks = Looks()
    found = search(PLANE, ("cell", "nucleus"), looks)
    assert looks.seen == [((200, 300), ("cell", "nucleus"), 800)]
    assert found.scores.tolist() == [[0.5, 0.5]]


def test_concepts_one_by_one_score_0_for_the_others() -> None:
    looks = Looks()
    found = search(PLANE, ("cell", "nucleus"), looks, SearchOptions(separately=True, detail=256))
    assert [(words, detail) for _, words, detail in looks.seen] == [
        (("cell",), 256),
        (("nucleus",), 256),
    ]
    assert found.scores.tolist() == [[0.5, 0], [0, 0.5]]
    assert found.phrases == ("cell", "nucleus")


def test_small_objects_are_looked_for_in_tiles() -> None:
    looks = Looks()
    search(PLANE, ("cell",), looks, SearchOptions(detail=200), diameter=16)
    assert looks.seen[0][0] == (200, 300)
    assert {shape for shape, _, _ in looks.seen[1:]} == {(66, 66)}


@pytest.mark.parametrize(
    ("options", "diameter", "side"),
    [
        (SearchOptions(Tiling.NEVER, tile=100), 5, 0),
        (SearchOptions(Tiling.ALWAYS, tile=100), 0, 100),
        (SearchOptions(tile=100), 50, 100),
        (SearchOptions(Tiling.ALWAYS), 0, 800),
        (SearchOptions(), 0, 0),
    ],
)
def test_side_of_tiles(options, diameter, side) -> None:
    assert tile_side((3000, 3000), diameter, options) == side


def test_progress_goes_on_from_concept_to_concept() -> None:
    told = []
    options = SearchOptions(Tiling.ALWAYS, separately=True, tile=200)
    context = Context(progress=lambda done, total, text: told.append((done, total, text)))
    search(PLANE, ("cell", "nucleus"), Looks(), options, context=context)
    assert [done for done, _, _ in told] == list(range(len(told)))
    assert {total for _, total, _ in told} == {len(told)}
    assert told[-1][2].startswith("nucleus: tile")


def test_cancelled_after_the_tile_at_hand() -> None:
    looks = Looks()
    context = Context(cancelled=lambda: len(looks.seen) == 2)
    with pytest.raises(Cancelled):
        search(PLANE, ("cell",), looks, SearchOptions(Tiling.ALWAYS, tile=100), context=context)
    assert len(looks.seen) == 2


@pytest.mark.parametrize("wrong", [{"detail": 10}, {"tile": 8}, {"tile": -1}])
def test_pictures_that_show_nothing_are_refused(wrong) -> None:
    with pytest.raises(ParameterError, match="pixels or more"):
        SearchOptions(**wrong)


def test_boxes_are_cut_to_the_image() -> None:
    class Beyond(Looks):
        def detect(self, image, phrases, *, detail, context):
            boxes = np.array([[-9.0, 150, 50, 400], [300, 300, 320, 320]])
            return Detections(boxes, np.ones((2, 1), np.float32), tuple(phrases), image.shape[:2])

    found = search(PLANE, ("cell",), Beyond())
    assert found.boxes_yx.tolist() == [[-0.5, 150, 50, 299.5], [199.5, 299.5, 199.5, 299.5]]
