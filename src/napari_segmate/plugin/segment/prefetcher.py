"""Encodes planes while the worker is idle, so that the next click costs a decode only."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from napari_segmate.core.context import Context
from napari_segmate.core.errors import ImageError
from napari_segmate.plugin.planes.image_view import ImageView, ViewedPlane
from napari_segmate.plugin.worker.engine import ModelChoice, ModelEngine
from napari_segmate.plugin.worker.runner import Job, Runner
from napari_segmate.sessions.interactive import Session

__all__ = ["Prefetcher"]


class Prefetcher:
    """Submits idle jobs that encode the plane on the screen and its neighbours.

    Parameters
    ----------
    runner : Runner
        Where it is done, after everything else.
    engine : ModelEngine
        What does it.
    view : ImageView
        What is on the screen.
    session : Session
        Whose options count.

    Attributes
    ----------
    neighbours : bool
        Also encode the rest of a large plane, and the planes next to it in a stack.
    estimated : callable
        Called with the typical diameter of objects in the plane on the screen, in pixels; 0 when
        it could not be told.
    """

    def __init__(
        self, runner: Runner, engine: ModelEngine, view: ImageView, session: Session
    ) -> None:
        self._runner, self._engine, self._view, self._session = runner, engine, view, session
        self.neighbours = True
        self.estimated: Callable[[float], None] = lambda diameter: None

    def start(self, choice: ModelChoice) -> None:
        """Submit the jobs, unless the worker is busy or there is no image."""
        if self._view.shown is None or not self._runner.idle:
            return
        try:
            current = self._view.update()
        except ImageError:
            return  # the display has just changed; the controller will say so
        if current is not None:
            self._submit(current, choice, key=self._session.plane_key)
        if self.neighbours:
            if current is not None:
                self._submit(current, choice, everywhere=True)
            for plane in self._view.neighbours():
                self._submit(plane, choice)

    def _submit(
        self,
        plane: ViewedPlane,
        choice: ModelChoice,
        everywhere: bool = False,
        key: Hashable = None,
    ) -> None:
        visible, diameter = self._view.visible_yx, self._session.options.diameter

        def prepare(context: Context) -> float:
            return self._engine.prefetch(plane, visible, choice, context, everywhere, diameter)

        def prepared(estimate: float) -> None:
            if key is not None and key == self._session.plane_key:
                self.estimated(estimate)

        # A click waits for the middle part, which it will probably need, not for all the others.
        topic = None if everywhere else (plane, choice)
        self._runner.submit(Job(prepare, done=prepared, idle=True, topic=topic))
