"""Boxes into a labels layer, and out of it again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer

from napari_segmate.core.context import Context
from napari_segmate.core.errors import LabelsError
from napari_segmate.core.labels import CommitPolicy, next_id
from napari_segmate.plugin.answering import Answerer, ModelChoice
from napari_segmate.plugin.layers import DisplayedPlane
from napari_segmate.plugin.many_objects import ManyWriter, WrittenMany
from napari_segmate.plugin.output import OutputLabels, in_memory, is_writable
from napari_segmate.plugin.runner import Job, Runner
from napari_segmate.plugin.text_objects import (
    PlaneBoxes,
    SegmentedBoxes,
    as_objects,
    segment_boxes,
)
from napari_segmate.sessions.text_boxes import PlaneIndex, TextBox
from napari_segmate.tasks.segment import Params

__all__ = ["TextCommitter"]

REMEMBERED = 20
QUICK_PIXELS = 1 << 24
"""Largest label image whose greatest value is looked up on the GUI thread (some 10 ms)."""
ALL_TAKEN = "all objects lie on others; let the options overwrite other objects"
Done = Callable[[int], None]
Failed = Callable[[BaseException], None]


class TextCommitter:
    """Segments boxes and writes the objects to the output of one viewer.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layers are.
    runner : Runner
        Does what takes long.
    answerer : Answerer
        Keeps the model.
    notify : callable
        Called with a sentence for the user.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        runner: Runner,
        answerer: Answerer,
        notify: Callable[[str], None],
    ) -> None:
        self._viewer = viewer
        self._runner = runner
        self._answerer = answerer
        self._notify = notify
        self._written: list[WrittenMany] = []
        self._prompt = ""
        self.output = OutputLabels(viewer)
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

    @property
    def name(self) -> str:
        """Name of the output, empty before there is one."""
        return self.output.layer.name if self.output.layer is not None else ""

    def work(
        self,
        planes: Sequence[PlaneBoxes[TextBox]],
        model: ModelChoice,
        params: Params,
        *,
        linked: bool,
        anisotropy: float,
        prompt: str,
        detector: str,
    ) -> Callable[[Context], SegmentedBoxes[TextBox]]:
        """Return what the worker does: boxes of some planes into objects."""
        self._prompt = prompt

        def work(context: Context) -> SegmentedBoxes[TextBox]:
            segmenter = self._answerer.model(model, context)
            return segment_boxes(
                planes,
                segmenter,
                params,
                self._answerer.store,
                context,
                linked=linked,
                anisotropy=anisotropy,
                detector=detector,
            )

        return work

    def write(
        self,
        segmented: SegmentedBoxes[TextBox],
        image: Image,
        planes: Mapping[PlaneIndex, DisplayedPlane],
        done: Done,
        failed: Failed,
    ) -> None:
        """Write objects; `done` is called with their number, `failed` with what went wrong.

        `planes` says where in the image the planes lie.
        """
        try:
            if segmented.empty:
                raise LabelsError("the model finds nothing in these boxes; draw them tighter")
            dims = self._viewer.dims
            places = {at: self.output.plane(image, one, dims)[1] for at, one in planes.items()}
            layer = self.output.layer
            assert layer is not None, "the output is made when its planes are asked for"
            self._prepare(
                layer, lambda: self._write(layer, places, segmented, done, failed), failed
            )
        except Exception as error:  # the user must learn of every failure, whatever it is
            failed(error)

    def _prepare(self, layer: Labels, write: Callable[[], None], failed: Failed) -> None:
        """Write now, or after the worker has done what takes long."""

        def then(use: Callable[[Any], None]) -> Callable[[Any], None]:
            def go_on(result: Any) -> None:
                if layer not in self._viewer.layers:
                    failed(LabelsError(f"'{layer.name}' was removed; press Segment again"))
                    return
                use(result)
                self._prepare(layer, write, failed)

            return go_on

        data = layer.data
        if not is_writable(layer):
            self._notify(f"'{layer.name}' cannot be edited in place: it is copied into memory")
            use = then(lambda copy: setattr(layer, "data", copy))
            self._runner.submit(Job(lambda context: in_memory(data), use, failed))
        elif not self.output.knows(layer) and np.prod(data.shape) > QUICK_PIXELS:
            use = then(lambda found: self.output.watch(layer, found - 1))
            self._runner.submit(Job(lambda context: next_id(data), use, failed))
        else:
            write()

    def _write(
        self,
        layer: Labels,
        places: Mapping[PlaneIndex, DisplayedPlane],
        segmented: SegmentedBoxes[TextBox],
        done: Done,
        failed: Failed,
    ) -> None:
        def written(result: WrittenMany) -> None:
            if not result.labels:
                failed(LabelsError(f"nothing changes in '{layer.name}': {ALL_TAKEN}"))
                return
            self._written = [*self._written, result][-REMEMBERED:]
            self.changed()
            done(len(result.labels))

        try:
            objects = as_objects(segmented, places, self._prompt)
            self.writer.write(layer, objects, self.policy, written)
        except Exception as error:  # as above
            failed(error)

    def take_back(self, done: Callable[[], None]) -> None:
        """Remove the objects written last that are still there."""
        while self._written:
            written = self._written.pop()
            if written.layer in self._viewer.layers and written.is_there:
                self.writer.take_back(written, done)
                break
        self.changed()

    def forget(self, layer: Layer) -> None:
        """Forget what was written to a layer that is gone."""
        self._written = [one for one in self._written if one.layer is not layer]
        self.changed()
