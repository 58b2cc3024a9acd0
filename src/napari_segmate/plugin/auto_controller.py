"""Ties viewer, worker, proposals and labels of one automask dock together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Shapes

from napari_segmate.core.errors import ImageError, SegmateError
from napari_segmate.plugin.answering import Answerer, ModelChoice
from napari_segmate.plugin.auto_accepting import Accepting
from napari_segmate.plugin.auto_asked import Asked, Sought
from napari_segmate.plugin.auto_counting import Counting
from napari_segmate.plugin.auto_objects import Accepted
from napari_segmate.plugin.auto_search import Search
from napari_segmate.plugin.auto_searching import Searching
from napari_segmate.plugin.auto_tuning import Tuning
from napari_segmate.plugin.deferred import Deferred
from napari_segmate.plugin.jobs import Jobs
from napari_segmate.plugin.proposals import Index, PlaneProposal, Proposals
from napari_segmate.plugin.region_layer import RegionLayer
from napari_segmate.plugin.shape_region import region_of_shapes
from napari_segmate.plugin.viewing import View
from napari_segmate.sessions.auto_state import AutoFacts, auto_state_of
from napari_segmate.sessions.state import SessionState
from napari_segmate.tasks.auto import Mode, Region

__all__ = ["AutoController"]

SETTLE_MS = 250
"""How long the camera must rest before outlines are drawn for it."""

DRAW_FIRST = "Drag a rectangle round the part to search"
CHOOSE_SHAPES = "Draw a polygon in a shapes layer of your own, and choose that layer"
TRY_AGAIN = "Try again, or choose another model"


class AutoController:
    """Automask in one viewer.

    Everything happens on the GUI thread except what `Runner` is given.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layers are.
    answerer : Answerer
        Keeps the model.
    show : callable
        Called with the `SessionState` to show.
    show_found : callable
        Called without arguments when there are other proposals.
    notify : callable
        Called with a sentence that the user should read.

    Attributes
    ----------
    found : callable
        Called with a `PlaneProposal` when a plane has been looked at.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        answerer: Answerer,
        *,
        show: Callable[[SessionState], None],
        show_found: Callable[[], None],
        notify: Callable[[str], None],
    ) -> None:
        self.viewer = viewer
        self.asked = Asked()
        self.shapes: Shapes | None = None
        self.delete_key = ""
        self.found: Callable[[PlaneProposal], None] = lambda plane: None
        self.jobs = Jobs(self.refresh, TRY_AGAIN)
        self.runner = self.jobs.runner
        self._show = show
        self._show_found = show_found
        self._books: WeakKeyDictionary[Image, Proposals] = WeakKeyDictionary()
        self._none = Proposals(viewer)
        self._trouble = ""
        self._closed = False
        self._look = Deferred(self._update_plane)
        self._refresh_later = Deferred(self.refresh)
        self._follow_camera = Deferred(self._update_width, SETTLE_MS)
        self.view = View(viewer, self._look, self._look)
        self.tuning = Tuning(
            self.runner,
            lambda: self.book,
            lambda: self.asked.params,
            self._is_of_model,
            lambda: self._shown_index,
            self._on_tuned,
            self.jobs.fail,
        )
        self.counting = Counting(
            self.runner, self._linked_planes, lambda: self.view.anisotropy, self._on_counted
        )
        self._searching = Searching(
            self.jobs,
            answerer,
            lambda: self.asked.params,
            self._propose,
            self.refresh,
            self._drop_jobs,
        )
        self.region = RegionLayer(viewer, self._refresh_later)
        self.accepting = Accepting(viewer, self.jobs, self.view, notify, self._redraw)
        self.committer = self.accepting.committer
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.scene.camera.events.zoom.connect(self._follow_camera)

    def close(self) -> None:
        """End the worker and let go of the viewer; proposals stay as a layer of the user's."""
        if self._closed:
            return
        self._closed = True
        self.jobs.close()
        self.tuning.close()
        self.counting.stop()
        for deferred in (self._look, self._refresh_later, self._follow_camera):
            deferred.stop()
        self.committer.close()
        self.viewer.scene.camera.events.zoom.disconnect(self._follow_camera)
        self.viewer.layers.events.removed.disconnect(self._on_removed)
        self.view.close()
        self.region.remove()
        for book in self._books.values():
            book.leave()

    # What the user chooses

    @property
    def image(self) -> Image | None:
        """The image that is searched."""
        return self.view.image

    @property
    def book(self) -> Proposals:
        """What is proposed for the image."""
        image = self.view.image
        if image is None:
            return self._none
        return self._books.setdefault(image, Proposals(self.viewer))

    def choose_image(self, image: Image | None) -> None:
        """Search another image; what is proposed for the last one stays."""
        if image is self.view.image:
            return
        self._stop_jobs()
        self.view.choose(image)
        self._update_plane()

    def ask(self, asked: Asked) -> None:
        """Take what the panel says; proposals follow the sliders."""
        before, self.asked = self.asked, asked
        self.committer.policy = asked.options.policy
        if self.view.set_options(asked.options):
            self._update_plane()
        if asked.region != before.region:
            self._change_region(asked.region)
        if asked != before:
            self.jobs.unsay()
        if asked.planes != before.planes:
            self._show_found()
        self.refresh()
        self.tuning.start()

    def _change_region(self, region: str) -> None:
        if region != "rectangle":
            self.region.remove()
        elif self.view.shown is not None:
            geometry = self.view.drawing_geometry.in_units(self.viewer.dims.units)
            self.region.take_tool(geometry, self.view.outline_width)

    def labels_accepts(self, layer: Layer) -> bool:
        """Tell whether a layer may be chosen as output."""
        return isinstance(layer, Labels) and all(
            layer is not book.layer for book in self._books.values()
        )

    def shapes_accepts(self, layer: Layer) -> bool:
        """Tell whether the shapes of a layer may be a region."""
        return isinstance(layer, Shapes) and layer is not self.region.layer

    # Find

    @property
    def can_run(self) -> bool:
        """True when there is something to look at, and nothing else is going on."""
        return self._shown_index is not None and self.jobs.busy is None and not self._region_missing

    @property
    def can_accept(self) -> bool:
        """True when there are proposals that nobody is changing."""
        ready = self._shown_index is not None and self.jobs.busy is None
        return ready and any(plane.kept.size for plane in self.book)

    def run(self) -> None:
        """Find the objects of the planes that are chosen, the one on the screen first."""
        image = self.view.image
        if image is None or not self.can_run:
            return
        self.jobs.again = self.run
        try:
            region = self._region()
        except SegmateError as error:
            self.jobs.fail(error)
            return
        self._searching.start(image, [self._search(index, region) for index in self._indices()])

    def _search(self, index: Index, region: Region | None) -> Search:
        asked = self.asked
        return Search(
            self.view.shown_at(index),
            self.view.at(index),
            ModelChoice(asked.model, asked.options.device),
            asked.params,
            self._sought,
            self.view.visible_yx if index == self._shown_index else None,
            region,
        )

    def _indices(self) -> list[Index]:
        shown, choice, slider = self._shown_index, self.asked.planes, self.slider
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
        return None if self.view.shown is None else self.view.slider()

    def _region(self) -> Region | None:
        if self.asked.region == "visible":
            return self.view.visible_yx
        if self.asked.region == "rectangle":
            return self.region.box(self.view.drawing_plane)
        image, shown = self.view.image, self.view.shown
        if self.asked.region == "shapes" and image is not None and shown is not None:
            assert self.shapes is not None, "otherwise the region is missing"
            return region_of_shapes(self.shapes, image, shown, self.viewer.dims)
        return None

    @property
    def _sought(self) -> Sought:
        if self.asked.region != "rectangle" or self.view.shown is None:
            return self.asked.sought()
        return self.asked.sought(self.region.box(self.view.drawing_plane))

    @property
    def _region_missing(self) -> str:
        if self.view.shown is None:
            return ""
        if self.asked.region == "rectangle" and self._region() is None:
            return DRAW_FIRST
        return CHOOSE_SHAPES if self.asked.region == "shapes" and self.shapes is None else ""

    def _propose(self, image: Image, plane: PlaneProposal) -> None:
        self.book.put(image, plane, self._outline_width)
        self.found(plane)
        self._show_found()
        self.tuning.start()

    @property
    def _outline_width(self) -> int:
        # The user may have gone to 3-D, or to where the image has no plane.
        return 1 if self.view.shown is None else self.view.outline_width

    def _update_width(self) -> None:
        self.book.set_width(self._outline_width)

    def _is_of_model(self, plane: PlaneProposal) -> bool:
        return isinstance(plane.key, Sought) and plane.key.model == self.asked.model

    def _on_tuned(self) -> None:
        self._show_found()
        self.refresh()

    # Count

    @property
    def links(self) -> bool:
        """True when proposals on several planes are accepted as objects that go on."""
        return self.asked.planes.is_range and self.asked.planes.linked and len(self.book) > 1

    def _linked_planes(self) -> list[PlaneProposal]:
        return list(self.book) if self.links else []

    def _on_counted(self) -> None:
        self._show_found()
        self.refresh()

    # Accept

    def accept(self) -> None:
        """Write every proposal into the output."""
        self._accept(None)

    def accept_at(self, position: Any) -> None:
        """Write the proposal at a world position into the output."""
        found = self._pointed_at(position)
        if found is not None:
            self._accept(found)

    def _accept(self, only: tuple[PlaneProposal, int] | None) -> None:
        image = self.view.image
        if image is None or not self.can_accept:
            return
        if self.tuning.stale() and only is None:
            self.tuning.finish(self.accept)
            return
        linked = self.asked.planes.is_range and self.asked.planes.linked
        planes = [plane for plane in self.book if plane.kept.size]
        if only is not None and not linked:
            planes = [only[0]]
        self.jobs.again = self.accept
        self.accepting.write(image, planes, only, linked=linked)

    def take_back(self) -> None:
        """Remove the objects accepted last from the output; they are proposed again."""
        self.accepting.take_back()

    def _redraw(self, parts: list[Accepted]) -> None:
        for book in self._books.values():
            planes = [part.plane for part in parts if book.on(part.plane.index) is part.plane]
            if planes:
                book.draw(planes)
        self._show_found()

    # Delete

    def delete_at(self, position: Any) -> None:
        """Take the proposal at a world position away."""
        found = self._pointed_at(position)
        if found is not None:
            self.book.drop(*found)
            self.jobs.unsay()
            self._show_found()
            self.refresh()

    def _pointed_at(self, position: Any) -> tuple[PlaneProposal, int] | None:
        if self.jobs.busy is not None or self._shown_index is None:
            return None
        found = self.book.at(position, self._shown_index)
        if found is None:
            self.jobs.say("There is no proposal there; point at one")
        return found

    def discard(self) -> None:
        """Take all proposals away."""
        self._stop_jobs()
        self.book.clear()
        self.jobs.unsay()
        self._show_found()
        self.refresh()

    def cancel(self) -> None:
        """Stop what runs; what was found so far stays."""
        if self.jobs.busy is not None:
            self._drop_jobs()
            self.jobs.cancel()

    def _stop_jobs(self) -> None:
        self._drop_jobs()
        self.jobs.stop()

    def _drop_jobs(self) -> None:
        """Forget what was to follow."""
        self._searching.stop()
        self.tuning.stop()

    # The plane in view

    @property
    def _shown_index(self) -> Index | None:
        return None if self.view.shown is None else self.view.shown.index

    def _update_plane(self) -> None:
        if self._closed:
            return
        self._trouble = ""
        try:
            self.view.update()
        except ImageError as error:
            self._trouble = str(error)
        self._show_found()
        self.refresh()
        self.tuning.start()

    def _on_removed(self, event: Any) -> None:
        layer, image = event.value, self.view.image
        if isinstance(layer, Image) and layer in self._books:
            self._books.pop(layer).leave()
        if image is not None and layer is image:
            self.choose_image(None)
        self.committer.forget(layer)
        self._show_found()
        self._refresh_later()

    # What there is to say

    @property
    def state(self) -> SessionState:
        """What to show now."""
        return auto_state_of(self._facts(), **self.jobs.said)

    def _facts(self) -> AutoFacts:
        index = self._shown_index
        if index is None:
            return AutoFacts(trouble=self._trouble)
        book = self.book
        plane = book.on(index)
        counts = {one.index: len(one.kept) for one in book}
        return AutoFacts(
            image=True,
            region_missing=self._region_missing,
            grid=self.asked.mode is Mode.GRID,
            looked=plane is not None,
            dealt=plane is not None and bool(plane.gone),
            outdated=plane is not None and plane.key != self._sought,
            count=counts.get(index, 0),
            total=sum(counts.values()),
            planes=len(counts),
            linked=self.links,
            objects=self.counting.objects,
            delete_key=self.delete_key,
            assumed="" if plane is None else plane.assumed,
        )

    def refresh(self) -> None:
        """Show how things stand."""
        if self._closed:
            return
        if self.jobs.busy is None and self.view.shown is not None:
            self.counting.start()
        self._show(self.state)
