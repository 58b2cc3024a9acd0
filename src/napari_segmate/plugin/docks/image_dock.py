"""What docks with an image share: choosers, models, channels, keys; planes and requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

from napari.layers import Image, Labels, Layer

from napari_segmate.models.base import ModelInfo
from napari_segmate.plugin.docks.controller import DockController
from napari_segmate.plugin.docks.dock import Dock, warn
from napari_segmate.plugin.docks.keys import KeyBindings
from napari_segmate.plugin.docks.layer_choosers import LayerChooser, OutputChooser
from napari_segmate.plugin.docks.model_lists import follow_models, model_tips
from napari_segmate.plugin.planes.image_view import ImageView, channels_on_offer
from napari_segmate.plugin.settings import follow_keys, read_general, read_keys
from napari_segmate.plugin.worker.engine import ModelEngine
from napari_segmate.plugin.worker.runner import Job, Runner
from napari_segmate.widgets.actions import PanelAction, default_keys
from napari_segmate.widgets.options_view import OptionValues
from napari_segmate.widgets.panel import Panel, SearchPanel

__all__ = ["ImageDock", "JobDock"]


class ImageController(Protocol):
    """What a dock needs of its controller."""

    view: ImageView
    runner: Runner

    @property
    def committer(self) -> Any:
        """Writes objects to the output."""
        ...

    @property
    def image(self) -> Image | None:
        """The image that is worked on."""
        ...

    def choose_image(self, image: Image | None) -> None:
        """Work on another image."""
        ...

    def labels_accepts(self, layer: Layer) -> bool:
        """Tell whether a layer may be chosen as output."""
        ...

    def close(self) -> None:
        """End the worker and let go of the viewer."""
        ...


C = TypeVar("C", bound=ImageController)
P = TypeVar("P", bound=Panel[Any])
J = TypeVar("J", bound=DockController[Any, Any, Any])
S = TypeVar("S", bound=SearchPanel[Any])


class ImageDock(Dock, Generic[C, P]):
    """A dock that works on an image and writes objects to labels.

    A dock of its own makes its controller, calls `set_up` and `start`, and overrides
    `send_request`, `trigger`, and the ``on_…`` methods that it needs.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Given by napari.
    models : sequence of ModelInfo, optional
        Models on offer; by default all that are known.

    Attributes
    ----------
    controller : ImageController
        Does what the panel says.
    panel : Panel
        What is seen.
    """

    controller: C
    panel: P

    def __init__(self, viewer: Any, models: Sequence[ModelInfo] | None) -> None:
        super().__init__(viewer, models)
        self.general = read_general()
        self.models: dict[str, ModelInfo] = {}
        self._started = False

    def set_up(
        self,
        controller: C,
        make_panel: Callable[..., P],
        actions: type[PanelAction],
        *choosers: LayerChooser,
        ends: Sequence[Callable[[], object]] = (),
    ) -> None:
        """Make the panel and connect it.

        Parameters
        ----------
        controller : ImageController
            Does what the panel says.
        make_panel : callable
            Returns the panel for choosers of image and output, and `choosers`.
        actions : type of PanelAction
            What can be triggered; those with a key get it.
        *choosers : LayerChooser
            More layers to choose.
        ends : sequence of callable
            What is called last when the dock ends.
        """
        self.controller = controller
        self._images = LayerChooser(self.viewer, lambda one: isinstance(one, Image), self._on_image)
        self._outputs = OutputChooser(
            self.viewer, controller.labels_accepts, self._on_output, controller.view
        )
        every = (self._images, self._outputs, *choosers)
        self.panel = make_panel(*(one.native for one in every))
        self.fill(self.panel)
        self.keys: KeyBindings[PanelAction] = KeyBindings(self.viewer, self.trigger)
        self._actions = actions
        self.panel.triggered.connect(self.on_button)
        for signal in (self.panel.model_chosen, self.panel.options.changed):
            signal.connect(self.send_request)
        controller.committer.changed = self.show_output
        self.close_with(
            self.keys.unbind,
            *self._follow(),
            *(one.close for one in every),
            controller.close,
            *ends,
        )

    def _follow(self) -> list[Callable[[], None]]:
        """Follow settings, models and sliders; return what ends that."""
        ends = [
            follow_models(self.viewer, self._on_models, self.choose_model),
            *self.connect_dims(order=self._on_axes, last_used=self._on_slider),
        ]
        if default_keys(self._actions):
            ends.append(follow_keys(self._actions, self._bind_keys))
        return ends

    def start(self) -> None:
        """Show what the settings say, and choose the image that is active."""
        self._started = True
        if default_keys(self._actions):
            self._bind_keys()
        self._fill_models()
        self.panel.show_model(self.general.model)
        self.panel.options.show_values(OptionValues(device=self.general.device))
        self.on_start()
        active = self.viewer.layers.selection.active
        self._images.choose(active if isinstance(active, Image) else self._images.layer)
        self._on_image(self._images.layer)
        self.send_request()
        self.show_output()

    # What a dock says itself

    def send_request(self, _: Any = None) -> None:
        """Tell the controller what the panel says."""
        raise NotImplementedError

    def trigger(self, action: Any) -> None:
        """Do what a key says."""
        raise NotImplementedError

    def on_button(self, action: Any) -> None:
        """Do what a button says; by default the same as a key."""
        self.trigger(action)

    def on_start(self) -> None:
        """Fill the panel before anything is chosen."""

    def on_image(self, image: Image | None) -> None:
        """Follow the image, which is another one now."""

    def on_slider(self) -> None:
        """Follow the slider that was moved last."""

    def on_keys(self, keys: Mapping[Any, str]) -> None:
        """Take note of which key does what."""

    # From the panel

    def _on_image(self, layer: Layer | None) -> None:
        if not self._started or layer is self.controller.image:
            return
        image = layer if isinstance(layer, Image) else None
        self._show_channels(image)
        self.controller.choose_image(image)
        self._outputs.choose_default()
        self.on_image(image)

    def _on_output(self, layer: Layer | None) -> None:
        self.on_output(layer if isinstance(layer, Labels) else None)

    def on_output(self, labels: Labels | None) -> None:
        """Write to other labels."""
        self.controller.committer.output.layer = labels

    def _on_slider(self, event: Any = None) -> None:
        self.on_slider()

    # Models

    def _fill_models(self) -> None:
        models = self.list_models()
        self.models = {info.name: info for info in models}
        titles = {info.name: info.title for info in models}
        self.panel.show_models(titles, model_tips(models))

    def _on_models(self) -> None:
        before = self.panel.model
        self._fill_models()
        if self.panel.model != before:
            self.send_request()

    def choose_model(self, name: str) -> None:
        """Take another model."""
        self.panel.show_model(name)
        self.send_request()

    def offer_devices(self, engine: ModelEngine) -> None:
        """Offer where models can run, now that somebody has imported torch."""
        show = self.panel.options.show_devices
        self.controller.runner.submit(Job(lambda context: engine.devices(), show, idle=True))

    # To the panel

    def show_output(self) -> None:
        """Show which labels are written to."""
        self._outputs.choose(self.controller.committer.output.layer)

    def _on_axes(self, event: Any = None) -> None:
        self._show_channels(self.controller.image)

    def _show_channels(self, image: Image | None) -> None:
        titles, axes = channels_on_offer(self.viewer, image)
        self.panel.options.show_channel_axes(titles, axes)
        self.send_request()

    def _bind_keys(self) -> None:
        keys = read_keys(self._actions)
        problems = self.keys.bind(keys)
        keys = {action: key for action, key in keys.items() if action not in problems}
        self.panel.show_keys(keys)
        self.on_keys(keys)
        for problem in problems.values():
            warn(f"{problem}. Choose another one in Preferences > SegMate")


class JobDock(ImageDock[J, S]):
    """A dock whose jobs search planes of an image; see `DockController` for the jobs.

    A dock of its own makes its controller, calls `set_up` and `start`, and overrides
    `read_request`, `trigger`, and the ``on_…`` methods that it needs.

    Parameters
    ----------
    viewer, models
        As in `ImageDock`.
    """

    def start(self) -> None:
        """Show what the settings say and how things stand, and choose the image that is active."""
        self.controller.show = self.show_state
        super().start()

    def show_state(self, state: Any) -> None:
        """Show how things stand."""
        self.panel.show_state(state)

    def read_request(self) -> Any:
        """Return what the panel says, as the controller takes it."""
        raise NotImplementedError

    def send_request(self, _: Any = None) -> None:
        """Tell the controller what the panel says."""
        self.controller.set_request(self.read_request())

    def on_image(self, image: Image | None) -> None:
        """Offer the planes of another image."""
        self.on_slider()

    def on_slider(self) -> None:
        """Offer the planes along the slider that was moved last."""
        slider = self.controller.slider
        self.panel.show_planes(1 if slider is None else slider[1])

    def show_output(self) -> None:
        """Show which labels are written to, and what can be taken back."""
        super().show_output()
        self.controller.refresh()
