"""The last two stations of a job: its result is written into the output labels, and taken back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from napari.components import ViewerModel
from napari.layers import Image

from napari_segmate.core.context import Context
from napari_segmate.plugin.labels.commit_many import ManyCommitter, ManyObjects, Places, WrittenMany
from napari_segmate.plugin.worker.jobs import Jobs

__all__ = ["ObjectWriter"]

Made = TypeVar("Made")
NOTHING_LEFT = "There is nothing left to take back"


class ObjectWriter(Generic[Made]):
    """Writes the objects that a dock has found, tells of it, and takes them back.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layers are.
    jobs : Jobs
        Where it runs and what is told.
    notify : callable
        Called with a sentence that the user should read.

    Attributes
    ----------
    committer : ManyCommitter
        Knows the output, and what can be taken back.
    """

    def __init__(self, viewer: ViewerModel, jobs: Jobs, notify: Callable[[str], None]) -> None:
        self.committer: ManyCommitter[Made] = ManyCommitter(viewer, jobs.runner, notify)
        self._jobs = jobs

    def write(
        self,
        image: Image,
        planes: Places,
        make: Callable[[Places, Context], tuple[ManyObjects, Made]],
        written: Callable[[WrittenMany, Made], tuple[str, str]],
    ) -> None:
        """Write objects.

        Parameters
        ----------
        image : Image
            Where they were found.
        planes : mapping
            Its planes.
        make : callable
            ``make(targets, context)`` returns objects for planes of the output, and whatever
            `written` and `take_back` need; called in the worker thread.
        written : callable
            Called with what was written; returns what has been done, in words, and what to do next
            if it is not the usual.
        """

        def done(result: WrittenMany, made: Made) -> None:
            self._jobs.finish()
            self._jobs.show_message(*written(result, made))

        self.committer.write(image, planes, make, done, self.fail)

    def fail(self, error: BaseException) -> None:
        """Show why nothing was written."""
        self._jobs.finish()
        self._jobs.fail(error)

    def take_back(self, undone: Callable[[Made], None] = lambda made: None) -> None:
        """Remove the objects written last from the output.

        Parameters
        ----------
        undone : callable
            Called with what `make` had returned for them.
        """

        def done(made: Made) -> None:
            undone(made)
            self._jobs.show_message("Taken back")

        if not self.committer.take_back(done):
            self._jobs.show_message(NOTHING_LEFT)
