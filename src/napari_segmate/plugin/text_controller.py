"""Ties viewer, detectors, boxes and labels of one text dock together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer

from napari_segmate.core.context import Context
from napari_segmate.core.errors import Cancelled, SegmateError
from napari_segmate.core.types import IntBoxYX
from napari_segmate.plugin.answering import Answerer, ModelChoice
from napari_segmate.plugin.box_layer import BoxLayer
from napari_segmate.plugin.deferred import Deferred
from napari_segmate.plugin.finding import Engine, Found, Query
from napari_segmate.plugin.region_layer import RegionLayer
from napari_segmate.plugin.runner import Job, Runner
from napari_segmate.plugin.text_commit import TextCommitter
from napari_segmate.plugin.text_objects import PlaneBoxes
from napari_segmate.plugin.text_search import Findings
from napari_segmate.plugin.viewing import View
from napari_segmate.sessions.state import Progress
from napari_segmate.sessions.text_boxes import BoxBook, PlaneIndex, TextBox
from napari_segmate.sessions.text_state import Offer, SearchFacts, TextState, state_of
from napari_segmate.tasks.segment import Params
from napari_segmate.widgets.filter_view import FilterValues
from napari_segmate.widgets.options_view import OptionValues
from napari_segmate.widgets.planes_view import PlaneChoice
from napari_segmate.widgets.text_options import SearchOptions

__all__ = ["Asked", "TextController"]

SETTLE_MS = 250
DEFAULT_CONCEPT = "object"
"""Concept of boxes that are drawn before anything was typed."""
AFTERWARDS = (
    "Mend them with the brush or the Segment dock, take them back, or clear the boxes and go on"
)
TRY_AGAIN = "Try again, or choose another detector"


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
    """

    detector: str = "auto"
    model: str = "tiny"
    region: str = "plane"
    planes: PlaneChoice = field(default_factory=PlaneChoice)
    options: OptionValues = field(default_factory=OptionValues)
    search: SearchOptions = field(default_factory=SearchOptions)


