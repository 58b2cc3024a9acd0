"""Ties viewer, session, model and panel of one dock together."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer

from napari_segmate.core.errors import ImageError, LabelsError, PromptError, SegmateError
from napari_segmate.core.image import ContrastMode
from napari_segmate.core.types import Instance, IntBoxYX
from napari_segmate.inference.request import MaskOptions, Prediction, Request
from napari_segmate.plugin.answering import Answerer, ModelChoice
from napari_segmate.plugin.committing import Committer
from napari_segmate.plugin.deferred import Deferred
from napari_segmate.plugin.geometry import Geometry
from napari_segmate.plugin.images import ImagePlanes
from napari_segmate.plugin.layers import DisplayedPlane, displayed_plane, visible_box
from napari_segmate.plugin.loading import Loading
from napari_segmate.plugin.picking import Picker
from napari_segmate.plugin.preview import Preview
from napari_segmate.plugin.prompt_layers import TOOLS, PromptLayers
from napari_segmate.plugin.runner import Job, Runner
from napari_segmate.sessions.interactive import Session
from napari_segmate.sessions.prompt_set import PromptSet
from napari_segmate.sessions.state import Phase, SessionState
from napari_segmate.widgets.actions import Action
from napari_segmate.widgets.options_view import OptionValues

__all__ = ["Controller"]

SETTLE_MS = 250
"""How long the view or the contrast must rest before they count."""
IDLE_MS = 600
OUTLINE_SCREEN_PX = 1.5
IMAGE_EVENTS = ("data", "scale", "translate", "rotate", "shear", "affine", "units")
DIMS_EVENTS = ("point", "order", "ndisplay", "ndim", "units")


class Controller:
    """One session in one viewer.

    Everything happens on the GUI thread except what `Runner` is given.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layers are.
    session : Session
        What the user does.
    answerer : Answerer
        What the worker thread does.
    show : callable
        Called with the `SessionState` to show.
    show_tool : callable
        Called with the tool in hand.
    notify : callable
        Called with a sentence that the user should read even if it is not about this state.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        session: Session,
        answerer: Answerer,
        *,
        show: Callable[[SessionState], None],
        show_tool: Callable[[str | None], None],
        notify: Callable[[str], None],
    ) -> None:
        self.viewer = viewer
        self.session = session
        self.runner = Runner()
        self._answerer = answerer
        self._show = show
        self._notify = notify
        self._image: Image | None = None
        self._planes: ImagePlanes | None = None
        self._shown: DisplayedPlane | None = None
        self._notice = ""
        self._options = OptionValues()
        self._choice: ModelChoice | None = None
        self._job: Job | None = None
        self._loading = Loading()
        self._closed = False
        self.prompts = PromptLayers(viewer, self._on_drawn, show_tool)
        self.preview = Preview(viewer, lambda: self.prompts.layers)
        self.committer = Committer(viewer, session, self.runner, notify)
        self.picker = Picker(viewer)
        self._read_prompts = Deferred(self._take_prompts)
        self._look = Deferred(self._update_plane)
        self._look_later = Deferred(self._update_plane, SETTLE_MS)
        self._view = Deferred(self._update_view, SETTLE_MS)
        self._ahead = Deferred(self._prepare_ahead, IDLE_MS)
        self._connect()

    # Signals

    def _connect(self) -> None:
        session, viewer = self.session, self.viewer
        session.requested.connect(self._on_request)
        session.state_changed.connect(self._on_state)
        session.preview_changed.connect(self._on_preview)
        session.prompts_restored.connect(self._on_restored)
        session.committed.connect(self._on_committed)
        for name in DIMS_EVENTS:
            getattr(viewer.dims.events, name).connect(self._look)
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.layers.selection.events.active.connect(self.prompts.report_tool)
        viewer.scene.camera.events.connect(self._view)

    def close(self) -> None:
        """End the worker and let go of the viewer; what was drawn and committed stays."""
        if self._closed:
            return
        self._closed = True
        self.runner.close()
        for deferred in (
            self._read_prompts,
            self._look,
            self._look_later,
            self._view,
            self._ahead,
        ):
            deferred.stop()
        viewer = self.viewer
        for name in DIMS_EVENTS:
            getattr(viewer.dims.events, name).disconnect(self._look)
        viewer.layers.events.removed.disconnect(self._on_removed)
        viewer.layers.selection.events.active.disconnect(self.prompts.report_tool)
        viewer.scene.camera.events.disconnect(self._view)
        self._follow(None)
        self.picker.stop()
        self.preview.remove()

    # What the user chooses

    @property
    def image(self) -> Image | None:
        """The image being segmented."""
        return self._image

    def choose_image(self, image: Image | None) -> None:
        """Work on another image; what was drawn on the last one is remembered by plane."""
        if image is self._image:
            return
        self._follow(image)
        self._image, self._planes = image, None
        self.prompts.clear()
        self._update_plane()

    def choose_model(self, choice: ModelChoice) -> None:
        """Let another model answer, or the same one on another device."""
        if choice == self._choice:
            return
        before, self._choice = self._choice, choice
        self.runner.cancel_all()
        self._load_model(choice)
        if before is not None and before.name == choice.name:
            self.session.invalidate()
        else:
            self.session.set_model_name(choice.name)

    def _load_model(self, choice: ModelChoice) -> None:
        self._loading.start()
        self.runner.submit(
            Job(
                lambda context: self._answerer.model(choice, context),
                done=lambda model: self._on_loaded(choice, None),
                failed=lambda error: self._on_loaded(choice, error),
                progress=self._on_loading,
            )
        )
        self._on_state(self.session.state)

    def _on_loading(self, done: int, total: int, text: str) -> None:
        self._loading.report(done, total, text)
        self._on_state(self.session.state)

    def _on_loaded(self, choice: ModelChoice, error: BaseException | None) -> None:
        if self._closed or choice != self._choice:
            return
        self._loading.finish(error)
        self._on_state(self.session.state)
        self._ahead()

    def set_options(self, options: OptionValues) -> None:
        """Take what the options say."""
        before, self._options = self._options, options
        self.committer.policy = options.policy
        self.session.set_mode(options.points)
        self.session.set_options(MaskOptions(options.fill_holes, options.min_size))
        seen = ("contrast", "channel_axis", "channels")
        if any(getattr(before, name) != getattr(options, name) for name in seen):
            self._planes = None
            self._update_plane()
        if self._choice is not None and options.device != before.device:
            self.choose_model(replace(self._choice, device=options.device))

    def trigger(self, action: Action) -> None:
        """Do what a button or a key says."""
        self.picker.stop()
        self._notice = ""
        simple: dict[Action, Callable[[], None]] = {
            Action.COMMIT: self.session.commit_when_ready,
            Action.CLEAR: self.session.clear,
            Action.NEXT_MASK: self.session.next_candidate,
            Action.UNDO: self.session.undo,
            Action.REDO: self.session.redo,
            Action.EDIT_OBJECT: self.edit_under_cursor,
            Action.TAKE_BACK: self._take_back,
            Action.SWITCH_TOOL: self._next_tool,
            Action.CANCEL: self._cancel,
            Action.RETRY: self._retry,
        }
        # What has just been drawn counts, even if the event loop has not come round to it yet.
        if self._read_prompts.waiting:
            self._take_prompts()
        simple[action]()
        self._on_state(self.session.state)

    def _cancel(self) -> None:
        self.runner.cancel_all()
        self.session.cancel()

    def _retry(self) -> None:
        if self._loading.failed and self._choice is not None:
            self._load_model(self._choice)
        self._update_plane()
        self.session.retry()

    def _next_tool(self) -> None:
        names = list(TOOLS)
        tool = self.prompts.tool
        self.prompts.take_tool(names[(names.index(tool) + 1) % len(names)] if tool else names[0])

    def _take_back(self) -> None:
        if self._shown is None:
            return
        taken = self.committer.take_back()
        if taken is None:
            self._say("There is no commit of this session left to take back")
        elif taken.plane_key == self.session.plane_key:
            self.session.restore(taken)

    # Objects that exist already

    def edit_under_cursor(self) -> None:
        """Pick up the object under the cursor."""
        self._edit_at(self.viewer.cursor.position)

    def edit_next_click(self, finished: Callable[[], None]) -> None:
        """Pick up the object that is clicked next."""
        tool = self.prompts.tool or "point"

        def picked(position: Any) -> None:
            self._notice = ""
            self._edit_at(position)
            self.prompts.take_tool(tool)
            finished()

        for layer in self.prompts.layers:
            layer.mode = "pan_zoom"
        self.picker.start(picked)
        self._say("Click on the labelled object to correct")

    def _edit_at(self, position: Any) -> None:
        image, shown = self._image, self._shown
        if image is None or shown is None:
            return
        try:
            label, mask = self.committer.pick(image, shown, self.viewer.dims, position)
        except LabelsError as error:
            self._say(str(error))
            return
        self.session.edit_object(label, mask)
        if self.prompts.tool is None:
            self.prompts.take_tool("point")

    def _say(self, text: str) -> None:
        """Show a hint of our own until the next thing happens."""
        self._notice = text
        self._on_state(self.session.state)

    # The plane in view

    def _follow(self, image: Image | None) -> None:
        for layer, act in ((self._image, "disconnect"), (image, "connect")):
            if layer is not None:
                for name in IMAGE_EVENTS:
                    getattr(getattr(layer.events, name), act)(self._look)
                getattr(layer.events.contrast_limits, act)(self._on_contrast)

    def _on_contrast(self, event: Any = None) -> None:
        if self._options.contrast is ContrastMode.LAYER:
            self._look_later()

    def _on_removed(self, event: Any) -> None:
        layer = event.value
        if layer is self._image:
            self._drop_image()
        elif layer in (self.prompts.points, self.prompts.shapes):
            self._on_drawn()
        self.committer.forget(layer)

    def _drop_image(self) -> None:
        image = self._image
        assert image is not None
        self.choose_image(None)
        self._notice = f"'{image.name}' was removed. Choose an image to segment"
        self._on_state(self.session.state)

    def _update_plane(self) -> None:
        if self._closed:
            return
        image = self._image
        try:
            shown = self._displayed(image)
        except SegmateError as error:
            self._leave_plane(str(error))
            return
        if image is None or shown is None:
            self._leave_plane("")
            return
        if self._planes is None or self._planes.outdated:
            self._planes = ImagePlanes(image, self._options.contrast, self._options.channels)
        self._enter_plane(image, shown, self._planes)

    def _displayed(self, image: Image | None) -> DisplayedPlane | None:
        if image is None:
            return None
        axis = self._options.channel_axis
        if axis is not None and (image.rgb or axis >= image.ndim):
            axis = None
        return displayed_plane(image, self.viewer.dims, axis)

    def _leave_plane(self, notice: str) -> None:
        self._notice = notice
        self._shown = None
        self.session.set_plane(None)
        self.preview.clear()
        self._on_state(self.session.state)

    def _enter_plane(self, image: Image, shown: DisplayedPlane, planes: ImagePlanes) -> None:
        key: Hashable = (image.unique_id, shown.axes, shown.index)
        new = key != self.session.plane_key or self._shown is None
        self._notice = ""
        self._shown = shown
        self.prompts.place(self._geometry(image).in_units(self.viewer.dims.units))
        self.prompts.ensure()
        try:
            plane = planes.plane(shown)
        except ImageError as error:
            self._leave_plane(str(error))
            return
        self.session.set_plane(plane, key, visible_box(image, shown), index=shown.index)
        if new:
            self._match_prompts(shown)
        self._on_preview(self.session.preview)
        self._on_state(self.session.state)
        self._ahead()

    def _match_prompts(self, shown: DisplayedPlane) -> None:
        """Let layers and session agree on what is drawn on a plane that comes into view."""
        if self.session.prompts.empty:
            self._take_prompts()
        else:
            self.prompts.write(self.session.prompts, shown.without_channel())

    def _geometry(self, image: Image) -> Geometry:
        """Return where what is drawn on an image lies."""
        assert self._shown is not None
        channel = self._shown.axes.channel
        count = 1 if channel is None else int(image.data.shape[channel])
        return Geometry.of(image).without_channel(channel, count)

    def _update_view(self) -> None:
        """Follow the camera: the field in view, the width of outlines."""
        if self._image is None or self._shown is None or self._closed:
            return
        self.session.set_visible(visible_box(self._image, self._shown))
        self.prompts.set_width(2 * self._outline_width())
        if self.session.preview:
            self._on_preview(self.session.preview)
        self._ahead()

    def _outline_width(self) -> int:
        """Return a width in image pixels that looks the same at every zoom."""
        assert self._image is not None and self._shown is not None
        axes = [self._shown.axes.y, self._shown.axes.x]
        pixel = float(np.min(np.abs(self._image.scale[axes])))
        screen = pixel * float(self.viewer.scene.camera.zoom)
        return int(np.clip(round(OUTLINE_SCREEN_PX / max(screen, 1e-6)), 1, 50))

    # Prompts, requests, answers

    def _on_drawn(self) -> None:
        self._notice = ""
        self._read_prompts()

    def _take_prompts(self) -> None:
        self._read_prompts.stop()
        if self._shown is None or self._closed:
            return
        try:
            drawn = self.prompts.read(self._shown.without_channel())
        except PromptError as error:
            # A click with the box tool leaves a speck that nobody would find again.
            self.prompts.write(self.session.prompts, self._shown.without_channel())
            self.session.refuse(error)
            return
        self.session.set_prompts(drawn)

    def _on_restored(self, prompts: PromptSet) -> None:
        self._read_prompts.stop()
        if self._shown is not None and not self._closed:
            self.prompts.write(prompts, self._shown.without_channel())

    def _on_request(self, request: Request) -> None:
        choice = self._choice
        if choice is None:
            return
        if self._job is not None:
            self._drop_job(self._job, (request.plane, choice))
        generation = request.generation
        self._job = self.runner.submit(
            Job(
                lambda context: self._answerer.answer(request, choice, context),
                done=self._on_answer,
                failed=lambda error: self._on_failure(generation, error),
                progress=lambda *report: self.session.report_progress(generation, *report),
                topic=(request.plane, choice),
            )
        )

    def _drop_job(self, job: Job, topic: Hashable) -> None:
        """Let go of an older request; one that encodes the same plane is left to finish."""
        if job.topic != topic:
            job.cancel()
        self.runner.forget(job)

    def _on_answer(self, prediction: Prediction) -> None:
        if not self._closed:
            self.session.accept(prediction)
            self._ahead()

    def _on_failure(self, generation: int, error: BaseException) -> None:
        if not self._closed:
            self.session.reject(generation, error)

    def _on_state(self, state: SessionState) -> None:
        if self._closed:
            return
        if self._notice:
            state = replace(state, hint=self._notice)
            if self._shown is None:
                state = replace(state, phase=Phase.IDLE, error="")
        self._show(self._loading.over(state))

    def _on_preview(self, instances: tuple[Instance, ...]) -> None:
        image, shown = self._image, self._shown
        if self._closed:
            return
        if image is None or shown is None or not instances:
            self.preview.clear()
            return
        geometry = self._geometry(image)
        self.preview.show(instances, shown.without_channel(), geometry, self._outline_width())

    def _on_committed(self, commit: Any) -> None:
        if self._image is not None and self._shown is not None and not self._closed:
            self.committer.write(self._image, self._shown, self.viewer.dims, commit)

    # Ahead of time

    def _prepare_ahead(self) -> None:
        """Encode what the user will probably want next, while there is nothing else to do."""
        choice, image, shown = self._choice, self._image, self._shown
        if self._closed or choice is None or image is None or shown is None:
            return
        if not self.runner.idle or self._planes is None or self._loading.failed:
            return
        visible = visible_box(image, shown)
        for neighbour in [shown, *self._neighbours(shown, image)]:
            self._submit_ahead(self._planes.plane(neighbour), visible, choice)

    def _submit_ahead(self, plane: Any, visible: IntBoxYX, choice: ModelChoice) -> None:
        self.runner.submit(
            Job(
                lambda context: self._answerer.prepare(plane, visible, choice, context),
                idle=True,
                topic=(plane, choice),
            )
        )

    def _neighbours(self, shown: DisplayedPlane, image: Image) -> list[DisplayedPlane]:
        """Return the planes next to the one in view, along the axis that was moved last."""
        offset = self.viewer.dims.ndim - image.ndim
        axis = self.viewer.dims.last_used - offset
        if not self.prefetch or not shown.fixed:
            return []
        axis = axis if axis in shown.fixed else shown.fixed[-1]
        at, size = shown.position[axis], image.data.shape[axis]
        found = []
        for other in (at + 1, at - 1):
            if 0 <= other < size:
                position = (*shown.position[:axis], other, *shown.position[axis + 1 :])
                found.append(replace(shown, position=position))
        return found

    prefetch = True

    def labels_accepts(self, layer: Layer) -> bool:
        """Tell whether a layer may be chosen as output."""
        return isinstance(layer, Labels) and layer is not self.preview.layer
