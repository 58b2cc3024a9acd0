"""The dock widget of interactive segmentation: the place where everything is put together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import napari
from napari.layers import Image, Labels, Layer

from napari_segmate.core.errors import LabelsError
from napari_segmate.core.files.weights import cache_folder
from napari_segmate.models.base import ModelInfo
from napari_segmate.plugin.docks.dock import Dock, warn, warn_from_any_thread
from napari_segmate.plugin.docks.keys import KeyBindings
from napari_segmate.plugin.docks.layer_choosers import LayerChooser, OutputChooser
from napari_segmate.plugin.docks.model_lists import follow_models, model_tips
from napari_segmate.plugin.labels.commit import Written
from napari_segmate.plugin.labels.recovery import RecoveryKeeper
from napari_segmate.plugin.labels.writer import adopt_records
from napari_segmate.plugin.planes.geometry import micrometres_per_pixel
from napari_segmate.plugin.planes.image_view import channels_on_offer
from napari_segmate.plugin.segment.controller import Controller
from napari_segmate.plugin.settings import follow_keys, read_general, read_keys
from napari_segmate.plugin.worker.debounce import Debouncer
from napari_segmate.plugin.worker.engine import ModelChoice, ModelEngine, default_engine
from napari_segmate.plugin.worker.runner import Job
from napari_segmate.sessions.interactive import Session
from napari_segmate.sessions.state import KeyNames
from napari_segmate.widgets.actions import SegmentAction
from napari_segmate.widgets.options_view import OptionValues
from napari_segmate.widgets.segment_panel import SegmentPanel

__all__ = ["SegmentDock"]


class SegmentDock(Dock):
    """Plugins > SegMate > Segment.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Given by napari.
    engine : ModelEngine, optional
        What the worker thread does; made from the settings by default.
    models : sequence of ModelInfo, optional
        Models on offer; by default all that are known.
    recovery_folder : Path, optional
        Where recovery files lie; by default in the user's cache folder.
    """

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        *,
        engine: ModelEngine | None = None,
        models: Sequence[ModelInfo] | None = None,
        recovery_folder: Path | None = None,
    ) -> None:
        super().__init__(viewer, models)
        general = read_general()
        self.session = Session()
        self._engine = engine or default_engine(general, warn_from_any_thread)
        self.controller = Controller(
            self.viewer,
            self.session,
            self._engine,
            notify=warn,
        )
        self.controller.prefetcher.neighbours = general.prefetch
        folder = recovery_folder or cache_folder() / "recovery"
        self.recovery = RecoveryKeeper(folder, self.controller.runner, warn_from_any_thread)
        self._images = LayerChooser(self.viewer, self._is_image, self._on_image)
        self._shown_output: Labels | None = None
        self._outputs = OutputChooser(
            self.viewer, self.controller.labels_accepts, self._on_output, self.controller.view
        )
        self.panel = SegmentPanel(self._images.native, self._outputs.native)
        self.fill(self.panel)
        self.keys: KeyBindings[SegmentAction] = KeyBindings(self.viewer, self._trigger)
        self._connect()
        self._bind_keys()
        self._start(general.model, general.device)

    # Start and end

    def _connect(self) -> None:
        panel = self.panel
        panel.triggered.connect(self._on_button)
        panel.model_chosen.connect(self._on_model)
        panel.options.changed.connect(self._on_options)
        panel.tools.tool_chosen.connect(self.controller.prompts.take_tool)
        panel.tools.polarity_chosen.connect(self._set_polarity)
        self.controller.show = panel.show_state
        self.controller.show_tool = panel.tools.show_tool
        self.controller.show_image = self._show_pixel_size
        self.controller.loaded = self._on_loaded
        self.controller.prefetcher.estimated = panel.options.show_estimate
        self.controller.committer.changed = self._show_output
        self.controller.committer.written = self._on_written
        self.controller.committer.taken_back = self.recovery.taken_back
        self.viewer.layers.events.removed.connect(self._on_removed)
        for name in ("inserted", "removed"):
            getattr(self.viewer.layers.events, name).connect(self._show_can_edit)
        panel.banner.restore_clicked.connect(self._restore)
        panel.banner.discard_clicked.connect(self._discard)
        self.viewer.dims.events.order.connect(self._show_channels)
        self._stop_keys = follow_keys(SegmentAction, self._bind_keys)
        stop_models = follow_models(self.viewer, self._show_models, self._choose_model)
        self._keep_tool = keep_tool = Debouncer(self._take_tool_again)
        self.destroyed.connect(lambda: keep_tool.stop())
        self.close_with(
            self.keys.unbind,
            self._images.close,
            self._outputs.close,
            self.controller.close,
            self._stop_keys,
            stop_models,
            self.recovery.close,
        )

    def _start(self, model: str, device: str) -> None:
        self._fill_models()
        self.panel.options.show_values(OptionValues(device=device))
        self.controller.set_options(self.panel.options.values)
        self._show_output()
        active = self.viewer.layers.selection.active
        self._images.choose(active if isinstance(active, Image) else self._images.layer)
        self._on_image(self._images.layer)
        names = self.panel.models()
        self._choose_model(model if model in names else next(iter(names), ""))
        self.recovery.look(self.panel.banner.offer)

    # From the panel

    def _on_button(self, action: SegmentAction) -> None:
        if action is SegmentAction.EDIT_OBJECT:
            # The mouse is on the button: the user still has to point at the object.
            self.controller.object_picker.pick_next_click()
        else:
            self._trigger(action)

    def _trigger(self, action: SegmentAction) -> None:
        if action is SegmentAction.SWITCH_POLARITY:
            self._set_polarity(not self.controller.prompts.positive)
        else:
            self.controller.trigger(action)

    def _set_polarity(self, positive: bool) -> None:
        self.controller.prompts.set_positive(positive)
        self.panel.tools.show_polarity(positive)

    def _fill_models(self) -> None:
        models = self.list_models()
        titles = {info.name: info.title for info in models}
        self.panel.show_models(titles, model_tips(models))

    def _show_models(self) -> None:
        """Show the models there are now; the choice stays unless it is gone."""
        chosen = self.panel.model
        self._fill_models()
        names = self.panel.models()
        if chosen in names:
            self.panel.show_model(chosen)
        else:
            self._choose_model(next(iter(names), ""))

    def _choose_model(self, name: str) -> None:
        if name:
            self.panel.show_model(name)
            self._on_model(name)

    def _on_model(self, name: str) -> None:
        self.controller.choose_model(ModelChoice(name, self.panel.options.values.device))

    def _on_loaded(self, device: str) -> None:
        """Offer the devices, now that somebody has imported torch."""
        job = Job(
            lambda context: self._engine.devices(), self.panel.options.show_devices, idle=True
        )
        self.controller.runner.submit(job)

    def _on_options(self, values: OptionValues) -> None:
        self.controller.set_options(values)

    def _on_image(self, layer: Layer | None) -> None:
        if not hasattr(self, "panel") or layer is self.controller.image:
            return
        image = layer if isinstance(layer, Image) else None
        self._show_channels(image=image)
        self.controller.choose_image(image)
        self._outputs.choose_default()
        if image is not None:
            self.controller.prompts.take_tool(self.controller.prompts.tool or "point")
            self._keep_tool()

    def _take_tool_again(self) -> None:
        """Take the tool from the image again: napari selects a new layer after it has told us."""
        image = self.controller.image
        if image is not None and self.viewer.layers.selection.active is image:
            self.controller.prompts.take_tool("point")

    def _on_output(self, layer: Layer | None) -> None:
        labels = layer if isinstance(layer, Labels) else None
        self.controller.committer.output.layer = self._shown_output = labels
        if labels is not None:
            self.recovery.follow(labels, self.controller.image)
            try:
                adopt_records(labels)
            except LabelsError as error:
                warn(str(error))

    # Recovery

    def _on_written(self, written: Written) -> None:
        self.recovery.written(written, self.controller.image)

    def _on_removed(self, event: Any) -> None:
        self.recovery.forget(event.value)

    def _restore(self) -> None:
        self.panel.banner.offer("")
        self.recovery.restore(self._on_restored_layer)

    def _on_restored_layer(self, layer: Labels) -> None:
        active = self.viewer.layers.selection.active
        self.viewer.add_layer(layer)
        if active is not None:
            self.viewer.layers.selection.active = active
        self._outputs.choose(layer)

    def _discard(self) -> None:
        self.panel.banner.offer("")
        self.recovery.discard()

    # To the panel

    def _show_pixel_size(self, image: Image | None) -> None:
        self.panel.options.show_pixel_size(micrometres_per_pixel(image))

    def _show_output(self) -> None:
        committer = self.controller.committer
        if committer.output.layer is not self._shown_output:
            self._shown_output = committer.output.layer
            self._outputs.choose(self._shown_output)
        self.panel.show_can_take_back(committer.can_take_back)
        self._show_can_edit()

    def _show_can_edit(self, event: Any = None) -> None:
        self.panel.show_can_edit(any(map(self.controller.labels_accepts, self.viewer.layers)))

    def _show_channels(self, event: Any = None, image: Image | None = None) -> None:
        image = image or self.controller.image
        titles, axes = channels_on_offer(self.viewer, image)
        self.panel.options.show_channel_axes(titles, axes)
        self.controller.set_options(self.panel.options.values)

    def _bind_keys(self) -> None:
        keys = read_keys(SegmentAction)
        problems = self.keys.bind(keys)
        keys = {action: key for action, key in keys.items() if action not in problems}
        self.panel.show_keys(keys)
        self.session.set_keys(
            KeyNames(
                commit=keys.get(SegmentAction.COMMIT, ""),
                next_candidate=keys.get(SegmentAction.NEXT_MASK, ""),
                undo=keys.get(SegmentAction.UNDO, ""),
                clear=keys.get(SegmentAction.CLEAR, ""),
                edit=keys.get(SegmentAction.EDIT_OBJECT, ""),
                take_back=keys.get(SegmentAction.TAKE_BACK, ""),
                tool=keys.get(SegmentAction.SWITCH_TOOL, ""),
            )
        )
        for problem in problems.values():
            warn(f"{problem}. Choose another one in Preferences > SegMate")

    def _is_image(self, layer: Layer) -> bool:
        return isinstance(layer, Image)
