"""The dock widget of automask: find everything, tune, accept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import napari
from napari.layers import Image, Labels, Layer, Shapes

from napari_segmate.models.base import ModelInfo
from napari_segmate.plugin.automask.controller import AutoController
from napari_segmate.plugin.automask.proposals import PlaneProposal
from napari_segmate.plugin.automask.search_job import least_limits, usual
from napari_segmate.plugin.automask.settings import Asked
from napari_segmate.plugin.docks.dock import Dock, warn, warn_from_any_thread
from napari_segmate.plugin.docks.keys import KeyBindings
from napari_segmate.plugin.docks.layer_choosers import LayerChooser, OutputChooser
from napari_segmate.plugin.docks.model_lists import follow_models, model_tips
from napari_segmate.plugin.docks.picking import Picker
from napari_segmate.plugin.planes.geometry import micrometres_per_pixel
from napari_segmate.plugin.planes.image_view import channels_on_offer
from napari_segmate.plugin.settings import (
    General,
    follow_keys,
    read_general,
    read_keys,
)
from napari_segmate.plugin.worker.engine import ModelEngine, default_engine
from napari_segmate.plugin.worker.runner import Job
from napari_segmate.sessions.state import SessionState
from napari_segmate.widgets.actions import AutoAction
from napari_segmate.widgets.auto_panel import AutoPanel
from napari_segmate.widgets.options_view import OptionValues

__all__ = ["AutoDock"]


class AutoDock(Dock):
    """Plugins > SegMate > Automask.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Given by napari.
    engine : ModelEngine, optional
        Loads models in the worker thread; made from the settings by default.
    models : sequence of ModelInfo, optional
        Models on offer; by default all that are known.
    """

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        *,
        engine: ModelEngine | None = None,
        models: Sequence[ModelInfo] | None = None,
    ) -> None:
        super().__init__(viewer, models)
        general = read_general()
        self._engine = engine or default_engine(general, warn_from_any_thread)
        self.controller = AutoController(
            self.viewer,
            self._engine,
            show=self._show,
            show_found=self._show_found,
            notify=warn,
        )
        controller = self.controller
        self._images = LayerChooser(self.viewer, lambda one: isinstance(one, Image), self._on_image)
        self._outputs = OutputChooser(
            self.viewer, controller.labels_accepts, self._on_output, controller.view
        )
        self._shapes = LayerChooser(self.viewer, controller.shapes_accepts, self._on_shapes)
        self.panel = AutoPanel(self._images.native, self._outputs.native, self._shapes.native)
        self.fill(self.panel)
        self._models: dict[str, ModelInfo] = {}
        self._picker = Picker(self.viewer)
        self.keys: KeyBindings[AutoAction] = KeyBindings(self.viewer, self._on_key)
        self._connect()
        self._bind_keys()
        self._start(general)

    # Start and end

    def _connect(self) -> None:
        panel = self.panel
        panel.triggered.connect(self._on_button)
        for signal in (
            panel.changed,
            panel.model_chosen,
            panel.region_chosen,
            panel.planes.changed,
            panel.options.changed,
        ):
            signal.connect(self._ask)
        self.controller.found = self._on_found
        self.controller.committer.changed = self._show_output
        self.close_with(
            self.keys.unbind,
            self._picker.stop,
            follow_keys(AutoAction, self._bind_keys),
            follow_models(self.viewer, self._fill_models, self._choose_model),
            *self.connect_dims(order=self._show_channels, last_used=self._show_planes),
            self._images.close,
            self._outputs.close,
            self._shapes.close,
            self.controller.close,
        )

    def _start(self, general: General) -> None:
        self._fill_models()
        self.panel.show_model(general.model)
        self.panel.options.show_values(OptionValues(device=general.device))
        info = self._models.get(self.panel.model)
        self.panel.show_values(usual(self.panel.values, self.controller.asked.mode, info))
        active = self.viewer.layers.selection.active
        self._images.choose(active if isinstance(active, Image) else self._images.layer)
        self._on_image(self._images.layer)
        self._on_shapes(self._shapes.layer)
        self._ask()
        self._show_found()
        self._show_output()

    # From the panel

    def _on_button(self, action: AutoAction) -> None:
        pointed = {
            AutoAction.ACCEPT_ONE: ("accept", self.controller.accept_at),
            AutoAction.DELETE_ONE: ("delete", self.controller.delete_at),
        }
        if action in pointed:
            # The mouse is on the button: the user still has to point at the object.
            what, act = pointed[action]
            self._picker.start(act)
            self.controller.jobs.say(f"Click on the object to {what}")
        else:
            self.trigger(action)

    def _on_key(self, action: AutoAction) -> None:
        self.trigger(action)

    def trigger(self, action: AutoAction) -> None:
        """Do what a button or a key says, where the cursor is."""
        controller, position = self.controller, self.viewer.cursor.position
        acts: dict[AutoAction, Callable[[], None]] = {
            AutoAction.RUN: controller.run,
            AutoAction.ACCEPT: controller.accept,
            AutoAction.ACCEPT_ONE: lambda: controller.accept_at(position),
            AutoAction.DELETE_ONE: lambda: controller.delete_at(position),
            AutoAction.DISCARD: controller.discard,
            AutoAction.TAKE_BACK: controller.take_back,
            AutoAction.CANCEL: controller.cancel,
            AutoAction.RETRY: controller.jobs.retry,
        }
        self._picker.stop()
        acts[action]()

    def _ask(self, _: Any = None) -> None:
        panel = self.panel
        info = self._models.get(panel.model)
        before = self.controller.asked
        asked = Asked(
            panel.values,
            panel.model,
            info is not None and info.instance_head,
            panel.region,
            panel.planes.choice,
            panel.options.values,
            info,
        )
        panel.show_mode(asked.mode, least_limits(asked.mode))
        if (asked.mode, asked.suggested) != (before.mode, before.suggested):
            panel.show_values(usual(panel.values, asked.mode, info))
            asked = replace(asked, values=panel.values)
        if asked.mode is not before.mode or asked.model != before.model:
            panel.show_estimate(0)
        self.controller.ask(asked)

    def _on_image(self, layer: Layer | None) -> None:
        if not hasattr(self, "panel") or layer is self.controller.image:
            return
        image = layer if isinstance(layer, Image) else None
        self._show_channels(image=image)
        self.controller.choose_image(image)
        self._outputs.choose_default()
        self._show_planes()

    def _on_output(self, layer: Layer | None) -> None:
        self.controller.committer.output.layer = layer if isinstance(layer, Labels) else None

    def _on_shapes(self, layer: Layer | None) -> None:
        self.controller.shapes = layer if isinstance(layer, Shapes) else None
        if hasattr(self, "panel"):
            self.controller.refresh()

    # To the panel

    def _on_found(self, plane: PlaneProposal) -> None:
        # The first plane of a run may have told the others.
        self.panel.show_estimate(plane.prepared.diameter)
        job = Job(
            lambda context: self._engine.devices(), self.panel.options.show_devices, idle=True
        )
        self.controller.runner.submit(job)

    def _show(self, state: SessionState) -> None:
        if not hasattr(self, "panel"):
            return
        controller = self.controller
        self.panel.show_state(state)
        self.panel.show_pixel_size(micrometres_per_pixel(controller.image))
        can = {
            AutoAction.RUN: controller.can_run,
            AutoAction.ACCEPT: controller.can_accept,
            AutoAction.ACCEPT_ONE: controller.can_accept,
            AutoAction.DELETE_ONE: controller.can_accept,
            AutoAction.DISCARD: len(controller.book) > 0,
            AutoAction.TAKE_BACK: controller.committer.can_take_back,
        }
        self.panel.show_can([action for action, on in can.items() if on])

    def _show_found(self) -> None:
        if hasattr(self, "panel"):
            book = self.controller.book
            there = book.layer is not None
            self.panel.show_found(
                book.areas if there else (),
                len(book) if there else 0,
                linked=self.controller.links,
                objects=self.controller.counting.objects,
            )

    def _show_output(self) -> None:
        self._outputs.choose(self.controller.committer.output.layer)
        self.controller.refresh()

    def _fill_models(self) -> None:
        models = self.list_models()
        self._models = {info.name: info for info in models}
        titles = {info.name: info.title for info in models}
        self.panel.show_models(titles, model_tips(models))

    def _choose_model(self, name: str) -> None:
        self.panel.show_model(name)
        self._ask()

    def _show_planes(self, event: Any = None) -> None:
        slider = self.controller.slider
        self.panel.show_planes(1 if slider is None else slider[1])

    def _show_channels(self, event: Any = None, image: Image | None = None) -> None:
        image = image or self.controller.image
        titles, axes = channels_on_offer(self.viewer, image)
        self.panel.options.show_channel_axes(titles, axes)
        self._ask()

    def _bind_keys(self) -> None:
        keys = read_keys(AutoAction)
        problems = self.keys.bind(keys)
        keys = {action: key for action, key in keys.items() if action not in problems}
        self.panel.show_keys(keys)
        self.controller.delete_key = keys.get(AutoAction.DELETE_ONE, "")
        for problem in problems.values():
            warn(f"{problem}. Choose another one in Preferences > SegMate")
