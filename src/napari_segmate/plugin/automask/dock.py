"""The dock widget of automask: find everything, tune, accept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import napari
from napari.layers import Layer, Shapes

from napari_segmate.models.base import ModelInfo
from napari_segmate.plugin.automask.controller import AutoController
from napari_segmate.plugin.automask.proposals import PlaneProposal
from napari_segmate.plugin.automask.request import AutoRequest, least_limits, usual_values
from napari_segmate.plugin.docks.dock import warn, warn_from_any_thread
from napari_segmate.plugin.docks.image_dock import JobDock
from napari_segmate.plugin.docks.layer_choosers import LayerChooser
from napari_segmate.plugin.docks.picking import Picker
from napari_segmate.plugin.planes.geometry import micrometres_per_pixel
from napari_segmate.plugin.worker.engine import ModelEngine, default_engine
from napari_segmate.sessions.panel_state import PanelState
from napari_segmate.widgets.actions import AutoAction
from napari_segmate.widgets.auto_panel import AutoPanel

__all__ = ["AutoDock"]


class AutoDock(JobDock[AutoController, AutoPanel]):
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
        self._engine = engine or default_engine(self.general, warn_from_any_thread)
        self._picker = Picker(self.viewer)
        controller = AutoController(self.viewer, self._engine, warn)
        self._shapes = LayerChooser(self.viewer, controller.shapes_accepts, self._on_shapes)
        self.set_up(controller, AutoPanel, AutoAction, self._shapes, ends=[self._picker.stop])
        for signal in (self.panel.changed, self.panel.region_chosen, self.panel.planes.changed):
            signal.connect(self.send_request)
        controller.show_found = self._show_found
        controller.plane_found = self._on_plane_found
        self.start()
        self._on_shapes(self._shapes.layer)
        self._show_found()

    def on_start(self) -> None:
        """Begin with limits that suit the model."""
        info = self.models.get(self.panel.model)
        mode = self.controller.request.mode
        self.panel.show_values(usual_values(self.panel.values, mode, info))

    # From the panel

    def on_button(self, action: AutoAction) -> None:
        """Do what a button says; those for one object wait for a click on it."""
        pointed = {
            AutoAction.ACCEPT_ONE: ("accept", self.controller.accept_at),
            AutoAction.DELETE_ONE: ("delete", self.controller.delete_at),
        }
        if action in pointed:
            # The mouse is on the button: the user still has to point at the object.
            what, act = pointed[action]
            self._picker.start(act)
            self.controller.jobs.show_message(f"Click on the object to {what}")
        else:
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

    def read_request(self) -> AutoRequest:
        """Return what the panel says; limits that another mode or model asks for are filled in."""
        panel = self.panel
        info = self.models.get(panel.model)
        before = self.controller.request
        request = AutoRequest(
            model=panel.model,
            region=panel.region,
            planes=panel.planes.choice,
            options=panel.options.values,
            values=panel.values,
            has_head=info is not None and info.instance_head,
            info=info,
        )
        panel.show_mode(request.mode, least_limits(request.mode))
        if (request.mode, request.suggested) != (before.mode, before.suggested):
            panel.show_values(usual_values(panel.values, request.mode, info))
            request = replace(request, values=panel.values)
        if request.mode is not before.mode or request.model != before.model:
            panel.show_estimate(0)
        return request

    def _on_shapes(self, layer: Layer | None) -> None:
        self.controller.shapes = layer if isinstance(layer, Shapes) else None
        self.controller.refresh()

    def on_keys(self, keys: Mapping[Any, str]) -> None:
        """Name the key in the hint."""
        self.controller.delete_key = keys.get(AutoAction.DELETE_ONE, "")

    # To the panel

    def show_state(self, state: PanelState) -> None:
        """Show how things stand."""
        self.panel.show_state(state)
        self.panel.show_pixel_size(micrometres_per_pixel(self.controller.image))

    def _on_plane_found(self, plane: PlaneProposal) -> None:
        # The first plane of a run may have told the others.
        self.panel.show_estimate(plane.prepared.diameter)
        self.offer_devices(self._engine)

    def _show_found(self) -> None:
        proposals = self.controller.proposals
        there = proposals.layer is not None
        self.panel.show_found(
            proposals.areas if there else (),
            len(proposals) if there else 0,
            linked=self.controller.links,
            objects=self.controller.counter.objects,
        )
