"""Ties viewer, session, model and panel of one dock together."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer

from napari_segmate.core.errors import PromptError, SegmateError
from napari_segmate.core.types import Instance
from napari_segmate.inference.prompts.request import MaskOptions, Prediction, Request
from napari_segmate.plugin.labels.commit import Committer
from napari_segmate.plugin.planes.image_view import ImageView, ViewedPlane
from napari_segmate.plugin.segment.object_picker import ObjectPicker
from napari_segmate.plugin.segment.prefetcher import Prefetcher
from napari_segmate.plugin.segment.preview_layer import PreviewLayer
from napari_segmate.plugin.segment.prompt_layers import TOOLS, PromptLayers
from napari_segmate.plugin.worker.debounce import Debouncer
from napari_segmate.plugin.worker.engine import ModelChoice, ModelEngine
from napari_segmate.plugin.worker.runner import Job, Runner
from napari_segmate.sessions.interactive import Session
from napari_segmate.sessions.prompt_set import PromptSet
from napari_segmate.sessions.state import NO_IMAGE, ModelLoading, Phase, SessionState
from napari_segmate.widgets.actions import SegmentAction
from napari_segmate.widgets.options_view import OptionValues

__all__ = ["Controller"]

SETTLE_MS = 250
"""How long the view or the contrast must rest before they count."""
IDLE_MS = 600
"""How long nothing must happen before planes are prepared ahead of time."""


class Controller:
    """One session in one viewer.

    Everything happens on the GUI thread except what `Runner` is given.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layers are.
    session : Session
        What the user does.
    engine : ModelEngine
        What the worker thread does.
    notify : callable
        Called with a sentence that the user should read even if it is not about this state.

    Attributes
    ----------
    prefetcher : Prefetcher
        Encodes planes while the worker is idle.
    object_picker : ObjectPicker
        Picks labelled objects for correction.
    show : callable
        Called with the `SessionState` to show.
    show_tool : callable
        Called with the active tool, None without one.
    show_image : callable
        Called with the image on the screen, None without one, when its pixels may lie elsewhere.
    loaded : callable
        Called with the device of a model that has been loaded.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        session: Session,
        engine: ModelEngine,
        *,
        notify: Callable[[str], None],
    ) -> None:
        self.viewer = viewer
        self.session = session
        self.runner: Runner = Runner()
        self.show: Callable[[SessionState], None] = lambda state: None
        self.show_tool: Callable[[str | None], None] = lambda tool: None
        self.show_image: Callable[[Image | None], None] = lambda image: None
        self.loaded: Callable[[str], None] = lambda device: None
        self._engine = engine
        self._notice = ""
        self._plane_error = ""
        self._choice: ModelChoice | None = None
        self._job: Job | None = None
        self._loading = ModelLoading()
        self._closed = False
        self._read_prompts = Debouncer(self._take_prompts)
        self._update_plane_soon = Debouncer(self._update_plane)
        self._update_plane_later = Debouncer(self._update_plane, SETTLE_MS)
        self._camera_moved = Debouncer(self._update_camera, SETTLE_MS)
        self._prefetch_later = Debouncer(self._prefetch, IDLE_MS)
        self.view: ImageView = ImageView(viewer, self._update_plane_soon, self._update_plane_later)
        undo_keys = {"Control-Z": self._undo_latest, "Control-Shift-Z": self._redo}
        self.prompts = PromptLayers(viewer, self._on_drawn, self._on_tool, undo_keys)
        self.preview = PreviewLayer(viewer, lambda: self.prompts.layers)
        self.committer: Committer = Committer(viewer, session, self.runner, notify)
        self.object_picker = ObjectPicker(
            viewer, self.view, session, self.prompts, self.committer, self._show_notice
        )
        self.prefetcher = Prefetcher(self.runner, engine, self.view, session)
        self._connect()

    def _connect(self) -> None:
        session, viewer = self.session, self.viewer
        session.requested.connect(self._on_request)
        session.state_changed.connect(self._on_state)
        session.preview_changed.connect(self._on_preview)
        session.prompts_restored.connect(self._on_restored)
        session.committed.connect(self._on_committed)
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.layers.selection.events.active.connect(self.prompts.report_tool)
        viewer.scene.camera.events.connect(self._camera_moved)

    def close(self) -> None:
        """End the worker and let go of the viewer; what was drawn and committed stays."""
        if self._closed:
            return
        self._closed = True
        self.runner.close()
        deferred = (self._read_prompts, self._update_plane_soon, self._update_plane_later)
        for one in (*deferred, self._camera_moved, self._prefetch_later):
            one.stop()
        viewer = self.viewer
        viewer.layers.events.removed.disconnect(self._on_removed)
        viewer.layers.selection.events.active.disconnect(self.prompts.report_tool)
        viewer.scene.camera.events.disconnect(self._camera_moved)
        self.view.close()
        self.object_picker.stop_waiting()
        self.preview.remove()

    # What the user chooses

    @property
    def image(self) -> Image | None:
        """The image being segmented."""
        return self.view.image

    def choose_image(self, image: Image | None) -> None:
        """Work on another image; what was drawn on the last one is remembered by plane."""
        if image is self.view.image:
            return
        self._catch_up()
        self.view.choose(image)
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

    def set_options(self, options: OptionValues) -> None:
        """Take what the options say."""
        self.committer.policy = options.policy
        self.session.set_mode(options.points)
        self.session.set_options(
            MaskOptions(options.fill_holes, options.min_size, diameter=options.diameter)
        )
        if self.view.set_options(options):
            self._update_plane()
        if self._choice is not None and options.device != self._choice.device:
            self.choose_model(replace(self._choice, device=options.device))

    def labels_accepts(self, layer: Layer) -> bool:
        """Tell whether a layer may be chosen as output."""
        return isinstance(layer, Labels) and layer is not self.preview.layer

    # What the user triggers

    def trigger(self, action: SegmentAction) -> None:
        """Do what a button or a key says."""
        actions: dict[SegmentAction, Callable[[], None]] = {
            SegmentAction.COMMIT: self.session.commit_when_ready,
            SegmentAction.CLEAR: self.session.clear,
            SegmentAction.NEXT_MASK: self.session.next_candidate,
            SegmentAction.UNDO: self.session.undo,
            SegmentAction.REDO: self.session.redo,
            SegmentAction.EDIT_OBJECT: self.object_picker.pick_under_cursor,
            SegmentAction.TAKE_BACK: self._take_back,
            SegmentAction.SWITCH_TOOL: self._next_tool,
            SegmentAction.CANCEL: self._cancel,
            SegmentAction.RETRY: self._retry,
        }
        if self.object_picker.click is not None:
            self.object_picker.stop_waiting()
        self._notice = ""
        self._catch_up()
        actions[action]()
        self._on_state(self.session.state)

    def _cancel(self) -> None:
        self.runner.cancel_all()
        self.session.cancel()

    def _retry(self) -> None:
        if self._loading.failed and self._choice is not None:
            self._load_model(self._choice)
        self._update_plane()
        self.session.retry()

    def _undo_latest(self) -> None:
        """Undo the last prompt; without prompts, the last commit."""
        self._catch_up()
        undo = SegmentAction.UNDO if self.session.state.can_undo else SegmentAction.TAKE_BACK
        self.trigger(undo)

    def _redo(self) -> None:
        self.trigger(SegmentAction.REDO)

    def _next_tool(self) -> None:
        names = list(TOOLS)
        tool = self.prompts.tool
        self.prompts.take_tool(names[(names.index(tool) + 1) % len(names)] if tool else names[0])

    def _take_back(self) -> None:
        taken = self.committer.take_back()
        if taken is None:
            self._show_notice("There is no commit of this session left to take back")
        elif self.view.shown is not None and taken.plane_key == self.session.plane_key:
            self.session.restore(taken)

    def _on_tool(self, name: str | None) -> None:
        self.show_tool(name)
        self.session.set_tool_active(name is not None)

    def _show_notice(self, text: str) -> None:
        """Show a hint in place of the session's until something else happens."""
        self._notice = text
        self._on_state(self.session.state)

    # The plane in view

    def _on_removed(self, event: Any) -> None:
        layer, image = event.value, self.view.image
        if image is not None and layer is image:
            self.choose_image(None)
            self._show_notice(f"'{image.name}' was removed. {NO_IMAGE}")
        elif layer in (self.prompts.points, self.prompts.shapes):
            self._on_drawn()
        self.committer.forget(layer)

    def _catch_up(self) -> None:
        """Read what has just been drawn, if the event loop has not come round to it yet."""
        if self._read_prompts.waiting:
            self._take_prompts()

    def _update_plane(self) -> None:
        if self._closed:
            return
        self._catch_up()
        was_shown = self.view.shown is not None
        try:
            plane = self.view.update()
        except SegmateError as error:
            self._leave_plane(str(error))
            return
        if plane is None:
            self._leave_plane("")
        else:
            self._enter_plane(plane, was_shown)

    def _leave_plane(self, error: str) -> None:
        self._plane_error = error
        self.session.set_plane(None)
        self.preview.clear()
        self.show_image(self.view.image)
        self._show_notice("")

    def _enter_plane(self, plane: ViewedPlane, was_shown: bool) -> None:
        view = self.view
        assert view.shown is not None
        self._notice = self._plane_error = ""
        self.prompts.place(view.drawing_geometry.in_units(self.viewer.dims.units))
        self.prompts.ensure()
        self.show_image(view.image)
        new = view.key != self.session.plane_key or not was_shown
        self.session.set_plane(plane, view.key, view.visible_yx, index=view.shown.index)
        if new:
            self._match_prompts()
        self._on_preview(self.session.preview)
        self._on_state(self.session.state)
        self._prefetch_later()

    def _match_prompts(self) -> None:
        """Let layers and session agree on what is drawn on a plane that comes into view."""
        if self.session.prompts.empty:
            self._take_prompts()
        else:
            self.prompts.write(self.session.prompts, self.view.drawing_plane)

    def _update_camera(self) -> None:
        """Follow the camera: the field in view, the width of outlines."""
        if self.view.shown is None or self._closed:
            return
        self.session.set_visible(self.view.visible_yx)
        self.prompts.set_width(2 * self.view.outline_width)
        if self.session.preview:
            self._on_preview(self.session.preview)
        self._prefetch_later()

    # Prompts, requests, answers

    def _on_drawn(self) -> None:
        self._notice = ""
        self._read_prompts()

    def _take_prompts(self) -> None:
        self._read_prompts.stop()
        if self.view.shown is None or self._closed:
            return
        plane = self.view.drawing_plane
        try:
            drawn = self.prompts.read(plane)
        except PromptError as error:
            # A click with the box tool leaves a speck that nobody would find again.
            self.prompts.write(self.session.prompts, plane)
            self.session.refuse(error)
            return
        self.session.set_prompts(drawn)

    def _on_restored(self, prompts: PromptSet) -> None:
        self._read_prompts.stop()
        if self.view.shown is not None and not self._closed:
            self.prompts.write(prompts, self.view.drawing_plane)

    def _on_request(self, request: Request) -> None:
        choice = self._choice
        if choice is None:
            return
        topic = (request.plane, choice)
        if self._job is not None:
            self._drop_job(self._job, topic)
        generation = request.generation
        self._job = self.runner.submit(
            Job(
                lambda context: self._engine.predict(request, choice, context),
                done=self._on_answer,
                failed=lambda error: self._on_failure(generation, error),
                progress=lambda *report: self.session.report_progress(generation, *report),
                topic=topic,
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
            self._prefetch_later()

    def _on_failure(self, generation: int, error: BaseException) -> None:
        if not self._closed:
            self.session.reject(generation, error)

    def _on_state(self, state: SessionState) -> None:
        if self._closed:
            return
        said = self._notice or self._plane_error
        if said:
            state = replace(state, hint=said)
            if self.view.shown is None:
                state = replace(state, phase=Phase.IDLE, error="")
        self.show(self._loading.apply_to(state))

    def _on_preview(self, instances: tuple[Instance, ...]) -> None:
        view = self.view
        if self._closed:
            return
        if view.shown is None or not instances:
            self.preview.clear()
            return
        self.preview.show(instances, view.drawing_plane, view.drawing_geometry, view.outline_width)

    def _on_committed(self, commit: Any) -> None:
        image, shown = self.view.image, self.view.shown
        if image is not None and shown is not None and not self._closed:
            self.committer.write(image, shown, self.viewer.dims, commit)

    # The model

    def _load_model(self, choice: ModelChoice) -> None:
        self._loading.start()
        self.runner.submit(
            Job(
                lambda context: self._engine.model(choice, context).device,
                done=lambda device: self._on_loaded(choice, device),
                failed=lambda error: self._on_not_loaded(choice, error),
                progress=self._on_loading,
            )
        )
        self._on_state(self.session.state)

    def _on_loading(self, done: int, total: int, text: str) -> None:
        self._loading.report(done, total, text)
        self._on_state(self.session.state)

    def _on_loaded(self, choice: ModelChoice, device: str) -> None:
        if not self._closed and choice == self._choice:
            self._loading.finish(None)
            self.loaded(device)
            self._on_state(self.session.state)
            self._prefetch_later()

    def _on_not_loaded(self, choice: ModelChoice, error: BaseException) -> None:
        if not self._closed and choice == self._choice:
            self._loading.finish(error)
            self._on_state(self.session.state)

    def _prefetch(self) -> None:
        if not self._closed and self._choice is not None and not self._loading.failed:
            self.prefetcher.start(self._choice)
