"""Ties viewer, detectors, boxes and labels of one text dock together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer

from napari_segmate.core.errors import PromptError, SegmateError
from napari_segmate.core.text.phrases import split_phrases
from napari_segmate.plugin.labels.commit_many import ManyCommitter
from napari_segmate.plugin.planes.image_view import View
from napari_segmate.plugin.planes.region import RegionLayer
from napari_segmate.plugin.text.boxes import TextBoxes
from napari_segmate.plugin.text.engine_protocol import DetectorEngine
from napari_segmate.plugin.text.search_runner import Asked, Finder
from napari_segmate.plugin.text.segment_boxes import Segmenting
from napari_segmate.plugin.worker.debounce import Debouncer
from napari_segmate.plugin.worker.engine import ModelEngine
from napari_segmate.plugin.worker.jobs import Jobs
from napari_segmate.sessions.text_boxes import PlaneIndex
from napari_segmate.sessions.text_state import Offered, SearchFacts, TextState, state_of
from napari_segmate.widgets.filter_view import FilterValues

__all__ = ["TextController"]

SETTLE_MS = 250
TRY_AGAIN = "Try again, or choose another detector"


class TextController:
    """One text search in one viewer.

    Everything happens on the GUI thread except what `Runner` is given.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layers are.
    detector_engine : DetectorEngine
        Who finds boxes.
    engine : ModelEngine
        Who turns them into objects.
    show : callable
        Called with the `TextState` to show.
    show_found : callable
        Called without arguments when concepts, scores or sizes are other ones.
    offer : callable
        Called with the `Offered` download that the user must agree to, or None.
    notify : callable
        Called with a sentence that the user should read.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        detector_engine: DetectorEngine,
        engine: ModelEngine,
        *,
        show: Callable[[TextState], None],
        show_found: Callable[[], None],
        offer: Callable[[Offered | None], None],
        notify: Callable[[str], None],
    ) -> None:
        self.viewer = viewer
        self.detector_engine = detector_engine
        self.text = ""
        self.searched: Callable[[str], None] = lambda text: None
        self.jobs = Jobs(self._refresh, TRY_AGAIN)
        self.runner = self.jobs.runner
        self._show = show
        self._show_found = show_found
        self._closed = False
        self._trouble = ""
        self._look = Debouncer(self._update_plane)
        self._look_later = Debouncer(self._update_plane, SETTLE_MS)
        self._refresh_later = Debouncer(self._refresh)
        self.view = View(viewer, self._look, self._look_later)
        self.boxes = TextBoxes(
            viewer, detector_engine, self.view, filtered=self._refresh, edited=self._on_edited
        )
        self.region = RegionLayer(viewer, self._refresh_later)
        self.finder = Finder(
            detector_engine,
            self.jobs,
            self.view,
            self.region,
            self.boxes.findings,
            show_offer=offer,
            changed=self._on_found,
        )
        self.segmenting = Segmenting(viewer, self.jobs, engine, self.view, self.boxes, notify)
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.scene.camera.events.connect(self._look_later)

    def close(self) -> None:
        """End the worker and let go of the viewer; boxes and objects stay."""
        if self._closed:
            return
        self._closed = True
        self.jobs.close()
        for one in (self._look, self._look_later, self._refresh_later):
            one.stop()
        self.boxes.stop()
        self.committer.close()
        self.viewer.layers.events.removed.disconnect(self._on_removed)
        self.viewer.scene.camera.events.disconnect(self._look_later)
        self.view.close()

    # What the user chooses

    @property
    def image(self) -> Image | None:
        """The image that is searched."""
        return self.view.image

    def choose_image(self, image: Image | None) -> None:
        """Search another image; the boxes of the last one go."""
        if image is self.view.image:
            return
        self.finder.stop()
        self.boxes.clear()
        self.view.choose(image)
        self._update_plane()
        self._show_found()

    def ask(self, asked: Asked) -> None:
        """Take what the panel says."""
        before, self.finder.asked = self.finder.asked, asked
        self.committer.policy = asked.options.policy
        if self.view.set_options(asked.options):
            self._update_plane()
        if asked.region == "rectangle" and before.region != "rectangle":
            self._draw_region()
        elif asked.region != "rectangle":
            self.region.remove()
        self.finder.show_offer(None)

    @property
    def asked(self) -> Asked:
        """What the panel says."""
        return self.finder.asked

    def set_text(self, text: str) -> None:
        """Take what is typed."""
        self.text = text
        self.boxes.set_typed(_concepts_in(text))
        self.jobs.unsay()
        self._refresh()

    def set_filter(self, values: FilterValues) -> None:
        """Filter again what was found; the detector is not asked."""
        self.jobs.forget_notice()
        self.boxes.findings.set_values(values, self.shown_index)
        self._show_found()

    def labels_accepts(self, layer: Layer) -> bool:
        """Tell whether a layer may be chosen as output."""
        return isinstance(layer, Labels)

    def draw(self) -> None:
        """Let the user draw boxes, and say how."""
        self.jobs.unsay()
        self.boxes.draw()
        self._refresh()

    # Find

    def find(self) -> None:
        """Look for what is typed."""
        self.boxes.catch_up()
        try:
            self.finder.find(self.text)
        except SegmateError as error:
            self.jobs.fail(error)
            return
        self.searched(self.text)

    def find_alike(self) -> None:
        """Look for more of what is in the selected box, or in the one drawn last."""
        self.boxes.catch_up()
        pattern = self.boxes.pattern(self.shown_index)
        if pattern is not None:
            self.finder.find_alike(pattern)

    def _on_found(self) -> None:
        self._show_found()
        self._refresh()

    def decline(self) -> None:
        """Do without the download."""
        self.finder.show_offer(None)

    def _draw_region(self) -> None:
        if self.view.shown is not None:
            geometry = self.view.drawing_geometry.in_units(self.viewer.dims.units)
            self.region.take_tool(geometry, self.view.outline_width)

    # Segment

    def segment(self) -> None:
        """Turn all boxes into objects."""
        if self.view.image is None or self.view.shown is None:
            return
        self.boxes.catch_up()
        self.boxes.findings.catch_up()
        self.segmenting.segment(self.asked, self.text)

    def take_back(self) -> None:
        """Remove the objects of the last Segment."""
        self.segmenting.take_back()

    @property
    def committer(self) -> ManyCommitter[None]:
        """Writes objects to the output."""
        return self.segmenting.committer

    def clear(self) -> None:
        """Remove all boxes."""
        self.boxes.clear()
        self.jobs.unsay()
        self._on_found()

    # The plane in view

    def _update_plane(self) -> None:
        if self._closed:
            return
        self._trouble = ""
        try:
            plane = self.view.update()
        except SegmateError as error:
            plane, self._trouble = None, str(error)
        before, self.finder.index = self.finder.index, None
        if plane is not None and self.view.shown is not None:
            self.finder.index = self.view.shown.index
            self.boxes.place()
        if self.finder.index != before:
            self._show_found()
        self._refresh()

    def _on_edited(self) -> None:
        self.jobs.forget_notice()
        self._on_found()

    def _on_removed(self, event: Any) -> None:
        layer, image = event.value, self.view.image
        if image is not None and layer is image:
            self.choose_image(None)
        self.committer.forget(layer)
        self._refresh_later()

    @property
    def shown_index(self) -> PlaneIndex | None:
        """The plane on the screen."""
        return self.finder.index

    @property
    def state(self) -> TextState:
        """What to show now."""
        return state_of(self._facts(), **self.jobs.said)

    def _facts(self) -> SearchFacts:
        index = self.shown_index
        facts = SearchFacts(
            image=index is not None,
            drawing=self.boxes.drawing,
            trouble=self._trouble,
            prompt=bool(self.text.strip(" ,;.\n\t")),
            n_boxes=len(self.boxes.book.shown),
            n_planes=len(self.boxes.book.planes),
            score=self.boxes.findings.values.score,
            offered=self.finder.offered is not None,
        )
        if index is None:
            return facts
        found = self.boxes.findings.on(index)
        rectangle = self.asked.region == "rectangle" and self.finder.region() is None
        facts = replace(facts, counts=self.boxes.book.count(index), region_missing=rectangle)
        if found is None:
            return facts
        best = float(found.best.max()) if len(found.best) else None
        return replace(facts, searched=True, hidden=len(found.best), best=best)

    def _refresh(self) -> None:
        if not self._closed:
            self._show(self.state)


def _concepts_in(text: str) -> tuple[str, ...]:
    try:
        return split_phrases(text)
    except PromptError:
        return ()
