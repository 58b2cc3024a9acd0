"""Planes are looked at one after the other; sliders and what is there so far get their turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from napari.layers import Image

from napari_segmate.plugin.automask.proposals import PlaneProposal
from napari_segmate.plugin.automask.search_job import Search
from napari_segmate.plugin.worker.engine import ModelEngine
from napari_segmate.plugin.worker.jobs import Jobs
from napari_segmate.tasks.automask.run import Params

__all__ = ["Searching"]

LOOKING = "Looking for objects; you can look around meanwhile"


class Searching:
    """The searches of a run.

    Parameters
    ----------
    jobs : Jobs
        Does them, and tells of them.
    engine : ModelEngine
        Keeps the model.
    newest : callable
        Returns what the sliders say now; called in the worker thread.
    propose : callable
        Called with image and plane, also while the plane is still being looked at.
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
        self._waiting: list[Search] = []
        self._count = 0
        self._live: PlaneProposal | None = None

    def start(self, image: Image, searches: Sequence[Search]) -> None:
        """Look at planes of an image, in this order."""
        self._waiting, self._count = list(searches), len(searches)
        self._next(image)

    def stop(self) -> None:
        """Forget what was to follow."""
        self._waiting, self._live = [], None

    def _next(self, image: Image) -> None:
        if not self._waiting:
            self._jobs.rest()
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
            LOOKING,
            place=f"plane {number} of {self._count}" if self._count > 1 else "",
            look_in=lambda: self._show_live(image),
            failed=self._dropped,
        )

    def _keep_live(self, plane: PlaneProposal) -> None:
        self._live = plane

    def _show_live(self, image: Image) -> None:
        plane, self._live = self._live, None
        if plane is not None:
            self._propose(image, plane)
