"""Searches of the text dock: which planes, with which detector, what must be downloaded first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from napari_segmate.core.errors import OfflineError
from napari_segmate.core.types import IntBoxYX
from napari_segmate.plugin.planes.image_view import ImageView
from napari_segmate.plugin.text.boxes import DetectionFilter
from napari_segmate.plugin.text.detector_engine import DetectorEngine, Found, Query
from napari_segmate.plugin.text.request import TextRequest
from napari_segmate.plugin.worker.jobs import Jobs, error_text
from napari_segmate.sessions.text_boxes import PlaneIndex, TextBox
from napari_segmate.sessions.text_state import Offer, OfferState

__all__ = ["TextSearch"]

NO_DOWNLOAD = "The box above says how to do without a connection; or choose another detector"

Area = Callable[[], tuple[Sequence[PlaneIndex], IntBoxYX | None]]


class TextSearch:
    """Searches for words, and for what is like a box.

    Parameters
    ----------
    detector_engine : DetectorEngine
        Finds boxes.
    jobs : Jobs
        Where it runs.
    view : ImageView
        The image.
    detections : DetectionFilter
        Takes what is found.
    request : callable
        Returns what the panel says, a `TextRequest`.
    area : callable
        Returns the planes to search, and which part of them.
    show_offer : callable
        Called with what must be downloaded first, an `OfferState`, or None.
    changed : callable
        Called when something was found.
    """

    def __init__(
        self,
        detector_engine: DetectorEngine,
        jobs: Jobs,
        view: ImageView,
        detections: DetectionFilter,
        *,
        request: Callable[[], TextRequest],
        area: Area,
        show_offer: Callable[[OfferState | None], None],
        changed: Callable[[], None],
    ) -> None:
        self.offered: OfferState | None = None
        self._detector_engine = detector_engine
        self._jobs = jobs
        self._view = view
        self._detections = detections
        self._request = request
        self._area = area
        self._show_offer = show_offer
        self._changed = changed

    # Search

    def find(self, text: str) -> None:
        """Search for the concepts in a text.

        Raises
        ------
        SegmateError
            There is none.
        """
        phrases = self._detector_engine.phrases(text)
        self._begin(lambda: self._find(phrases))

    def find_similar(self, example: TextBox) -> None:
        """Search for more of what is in a box."""
        self._begin(lambda: self._find_similar(example))

    def _find(self, phrases: tuple[str, ...]) -> None:
        activity, (indices, region) = f"Looking for {', '.join(phrases)} …", self._area()
        for number, index in enumerate(indices):
            query = self._query(index, phrases, region)
            self._jobs.run(
                partial(self._detector_engine.detect, query),
                partial(self._take, index, last=number == len(indices) - 1),
                activity,
                place=_place(number, len(indices)),
            )

    def _find_similar(self, example: TextBox) -> None:
        query = self._query(example.plane, (example.concept,), self._area()[1])
        self._jobs.run(
            lambda context: self._detector_engine.find_similar(query, example.box_yx, context),
            partial(self._take, example.plane, last=True, concept=example.concept),
            f"Looking for more like this {example.concept} …",
        )

    def _take(self, index: PlaneIndex, found: Found, *, last: bool, concept: str = "") -> None:
        if concept:
            self._detections.add_similar(index, found, concept)
        else:
            self._detections.add(index, found)
        if last:
            self._jobs.finish()
        self._changed()

    def _query(self, index: PlaneIndex, phrases: tuple[str, ...], region: IntBoxYX | None) -> Query:
        request = self._request()
        return Query(
            self._view.at(index),
            phrases,
            request.detector,
            request.options.device,
            region,
            request.options.diameter,
            request.search,
        )

    # Downloads

    def _begin(self, search: Callable[[], None]) -> None:
        """Make sure that the detector is there, then search."""
        detector = self._request().detector
        self._jobs.retry_with = lambda: self._begin(search)

        def checked(offer: Offer | None) -> None:
            self._jobs.finish()
            failed = self.offered is not None and self.offered.failed
            self.show_offer(None if offer is None else OfferState(offer, failed=failed))
            if offer is None:
                search()

        self._jobs.run(
            lambda context: self._detector_engine.offer(detector),
            checked,
            "Looking for the detector …",
        )

    def download(self) -> None:
        """Download the detector, then search."""
        detector, retry, offered = self._request().detector, self._jobs.retry_with, self.offered

        def done(_: Any) -> None:
            self._jobs.finish()
            self.show_offer(None)
            if retry is not None:
                retry()

        def failed() -> None:
            if offered is not None:
                self.show_offer(OfferState(offered.offer, failed=True))

        self._jobs.run(
            lambda context: self._detector_engine.download(detector, context),
            done,
            "Downloading …",
            remedy=NO_DOWNLOAD,
            describe=_brief,
            on_failed=failed,
        )
        if offered is not None:
            self.show_offer(OfferState(offered.offer, running=True))

    def cancel(self) -> None:
        """Stop what runs; a download is offered again."""
        self._jobs.cancel()
        if self.offered is not None:
            self.show_offer(OfferState(self.offered.offer))

    def show_offer(self, offered: OfferState | None) -> None:
        """Show what must be downloaded; None for nothing."""
        self.offered = offered
        self._show_offer(offered)


def _brief(error: BaseException) -> str:
    """Return what went wrong, without the list of files: the card shows it."""
    return error.brief if isinstance(error, OfflineError) else error_text(error)


def _place(number: int, count: int) -> str:
    return "" if count == 1 else f"plane {number + 1} of {count}"
