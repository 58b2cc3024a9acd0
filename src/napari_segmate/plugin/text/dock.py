"""The dock widget of the text search: the place where everything is put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import napari
from napari.layers import Image, Labels, Layer

from napari_segmate.core.files.weights import cache_folder
from napari_segmate.models.base import ModelInfo
from napari_segmate.plugin.docks.dock import Dock, warn, warn_from_any_thread
from napari_segmate.plugin.docks.layer_choosers import LayerChooser, OutputChooser
from napari_segmate.plugin.docks.model_lists import follow_models, model_tips
from napari_segmate.plugin.planes.image_view import channels_on_offer
from napari_segmate.plugin.settings import General, read_general
from napari_segmate.plugin.text.boxes import DEFAULT_CONCEPT
from napari_segmate.plugin.text.controller import TextController
from napari_segmate.plugin.text.detector_list import DetectorList
from napari_segmate.plugin.text.engine_protocol import DetectorEngine
from napari_segmate.plugin.text.prompt_history import PromptHistory
from napari_segmate.plugin.text.search_runner import Asked
from napari_segmate.plugin.worker.engine import ModelEngine, default_engine
from napari_segmate.plugin.worker.runner import Job
from napari_segmate.sessions.text_boxes import colour_of
from napari_segmate.sessions.text_state import TextState
from napari_segmate.widgets.actions import TextAction
from napari_segmate.widgets.options_view import OptionValues
from napari_segmate.widgets.text_panel import TextPanel

__all__ = ["TextDock"]

ONLY_WORDS = "This detector only understands words; OWLv2 and OWL-ViT take examples, too"
NO_PATTERN = "Draw a box round one object, or select one, first"
HISTORY_NAME = "prompts.json"
OWN_NAME = "detectors.json"


class TextDock(Dock):
    """Plugins > SegMate > Find by text.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Given by napari.
    detector_engine : DetectorEngine, optional
        Who finds boxes; by default all detectors that are known.
    engine : ModelEngine, optional
        Who turns boxes into objects; made from the settings by default.
    models : sequence of ModelInfo, optional
        Models on offer; by default all that are known.
    history : Path, optional
        File that remembers what was looked for; by default in the user's cache folder. Own
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
        general = read_general()
        self.controller = TextController(
            self.viewer,
            detector_engine or _default_detector_engine(),
            engine or default_engine(general, warn_from_any_thread),
            show=self._show,
            show_found=self._show_found,
            offer=self._offer,
            notify=warn,
        )
        history = history or cache_folder() / HISTORY_NAME
        self.history = PromptHistory(history)
        self._images = LayerChooser(self.viewer, lambda one: isinstance(one, Image), self._on_image)
        self._outputs = OutputChooser(
            self.viewer, self.controller.labels_accepts, self._on_output, self.controller.view
        )
        self.panel = TextPanel(self._images.native, self._outputs.native)
        self.detectors = DetectorList(
            self.panel,
            self.controller.detector_engine,
            self.controller.runner,
            history.with_name(OWN_NAME),
        )
        self.fill(self.panel)
        self._connect()
        self._start(general)

    # Start and end

    def _connect(self) -> None:
        panel, controller = self.panel, self.controller
        panel.triggered.connect(self.trigger)
        panel.phrases.changed.connect(controller.set_text)
        panel.filter.changed.connect(controller.set_filter)
        panel.concepts.chosen.connect(controller.boxes.set_concept)
        for signal in (
            panel.model_chosen,
            panel.detector_chosen,
            panel.region_chosen,
            panel.masks_chosen,
            panel.planes.changed,
            panel.options.changed,
            panel.options.search_changed,
        ):
            signal.connect(self._ask)
        controller.searched = self._remember
        controller.committer.changed = self._show_output
        self.close_with(
            *self.connect_dims(order=self._show_channels, last_used=self._show_planes),
            follow_models(self.viewer, self._fill_models, panel.show_model),
            self._images.close,
            self._outputs.close,
            controller.close,
        )

    def _start(self, general: General) -> None:
        self._fill_models()
        self.panel.show_model(general.model)
        self.panel.options.show_values(OptionValues(device=general.device))
        self._ask()
        self._show_output()
        active = self.viewer.layers.selection.active
        self._images.choose(active if isinstance(active, Image) else self._images.layer)
        self._on_image(self._images.layer)
        self.controller.runner.submit(
            Job(lambda context: self.history.load(), self.panel.phrases.show_history)
        )
        self.detectors.load()

    # From the panel

    def trigger(self, action: TextAction) -> None:
        """Do what a button says."""
        controller = self.controller
        acts: dict[TextAction, Callable[[], None]] = {
            TextAction.FIND: controller.find,
            TextAction.DRAW: controller.draw,
            TextAction.EDIT: controller.boxes.edit,
            TextAction.FIND_SIMILAR: controller.find_alike,
            TextAction.SEGMENT: controller.segment,
            TextAction.CLEAR: controller.clear,
            TextAction.TAKE_BACK: controller.take_back,
            TextAction.CANCEL: controller.finder.cancel,
            TextAction.RETRY: controller.jobs.retry,
            TextAction.DOWNLOAD: controller.finder.download,
            TextAction.DECLINE_DOWNLOAD: controller.decline,
            TextAction.CHOOSE_CHECKPOINT: lambda: self.detectors.ask_for_own(self._ask),
        }
        acts[action]()

    def _ask(self, _: Any = None) -> None:
        panel = self.panel
        self.controller.ask(
            Asked(
                panel.detector,
                panel.model,
                panel.region,
                panel.planes.choice,
                panel.options.values,
                panel.options.search,
                panel.masks,
            )
        )
        self._show_can_draw_masks()

    def _on_image(self, layer: Layer | None) -> None:
        if not hasattr(self, "panel") or layer is self.controller.image:
            return
        image = layer if isinstance(layer, Image) else None
        self._show_channels(image=image)
        self.controller.choose_image(image)
        self._outputs.choose_default()
        self._show_planes()

    def _on_output(self, layer: Layer | None) -> None:
        labels = layer if isinstance(layer, Labels) else None
        self.controller.committer.output.layer = labels

    def _remember(self, text: str) -> None:
        prompts = self.history.add(text)
        self.panel.phrases.show_history(prompts)
        self.controller.runner.submit(Job(lambda context: self.history.save()))

    # To the panel

    def _show(self, state: TextState) -> None:
        if not hasattr(self, "detectors"):
            return
        self.panel.show_state(state)
        self._show_can_find_alike(busy=state.status.phase.busy)
        self._show_concepts()

    def _show_found(self) -> None:
        boxes = self.controller.boxes
        series = boxes.findings.series(self.controller.shown_index, boxes.concepts)
        self.panel.filter.show_found(*series)
        self._show_concepts()
        self._show_can_draw_masks()

    def _show_can_draw_masks(self) -> None:
        entry = self.detectors.chosen
        able = entry is not None and entry.masks
        self.panel.show_can_draw_masks(able or self.controller.boxes.findings.masked)

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

    def _show_can_find_alike(self, *, busy: bool) -> None:
        controller = self.controller
        entry = self.detectors.chosen
        able = entry is not None and entry.examples
        boxes, index = controller.boxes, controller.shown_index
        pattern = able and not busy and boxes.pattern(index) is not None
        self.panel.show_can_find_alike(pattern, NO_PATTERN if able else ONLY_WORDS)

    def _offer(self, offer: Any) -> None:
        if hasattr(self, "panel"):
            self.panel.offer.offer(offer)

    def _show_output(self) -> None:
        committer = self.controller.committer
        self._outputs.choose(committer.output.layer)
        self.panel.show_can_take_back(committer.can_take_back)

    def _fill_models(self) -> None:
        models = self.list_models()
        titles = {info.name: info.title for info in models}
        self.panel.show_models(titles, model_tips(models))

    def _show_planes(self, event: Any = None) -> None:
        slider = self.controller.finder.slider
        self.panel.show_planes(1 if slider is None else slider[1])

    def _show_channels(self, event: Any = None, image: Image | None = None) -> None:
        image = image or self.controller.image
        titles, axes = channels_on_offer(self.viewer, image)
        self.panel.options.show_channel_axes(titles, axes)


def _default_detector_engine() -> DetectorEngine:
    from napari_segmate.plugin.text.detection_engine import TextEngine

    return TextEngine()
