"""The dock widget of the text search: the place where everything is put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import napari

from napari_segmate.core.files.weights import cache_folder
from napari_segmate.models.base import ModelInfo
from napari_segmate.plugin.docks.dock import warn, warn_from_any_thread
from napari_segmate.plugin.docks.image_dock import JobDock
from napari_segmate.plugin.text.boxes import DEFAULT_CONCEPT
from napari_segmate.plugin.text.controller import TextController
from napari_segmate.plugin.text.detector_engine import DetectorEngine, PackageDetectors
from napari_segmate.plugin.text.detector_list import DetectorList
from napari_segmate.plugin.text.prompt_history import PromptHistory
from napari_segmate.plugin.text.request import TextRequest
from napari_segmate.plugin.worker.engine import ModelEngine, default_engine
from napari_segmate.plugin.worker.runner import Job
from napari_segmate.sessions.text_boxes import colour_of
from napari_segmate.sessions.text_state import TextState
from napari_segmate.widgets.actions import TextAction
from napari_segmate.widgets.text_panel import TextPanel

__all__ = ["TextDock"]

ONLY_WORDS = "This detector only understands words; OWLv2 and OWL-ViT take examples, too"
NO_EXAMPLE = "Draw a box round one object, or select one, first"
HISTORY_NAME = "prompts.json"
OWN_NAME = "detectors.json"


class TextDock(JobDock[TextController, TextPanel]):
    """Plugins > SegMate > Find by text.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Given by napari.
    detector_engine : DetectorEngine, optional
        Finds boxes; by default all detectors that are known.
    engine : ModelEngine, optional
        Keeps the model that turns boxes into objects; made from the settings by default.
    models : sequence of ModelInfo, optional
        Models on offer; by default all that are known.
    history : Path, optional
        File that remembers what was searched for; by default in the user's cache folder. Own
        checkpoints are remembered beside it.
    """

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        *,
        detector_engine: DetectorEngine | None = None,
        engine: ModelEngine | None = None,
        models: Sequence[ModelInfo] | None = None,
        history: Path | None = None,
    ) -> None:
        super().__init__(viewer, models)
        engine = engine or default_engine(self.general, warn_from_any_thread)
        controller = TextController(
            self.viewer, detector_engine or PackageDetectors(), engine, warn
        )
        self.set_up(controller, TextPanel, TextAction)
        history = history or cache_folder() / HISTORY_NAME
        self.history = PromptHistory(history)
        self.detectors = DetectorList(
            self.panel, controller.detector_engine, controller.runner, history.with_name(OWN_NAME)
        )
        self._connect()
        self.start()
        show_history = self.panel.phrases.show_history
        controller.runner.submit(Job(lambda context: self.history.load(), show_history))
        self.detectors.load()

    def _connect(self) -> None:
        panel, controller = self.panel, self.controller
        panel.phrases.changed.connect(controller.set_text)
        panel.filter.changed.connect(controller.set_filter)
        panel.concepts.chosen.connect(controller.boxes.set_concept)
        for signal in (
            panel.detector_chosen,
            panel.region_chosen,
            panel.masks_chosen,
            panel.planes.changed,
            panel.options.search_changed,
        ):
            signal.connect(self.send_request)
        controller.searched = self._remember
        controller.show_found = self._show_found
        controller.offer = panel.offer.offer

    # From the panel

    def trigger(self, action: TextAction) -> None:
        """Do what a button says."""
        controller = self.controller
        acts: dict[TextAction, Callable[[], None]] = {
            TextAction.FIND: controller.find,
            TextAction.DRAW: controller.draw,
            TextAction.EDIT: controller.boxes.edit,
            TextAction.FIND_SIMILAR: controller.find_similar,
            TextAction.SEGMENT: controller.segment,
            TextAction.CLEAR: controller.clear,
            TextAction.TAKE_BACK: controller.take_back,
            TextAction.CANCEL: controller.search.cancel,
            TextAction.RETRY: controller.jobs.retry,
            TextAction.DOWNLOAD: controller.search.download,
            TextAction.DECLINE_DOWNLOAD: controller.decline_download,
            TextAction.CHOOSE_CHECKPOINT: lambda: self.detectors.ask_for_own(self.send_request),
        }
        acts[action]()

    def read_request(self) -> TextRequest:
        """Return what the panel says, except text and sliders."""
        panel, entry = self.panel, self.detectors.chosen
        self._show_can_draw_masks()
        return TextRequest(
            model=panel.model,
            region=panel.region,
            planes=panel.planes.choice,
            options=panel.options.values,
            detector=panel.detector,
            examples=entry is not None and entry.examples,
            search=panel.options.search,
            masks=panel.masks,
        )

    def _remember(self, text: str) -> None:
        prompts = self.history.add(text)
        self.panel.phrases.show_history(prompts)
        self.controller.runner.submit(Job(lambda context: self.history.save()))

    # To the panel

    def show_state(self, state: TextState) -> None:
        """Show how things stand."""
        self.panel.show_state(state)
        self._explain_find_similar()
        self._show_concepts()

    def _show_found(self) -> None:
        boxes = self.controller.boxes
        series = boxes.detections.series(self.controller.shown_index, boxes.concepts)
        self.panel.filter.show_found(*series)
        self._show_concepts()
        self._show_can_draw_masks()

    def _show_can_draw_masks(self) -> None:
        entry = self.detectors.chosen
        able = entry is not None and entry.masks
        self.panel.show_can_draw_masks(able or self.controller.boxes.detections.has_masks)

    def _show_concepts(self) -> None:
        boxes, index = self.controller.boxes, self.controller.shown_index
        concepts = boxes.concepts
        colours = {one: colour_of(one, concepts) for one in concepts}
        counts = boxes.book.count(index) if index is not None else {}
        self.panel.concepts.show_concepts(concepts, colours, counts)
        concept = self.panel.concepts.concept or DEFAULT_CONCEPT
        if concept != boxes.concept:
            boxes.concept = concept
            boxes.shapes.set_concept(concept)

    def _explain_find_similar(self) -> None:
        controller = self.controller
        if not controller.request.examples:
            reason = ONLY_WORDS
        else:
            example = controller.boxes.example(controller.shown_index)
            reason = NO_EXAMPLE if example is None or controller.jobs.busy else ""
        self.panel.explain_find_similar(reason)
