"""The controller of the text dock: search, filter, edit boxes, segment them, take back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from napari.components import ViewerModel

from napari_segmate.core.errors import PromptError, SegmateError
from napari_segmate.core.text.phrases import split_phrases
from napari_segmate.core.types import IntBoxYX
from napari_segmate.plugin.docks.controller import SETTLE_MS, DockController
from napari_segmate.plugin.text.box_segmenter import BoxSegmenter
from napari_segmate.plugin.text.boxes import TextBoxes
from napari_segmate.plugin.text.detector_engine import DetectorEngine
from napari_segmate.plugin.text.request import TextRequest
from napari_segmate.plugin.text.search import TextSearch
from napari_segmate.plugin.worker.engine import ModelEngine
from napari_segmate.sessions.text_boxes import PlaneIndex
from napari_segmate.sessions.text_state import OfferState, TextFacts, TextState, text_state
from napari_segmate.widgets.filter_view import FilterValues

__all__ = ["TextController"]

TRY_AGAIN = "Try again, or choose another detector"


class TextController(DockController[TextRequest, TextState, None]):
    """One text search in one viewer.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layers are.
    detector_engine : DetectorEngine
        Finds boxes.
    engine : ModelEngine
        Keeps the model that turns them into objects.
    notify : callable
        Called with a sentence that the user should read.

    Attributes
    ----------
    searched : callable
        Called with the text of a search that begins.
    offer : callable
        Called with the `OfferState` of a download that the user must agree to, or None.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        detector_engine: DetectorEngine,
        engine: ModelEngine,
        notify: Callable[[str], None],
    ) -> None:
        super().__init__(viewer, TextRequest(), TRY_AGAIN, notify, recoloured_ms=SETTLE_MS)
        self.detector_engine = detector_engine
        self.text = ""
        self.searched: Callable[[str], None] = lambda text: None
        self.offer: Callable[[OfferState | None], None] = lambda offered: None
        self.boxes = TextBoxes(
            viewer, detector_engine, self.view, filtered=self.refresh, edited=self._on_edited
        )
        self.search = TextSearch(
            detector_engine,
            self.jobs,
            self.view,
            self.boxes.detections,
            request=lambda: self.request,
            area=self._area,
            show_offer=self._on_offer,
            changed=self._on_found,
        )
        self.segmenter = BoxSegmenter(self.jobs, engine, self.view, self.boxes, self.writer)

    def on_close(self) -> None:
        """Stop what runs; boxes and objects stay."""
        self.boxes.stop()

    # What the user chooses

    def on_image(self) -> None:
        """Remove the boxes of the image before."""
        self.search.show_offer(None)
        self.boxes.clear()
        self.show_found()

    def on_request(self, before: TextRequest) -> None:
        """Offer no download any more: the detector may be another one."""
        self.search.show_offer(None)

    def set_text(self, text: str) -> None:
        """Take what is typed."""
        self.text = text
        self.boxes.set_typed(_concepts_in(text))
        self.jobs.clear_message()
        self.refresh()

    def set_filter(self, values: FilterValues) -> None:
        """Filter again what was found; the detector is not asked."""
        self.jobs.clear_success()
        self.boxes.detections.set_values(values, self.shown_index)
        self.show_found()

    def draw(self) -> None:
        """Let the user draw boxes, and say how."""
        self.jobs.clear_message()
        self.boxes.draw()
        self.refresh()

    # Search

    def find(self) -> None:
        """Search for what is typed."""
        self.boxes.catch_up()
        try:
            self.search.find(self.text)
        except SegmateError as error:
            self.jobs.fail(error)
            return
        self.searched(self.text)

    def find_similar(self) -> None:
        """Search for more of what is in the selected box, or in the one drawn last."""
        self.boxes.catch_up()
        example = self.boxes.example(self.shown_index)
        if example is not None:
            self.search.find_similar(example)

    def decline_download(self) -> None:
        """Do without the download."""
        self.search.show_offer(None)

    def _area(self) -> tuple[Sequence[PlaneIndex], IntBoxYX | None]:
        return self.indices, self.region_box

    def _on_offer(self, offered: OfferState | None) -> None:
        self.offer(offered)
        self.refresh()

    def _on_found(self) -> None:
        self.show_found()
        self.refresh()

    def _on_edited(self) -> None:
        self.jobs.clear_success()
        self._on_found()

    # Segment

    def segment(self) -> None:
        """Turn all boxes into objects."""
        if self.view.image is None or self.view.shown is None:
            return
        self.boxes.catch_up()
        self.boxes.detections.catch_up()
        self.segmenter.segment(self.request, self.text)

    def take_back(self) -> None:
        """Remove the objects of the last Segment."""
        self.writer.take_back()

    def clear(self) -> None:
        """Remove all boxes."""
        self.boxes.clear()
        self.jobs.clear_message()
        self._on_found()

    # What is shown

    def on_plane(self, before: PlaneIndex | None) -> None:
        """Put the layer of boxes where the plane is."""
        if self.view.shown is not None:
            self.boxes.place()
        if self.shown_index != before:
            self.show_found()

    def on_camera(self) -> None:
        """Draw lines as wide as on any zoom."""
        self.update_plane()

    @property
    def state(self) -> TextState:
        """What to show now."""
        return text_state(self._facts(), self.jobs.status)

    def _facts(self) -> TextFacts:
        index, boxes = self.shown_index, self.boxes
        facts = TextFacts(
            image=index is not None,
            drawing=boxes.drawing,
            trouble=self.trouble,
            prompt=bool(self.text.strip(" ,;.\n\t")),
            n_boxes=len(boxes.book.shown),
            n_planes=len(boxes.book.planes),
            score=boxes.detections.values.score,
            offered=self.search.offered is not None,
            can_find_similar=self.request.examples and boxes.example(index) is not None,
            can_take_back=self.committer.can_take_back,
        )
        if index is None:
            return facts
        found = boxes.detections.on(index)
        rectangle = self.request.region == "rectangle" and self.region_box is None
        facts = replace(facts, counts=boxes.book.count(index), region_missing=rectangle)
        if found is None:
            return facts
        best = float(found.best.max()) if len(found.best) else None
        return replace(facts, searched=True, hidden=len(found.best), best=best)


def _concepts_in(text: str) -> tuple[str, ...]:
    try:
        return split_phrases(text)
    except PromptError:
        return ()
