"""The dock widget of interactive segmentation: the place where everything is put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import napari
from napari.layers import Image, Labels

from napari_segmate.core.errors import LabelsError
from napari_segmate.core.files.weights import cache_folder
from napari_segmate.models.base import ModelInfo
from napari_segmate.plugin.docks.dock import warn, warn_from_any_thread
from napari_segmate.plugin.docks.image_dock import ImageDock
from napari_segmate.plugin.labels.commit import Written
from napari_segmate.plugin.labels.recovery import RecoveryKeeper
from napari_segmate.plugin.labels.writer import adopt_records
from napari_segmate.plugin.planes.geometry import micrometres_per_pixel
from napari_segmate.plugin.segment.controller import Controller
from napari_segmate.plugin.worker.debounce import Debouncer
from napari_segmate.plugin.worker.engine import ModelChoice, ModelEngine, default_engine
from napari_segmate.sessions.interactive import Session
from napari_segmate.sessions.state import KeyNames
from napari_segmate.widgets.actions import SegmentAction
from napari_segmate.widgets.segment_panel import SegmentPanel

__all__ = ["SegmentDock"]


class SegmentDock(ImageDock[Controller, SegmentPanel]):
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
        self.session = Session()
        self._engine = engine or default_engine(self.general, warn_from_any_thread)
        controller = Controller(self.viewer, self.session, self._engine, notify=warn)
        controller.prefetcher.neighbours = self.general.prefetch
        folder = recovery_folder or cache_folder() / "recovery"
        self.recovery = RecoveryKeeper(folder, controller.runner, warn_from_any_thread)
        self._shown_output: Labels | None = None
        self._keep_tool = keep_tool = Debouncer(self._take_tool_again)
        self.destroyed.connect(lambda: keep_tool.stop())
        self.set_up(controller, SegmentPanel, SegmentAction, ends=[self.recovery.close])
        self._connect()
        self.start()
        self.recovery.look(self.panel.banner.offer)

    def _connect(self) -> None:
        panel, controller = self.panel, self.controller
        panel.tools.tool_chosen.connect(controller.prompts.take_tool)
        panel.tools.polarity_chosen.connect(self._set_polarity)
        controller.show = panel.show_state
        controller.show_tool = panel.tools.show_tool
        controller.show_image = self._show_pixel_size
        controller.loaded = self._on_loaded
        controller.prefetcher.estimated = panel.options.show_estimate
        controller.committer.written = self._on_written
        controller.committer.taken_back = self.recovery.taken_back
        self.viewer.layers.events.removed.connect(self._on_removed)
        for name in ("inserted", "removed"):
            getattr(self.viewer.layers.events, name).connect(self._show_can_edit)
        panel.banner.restore_clicked.connect(self._restore)
        panel.banner.discard_clicked.connect(self._discard)

    # From the panel

    def on_button(self, action: SegmentAction) -> None:
        """Do what a button says; the one to edit an object waits for a click on it."""
        if action is SegmentAction.EDIT_OBJECT:
            # The mouse is on the button: the user still has to point at the object.
            self.controller.object_picker.pick_next_click()
        else:
            self.trigger(action)

    def trigger(self, action: SegmentAction) -> None:
        """Do what a button or a key says."""
        if action is SegmentAction.SWITCH_POLARITY:
            self._set_polarity(not self.controller.prompts.positive)
        else:
            self.controller.trigger(action)

    def _set_polarity(self, positive: bool) -> None:
        self.controller.prompts.set_positive(positive)
        self.panel.tools.show_polarity(positive)

    def send_request(self, _: Any = None) -> None:
        """Tell the controller which options and which model are chosen."""
        options = self.panel.options.values
        self.controller.set_options(options)
        if self.panel.model:
            self.controller.choose_model(ModelChoice(self.panel.model, options.device))

    def _on_loaded(self, device: str) -> None:
        self.offer_devices(self._engine)

    def on_image(self, image: Image | None) -> None:
        """Give the user a tool to point with."""
        if image is not None:
            self.controller.prompts.take_tool(self.controller.prompts.tool or "point")
            self._keep_tool()

    def _take_tool_again(self) -> None:
        """Take the tool from the image again: napari selects a new layer after it has told us."""
        image = self.controller.image
        if image is not None and self.viewer.layers.selection.active is image:
            self.controller.prompts.take_tool("point")

    def on_output(self, labels: Labels | None) -> None:
        """Write to other labels; those of an earlier session bring their records."""
        super().on_output(labels)
        self._shown_output = labels
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

    def show_output(self) -> None:
        """Show which labels are written to, and what can be taken back or edited."""
        committer = self.controller.committer
        if committer.output.layer is not self._shown_output:
            self._shown_output = committer.output.layer
            self._outputs.choose(self._shown_output)
        self.panel.show_can_take_back(committer.can_take_back)
        self._show_can_edit()

    def _show_can_edit(self, event: Any = None) -> None:
        self.panel.show_can_edit(any(map(self.controller.labels_accepts, self.viewer.layers)))

    def on_keys(self, keys: Mapping[Any, str]) -> None:
        """Name the keys in the hints."""
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
