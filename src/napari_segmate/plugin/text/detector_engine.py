"""What the text dock asks of detectors, and the detectors of this package that answer it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from napari_segmate.core.context import Context
from napari_segmate.core.text.detections import Detections, Masks, SelectParams, select
from napari_segmate.core.text.phrases import split_phrases
from napari_segmate.core.types import BoxYX, IntBoxYX, Shape2D
from napari_segmate.detectors import (
    address_of,
    commit_of,
    download,
    folder_of,
    get_detector,
    list_detectors,
    load_detector,
    missing_files,
    usable,
)
from napari_segmate.detectors.base import Detector, DetectorInfo
from napari_segmate.inference.detection.search import search
from napari_segmate.inference.detection.search_by_example import search_by_example
from napari_segmate.inference.prompts.request import PlaneLike
from napari_segmate.sessions.text_state import Offer
from napari_segmate.tasks.text.segment_boxes import Finder
from napari_segmate.widgets.filter_view import FilterValues
from napari_segmate.widgets.text_options import SearchOptions

__all__ = [
    "Chosen",
    "DetectorEngine",
    "DetectorEntry",
    "Found",
    "PackageDetectors",
    "Query",
]

AUTO = "The first detector that is installed and present; now {title}"


@dataclass(frozen=True)
class DetectorEntry:
    """A detector as the list shows it.

    Parameters
    ----------
    name, title, description : str
        What it is called, and what it is good at.
    examples : bool
        Can look for more of what is in a box, not only for words.
    masks : bool
        Draws the outline of what is in each box, too.
    """

    name: str
    title: str
    description: str = ""
    examples: bool = False
    masks: bool = False


@dataclass(frozen=True, eq=False)
class Query:
    """What to look for, and where.

    Parameters
    ----------
    plane : Plane
        Where to read pixels.
    phrases : tuple of str
        The concepts.
    detector, device : str
        Which detector, and where it runs.
    region : (y0, x0, y1, x1), optional
        Part to search, half-open; None for the whole plane.
    diameter : float
        Typical object in pixels; 0 if not known.
    options : SearchOptions
        How to search.
    """

    plane: PlaneLike
    phrases: tuple[str, ...]
    detector: str = "auto"
    device: str = "auto"
    region: IntBoxYX | None = None
    diameter: float = 0.0
    options: SearchOptions = field(default_factory=SearchOptions)


@dataclass(frozen=True, eq=False)
class Found:
    """All that a detector found on a plane, before any filter.

    Parameters
    ----------
    phrases : tuple of str
        The concepts.
    boxes_yx : (N, 4) float
        Corners in plane pixels.
    scores : (N, P) float
        How well each box fits each concept, 0 to 1.
    shape : (height, width)
        Size of the part that was searched; (0, 0) if it is not known.
    masks : tuple of CoarseMask or None, optional
        One per box, in plane pixels, from detectors that draw outlines.
    finder : Finder
        Which detector found them, for the record.
    """

    phrases: tuple[str, ...]
    boxes_yx: npt.NDArray[np.float64]
    scores: npt.NDArray[np.floating[Any]]
    shape: Shape2D = (0, 0)
    masks: Masks | None = None
    finder: Finder = field(default_factory=Finder)

    @property
    def best(self) -> npt.NDArray[np.floating[Any]]:
        """(N,) score of the concept that fits each box best."""
        return self.scores.max(axis=1) if self.scores.size else np.zeros(len(self.boxes_yx))

    @property
    def concept(self) -> npt.NDArray[np.intp]:
        """(N,) number of that concept."""
        if not self.scores.size:
            return np.zeros(len(self.boxes_yx), np.intp)
        return np.asarray(self.scores.argmax(axis=1))

    @property
    def sizes(self) -> npt.NDArray[np.float64]:
        """(N,) side in pixels of a square of the same area."""
        sides = np.maximum(self.boxes_yx[:, 2:] - self.boxes_yx[:, :2], 0)
        return np.asarray(np.sqrt(sides.prod(axis=1)))


Chosen = tuple[int, BoxYX, str, float]
"""(row, box, concept, score): the row names a box of one `Found` whatever the filters say."""


class DetectorEngine(Protocol):
    """Finds boxes for words; a protocol, so that tests need no detector."""

    def detectors(self) -> Sequence[DetectorEntry]:
        """Return what can be chosen; imports nothing heavy."""
        ...

    def own(self, name: str) -> DetectorEntry:
        """Return one of the user's: a folder, a file, or ``"owner/name@revision"``.

        Raises
        ------
        SegmateError
            Nothing there, or nothing that could be one.
        """
        ...

    def phrases(self, text: str) -> tuple[str, ...]:
        """Return the concepts in a text.

        Raises
        ------
        SegmateError
            Nothing in it that could be searched for.
        """
        ...

    def offer(self, detector: str) -> Offer | None:
        """Return what must be downloaded before a detector can be used; for the worker thread."""
        ...

    def download(self, detector: str, context: Context) -> None:
        """Download it; for the worker thread."""
        ...

    def detect(self, query: Query, context: Context) -> Found:
        """Return what a detector finds; for the worker thread."""
        ...

    def find_similar(self, query: Query, box_yx: BoxYX, context: Context) -> Found:
        """Return what resembles the content of a box; for the worker thread."""
        ...

    def select(self, found: Found, values: FilterValues) -> Sequence[Chosen]:
        """Return the boxes that filters let through, best score first; takes some 10 ms."""
        ...


class PackageDetectors:
    """Finds boxes with whatever detector is chosen; keeps the one in use."""

    def __init__(self) -> None:
        self._key: tuple[str, str] | None = None
        self._detector: Detector | None = None

    def detectors(self) -> Sequence[DetectorEntry]:
        """See `DetectorEngine`."""
        infos, first = list_detectors(), get_detector("auto")
        return [
            _entry(first, "auto", "Automatic", AUTO.format(title=first.title)),
            *(_entry(info, info.name, info.title, info.description) for info in infos),
        ]

    def own(self, name: str) -> DetectorEntry:
        """See `DetectorEngine`."""
        info = get_detector(name)
        # The title alone would not tell two checkpoints of one name apart.
        return _entry(info, name, info.title, f"{info.description}\n{name}")

    def phrases(self, text: str) -> tuple[str, ...]:
        """See `DetectorEngine`."""
        return split_phrases(text)

    def offer(self, detector: str) -> Offer | None:
        """See `DetectorEngine`."""
        info = get_detector(detector)
        missing = missing_files(info)
        if not missing or not usable(info):
            return None
        size = f"{info.size_mb} MB" if info.size_mb else "size not known"
        return Offer(
            f"{info.title} is not on this computer yet",
            f"To download once: {size}, licence {info.licence}, from "
            f"huggingface.co/{info.repository}, to {folder_of(info)}. Your images stay on this "
            "computer.",
            tuple(address_of(info, name) for name in missing),
            str(folder_of(info)),
        )

    def download(self, detector: str, context: Context) -> None:
        """See `DetectorEngine`."""
        download(get_detector(detector), context)

    def detect(self, query: Query, context: Context) -> Found:
        """See `DetectorEngine`."""
        detector = self._load(query, context)
        seen = search(
            query.plane,
            query.phrases,
            detector,
            query.options,
            region=query.region,
            diameter=query.diameter,
            context=context,
        )
        y0, x0, *_ = query.region or (0, 0)
        return _found(seen, (y0, x0), detector.info)

    def find_similar(self, query: Query, box_yx: BoxYX, context: Context) -> Found:
        """See `DetectorEngine`."""
        detector = self._load(query, context)
        seen = search_by_example(
            query.plane,
            box_yx,
            query.phrases[0],
            detector,
            query.options,
            region=query.region,
            diameter=query.diameter,
            context=context,
        )
        return _found(seen, (0, 0), detector.info)

    def select(self, found: Found, values: FilterValues) -> Sequence[Chosen]:
        """See `DetectorEngine`."""
        params = SelectParams(
            score=values.score,
            min_size=min(values.smallest, values.largest),
            max_size=values.largest,
            nms=values.overlap,
        )
        seen = Detections(
            found.boxes_yx, found.scores.astype("float32"), found.phrases, found.shape
        )
        chosen = select(seen, params)
        return [
            (
                int(row),
                (float(y0), float(x0), float(y1), float(x1)),
                found.phrases[at],
                float(score),
            )
            for row, (y0, x0, y1, x1), at, score in zip(
                chosen.rows, chosen.boxes_yx, chosen.phrase_index, chosen.scores, strict=True
            )
        ]

    def _load(self, query: Query, context: Context) -> Detector:
        key = (query.detector, query.device)
        if self._detector is None or key != self._key:
            # Free the old one first: two large models may not fit.
            self._detector = self._key = None
            self._detector = load_detector(query.detector, device=query.device, context=context)
            self._key = key
        return self._detector


def _entry(info: DetectorInfo, name: str, title: str, description: str) -> DetectorEntry:
    return DetectorEntry(name, title, description, info.examples, info.masks)


def _found(seen: Detections, offset_yx: tuple[int, int], info: DetectorInfo) -> Found:
    placed = seen.placed(np.ones(len(seen), bool), seen.shape, offset_yx)
    finder = Finder(info.name, commit_of(info))
    return Found(seen.phrases, placed.boxes_yx, seen.scores, seen.shape, placed.masks, finder)
