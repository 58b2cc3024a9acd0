"""Finds bright objects for any word, at a pace that tests set."""

from __future__ import annotations

import re
import threading

import numpy as np
from scipy import ndimage

from napari_segmate.core.errors import Cancelled, ModelError, PromptError
from napari_segmate.core.masks.boxes import box_nms
from napari_segmate.core.masks.coarse_masks import CoarseMask
from napari_segmate.plugin.text.detector_engine import DetectorEntry, Found
from napari_segmate.sessions.text_state import Offer
from napari_segmate.tasks.text.segment_boxes import Finder

NOISE = 30
"""Boxes of low score that every search brings, as real detectors do."""


OFFER = Offer(
    "Fake detector", "12 MB, CC0, to /tmp", ("https://example.org/fake.safetensors",), "/tmp/fake"
)


def stripe(box_yx):
    """The two rows of pixels at the top of a box, as a detector would draw them."""
    y0, x0, _, x1 = np.rint(box_yx).astype(int).tolist()
    return CoarseMask.of(np.ones((2, x1 - x0 + 1)), (y0 - 0.5, x0 - 0.5, y0 + 1.5, x1 + 0.5))


class FakeEngine:
    """Objects brighter than 127 score 0.9 for the first concept, 0.8 for the second, and so on."""

    def __init__(self) -> None:
        self.queries = []
        self.patterns = []
        self.downloads = []
        self.missing = False
        self.error: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()

    def detectors(self):
        return [
            DetectorEntry("fake", "Fake detector", "finds what is bright", examples=True),
            DetectorEntry("words", "Words only"),
            DetectorEntry("draws", "Draws masks", examples=True, masks=True),
        ]

    def own(self, name):
        if "colonies" not in name:
            raise ModelError(f"no detector at {name}; check the path")
        return DetectorEntry(name, "colonies", "Your own", examples=True)

    def phrases(self, text):
        found = [part.strip().lower() for part in re.split(r"[,;.\n]", text)]
        if not any(found):
            raise PromptError("nothing to look for; type what is to be found, for example: cell")
        return tuple(part for part in found if part)

    def offer(self, detector):
        return OFFER if self.missing else None

    def download(self, detector, context):
        self._wait(context, "12 MB")
        self.downloads.append(detector)
        self.missing = False

    def detect(self, query, context):
        self.queries.append(query)
        self._wait(context, "tile 1 of 4")
        if self.error is not None:
            raise self.error
        boxes = self._bright(query)
        scores = np.zeros((len(boxes), len(query.phrases)))
        for number in range(len(boxes)):
            scores[number, number % len(query.phrases)] = 0.9 - 0.1 * number
        rng = np.random.default_rng(0)
        corners = rng.uniform(0, 20, (NOISE, 2))
        noise = np.concatenate([corners, corners + rng.uniform(3, 9, (NOISE, 2))], axis=1)
        low = rng.uniform(0, 0.1, (NOISE, len(query.phrases)))
        everything, scores = np.concatenate([boxes, noise]), np.concatenate([scores, low])
        return self._seen(query, everything, scores)

    def find_similar(self, query, box_yx, context):
        self.patterns.append(box_yx)
        boxes = self._bright(query)
        return self._seen(query, boxes, np.full((len(boxes), 1), 0.7))

    def _seen(self, query, boxes, scores):
        masks = tuple(map(stripe, boxes)) if query.detector == "draws" else None
        finder = Finder(query.detector, "1f2e3d")
        return Found(query.phrases, boxes, scores, masks=masks, finder=finder)

    def select(self, found, values):
        size = found.sizes
        good = (found.best >= values.score) & (size >= values.smallest) & (size <= values.largest)
        rows = np.flatnonzero(good)
        kept = rows[box_nms(found.boxes_yx[rows], found.best[rows], values.overlap)]
        return [
            (
                int(row),
                tuple(map(float, found.boxes_yx[row])),
                found.phrases[found.concept[row]],
                float(found.best[row]),
            )
            for row in kept
        ]

    def _bright(self, query):
        y0, x0, y1, x1 = query.region or (0, 0, *query.plane.shape)
        grey = query.plane.read((y0, x0, y1, x1))[..., 0]
        found = ndimage.find_objects(ndimage.label(grey > 127)[0])
        boxes = [(y.start + y0, x.start + x0, y.stop + y0 - 1, x.stop + x0 - 1) for y, x in found]
        return np.array(boxes, float).reshape(-1, 4)

    def _wait(self, context, text):
        while not self.gate.wait(0.005):
            if context.cancelled():
                raise Cancelled("cancelled")
            context.report(1, 4, text)
        context.check()
