"""Proposals follow the sliders: their labels are generated again, away from the GUI thread."""

from __future__ import annotations

from collections.abc import Callable

from napari_segmate.core.context import Context
from napari_segmate.plugin.automask.proposals import Index, PlaneProposal, Proposals
from napari_segmate.plugin.automask.request import tuned
from napari_segmate.plugin.worker.runner import Job, Runner
from napari_segmate.tasks.automask.run import Params, Proposal, generate

__all__ = ["ProposalUpdater"]


class ProposalUpdater:
    """Generates the labels of proposals again until all are those of the sliders.

    One job at a time; each takes the newest settings when it starts, so that none is computed in
    vain.

    Parameters
    ----------
    runner : Runner
        Where it runs.
    proposals : callable
        Returns the proposals.
    newest : callable
        Returns what the sliders say now; also called in the worker thread.
    suits : callable
        Tells whether the sliders mean anything for a plane: others stay as they are.
    shown : callable
        Returns the plane on the screen, which comes first.
    changed : callable
        Called without arguments when a plane is drawn anew.
    failed : callable
        Called with what went wrong.
    """

    def __init__(
        self,
        runner: Runner,
        proposals: Callable[[], Proposals],
        newest: Callable[[], Params],
        suits: Callable[[PlaneProposal], bool],
        shown: Callable[[], Index | None],
        changed: Callable[[], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._runner, self._proposals, self._newest = runner, proposals, newest
        self._suits, self._shown = suits, shown
        self._changed, self._failed = changed, failed
        self._job: Job | None = None
        self._then: Callable[[], None] | None = None
        self._closed = False

    @property
    def running(self) -> bool:
        """True while labels are generated."""
        return self._job is not None

    def stop(self) -> None:
        """Forget what runs and what was to follow."""
        self._job = self._then = None

    def close(self) -> None:
        """Start nothing any more."""
        self._closed = True
        self.stop()

    def finish(self, then: Callable[[], None]) -> None:
        """Call `then` once all labels are those of the sliders."""
        self._then = then
        self.start()

    def start(self) -> None:
        """Take up what the sliders say."""
        if self._job is not None or self._closed:
            return
        plane = next(iter(self.stale()), None)
        if plane is None:
            then, self._then = self._then, None
            if then is not None:
                then()
            return
        self._job = self._runner.submit(self._job_for(plane))

    def _job_for(self, plane: PlaneProposal) -> Job:
        def work(context: Context) -> tuple[Params, Proposal]:
            params = tuned(plane.params, self._newest())
            return params, generate(plane.prepared, params, context=context)

        def done(result: tuple[Params, Proposal]) -> None:
            self._job = None
            proposals = self._proposals()
            if proposals.on(plane.index) is plane:
                plane.params, plane.proposal = result
                proposals.draw([plane])
                self._changed()
            self.start()

        def failed(error: BaseException) -> None:
            self.stop()
            self._failed(error)

        return Job(work, done, failed)

    def stale(self) -> list[PlaneProposal]:
        """Return the planes whose labels are not those of the sliders, the one in view first."""
        proposals, now = self._proposals(), self._newest()
        if proposals.layer is None:
            return []
        stale = [
            plane
            for plane in proposals
            if self._suits(plane) and tuned(plane.params, now) != plane.params
        ]
        shown = self._shown()
        return sorted(stale, key=lambda plane: plane.index != shown)
