"""Searches of the text dock: where, with which detector, and what must be downloaded first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from napari_segmate.core.errors import OfflineError
from napari_segmate.core.masks.coarse_masks import MaskSource
from napari_segmate.core.types import IntBoxYX
from napari_segmate.plugin.planes.image_view import View
from napari_segmate.plugin.planes.region import RegionLayer
from napari_segmate.plugin.text.detections import Findings
from napari_segmate.plugin.text.engine_protocol import DetectorEngine, Found, Query
from napari_segmate.plugin.worker.jobs import Jobs, error_text
from napari_segmate.sessions.text_boxes import PlaneIndex, TextBox
from napari_segmate.sessions.text_state import Offer, Offered
from napari_segmate.widgets.options_view import OptionValues
from napari_segmate.widgets.planes_view import PlaneChoice
from napari_segmate.widgets.text_options import SearchOptions

__all__ = ["Asked", "Finder"]

NO_DOWNLOAD = "The box above says how to do without a connection; or choose another detector"


@dataclass(frozen=True)
class Asked:
    """What the panel says, except text and sliders.

    Parameters
    ----------
    detector, model : str
        Who looks, and who segments.
    region : str
        ``"plane"``, ``"visible"`` or ``"rectangle"``.
    planes : PlaneChoice
        Which planes of a stack.
    options : OptionValues
        Contrast, device, what happens to other labels.
    search : SearchOptions
        How to search.
    masks : MaskSource
        Who draws the outlines, where the detector can do that, too.
    """

    detector: str = "auto"
    model: str = "tiny"
    region: str = "plane"
    planes: PlaneChoice = field(default_factory=PlaneChoice)
    options: OptionValues = field(default_factory=OptionValues)
    search: SearchOptions = field(default_factory=SearchOptions)
    masks: MaskSource = MaskSource.DETECTOR


class Finder:
    """Looks for words, and for what is like a box.

    Parameters
    ----------
    detector_engine : DetectorEngine
        Who finds boxes.
    jobs : Jobs
        Where it runs.
    view : View
        The image, and what of it is on the screen.
    region : RegionLayer
        The rectangle to search, if one is drawn.
    findings : Findings
        Are told what is found.
    show_offer : callable
        Called with what must be downloaded first, an `Offered`, or None.
    changed : callable
        Called when something was found.
    """

    def __init__(
        self,
        detector_engine: DetectorEngine,
        jobs: Jobs,
        view: View,
        region: RegionLayer,
        findings: Findings,
        *,
        show_offer: Callable[[Offered | None], None],
        changed: Callable[[], None],
    ) -> None:
        self.asked = Asked()
        self.index: PlaneIndex | None = None
        self.offered: Offered | None = None
        self._detector_engine = detector_engine
        self._jobs = jobs
        self._view = view
        self._region = region
        self._findings = findings
        self._show_offer = show_offer
        self._changed = changed

    # What to look for

    def find(self, text: str) -> None:
        """Look for the concepts in a text.

        Raises
        ------
        SegmateError
            There is none.
        """
        phrases = self._detector_engine.phrases(text)
        self._begin(lambda: self._search(phrases))

    def find_alike(self, pattern: TextBox) -> None:
        """Look for more of what is in a box."""
        self._begin(lambda: self._search_alike(pattern))

    def _search(self, phrases: tuple[str, ...]) -> None:
        doing, indices, region = f"Looking for {', '.join(phrases)} …", self.indices, self.region()
        for number, index in enumerate(indices):
            query = self._query(index, phrases, region)
            self._jobs.run(
                partial(self._detector_engine.detect, query),
                self._taker(index, last=number == len(indices) - 1),
                doing,
                place=_place(number, len(indices)),
            )

    def _search_alike(self, pattern: TextBox) -> None:
        query = self._query(pattern.plane, (pattern.concept,), self.region())
        self._jobs.run(
            lambda context: self._detector_engine.alike(query, pattern.box_yx, context),
            self._taker(pattern.plane, last=True, concept=pattern.concept),
            f"Looking for more like this {pattern.concept} …",
        )

    def _taker(
        self, index: PlaneIndex, *, last: bool, concept: str = ""
    ) -> Callable[[Found], None]:
        def take(found: Found) -> None:
            if concept:
                self._findings.join(index, found, concept)
            else:
                self._findings.add(index, found)
            if last:
                self._jobs.rest()
            self._changed()

        return take

    def _query(self, index: PlaneIndex, phrases: tuple[str, ...], region: IntBoxYX | None) -> Query:
        asked = self.asked
        return Query(
            self._view.at(index),
            phrases,
            asked.detector,
            asked.options.device,
            region,
            asked.options.diameter,
            asked.search,
        )

    # Downloads

    def _begin(self, search: Callable[[], None]) -> None:
        """Make sure that the detector is there, then search."""
        detector = self.asked.detector
        self._jobs.again = lambda: self._begin(search)

        def asked(offer: Offer | None) -> None:
            self._jobs.rest()
            failed = self.offered is not None and self.offered.failed
            self.show_offer(None if offer is None else Offered(offer, failed=failed))
            if offer is None:
                search()

        self._jobs.run(
            lambda context: self._detector_engine.offer(detector),
            asked,
            "Looking for the detector …",
        )

    def download(self) -> None:
        """Download the detector, then search."""
        detector, again, offered = self.asked.detector, self._jobs.again, self.offered

        def done(_: Any) -> None:
            self._jobs.rest()
            self.show_offer(None)
            if again is not None:
                again()

        def failed() -> None:
            if offered is not None:
                self.show_offer(Offered(offered.offer, failed=True))

        self._jobs.run(
            lambda context: self._detector_engine.download(detector, context),
            done,
            "Downloading …",
            cure=NO_DOWNLOAD,
            words=_brief,
            failed=failed,
        )
        if offered is not None:
            self.show_offer(Offered(offered.offer, running=True))

    def cancel(self) -> None:
        """Stop what runs; a download is offered again."""
        self._jobs.cancel()
        if self.offered is not None:
            self.show_offer(Offered(self.offered.offer))

    def stop(self) -> None:
        """Stop what runs, and offer nothing any more."""
        self._jobs.stop()
        self.show_offer(None)

    def show_offer(self, offered: Offered | None) -> None:
        """Show what must be downloaded; None for nothing."""
        self.offered = offered
        self._show_offer(offered)
        self._jobs.tell()

    # Where to look

    @property
    def indices(self) -> list[PlaneIndex]:
        """The planes that the next search is for, the one on the screen first."""
        shown, choice, slider = self.index, self.asked.planes, self.slider
        if shown is None:
            return []
        if not choice.is_range or slider is None:
            return [shown]
        place, length = slider
        assert choice.first is not None and choice.last is not None
        numbers = range(choice.first, min(choice.last, length - 1) + 1)
        wanted = [(*shown[:place], number, *shown[place + 1 :]) for number in numbers]
        return sorted(wanted, key=lambda index: index != shown)

    @property
    def slider(self) -> tuple[int, int] | None:
        """Place in the index of the axis that a range goes along, and its length."""
        return None if self._view.shown is None else self._view.slider()

    def region(self) -> IntBoxYX | None:
        """Part of a plane that is searched; None for all of it."""
        if self.asked.region == "visible":
            return self._view.visible_yx
        if self.asked.region == "rectangle":
            return self._region.box(self._view.drawing_plane)
        return None


def _brief(error: BaseException) -> str:
    """Return what went wrong, without the list of files: the card shows it."""
    return error.brief if isinstance(error, OfflineError) else error_text(error)


def _place(number: int, count: int) -> str:
    return "" if count == 1 else f"plane {number + 1} of {count}"
