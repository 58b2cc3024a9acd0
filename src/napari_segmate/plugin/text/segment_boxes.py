"""From the boxes of the text dock to objects of a labels layer, and out of it again."""

from __future__ import annotations

from collections.abc import Callable

from napari.components import ViewerModel
from napari.layers import Image

from napari_segmate.core.context import Context
from napari_segmate.core.errors import LabelsError
from napari_segmate.core.masks.coarse_masks import MaskSource
from napari_segmate.plugin.labels.commit_many import ManyCommitter, ManyObjects, Places, WrittenMany
from napari_segmate.plugin.planes.image_view import View
from napari_segmate.plugin.text.boxes import TextBoxes
from napari_segmate.plugin.text.objects_to_write import as_objects
from napari_segmate.plugin.text.search_runner import Asked
from napari_segmate.plugin.worker.engine import ModelChoice, ModelEngine
from napari_segmate.plugin.worker.jobs import Jobs
from napari_segmate.sessions.text_boxes import PlaneIndex, TextBox
from napari_segmate.tasks.segment import Params
from napari_segmate.tasks.text.segment_boxes import (
    Finder,
    PlaneBoxes,
    SegmentedBoxes,
    segment_boxes,
)

__all__ = ["Segmenting"]

AFTERWARDS = (
    "Mend {it} with the brush or the Segment panel, take {it} back, or clear the boxes and go on"
)
OTHER_MODEL = "Try again, or choose another model"
EMPTY = "the model finds nothing in these boxes; draw them tighter"


class Segmenting:
    """Turns boxes into objects.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layers are.
    jobs : Jobs
        Where it runs.
    engine : ModelEngine
        Keeps the model.
    view : View
        The image.
    boxes : TextBoxes
        The boxes, and what the detector drew in them.
    notify : callable
        Called with a sentence that the user should read.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        jobs: Jobs,
        engine: ModelEngine,
        view: View,
        boxes: TextBoxes,
        notify: Callable[[str], None],
    ) -> None:
        self.committer: ManyCommitter[None] = ManyCommitter(viewer, jobs.runner, notify)
        self._jobs = jobs
        self._engine = engine
        self._view = view
        self._boxes = boxes

    def segment(self, asked: Asked, prompt: str) -> None:
        """Turn all boxes into objects; `prompt` is what was typed, for the record."""
        image = self._view.image
        if image is None:
            return
        indices = self._boxes.book.planes
        planes = [self._boxes_of(at, asked) for at in indices]
        places = {at: self._view.shown_at(at) for at in indices}
        self._jobs.again = lambda: self.segment(asked, prompt)
        self._jobs.run(
            self._work(planes, asked),
            lambda segmented: self._write(segmented, image, places, prompt),
            "Drawing the outlines …",
            cure=OTHER_MODEL,
        )

    def _boxes_of(self, at: PlaneIndex, asked: Asked) -> PlaneBoxes[TextBox]:
        findings = self._boxes.findings
        boxes, found = self._boxes.book.on(at), findings.on(at)
        if asked.masks is MaskSource.DETECTOR:
            boxes = tuple(findings.with_mask(box) for box in boxes)
        finder = Finder(asked.detector) if found is None else found.finder
        return PlaneBoxes(at, self._view.at(at), boxes, finder)

    def _work(
        self, planes: list[PlaneBoxes[TextBox]], asked: Asked
    ) -> Callable[[Context], SegmentedBoxes[TextBox]]:
        options = asked.options
        params = Params(
            fill_holes=options.fill_holes, min_size=options.min_size, diameter=options.diameter
        )
        apart = self._view.anisotropy

        def work(context: Context) -> SegmentedBoxes[TextBox]:
            return segment_boxes(
                planes,
                lambda: self._engine.model(ModelChoice(asked.model, options.device), context),
                params,
                self._engine.store,
                context,
                linked=len(planes) > 1 and asked.planes.linked,
                anisotropy=apart,
            )

        return work

    def _write(
        self, segmented: SegmentedBoxes[TextBox], image: Image, places: Places, prompt: str
    ) -> None:
        def make(targets: Places, context: Context) -> tuple[ManyObjects, None]:
            return as_objects(segmented, targets, prompt), None

        if segmented.empty:
            self._on_not_written(LabelsError(EMPTY))
        else:
            self.committer.write(image, places, make, self._on_written, self._on_not_written)

    def _on_written(self, written: WrittenMany, _: None) -> None:
        self._jobs.rest()
        count = len(written.labels)
        objects, it = ("1 object", "it") if count == 1 else (f"{count} objects", "them")
        left = f"; {written.left_out} left out, on other objects" if written.left_out else ""
        self._jobs.say(
            f"{objects} written to '{written.layer.name}'{left}", AFTERWARDS.format(it=it)
        )

    def _on_not_written(self, error: BaseException) -> None:
        self._jobs.rest()
        self._jobs.fail(error)

    def take_back(self) -> None:
        """Remove the objects written last."""
        if not self.committer.take_back(lambda _: self._jobs.say("Taken back")):
            self._jobs.say("There is nothing left to take back")
