"""Searches planes in the worker thread, and shows what is found meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

from napari.layers import Image

from napari_segmate.core.context import Context
from napari_segmate.core.types import IntBoxYX
from napari_segmate.plugin.automask.proposals import PlaneProposal
from napari_segmate.plugin.automask.request import tuned
from napari_segmate.plugin.planes.geometry import DisplayedPlane
from napari_segmate.plugin.planes.image_view import ViewedPlane
from napari_segmate.plugin.worker.engine import ModelChoice, ModelEngine
from napari_segmate.plugin.worker.jobs import Jobs
from napari_segmate.tasks.automask.run import Params, Prepared, Region, generate, prepare

__all__ = ["PlaneSearch", "SearchQueue"]

LIVE_S = 0.5
"""How often proposals of the tiles that are done are shown, at most."""
ACTIVITY = "Looking for objects; you can look around meanwhile"


@dataclass(frozen=True, eq=False)
class PlaneSearch:
    """The request to search one plane.

    Parameters
    ----------
    shown : DisplayedPlane
        Which plane of the image.
    plane : ViewedPlane
        Its pixels.
    model : ModelChoice
        Which model searches.
    params : Params
        What to look for.
    key : hashable
        What the slow step depends on.
    visible_yx : (y0, x0, y1, x1), optional
        Part on the screen: is searched first.
    region : MaskPrompt or (y0, x0, y1, x1), optional
        Only objects in it are wanted.
    """

    shown: DisplayedPlane
    plane: ViewedPlane
    model: ModelChoice
    params: Params
    key: Hashable
    visible_yx: IntBoxYX | None
    region: Region | None

    def sized(self, diameter: float) -> PlaneSearch:
        """Return the same with a size of objects, unless the user has given one; 0 is not known."""
        if self.params.diameter is not None or not diameter:
            return self
        return replace(self, params=replace(self.params, diameter=diameter))

    def run(
        self,
        engine: ModelEngine,
        newest: Callable[[], Params],
        live: Callable[[PlaneProposal], None],
        context: Context,
    ) -> PlaneProposal:
        """Return what is proposed; for the worker thread.

        Parameters
        ----------
        engine : ModelEngine
            Keeps the model.
        newest : callable
            Returns what the sliders say now.
        live : callable
            Called in the worker thread with what is there so far.
        context : Context
            Progress and cancellation.
        """
        next_s = [0.0]

        def propose(prepared: Prepared) -> PlaneProposal:
            params = tuned(self.params, newest())
            proposal = generate(prepared, params, context=context)
            return PlaneProposal(self.shown.index, self.shown, prepared, params, proposal, self.key)

        def on_progress(prepared: Prepared) -> None:
            before = time.monotonic()
            if before >= next_s[0]:
                live(propose(prepared))
                # Where labelling takes long, most of the time goes on to the search itself.
                now = time.monotonic()
                next_s[0] = now + max(LIVE_S, 4 * (now - before))

        model = engine.model(self.model, context)
        prepared = prepare(
            self.plane,
            model,
            self.params,
            store=engine.store,
            context=context,
            visible_yx=self.visible_yx,
            region=self.region,
            on_progress=on_progress,
        )
        return propose(prepared)


class SearchQueue:
    """Searches planes one after the other; shows meanwhile what is found.

    Parameters
    ----------
    jobs : Jobs
        Where they run.
    engine : ModelEngine
        Keeps the model.
    newest : callable
        Returns what the sliders say now; called in the worker thread.
    propose : callable
        Called with image and plane, also while the plane is still being searched.
    changed : callable
        Called without arguments at the end of a run.
    dropped : callable
        Called without arguments when a search has failed, or was stopped.
    """

    def __init__(
        self,
        jobs: Jobs,
        engine: ModelEngine,
        newest: Callable[[], Params],
        propose: Callable[[Image, PlaneProposal], None],
        changed: Callable[[], None],
        dropped: Callable[[], None],
    ) -> None:
        self._jobs, self._engine, self._newest = jobs, engine, newest
        self._propose, self._changed, self._dropped = propose, changed, dropped
        self._waiting: list[PlaneSearch] = []
        self._count = 0
        self._live: PlaneProposal | None = None

    def start(self, image: Image, searches: Sequence[PlaneSearch]) -> None:
        """Search planes of an image, in this order."""
        self._waiting, self._count = list(searches), len(searches)
        self._next(image)

    def stop(self) -> None:
        """Forget what was to follow."""
        self._waiting, self._live = [], None

    def _next(self, image: Image) -> None:
        if not self._waiting:
            self._jobs.finish()
            self._changed()
            return
        search = self._waiting.pop(0)
        number = self._count - len(self._waiting)

        def done(plane: PlaneProposal) -> None:
            self._live = None
            # One size for all planes of a run: objects do not change from plane to plane.
            self._waiting = [one.sized(plane.prepared.diameter) for one in self._waiting]
            self._propose(image, plane)
            self._next(image)

        self._jobs.run(
            lambda context: search.run(self._engine, self._newest, self._keep_live, context),
            done,
            ACTIVITY,
            place=f"plane {number} of {self._count}" if self._count > 1 else "",
            on_progress=lambda: self._show_live(image),
            on_failed=self._dropped,
        )

    def _keep_live(self, plane: PlaneProposal) -> None:
        self._live = plane

    def _show_live(self, image: Image) -> None:
        plane, self._live = self._live, None
        if plane is not None:
            self._propose(image, plane)
