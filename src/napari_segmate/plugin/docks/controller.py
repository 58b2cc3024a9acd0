"""What the controllers of all docks with jobs have in common: image, planes, region, jobs, undo."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer

from napari_segmate.core.errors import SegmateError
from napari_segmate.core.types import IntBoxYX
from napari_segmate.plugin.docks.object_writer import ObjectWriter
from napari_segmate.plugin.labels.commit_many import ManyCommitter
from napari_segmate.plugin.planes.image_view import ImageView
from napari_segmate.plugin.planes.region import RegionLayer
from napari_segmate.plugin.worker.debounce import Debouncer
from napari_segmate.plugin.worker.jobs import Jobs
from napari_segmate.plugin.worker.runner import Runner
from napari_segmate.sessions.panel_state import PanelState
from napari_segmate.widgets.options_view import OptionValues
from napari_segmate.widgets.planes_view import PlaneChoice

__all__ = ["DockController", "DockRequest"]

SETTLE_MS = 250
"""How long the camera must rest before it counts."""

Index = tuple[int, ...]


@dataclass(frozen=True)
class DockRequest:
    """What the panel says; a dock adds what its own task needs.

    Parameters
    ----------
    model : str
        Which model.
    region : str
        Part of a plane: ``"plane"``, ``"visible"``, ``"rectangle"``.
    planes : PlaneChoice
        Which planes of a stack.
    options : OptionValues
        Contrast, device, what happens to other labels.
    """

    model: str = "tiny"
    region: str = "plane"
    planes: PlaneChoice = field(default_factory=PlaneChoice)
    options: OptionValues = field(default_factory=OptionValues)


Req = TypeVar("Req", bound=DockRequest)
State = TypeVar("State", bound=PanelState)
Made = TypeVar("Made")


class DockController(ABC, Generic[Req, State, Made]):
    """One dock in one viewer: follows the image, runs jobs, writes results and takes them back.

    Everything happens on the GUI thread except what `jobs` is given. A dock's own controller says
    what its `state` is and overrides the ``on_…`` methods that it needs.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layers are.
    request : DockRequest
        What the panel says at first.
    remedy : str
        What usually helps when a job fails.
    notify : callable
        Called with a sentence that the user should read.
    recoloured_ms : int
        How long the contrast must rest before it counts.

    Attributes
    ----------
    show : callable
        Called with the state to show; the dock sets it once it has a panel.
    show_found : callable
        Called without arguments when there are other results to show.
    trouble : str
        Why there is no plane in view.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        request: Req,
        remedy: str,
        notify: Callable[[str], None],
        *,
        recoloured_ms: int = 0,
    ) -> None:
        self.viewer = viewer
        self.request = request
        self.closed = False
        self.trouble = ""
        self.show: Callable[[State], None] = lambda state: None
        self.show_found: Callable[[], None] = lambda: None
        self.jobs = Jobs(self.refresh, remedy)
        self.runner: Runner = self.jobs.runner
        self.plane_moved = Debouncer(self.update_plane)
        self._recoloured = Debouncer(self.update_plane, recoloured_ms)
        self._camera_moved = Debouncer(self._on_camera, SETTLE_MS)
        self.refresh_later = Debouncer(self.refresh)
        self.view: ImageView = ImageView(viewer, self.plane_moved, self._recoloured)
        self.region = RegionLayer(viewer, self.refresh_later)
        self.writer: ObjectWriter[Made] = ObjectWriter(viewer, self.jobs, notify)
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.scene.camera.events.connect(self._camera_moved)

    def close(self) -> None:
        """End the worker and let go of the viewer; what was found and written stays."""
        if self.closed:
            return
        self.closed = True
        self.jobs.close()
        for timer in (self.plane_moved, self._recoloured, self._camera_moved, self.refresh_later):
            timer.stop()
        self.committer.close()
        self.viewer.layers.events.removed.disconnect(self._on_removed)
        self.viewer.scene.camera.events.disconnect(self._camera_moved)
        self.view.close()
        self.on_close()

    # What a dock says itself

    @property
    @abstractmethod
    def state(self) -> State:
        """What to show now."""

    def on_request(self, before: Req) -> None:
        """Follow the panel, which has said `before` until now."""

    def on_image(self) -> None:
        """Let go of what belongs to the image before, which is about to be another one."""

    def on_plane(self, before: Index | None) -> None:
        """Follow the plane in view, which was `before` until now."""

    def on_camera(self) -> None:
        """Follow the camera, which has come to rest."""

    def on_layer_removed(self, layer: Layer) -> None:
        """Forget a layer."""

    def on_close(self) -> None:
        """Stop what runs besides jobs."""

    # What the user chooses

    @property
    def image(self) -> Image | None:
        """The image that is worked on."""
        return self.view.image

    def choose_image(self, image: Image | None) -> None:
        """Work on another image."""
        if image is self.view.image:
            return
        self.jobs.stop()
        self.on_image()
        self.view.choose(image)
        self.update_plane()

    def set_request(self, request: Req) -> None:
        """Take what the panel says."""
        before, self.request = self.request, request
        self.committer.policy = request.options.policy
        if self.view.set_options(request.options):
            self.update_plane()
        if request.region != before.region:
            self._change_region(request.region)
        self.on_request(before)

    def labels_accepts(self, layer: Layer) -> bool:
        """Tell whether a layer may be chosen as output."""
        return isinstance(layer, Labels)

    # Region and planes

    def _change_region(self, region: str) -> None:
        if region != "rectangle":
            self.region.remove()
        elif self.view.shown is not None:
            geometry = self.view.drawing_geometry.in_units(self.viewer.dims.units)
            self.region.take_tool(geometry, self.view.outline_width)

    @property
    def region_box(self) -> IntBoxYX | None:
        """The box of a plane that is searched; None for all of it, or while none is drawn."""
        if self.request.region == "visible":
            return self.view.visible_yx
        if self.request.region == "rectangle":
            return self.region.box(self.view.drawing_plane)
        return None

    @property
    def shown_index(self) -> Index | None:
        """The plane on the screen; None without one."""
        return None if self.view.shown is None else self.view.shown.index

    @property
    def slider(self) -> tuple[int, int] | None:
        """Place in the index of the axis that a range goes along, and its length."""
        return None if self.view.shown is None else self.view.slider()

    @property
    def indices(self) -> list[Index]:
        """The planes that the next job is for, the one on the screen first."""
        shown, choice, slider = self.shown_index, self.request.planes, self.slider
        if shown is None:
            return []
        if not choice.is_range or slider is None:
            return [shown]
        place, length = slider
        assert choice.first is not None and choice.last is not None
        numbers = range(choice.first, min(choice.last, length - 1) + 1)
        wanted = [(*shown[:place], number, *shown[place + 1 :]) for number in numbers]
        return sorted(wanted, key=lambda index: index != shown)

    # Results

    @property
    def committer(self) -> ManyCommitter[Made]:
        """Writes objects to the output."""
        return self.writer.committer

    # What is shown

    def update_plane(self) -> None:
        """Look which plane is on the screen now."""
        if self.closed:
            return
        before, self.trouble = self.shown_index, ""
        try:
            self.view.update()
        except SegmateError as error:
            self.trouble = str(error)
        self.on_plane(before)
        self.refresh()

    def refresh(self) -> None:
        """Show how things stand."""
        if not self.closed:
            self.show(self.state)

    def can(self, action: str) -> bool:
        """Tell whether an action does something now."""
        return action in self.state.actions

    def _on_camera(self) -> None:
        if not self.closed:
            self.on_camera()

    def _on_removed(self, event: Any) -> None:
        layer, image = event.value, self.view.image
        self.on_layer_removed(layer)
        if image is not None and layer is image:
            self.choose_image(None)
        self.committer.forget(layer)
        self.refresh_later()
