"""From the boxes of the text dock to objects of a labels layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from napari.layers import Image

from napari_segmate.core.context import Context
from napari_segmate.core.errors import LabelsError
from napari_segmate.core.masks.coarse_masks import MaskSource
from napari_segmate.plugin.docks.object_writer import ObjectWriter
from napari_segmate.plugin.labels.commit_many import ManyObjects, Patch, Places, WrittenMany
from napari_segmate.plugin.planes.geometry import DisplayedPlane
from napari_segmate.plugin.planes.image_view import ImageView
from napari_segmate.plugin.text.boxes import TextBoxes
from napari_segmate.plugin.text.request import TextRequest
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

__all__ = ["BoxSegmenter", "as_objects"]

AFTERWARDS = (
    "Mend {it} with the brush or the Segment panel, take {it} back, or clear the boxes and go on"
)
OTHER_MODEL = "Try again, or choose another model"
EMPTY = "the model finds nothing in these boxes; draw them tighter"


class BoxSegmenter:
    """Turns boxes into objects.

    Parameters
    ----------
    jobs : Jobs
        Where it runs.
    engine : ModelEngine
        Keeps the model.
    view : ImageView
        The image.
    boxes : TextBoxes
        The boxes, and what the detector drew in them.
    writer : ObjectWriter
        Writes the objects.
    """

    def __init__(
        self,
        jobs: Jobs,
        engine: ModelEngine,
        view: ImageView,
        boxes: TextBoxes,
        writer: ObjectWriter[None],
    ) -> None:
        self._jobs = jobs
        self._engine = engine
        self._view = view
        self._boxes = boxes
        self._writer = writer

    def segment(self, request: TextRequest, prompt: str) -> None:
        """Turn all boxes into objects; `prompt` is what was typed, for the record."""
        image = self._view.image
        if image is None:
            return
        indices = self._boxes.book.planes
        planes = [self._boxes_of(at, request) for at in indices]
        places = {at: self._view.shown_at(at) for at in indices}
        self._jobs.retry_with = lambda: self.segment(request, prompt)
        self._jobs.run(
            self._work(planes, request),
            lambda segmented: self._write(segmented, image, places, prompt),
            "Drawing the outlines …",
            remedy=OTHER_MODEL,
        )

    def _boxes_of(self, at: PlaneIndex, request: TextRequest) -> PlaneBoxes[TextBox]:
        detections = self._boxes.detections
        boxes, found = self._boxes.book.on(at), detections.on(at)
        if request.masks is MaskSource.DETECTOR:
            boxes = tuple(detections.with_mask(box) for box in boxes)
        finder = Finder(request.detector) if found is None else found.finder
        return PlaneBoxes(at, self._view.at(at), boxes, finder)

    def _work(
        self, planes: list[PlaneBoxes[TextBox]], request: TextRequest
    ) -> Callable[[Context], SegmentedBoxes[TextBox]]:
        options = request.options
        params = Params(
            fill_holes=options.fill_holes, min_size=options.min_size, diameter=options.diameter
        )
        apart = self._view.anisotropy

        def work(context: Context) -> SegmentedBoxes[TextBox]:
            return segment_boxes(
                planes,
                lambda: self._engine.model(ModelChoice(request.model, options.device), context),
                params,
                self._engine.store,
                context,
                linked=len(planes) > 1 and request.planes.linked,
                anisotropy=apart,
            )

        return work

    def _write(
        self, segmented: SegmentedBoxes[TextBox], image: Image, places: Places, prompt: str
    ) -> None:
        def make(targets: Places, context: Context) -> tuple[ManyObjects, None]:
            return as_objects(segmented, targets, prompt), None

        if segmented.empty:
            self._writer.fail(LabelsError(EMPTY))
        else:
            self._writer.write(image, places, make, _written_text)


def _written_text(written: WrittenMany, _: None) -> tuple[str, str]:
    count = len(written.labels)
    objects, it = ("1 object", "it") if count == 1 else (f"{count} objects", "them")
    left = f"; {written.left_out} left out, on other objects" if written.left_out else ""
    return f"{objects} written to '{written.layer.name}'{left}", AFTERWARDS.format(it=it)


def as_objects(
    segmented: SegmentedBoxes[TextBox],
    planes: Mapping[PlaneIndex, DisplayedPlane],
    prompt: str,
) -> ManyObjects:
    """Return objects as they enter a labels layer.

    Parameters
    ----------
    segmented : SegmentedBoxes
        The objects.
    planes : mapping
        Where each plane lies in the labels layer.
    prompt : str
        What the user had typed, for the record.
    """
    patches = [
        Patch.of(planes[one.index], one.segmentation.changes, numbers)
        for one, numbers in zip(segmented.planes, segmented.numbers, strict=True)
    ]
    columns: dict[str, Sequence[Any]] = {
        "class": segmented.classes,
        "text score": segmented.scores,
    }
    return ManyObjects(segmented.count, patches, segmented.records(prompt), columns)
