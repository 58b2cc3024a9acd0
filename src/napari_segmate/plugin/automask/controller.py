"""The controller of the Automask dock: search, tune, accept, take back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Shapes

from napari_segmate.core.context import Context
from napari_segmate.core.errors import SegmateError
from napari_segmate.plugin.automask.objects import (
    ObjectCounter,
    PlaneObjects,
    chosen_objects,
    objects_of,
)
from napari_segmate.plugin.automask.proposal_updater import ProposalUpdater
from napari_segmate.plugin.automask.proposals import Index, PlaneProposal, Proposals
from napari_segmate.plugin.automask.request import AutoRequest, SearchKey
from napari_segmate.plugin.automask.search import PlaneSearch, SearchQueue
from napari_segmate.plugin.docks.controller import DockController
from napari_segmate.plugin.labels.commit_many import ManyObjects, Places, WrittenMany
from napari_segmate.plugin.planes.region import region_of_shapes
from napari_segmate.plugin.worker.engine import ModelChoice, ModelEngine
from napari_segmate.sessions.auto_state import AutoFacts, auto_state
from napari_segmate.sessions.panel_state import PanelState
from napari_segmate.tasks.automask.run import Mode, Region

__all__ = ["AutoController"]

DRAW_FIRST = "Drag a rectangle round the part to search"
CHOOSE_SHAPES = "Draw a polygon in a shapes layer of your own, and choose that layer"
TRY_AGAIN = "Try again, or choose another model"

Pointed = tuple[PlaneProposal, int]
"""A proposal and its label there."""


class AutoController(DockController[AutoRequest, PanelState, list[PlaneObjects]]):
    """Automask in one viewer.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layers are.
    engine : ModelEngine
        Keeps the model.
    notify : callable
        Called with a sentence that the user should read.

    Attributes
    ----------
    shapes : Shapes, optional
        The layer whose shapes are searched.
    delete_key : str
        Name of the key that deletes the proposal under the cursor.
    plane_found : callable
        Called with a `PlaneProposal` when a plane has been searched.
    """

    def __init__(
        self, viewer: ViewerModel, engine: ModelEngine, notify: Callable[[str], None]
    ) -> None:
        super().__init__(viewer, AutoRequest(), TRY_AGAIN, notify)
        self.shapes: Shapes | None = None
        self.delete_key = ""
        self.plane_found: Callable[[PlaneProposal], None] = lambda plane: None
        self._of_image: WeakKeyDictionary[Image, Proposals] = WeakKeyDictionary()
        self._of_none = Proposals(viewer)
        self.updater = ProposalUpdater(
            self.runner,
            lambda: self.proposals,
            lambda: self.request.params,
            self._is_of_model,
            lambda: self.shown_index,
            self._on_updated,
            self.jobs.fail,
        )
        self.counter = ObjectCounter(
            self.runner, self._linked_planes, lambda: self.view.anisotropy, self._on_updated
        )
        self._queue = SearchQueue(
            self.jobs,
            engine,
            lambda: self.request.params,
            self._propose,
            self.refresh,
            self._drop_jobs,
        )

    def on_close(self) -> None:
        """Stop what runs; proposals stay as a layer of the user's."""
        self.updater.close()
        self.counter.stop()
        self.region.remove()
        for proposals in self._of_image.values():
            proposals.release()

    # What the user chooses

    @property
    def proposals(self) -> Proposals:
        """What is proposed for the image."""
        image = self.view.image
        if image is None:
            return self._of_none
        return self._of_image.setdefault(image, Proposals(self.viewer))

    def on_image(self) -> None:
        """Stop searching; what is proposed for the image before stays."""
        self._drop_jobs()

    def on_request(self, before: AutoRequest) -> None:
        """Have proposals follow the sliders."""
        if self.request != before:
            self.jobs.clear_message()
        if self.request.planes != before.planes:
            self.show_found()
        self.refresh()
        self.updater.start()

    def labels_accepts(self, layer: Layer) -> bool:
        """Tell whether a layer may be chosen as output."""
        return isinstance(layer, Labels) and all(
            layer is not proposals.layer for proposals in self._of_image.values()
        )

    def shapes_accepts(self, layer: Layer) -> bool:
        """Tell whether the shapes of a layer may be a region."""
        return isinstance(layer, Shapes) and layer is not self.region.layer

    # Search

    def run(self) -> None:
        """Find the objects of the planes that are chosen, the one on the screen first."""
        image = self.view.image
        if image is None or not self.can("run"):
            return
        self.jobs.retry_with = self.run
        try:
            region = self._region()
        except SegmateError as error:
            self.jobs.fail(error)
            return
        self._queue.start(image, [self._search_of(index, region) for index in self.indices])

    def _search_of(self, index: Index, region: Region | None) -> PlaneSearch:
        request = self.request
        return PlaneSearch(
            self.view.shown_at(index),
            self.view.at(index),
            ModelChoice(request.model, request.options.device),
            request.params,
            self._key,
            self.view.visible_yx if index == self.shown_index else None,
            region,
        )

    def _region(self) -> Region | None:
        image, shown = self.view.image, self.view.shown
        if self.request.region == "shapes" and image is not None and shown is not None:
            assert self.shapes is not None, "otherwise the region is missing"
            return region_of_shapes(self.shapes, image, shown, self.viewer.dims)
        return self.region_box

    @property
    def _key(self) -> SearchKey:
        if self.request.region != "rectangle" or self.view.shown is None:
            return self.request.key()
        return self.request.key(self.region_box)

    @property
    def _region_missing(self) -> str:
        if self.view.shown is None:
            return ""
        if self.request.region == "rectangle" and self.region_box is None:
            return DRAW_FIRST
        return CHOOSE_SHAPES if self.request.region == "shapes" and self.shapes is None else ""

    def _propose(self, image: Image, plane: PlaneProposal) -> None:
        self.proposals.put(image, plane, self._outline_width)
        self.plane_found(plane)
        self.show_found()
        self.updater.start()

    @property
    def _outline_width(self) -> int:
        # The user may have gone to 3-D, or to where the image has no plane.
        return 1 if self.view.shown is None else self.view.outline_width

    def on_camera(self) -> None:
        """Draw outlines as wide as on any zoom."""
        self.proposals.set_width(self._outline_width)

    def _is_of_model(self, plane: PlaneProposal) -> bool:
        return isinstance(plane.key, SearchKey) and plane.key.model == self.request.model

    def _on_updated(self) -> None:
        self.show_found()
        self.refresh()

    # Count

    @property
    def links(self) -> bool:
        """True when proposals on several planes are accepted as objects that go on."""
        return self.request.linked and len(self.proposals) > 1

    def _linked_planes(self) -> list[PlaneProposal]:
        return list(self.proposals) if self.links else []

    # Accept

    def accept(self) -> None:
        """Write every proposal into the output."""
        if self.can("accept") and self.updater.stale():
            self.updater.finish(self.accept)
        else:
            self._accept([plane for plane in self.proposals if plane.kept.size], None)

    def accept_at(self, position: Any) -> None:
        """Write the proposal at a world position into the output."""
        found = self._pointed_at(position)
        if found is not None and self.request.linked:
            self._accept([plane for plane in self.proposals if plane.kept.size], found)
        elif found is not None:
            self._accept([found[0]], found)

    def _accept(self, planes: Sequence[PlaneProposal], only: Pointed | None) -> None:
        image = self.view.image
        if image is None or not self.can("accept"):
            return
        linked, apart = self.request.linked, self.view.anisotropy

        def make(targets: Places, context: Context) -> tuple[ManyObjects, list[PlaneObjects]]:
            parts = chosen_objects(planes, only, linked=linked, anisotropy=apart)
            return objects_of(parts, targets), parts

        self.jobs.retry_with = self.accept
        self.jobs.begin("Writing the objects …")
        places = {plane.index: plane.shown for plane in planes}
        self.writer.write(image, places, make, self._on_written)

    def _on_written(self, written: WrittenMany, parts: list[PlaneObjects]) -> tuple[str, str]:
        there, wanted = np.array(written.labels), set[int]()
        for part in parts:
            part.accept(np.isin(part.numbers + written.first - 1, there))
            wanted.update(part.numbers.tolist())
        self._redraw(parts)
        return _written_text(len(there), len(wanted) - len(there), written.layer.name), ""

    def take_back(self) -> None:
        """Remove the objects accepted last from the output; they are proposed again."""
        self.writer.take_back(self._on_taken_back)

    def _on_taken_back(self, parts: list[PlaneObjects]) -> None:
        for part in parts:
            part.propose_again()
        self._redraw(parts)

    def _redraw(self, parts: list[PlaneObjects]) -> None:
        for one in self._of_image.values():
            planes = [part.plane for part in parts if one.on(part.plane.index) is part.plane]
            if planes:
                one.draw(planes)
        self.show_found()

    # Delete

    def delete_at(self, position: Any) -> None:
        """Take the proposal at a world position away."""
        found = self._pointed_at(position)
        if found is not None:
            self.proposals.delete(*found)
            self.jobs.clear_message()
            self._on_updated()

    def _pointed_at(self, position: Any) -> Pointed | None:
        if self.jobs.busy or self.shown_index is None:
            return None
        found = self.proposals.object_at(position, self.shown_index)
        if found is None:
            self.jobs.show_message("There is no proposal there; point at one")
        return found

    def discard(self) -> None:
        """Take all proposals away."""
        self._drop_jobs()
        self.jobs.stop()
        self.proposals.clear()
        self.jobs.clear_message()
        self._on_updated()

    def cancel(self) -> None:
        """Stop what runs; what was found so far stays."""
        if self.jobs.busy:
            self._drop_jobs()
            self.jobs.cancel()

    def _drop_jobs(self) -> None:
        """Forget what was to follow."""
        self._queue.stop()
        self.updater.stop()

    # What is shown

    def on_plane(self, before: Index | None) -> None:
        """Show the proposals of another plane, and tune it first."""
        self.show_found()
        self.updater.start()

    def on_layer_removed(self, layer: Layer) -> None:
        """Let go of the proposals for an image that is gone."""
        if isinstance(layer, Image) and layer in self._of_image:
            self._of_image.pop(layer).release()
        self.show_found()

    @property
    def state(self) -> PanelState:
        """What to show now."""
        return auto_state(self._facts(), self.jobs.status)

    def _facts(self) -> AutoFacts:
        index, proposals = self.shown_index, self.proposals
        can_take_back = self.committer.can_take_back
        if index is None:
            return AutoFacts(
                trouble=self.trouble, planes=len(proposals), can_take_back=can_take_back
            )
        plane = proposals.on(index)
        counts = {one.index: len(one.kept) for one in proposals}
        return AutoFacts(
            image=True,
            region_missing=self._region_missing,
            grid=self.request.mode is Mode.GRID,
            searched=plane is not None,
            all_handled=plane is not None and bool(plane.gone),
            outdated=plane is not None and plane.key != self._key,
            count=counts.get(index, 0),
            total=sum(counts.values()),
            planes=len(counts),
            linked=self.links,
            objects=self.counter.objects,
            delete_key=self.delete_key,
            assumed="" if plane is None else plane.assumed,
            can_take_back=can_take_back,
        )

    def refresh(self) -> None:
        """Show how things stand; count linked objects when there is time."""
        if not self.closed and not self.jobs.busy and self.view.shown is not None:
            self.counter.start()
        super().refresh()


def _written_text(count: int, left: int, layer: str) -> str:
    lie = "1 more lies on others and stays a proposal"
    lie = lie if left == 1 else f"{left} more lie on others and stay proposals"
    stays = f"; {lie}" if left else ""
    return f"{count} object{'' if count == 1 else 's'} written to '{layer}'{stays}"
