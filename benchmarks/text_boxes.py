"""How well words find objects: boxes of a detector against those that people drew, by concept.

``python -m benchmarks.text_boxes --data FOLDER --detector NAME``: any detector of the package, or
one of your own. FOLDER (or the environment variable ``NAPARI_SEGMATE_DATA``) holds one folder per
data set with ``images/NAME.*`` and ``boxes/NAME.json`` (``boxes``: x0, y0, x1, y1 in pixels;
``labels``: what each is).
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter

import numpy as np
import numpy.typing as npt
import skimage.io

from benchmarks._report import Table, report
from benchmarks.accuracy import VARIABLE
from napari_segmate.core.errors import SegmateError
from napari_segmate.core.images.pictures import as_plane, as_rgb
from napari_segmate.core.masks.boxes import overlaps
from napari_segmate.core.text.detections import SelectParams, select
from napari_segmate.core.types import RGBImage
from napari_segmate.detectors import load_detector
from napari_segmate.detectors.base import DETAIL, Detector
from napari_segmate.inference.detection.search import SearchOptions, Tiling, search

PHRASES: Mapping[str, Mapping[str, str]] = {
    "bccd": {"RBC": "red blood cell", "WBC": "white blood cell", "Platelets": "platelet"},
    "blood_rbc_wbc": {"rbc": "red blood cell", "wbc": "white blood cell"},
    "living_dead": {"Living Cell": "living cell", "Dead Cell": "dead cell"},
}
"""What is looked for, by data set and by the name in its files."""
MATCH = 0.5
"""Least IoU of two boxes that mean the same object."""
LEAST = 0.01
"""Boxes of a lower score add nothing to the average precision."""
COLUMNS = ["data set", "concept", "phrase", "images", "boxes", "AP50", "recall", "precision"]
Boxes = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Item:
    """A picture, (n, 4) boxes y0, x0, y1, x1 of its objects, and what each is."""

    image: RGBImage
    boxes: Boxes
    labels: tuple[str, ...]


@dataclass
class Tally:
    """What became of the boxes of one concept, over all images."""

    wanted: int = 0
    scores: list[float] = field(default_factory=list)
    hits: list[bool] = field(default_factory=list)

    def add(self, truth: Boxes, found: Boxes, scores: Sequence[float]) -> None:
        """Match the boxes of one image; each true box is found once, by the best score."""
        self.wanted += len(truth)
        pairs = overlaps(found, truth)
        for row in np.argsort(-np.asarray(scores), kind="stable").tolist():
            best = int(pairs[row].argmax()) if len(truth) else -1
            hit = best >= 0 and pairs[row, best] >= MATCH
            if hit:
                pairs[:, best] = 0
            self.scores.append(float(scores[row]))
            self.hits.append(hit)

    @property
    def average_precision(self) -> float:
        """Area under the curve of precision over recall, precision made to fall only."""
        if not self.wanted or not self.hits:
            return 0.0
        hits = np.array(self.hits)[np.argsort(-np.array(self.scores), kind="stable")]
        recall = np.cumsum(hits) / self.wanted
        precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
        falling = np.maximum.accumulate(precision[::-1])[::-1]
        return float((np.diff(recall, prepend=0) * falling).sum())

    def at(self, score: float) -> tuple[float, float]:
        """Return recall and precision of the boxes of at least a score."""
        hits = [hit for hit, own in zip(self.hits, self.scores, strict=True) if own >= score]
        return sum(hits) / max(self.wanted, 1), sum(hits) / max(len(hits), 1)


def read_items(folder: Path, images: int) -> Iterator[Item]:
    """Yield pictures from all over a data set."""
    paths = sorted((folder / "boxes").glob("*.json"))
    for number in np.unique(np.linspace(0, len(paths) - 1, min(images, len(paths))).astype(int)):
        path = paths[number]
        content = json.loads(path.read_text(encoding="utf-8"))
        boxes = np.array(content["boxes"], dtype=float).reshape(-1, 4)
        (image,) = (folder / "images").glob(f"{path.stem}.*")
        # Drawn boxes count from the edge of the first pixel, ours from its centre.
        yield Item(
            as_rgb(skimage.io.imread(image)), boxes[:, [1, 0, 3, 2]] - 0.5, tuple(content["labels"])
        )


def measure(
    items: Iterator[Item],
    phrases: Mapping[str, str],
    detector: Detector,
    params: SelectParams,
    options: SearchOptions,
    diameter: float = 0.0,
) -> tuple[dict[str, Tally], int, float]:
    """Return a tally per name, the number of images, and seconds per image."""
    words = tuple(phrases.values())
    tallies = {name: Tally() for name in phrases}
    count, seconds = 0, 0.0
    for item in items:
        start = perf_counter()
        seen = search(as_plane(item.image), words, detector, options, diameter=diameter)
        chosen = select(seen, replace(params, score=LEAST))
        seconds += perf_counter() - start
        count += 1
        for number, (name, tally) in enumerate(tallies.items()):
            mine = chosen.phrase_index == number
            truth = item.boxes[np.array([label == name for label in item.labels], bool)]
            tally.add(truth, chosen.boxes_yx[mine], chosen.scores[mine].tolist())
    return tallies, count, seconds / max(count, 1)


def rows_of(
    title: str, phrases: Mapping[str, str], tallies: Mapping[str, Tally], count: int, score: float
) -> list[list[str]]:
    """Return the lines of a table for one data set."""
    return [
        [
            title,
            name,
            phrases[name],
            str(count),
            str(tally.wanted),
            *(f"{value:.2f}" for value in (tally.average_precision, *tally.at(score))),
        ]
        for name, tally in tallies.items()
    ]


def main(argv: Sequence[str] | None = None, detector: Detector | None = None) -> None:
    options = _parser().parse_args(argv)
    folders = {} if options.data is None else {name: Path(options.data) / name for name in PHRASES}
    present = {name: folder for name, folder in folders.items() if (folder / "boxes").is_dir()}
    if not present:
        print(f"skipped: no folder of data; give --data FOLDER or set {VARIABLE}")
        return
    try:
        detector = detector or load_detector(options.detector, device=options.device)
    except SegmateError as error:
        print(f"skipped: {error}")
        return
    how = SearchOptions(Tiling(options.tiling), options.detail, options.one_by_one)
    params = SelectParams(max_area_share=options.max_area, nms=options.overlap)
    rows, times = [], []
    for name, folder in present.items():
        items = read_items(folder, options.images)
        tallies, count, seconds = measure(
            items, PHRASES[name], detector, params, how, options.diameter
        )
        rows += rows_of(name, PHRASES[name], tallies, count, options.score)
        times.append(f"{name} {seconds:.2f} s")
    text = (
        f"A box is found when one of its concept overlaps it by half (IoU {MATCH}). Recall and "
        f"precision are those of boxes that score {options.score:g} or more. Not every cell of "
        f"bccd has a box, so that its precision says little. Time per image: {', '.join(times)}."
    )
    table = Table(f"Boxes for words, detector {detector.info.name}", COLUMNS, rows, text)
    report("text_boxes", "Boxes for words", [table], save=not options.no_save)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, default=os.environ.get(VARIABLE))
    parser.add_argument("--detector", default="auto", help="a name, or your own")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--images", type=int, default=12, help="per data set")
    parser.add_argument("--score", type=float, default=0.3, help="for recall and precision")
    parser.add_argument("--tiling", default="auto", choices=[str(one) for one in Tiling])
    parser.add_argument("--detail", type=int, default=DETAIL)
    parser.add_argument("--diameter", type=float, default=0.0, help="typical object in pixels")
    parser.add_argument("--one-by-one", action="store_true", help="one pass per concept")
    parser.add_argument("--max-area", type=float, default=0.5)
    parser.add_argument("--overlap", type=float, default=0.5)
    parser.add_argument("--no-save", action="store_true", help="print, write no file")
    return parser


if __name__ == "__main__":
    main()
