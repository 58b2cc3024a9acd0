"""The benchmark of words, proven with a detector that knows the truth and errs in known ways."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from benchmarks import _report, text_boxes
from PIL import Image

from napari_segmate.core.text.detections import Detections
from napari_segmate.detectors.base import DetectorInfo

SIDE = 200
BOXES = {
    "one": [(10, 10, 40, 40, "rbc"), (60, 10, 90, 40, "rbc"), (110, 10, 150, 60, "wbc")],
    "two": [(10, 100, 40, 130, "rbc"), (60, 100, 90, 130, "rbc")],
}
NAMES = {"rbc": "red blood cell", "wbc": "white blood cell"}


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(_report, "RESULTS", tmp_path / "results")
    return tmp_path / "results"


@pytest.fixture
def data(tmp_path) -> Path:
    """A data set of two pictures that a detector can tell apart by their colour."""
    folder = tmp_path / "data" / "blood_rbc_wbc"
    (folder / "images").mkdir(parents=True)
    (folder / "boxes").mkdir()
    for number, (name, rows) in enumerate(BOXES.items()):
        picture = np.full((SIDE, SIDE, 3), 40 + 100 * number, np.uint8)
        Image.fromarray(picture).save(folder / "images" / f"{name}.png")
        content = {"boxes": [row[:4] for row in rows], "labels": [row[4] for row in rows]}
        (folder / "boxes" / f"{name}.json").write_text(json.dumps(content))
    return tmp_path / "data"


class Knows:
    """Returns the truth, moved, with some left out, some wrongly named, and false ones."""

    info = DetectorInfo("knows", "Knows", "the truth", "CC0-1.0", "nowhere/knows")

    def __init__(self, moved=0.0, misses=0, misnamed=0, false=0, false_score=0.4) -> None:
        self.moved, self.misses, self.misnamed = moved, misses, misnamed
        self.false, self.false_score = false, false_score

    def detect(self, image, phrases, *, detail=800, context=None):
        rows = BOXES["one" if image[0, 0, 0] < 90 else "two"]
        boxes, scores = [], []
        for number, (x0, y0, x1, y1, name) in enumerate(rows[self.misses :]):
            at = list(phrases).index(NAMES[name])
            score = np.zeros(len(phrases))
            score[(at + (number < self.misnamed)) % len(phrases)] = 0.9 - 0.1 * number
            boxes.append([y0 - 0.5 + self.moved, x0 - 0.5, y1 - 0.5 + self.moved, x1 - 0.5])
            scores.append(score)
        for number in range(self.false):
            boxes.append([160, 10 + 40 * number, 190, 40 + 40 * number])
            scores.append(np.eye(len(phrases))[0] * self.false_score)
        return Detections(
            np.reshape(boxes, (-1, 4)).astype(float),
            np.reshape(scores, (-1, len(phrases))).astype(np.float32),
            tuple(phrases),
            image.shape[:2],
            "knows",
        )


def score(data: Path, results: Path, detector: Knows) -> dict[str, list[float]]:
    """Return AP, recall and precision by name."""
    text_boxes.main(["--data", str(data)], detector)
    found = {}
    for line in (results / "text_boxes.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] == "blood_rbc_wbc":
            found[cells[1]] = [float(cell) for cell in cells[-3:]]
            assert cells[2:5] == [NAMES[cells[1]], "2", {"rbc": "4", "wbc": "1"}[cells[1]]]
    return found


def test_the_truth_scores_1(data, results):
    assert score(data, results, Knows()) == {"rbc": [1, 1, 1], "wbc": [1, 1, 1]}


def test_boxes_moved_a_little_still_count_and_moved_far_do_not(data, results):
    assert score(data, results, Knows(moved=5))["rbc"] == [1, 1, 1]
    assert score(data, results, Knows(moved=16))["rbc"] == [0, 0, 0]


def test_what_is_missed_lowers_recall_only(data, results):
    found = score(data, results, Knows(misses=1))
    assert found["rbc"] == [0.5, 0.5, 1]
    assert found["wbc"] == [1, 1, 1]


def test_wrong_names_are_misses_of_one_and_false_alarms_of_the_other(data, results):
    found = score(data, results, Knows(misnamed=1))
    assert found["rbc"] == [0.5, 0.5, 1]
    # One of three boxes so named is one, and it scores least.
    assert found["wbc"] == [0.33, 1, 0.33]


def test_false_alarms_lower_precision_and_the_average_only_if_they_score_high(data, results):
    assert score(data, results, Knows(false=2))["rbc"] == [1, 1, 0.5]
    assert score(data, results, Knows(false=2, false_score=0.2))["rbc"] == [1, 1, 1]
    high = score(data, results, Knows(false=2, false_score=0.99))["rbc"]
    # Four false boxes come first: precision is 1/5, 2/6, 3/7, 4/8 where true ones follow.
    assert high == [0.5, 1, 0.5]


def test_two_boxes_of_one_object_count_once():
    tally = text_boxes.Tally()
    truth = np.array([[0, 0, 10, 10.0]])
    tally.add(truth, np.array([[0, 0, 10, 9.0], [0, 0, 10, 10]]), [0.6, 0.9])
    assert tally.hits == [True, False] and tally.scores == [0.9, 0.6]
    assert tally.average_precision == 1
    assert tally.at(0.5) == (1, 0.5) and tally.at(0.95) == (0, 0)


def test_nothing_found_and_nothing_wanted_score_0():
    tally = text_boxes.Tally()
    tally.add(np.zeros((0, 4)), np.zeros((0, 4)), [])
    assert (tally.average_precision, *tally.at(0.3)) == (0, 0, 0)
    tally.add(np.zeros((0, 4)), np.array([[0, 0, 5, 5.0]]), [0.8])
    assert (tally.average_precision, *tally.at(0.3)) == (0, 0, 0)


def test_without_data_it_says_so_and_ends(results, monkeypatch, capsys):
    monkeypatch.delenv(text_boxes.VARIABLE, raising=False)
    text_boxes.main([])
    assert "skipped: no folder of data" in capsys.readouterr().out
    assert not results.exists()


def test_without_a_detector_it_says_so_and_ends(data, results, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("NAPARI_SEGMATE_CACHE", str(tmp_path / "cache"))
    text_boxes.main(["--data", str(data), "--detector", "grounding-dino-tiny", "--device", "cpu"])
    assert "skipped: " in capsys.readouterr().out
    assert not results.exists()