class TextController:
    """One text search in one viewer.

    Everything happens on the GUI thread except what `Runner` is given.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layers are.
    engine : Engine
        Who finds boxes.
    answerer : Answerer
        Who turns them into objects.
    show : callable
        Called with the `TextState` to show.
    show_found : callable
        Called without arguments when concepts, scores or sizes are other ones.
    offer : callable
        Called with the `Offer` that the user must agree to, or None.
    notify : callable
        Called with a sentence that the user should read.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        engine: Engine,
        answerer: Answerer,
        *,
        show: Callable[[TextState], None],
        show_found: Callable[[], None],
        offer: Callable[[Offer | None], None],
        notify: Callable[[str], None],
    ) -> None:
        self.viewer = viewer
        self.engine = engine
        self.asked = Asked()
        self.text = ""
        self.concept = ""
        self.searched: Callable[[str], None] = lambda text: None
        self.runner = Runner()
        self._answerer = answerer
        self._show = show
        self._show_found = show_found
        self._offer = offer
        self._closed = self._offered = False
        self._trouble = ""
        self._busy: Progress | None = None
        self._doing = self._error = self._cure = self._notice = self._then = ""
        self._again: Callable[[], None] | None = None
        self._shown_index: PlaneIndex | None = None
        self._look = Deferred(self._update_plane)
        self._look_later = Deferred(self._update_plane, SETTLE_MS)
        self._read_later = Deferred(self._read_boxes)
        self._refresh_later = Deferred(self._refresh)
        self.view = View(viewer, self._look, self._look_later)
        self.book = BoxBook()
        self.findings = Findings(engine, self.book, self._on_filtered)
        self.boxes = BoxLayer(viewer, self._read_later)
        self.region = RegionLayer(viewer, self._refresh_later)
        self.committer = TextCommitter(viewer, self.runner, answerer, notify)
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.scene.camera.events.connect(self._look_later)

    def close(self) -> None:
        """End the worker and let go of the viewer; boxes and objects stay."""
        if self._closed:
            return
        self._closed = True
        self.runner.close()
        for one in (self._look, self._look_later, self._read_later, self._refresh_later):
            one.stop()
        self.findings.stop()
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
        self._stop_jobs()
        self.findings.clear()
        self.boxes.show(())
        self.view.choose(image)
        self._update_plane()
        self._show_found()

    def ask(self, asked: Asked) -> None:
        """Take what the panel says."""
        before, self.asked = self.asked, asked
        self.committer.policy = asked.options.policy
        if self.view.set_options(asked.options):
            self._update_plane()
        if asked.region == "rectangle" and before.region != "rectangle":
            self._draw_region()
        elif asked.region != "rectangle":
            self.region.remove()
        self._show_offer(None)
        self._refresh()

    def set_text(self, text: str) -> None:
        """Take what is typed."""
        self.text = text
        self._error = self._notice = ""
        self._refresh()

    def set_filter(self, values: FilterValues) -> None:
        """Filter again what was found; the detector is not asked."""
        self.findings.set_values(values, self._shown_index)
        self._show_found()

    def set_concept(self, concept: str) -> None:
        """Take a concept for boxes to be drawn, and give it to the selected ones."""
        self.concept = concept
        self.boxes.set_concept(concept)
        self.boxes.rename_selected(concept)

    def labels_accepts(self, layer: Layer) -> bool:
        """Tell whether a layer may be chosen as output."""
        return isinstance(layer, Labels)

    # Find

    def find(self) -> None:
        """Look for what is typed."""
        try:
            phrases = self.engine.phrases(self.text)
        except SegmateError as error:
            self._fail(error, "")
            return
        self.searched(self.text)
        self._begin(lambda: self._search(phrases))

    def find_alike(self) -> None:
        """Look for more of what is in the selected box, or in the one drawn last."""
        pattern = self.pattern
        if pattern is not None:
            self._begin(lambda: self._search_alike(pattern))

    @property
    def pattern(self) -> TextBox | None:
        """The box on the screen that is selected, or was drawn last."""
        if self._shown_index is None:
            return None
        boxes = self.book.on(self._shown_index)
        selected = [box for box in boxes if box.number in self.boxes.selected]
        own = [box for box in boxes if box.score != box.score]
        found = selected or own
        return found[-1] if found else None

    def _begin(self, search: Callable[[], None]) -> None:
        """Make sure that the detector is there, then search."""
        self._catch_up()
        detector = self.asked.detector
        self._again = lambda: self._begin(search)

        def asked(offer: Offer | None) -> None:
            self._rest()
            self._show_offer(offer)
            if offer is None:
                search()

        self._run(lambda context: self.engine.offer(detector), asked, "Looking for the detector …")

    def download(self) -> None:
        """Download the detector, then search."""
        detector, again = self.asked.detector, self._again
        self._show_offer(None)

        def done(_: Any) -> None:
            self._rest()
            if again is not None:
                again()

        self._run(lambda context: self.engine.download(detector, context), done, "Downloading …")

    def _show_offer(self, offer: Offer | None) -> None:
        self._offered = offer is not None
        self._offer(offer)
        self._refresh()

    def decline(self) -> None:
        """Do without the download."""
        self._show_offer(None)

    def _search(self, phrases: tuple[str, ...]) -> None:
        doing, indices, region = f"Looking for {', '.join(phrases)} …", self.indices, self._region()
        for number, index in enumerate(indices):
            query = self._query(index, phrases, region)
            self._run(
                partial(self.engine.detect, query),
                self._taker(index, last=number == len(indices) - 1),
                doing,
                _place(number, len(indices)),
            )

    def _search_alike(self, pattern: TextBox) -> None:
        query = self._query(pattern.plane, (pattern.concept,), self._region())
        self._run(
            lambda context: self.engine.alike(query, pattern.box_yx, context),
            self._taker(pattern.plane, last=True, concept=pattern.concept),
            f"Looking for more like this {pattern.concept} …",
        )

    def _taker(
        self, index: PlaneIndex, *, last: bool, concept: str = ""
    ) -> Callable[[Found], None]:
        def take(found: Found) -> None:
            if concept:
                self.findings.join(index, found, concept)
            else:
                self.findings.add(index, found)
            if last:
                self._rest()
            self._show_found()
            self._refresh()

        return take

    def _query(self, index: PlaneIndex, phrases: tuple[str, ...], region: IntBoxYX | None) -> Query:
        asked = self.asked
        return Query(
            self.view.at(index),
            phrases,
            asked.detector,
            asked.options.device,
            region,
            asked.options.diameter,
            asked.search,
        )

    @property
    def indices(self) -> list[PlaneIndex]:
        """The planes that the next search is for, the one on the screen first."""
        shown, choice, slider = self._shown_index, self.asked.planes, self.view_slider
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
    def view_slider(self) -> tuple[int, int] | None:
        """Place in the index of the axis that a range goes along, and its length."""
        return None if self.view.shown is None else self.view.slider()

    def _region(self) -> IntBoxYX | None:
        if self.asked.region == "visible":
            return self.view.visible_yx
        if self.asked.region == "rectangle":
            return self.region.box(self.view.drawing_plane)
        return None

    def _draw_region(self) -> None:
        if self.view.shown is not None:
            geometry = self.view.drawing_geometry.in_units(self.viewer.dims.units)
            self.region.take_tool(geometry, self.view.outline_width)

    # Segment

    def segment(self) -> None:
        """Turn all boxes into objects."""
        image = self.view.image
        if image is None or self.view.shown is None:
            return
        self._catch_up()
        self.findings.catch_up()
        planes = [
            PlaneBoxes(index, self.view.at(index), self.book.on(index))
            for index in self.book.planes
        ]
        options, choice = self.asked.options, self.asked.planes
        params = Params(
            fill_holes=options.fill_holes, min_size=options.min_size, diameter=options.diameter
        )
        model = ModelChoice(self.asked.model, options.device)
        linked = len(planes) > 1 and choice.linked
        self._again = self.segment
        work = self.committer.work(
            planes,
            model,
            params,
            linked=linked,
            anisotropy=self.view.anisotropy,
            prompt=self.text,
            detector=self.asked.detector,
        )

        places = {index: self.view.shown_at(index) for index in self.book.planes}

        def done(segmented: Any) -> None:
            self.committer.write(segmented, image, places, self._on_written, self._on_not_written)

        self._run(work, done, "Drawing the outlines …", cure="Try again, or choose another model")

    def _on_written(self, count: int) -> None:
        self._rest()
        name = self.committer.name
        self._say(f"{count} object{'' if count == 1 else 's'} written to '{name}'", AFTERWARDS)

    def _on_not_written(self, error: BaseException) -> None:
        self._rest()
        self._fail(error, "")

    def take_back(self) -> None:
        """Remove the objects of the last Segment."""
        self.committer.take_back(lambda: self._say("Taken back"))

    def clear(self) -> None:
        """Remove all boxes."""
        self.findings.clear()
        self.boxes.show(())
        self._error = self._notice = ""
        self._show_found()
        self._refresh()

    def draw(self) -> None:
        """Let the user draw boxes."""
        if self.view.shown is not None:
            self._place_boxes()
            self.boxes.set_concept(self.concept or DEFAULT_CONCEPT)
            self.boxes.take_tool()

    def edit(self) -> None:
        """Let the user move and delete boxes."""
        self.boxes.take_select_tool()

    # Jobs

    def _run(
        self,
        work: Callable[[Context], Any],
        done: Callable[[Any], None],
        doing: str,
        place: str = "",
        cure: str = TRY_AGAIN,
    ) -> None:
        """Let the worker do something, with its progress in the status."""
        self._error = self._notice = ""
        self._busy, self._doing = self._busy or Progress(0, 0, place), doing

        def progress(at: int, total: int, text: str) -> None:
            said = "  ·  ".join(part for part in (place, text) if part)
            self._busy = Progress(at, total, said)
            self._refresh()

        def finished(result: Any) -> None:
            if not self._closed:
                done(result)

        def failed(error: BaseException) -> None:
            if not self._closed and self._busy is not None:
                self._stop_jobs()
                self._fail(error, cure)

        self.runner.submit(Job(work, finished, failed, progress))
        self._refresh()

    def cancel(self) -> None:
        """Stop what runs; what was found so far stays."""
        if self._busy is not None:
            self._stop_jobs()
            self._say("Stopped; what was found so far stays")

    def retry(self) -> None:
        """Do again what has failed."""
        if self._again is not None:
            self._again()

    def _stop_jobs(self) -> None:
        self.runner.cancel_all()
        self._rest()

    def _rest(self) -> None:
        self._busy, self._doing = None, ""

    def _fail(self, error: BaseException, cure: str) -> None:
        if isinstance(error, Cancelled):
            self._say("Stopped; what was found so far stays")
            return
        known = isinstance(error, SegmateError)
        self._error = str(error) if known else f"{type(error).__name__}: {error}"
        self._cure, self._notice = cure, ""
        self._refresh()

    def _say(self, text: str, then: str = "") -> None:
        self._notice, self._then, self._error = text, then, ""
        self._refresh()

    # The plane in view, and its boxes

    def _update_plane(self) -> None:
        if self._closed:
            return
        self._trouble = ""
        try:
            plane = self.view.update()
        except SegmateError as error:
            plane, self._trouble = None, str(error)
        before = self._shown_index
        self._shown_index = None
        if plane is not None and self.view.shown is not None:
            self._shown_index = self.view.shown.index
            self._place_boxes()
        if self._shown_index != before:
            self._show_found()
        self._refresh()

    def _place_boxes(self) -> None:
        geometry = self.view.drawing_geometry.in_units(self.viewer.dims.units)
        self.boxes.place(geometry, self.view.drawing_plane)
        self.boxes.set_width(2 * self.view.outline_width)

    def _on_filtered(self) -> None:
        if self.view.shown is not None and not self._closed:
            self.boxes.set_concepts(self.concepts)
            self.boxes.show(self.book.shown)
            self._refresh()

    def _read_boxes(self) -> None:
        """Take note of what the user did in the layer."""
        self._read_later.stop()
        if self._closed or self.boxes.layer is None:
            return
        self.boxes.note(self.book.take(*self.boxes.read()))
        self._notice = ""
        self._show_found()
        self._refresh()

    def _catch_up(self) -> None:
        if self._read_later.waiting:
            self._read_boxes()

    def _on_removed(self, event: Any) -> None:
        layer, image = event.value, self.view.image
        if image is not None and layer is image:
            self.choose_image(None)
        self.committer.forget(layer)
        self._refresh_later()

    @property
    def concepts(self) -> tuple[str, ...]:
        """All concepts there are boxes or searches for; their order gives the colours."""
        names = dict.fromkeys(self.findings.concepts)
        names.update(dict.fromkeys(box.concept for box in self.book.shown))
        return tuple(names)

    @property
    def shown_index(self) -> PlaneIndex | None:
        """The plane on the screen."""
        return self._shown_index

    @property
    def state(self) -> TextState:
        """What to show now."""
        return state_of(
            self._facts(),
            busy=self._busy,
            doing=self._doing,
            error=self._error,
            cure=self._cure,
            notice=self._notice,
            then=self._then,
        )

    def _facts(self) -> SearchFacts:
        index = self._shown_index
        facts = SearchFacts(
            image=index is not None,
            trouble=self._trouble,
            prompt=bool(self.text.strip(" ,;.\n\t")),
            n_boxes=len(self.book.shown),
            n_planes=len(self.book.planes),
            score=self.findings.values.score,
            offered=self._offered,
        )
        if index is None:
            return facts
        found = self.findings.on(index)
        rectangle = self.asked.region == "rectangle" and self._region() is None
        facts = replace(facts, counts=self.book.count(index), region_missing=rectangle)
        if found is None:
            return facts
        best = float(found.best.max()) if len(found.best) else None
        return replace(facts, searched=True, hidden=len(found.best), best=best)

    def _refresh(self) -> None:
        if not self._closed:
            self._show(self.state)


def _place(number: int, count: int) -> str:
    return "" if count == 1 else f"plane {number + 1} of {count}"
