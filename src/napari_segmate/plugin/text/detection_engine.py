"""The detectors of this package as the text dock asks for them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_segmate.core.context import Context
from napari_segmate.core.text.detections import Detections, SelectParams, select
from napari_segmate.core.text.phrases import split_phrases
from napari_segmate.core.types import BoxYX
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
from napari_segmate.plugin.text.engine_protocol import Chosen, DetectorEntry, Found, Query
from napari_segmate.sessions.text_state import Offer
from napari_segmate.tasks.text.segment_boxes import Finder
from napari_segmate.widgets.filter_view import FilterValues

__all__ = ["TextEngine"]

AUTO = "The first detector that is installed and present; now {title}"


class TextEngine:
    """Finds boxes with whatever detector is chosen; keeps the one in use."""

    def __init__(self) -> None:
        self._key: tuple[str, str] | None = None
        self._detector: Detector | None = None

    def detectors(self) -> Sequence[DetectorEntry]:
        """See `napari_segmate.plugin.text.engine_protocol.DetectorEngine`."""
        infos, first = list_detectors(), get_detector("auto")
        return [
            _entry(first, "auto", "Automatic", AUTO.format(title=first.title)),
            *(_entry(info, info.name, info.title, info.description) for info in infos),
        ]

    def own(self, name: str) -> DetectorEntry:
        """See `napari_segmate.plugin.text.engine_protocol.DetectorEngine`."""
        info = get_detector(name)
        # The title alone would not tell two checkpoints of one name apart.
        return _entry(info, name, info.title, f"{info.description}\n{name}")

    def phrases(self, text: str) -> tuple[str, ...]:
        """See `napari_segmate.plugin.text.engine_protocol.DetectorEngine`."""
        return split_phrases(text)

    def offer(self, detector: str) -> Offer | None:
        """See `napari_segmate.plugin.text.engine_protocol.DetectorEngine`."""
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
        """See `napari_segmate.plugin.text.engine_protocol.DetectorEngine`."""
        download(get_detector(detector), context)

    def detect(self, query: Query, context: Context) -> Found:
        """See `napari_segmate.plugin.text.engine_protocol.DetectorEngine`."""
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

    def alike(self, query: Query, box_yx: BoxYX, context: Context) -> Found:
        """See `napari_segmate.plugin.text.engine_protocol.DetectorEngine`."""
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
        """See `napari_segmate.plugin.text.engine_protocol.DetectorEngine`."""
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
