"""From many objects to the output labels, whatever state that layer is in; and back again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Generic, TypeVar

from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer

from napari_segmate.core.context import Context
from napari_segmate.core.errors import LabelsError
from napari_segmate.core.labels.commit import CommitPolicy
from napari_segmate.plugin.labels.batch_writer import ManyWriter, WrittenMany
from napari_segmate.plugin.labels.output_layer import OutputLabels
from napari_segmate.plugin.labels.patches import ManyObjects
from napari_segmate.plugin.labels.prepare_layer import Preparer
from napari_segmate.plugin.planes.displayed_plane import DisplayedPlane
from napari_segmate.plugin.worker.runner import Job, Runner

__all__ = ["ManyCommitter", "Places"]

REMEMBERED = 20
ALL_TAKEN = "all objects lie on others; let the options overwrite others"

Index = tuple[int, ...]
Places = Mapping[Index, DisplayedPlane]
Failed = Callable[[BaseException], None]
Made = TypeVar("Made")


class ManyCommitter(Generic[Made]):
    """Writes objects to the output of one viewer, and takes them back.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layers are.
    runner : Runner
        Does what takes long.
    notify : callable
        Called with a sentence for the user.
    """

    def __init__(self, viewer: ViewerModel, runner: Runner, notify: Callable[[str], None]) -> None:
        self._viewer = viewer
        self._runner = runner
        self._written: list[tuple[WrittenMany, Made]] = []
        self.output = OutputLabels(viewer)
        self._preparer = Preparer(viewer, self.output, runner, notify)
        self.writer = ManyWriter(self.output)
        self.policy = CommitPolicy.KEEP_OBJECTS
        self.changed: Callable[[], None] = lambda: None

    def close(self) -> None:
        """Finish what is being written."""
        self.writer.stop()

    @property
    def can_take_back(self) -> bool:
        """True when something was written and not yet taken back."""
        return bool(self._written)

    def write(
        self,
        image: Image,
        planes: Places,
        make: Callable[[Places, Context], tuple[ManyObjects, Made]],
        done: Callable[[WrittenMany, Made], None],
        failed: Failed,
    ) -> None:
        """Write objects.

        Parameters
        ----------
        image : Image
            Where they were found.
        planes : mapping
            Its planes.
        make : callable
            ``make(targets, context)`` returns objects for planes in the output, and whatever `done`
            and `take_back` should hand on; called in the worker thread.
        done : callable
            Called with what was written.
        failed : callable
            Called with what went wrong.
        """
        try:
            dims = self._viewer.dims
            targets = {at: self.output.plane(image, one, dims)[1] for at, one in planes.items()}
            layer = self.output.layer
            if layer is None:
                raise LabelsError("there is no object to write")
            self.changed()

            def write(made: tuple[ManyObjects, Made]) -> None:
                self._preparer.prepare(
                    layer, made[0].count, lambda: self._write(layer, made, done, failed), failed
                )

            def work(context: Context) -> tuple[ManyObjects, Made]:
                objects, more = make(targets, context)
                return objects.prepared(), more

            self._runner.submit(Job(work, write, failed))
        except Exception as error:  # the user must learn of every failure, whatever it is
            failed(error)

    def _write(
        self,
        layer: Labels,
        made: tuple[ManyObjects, Made],
        done: Callable[[WrittenMany, Made], None],
        failed: Failed,
    ) -> None:
        def written(result: WrittenMany) -> None:
            if not result.labels:
                failed(LabelsError(f"nothing changes in '{layer.name}': {ALL_TAKEN}"))
                return
            self._written = [*self._written, (result, made[1])][-REMEMBERED:]
            self.changed()
            done(result, made[1])

        try:
            self.writer.write(layer, made[0], self.policy, written)
        except Exception as error:  # as above
            failed(error)

    def take_back(self, done: Callable[[Made], None]) -> bool:
        """Remove the objects written last that are still there; False when there are none."""
        while self._written:
            written, made = self._written.pop()
            if written.layer in self._viewer.layers and written.is_there:
                self.writer.take_back(written, partial(done, made))
                self.changed()
                return True
        self.changed()
        return False

    def forget(self, layer: Layer) -> None:
        """Forget what was written to a layer that is gone."""
        self._written = [one for one in self._written if one[0].layer is not layer]
        self.changed()
