"""Proposals of automask become objects of the labels layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image

from napari_segmate.core.context import Context
from napari_segmate.plugin.automask.objects_to_write import Accepted, accepted, objects_of
from napari_segmate.plugin.automask.proposals import PlaneProposal
from napari_segmate.plugin.labels.commit_many import ManyCommitter, ManyObjects, Places, WrittenMany
from napari_segmate.plugin.planes.image_view import View
from napari_segmate.plugin.worker.jobs import Jobs

__all__ = ["Accepting"]


class Accepting:
    """Writes proposals, and takes them back.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layers are.
    jobs : Jobs
        Does it, and tells of it.
    view : View
        What is on the screen.
    notify : callable
        Called with a sentence that the user should read.
    redraw : callable
        Called with parts of planes whose proposals have come or gone.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        jobs: Jobs,
        view: View,
        notify: Callable[[str], None],
        redraw: Callable[[list[Accepted]], None],
    ) -> None:
        self.committer: ManyCommitter[list[Accepted]] = ManyCommitter(viewer, jobs.runner, notify)
        self._jobs, self._view, self._redraw = jobs, view, redraw

    def write(
        self,
        image: Image,
        planes: Sequence[PlaneProposal],
        only: tuple[PlaneProposal, int] | None,
        *,
        linked: bool,
    ) -> None:
        """Write proposals.

        Parameters
        ----------
        image : Image
            What they were found in.
        planes : sequence of PlaneProposal
            Where they are.
        only : (PlaneProposal, int), optional
            A single one, and what it is linked with.
        linked : bool
            Objects that go on from plane to plane are one.
        """
        apart = self._view.anisotropy

        def make(targets: Places, context: Context) -> tuple[ManyObjects, list[Accepted]]:
            parts = accepted(planes, only, linked=linked, anisotropy=apart)
            return objects_of(parts, targets), parts

        self._jobs.begin("Writing the objects …")
        places = {plane.index: plane.shown for plane in planes}
        self.committer.write(image, places, make, self._on_written, self._on_not_written)

    def _on_written(self, written: WrittenMany, parts: list[Accepted]) -> None:
        self._jobs.rest()
        there, asked = np.array(written.labels), set[int]()
        for part in parts:
            part.leave(np.isin(part.numbers + written.first - 1, there))
            asked.update(part.numbers.tolist())
        self._redraw(parts)
        count, left = len(there), len(asked) - len(there)
        lie = "1 more lies on others and stays a proposal"
        lie = lie if left == 1 else f"{left} more lie on others and stay proposals"
        stays = f"; {lie}" if left else ""
        objects = f"{count} object{'' if count == 1 else 's'}"
        self._jobs.say(f"{objects} written to '{written.layer.name}'{stays}")

    def _on_not_written(self, error: BaseException) -> None:
        self._jobs.rest()
        self._jobs.fail(error)

    def take_back(self) -> None:
        """Remove the objects accepted last from the output; they are proposed again."""

        def done(parts: list[Accepted]) -> None:
            for part in parts:
                part.come_back()
            self._redraw(parts)
            self._jobs.say("Taken back")

        if not self.committer.take_back(done):
            self._jobs.say("There is nothing left to take back")
