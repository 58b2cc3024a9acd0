from __future__ import annotations

import numpy as np
import pytest

from napari_segmate.tasks.train.result import COLOURS, GAP, comparison, write_picture


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((60, 60), (60, 4 * 60 + 3 * GAP, 3)), ((20, 90), (4 * 20 + 3 * GAP, 90, 3))],
)
def test_wide_images_stand_below_each_other(shape, expected) -> None:
    labels = np.zeros(shape, int)
    labels[5:15, 5:15] = 1
    picture = comparison(np.zeros((*shape, 3), np.uint8), [labels, labels, labels])
    assert picture.shape == expected


def test_each_label_image_is_drawn_in_its_colour() -> None:
    found = [np.zeros((20, 20), int) for _ in range(3)]
    for number, labels in enumerate(found):
        labels[4 + number : 12, 4:12] = 1
    picture = comparison(np.zeros((20, 20, 3), np.uint8), found)
    panels = [picture[:, start : start + 20] for start in range(0, picture.shape[1], 20 + GAP)]
    assert not panels[0].any()
    for number, panel in enumerate(panels[1:]):
        assert (panel[4 + number, 4] == COLOURS[number]).all()
        assert not panel[7, 7].any()


def test_a_picture_that_cannot_be_written_is_no_end(tmp_path) -> None:
    picture = np.zeros((4, 4, 3), np.uint8)
    assert write_picture(tmp_path / "missing" / "a.png", picture) == ""
    assert write_picture(tmp_path / "a.png", picture) == str(tmp_path / "a.png")
