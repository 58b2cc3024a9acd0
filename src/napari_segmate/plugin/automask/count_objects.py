"""How many objects a stack has when those that go on from plane to plane are one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from napari_segmate.core.context import Context
from napari_segmate.plugin.automask.objects_to_write import numbers_of
from napari_segmate.plugin.automask.proposals import PlaneProposal
from napari_segmate.plugin.worker.runner import Job, Runner

__all__ = ["Counting"]


class Counting:
    """Counts linked objects while nothing else is to be done.

    Parameters
    ----------
    runner : Runner
        Does it.
    planes : callable
        Returns what is proposed, in order along the stack; nothing where objects are not linked.
    anisotropy : callable
        Returns the distance of planes over that of pixels.
    counted : callable
        Called without arguments when the number is known.
    """

    def __init__(
        self,
        runner: Runner,
        planes: Callable[[], list[PlaneProposal]],
        anisotropy: Callable[[], float],
        counted: Callable[[], None],
    ) -> None:
        self._runner, self._planes = runner, planes
        self._anisotropy, self._counted = anisotropy, counted
        self._job: Job | None = None
        self._about: list[object] = []
        self._count = 0

    @property
    def objects(self) -> int:
        """How many objects there are; 0 is not known yet."""
        return self._count if self._about == self._now() else 0

    def start(self) -> None:
        """Count again if something has changed."""
        now = self._now()
        dropped = self._job is not None and self._job.cancelled
        if now == self._about and not dropped:
            return
        self.stop()
        self._about, self._count = now, 0
        if now:
            # The user goes on to accept and delete meanwhile.
            kept = [plane for plane in self._planes() if plane.kept.size]
            planes = [replace(plane, gone=set(plane.gone)) for plane in kept]
            self._job = self._runner.submit(self._counting(planes, self._anisotropy()))

    def stop(self) -> None:
        """Forget what runs."""
        if self._job is not None:
            self._job.cancel()
        self._job, self._about = None, []

    def _now(self) -> list[object]:
        """Return what the number depends on."""
        return [(plane, id(plane.proposal), len(plane.gone)) for plane in self._planes()]

    def _counting(self, planes: list[PlaneProposal], anisotropy: float) -> Job:
        def work(context: Context) -> int:
            numbers = numbers_of(planes, linked=True, anisotropy=anisotropy, context=context)
            return max((int(own.max(initial=0)) for own in numbers), default=0)

        def done(count: int) -> None:
            self._job, self._count = None, count
            self._counted()

        return Job(work, done, idle=True)
