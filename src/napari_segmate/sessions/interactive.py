"""The interactive job: prompts in, requests out, answers in, objects to commit out."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace

from psygnal import Signal

from napari_segmate.core.errors import Cancelled, ImageError, PromptError, SegmateError
from napari_segmate.core.prompts import MaskPrompt, ObjectPrompts
from napari_segmate.core.types import Instance, IntBoxYX
from napari_segmate.inference.prompts.request import (
    MaskOptions,
    ObjectResult,
    PlaneLike,
    Prediction,
    Request,
)
from napari_segmate.sessions.history import Commit, Entry, Histories, Plan, make_commit, make_plan
from napari_segmate.sessions.prompt_set import PointMode, PromptSet, resolve
from napari_segmate.sessions.state import (
    CANCELLED,
    HintText,
    KeyNames,
    Progress,
    SessionFacts,
    SessionState,
    snapshot,
)

__all__ = ["Commit", "Session"]


@dataclass(frozen=True, eq=False)
class _Pending:
    """A request on its way."""

    generation: int
    plan: Plan


class Session:
    """Prompts, requests, answers and commits of one image, without Qt and napari.

    Not thread-safe: every method is called on one thread. A controller connects to `requested`,
    runs `inference.prompts.predict.predict` in a worker and hands the outcome to `accept`
    or `reject` with the request's generation number; late outcomes are dropped.

    Attributes
    ----------
    requested : Signal(Request)
        The model has to answer.
    prompts_restored : Signal(PromptSet)
        The prompts changed from within (undo, redo, clear, commit, edit): show these.
    state_changed : Signal(SessionState)
        A new snapshot.
    preview_changed : Signal(tuple of Instance)
        The masks to show.
    committed : Signal(Commit)
        Objects to write into the label image.
    """

    requested = Signal(object)
    prompts_restored = Signal(object)
    state_changed = Signal(object)
    preview_changed = Signal(object)
    committed = Signal(object)

    def __init__(
        self,
        *,
        keys: KeyNames | None = None,
        mode: PointMode = PointMode.ONE_OBJECT,
        options: MaskOptions | None = None,
        model_name: str | None = None,
    ) -> None:
        self._keys = keys or KeyNames()
        self._mode = mode
        self._options = options or MaskOptions()
        self._model_name = model_name
        self._answered_by = ("", "")
        self._plane: PlaneLike | None = None
        self._plane_key: Hashable = None
        self._index: tuple[int, ...] = ()
        self._visible_yx: IntBoxYX | None = None
        self._histories = Histories()
        self._history = self._histories.of(None)
        self._generation = 0
        self._pending: _Pending | None = None
        self._commit_waits = False
        self._tool_active = True
        self._hint_text = HintText()
        self._shown: tuple[Instance, ...] = ()
        self._state = SessionState()
        self._publish()

    # What a view reads

    @property
    def state(self) -> SessionState:
        """The latest snapshot."""
        return self._state

    @property
    def preview(self) -> tuple[Instance, ...]:
        """The masks to show: the chosen candidate of every object."""
        return self._shown

    @property
    def prompts(self) -> PromptSet:
        """The prompts in force on the plane in view."""
        return self._history.current.prompts

    @property
    def mode(self) -> PointMode:
        """Whether the points of a plane belong together."""
        return self._mode

    @property
    def options(self) -> MaskOptions:
        """How logits become masks."""
        return self._options

    @property
    def keys(self) -> KeyNames:
        """How the hints name the keys."""
        return self._keys

    @property
    def plane_key(self) -> Hashable:
        """Which plane is in view."""
        return self._plane_key

    def is_current(self, generation: int) -> bool:
        """Tell whether the answer to a request is still wanted."""
        return self._pending is not None and self._pending.generation == generation

    # What the surroundings say

    def set_plane(
        self,
        plane: PlaneLike | None,
        plane_key: Hashable = None,
        visible_yx: IntBoxYX | None = None,
        *,
        index: tuple[int, ...] = (),
    ) -> None:
        """Set the plane in view, or the same one with other pixels (new contrast, new data).

        Parameters
        ----------
        plane : Plane, optional
            Where to read pixels; None when there is no image.
        plane_key : hashable
            Names the plane: image and index. Prompts and their undo history belong to it.
        visible_yx : (y0, x0, y1, x1), optional
            Part on the screen.
        index : tuple of int
            Index of the plane in its stack, for the records.
        """
        self._visible_yx = visible_yx
        if plane is self._plane and plane_key == self._plane_key:
            return
        self._plane, self._plane_key, self._index = plane, plane_key, index
        self._history = self._histories.of(plane_key)
        self._history.set_plane(plane)
        self._refresh(self._history.latest_results())

    def set_visible(self, box_yx: IntBoxYX | None) -> None:
        """Set which part of the plane is on the screen; counts from the next request on."""
        self._visible_yx = box_yx

    def set_model_name(self, name: str | None) -> None:
        """Set which model answers from now on; None when there is none."""
        if name != self._model_name:
            self._model_name = name
            self.invalidate()

    def invalidate(self) -> None:
        """Drop all answers and request new ones: the model or its weights were replaced."""
        self._histories.drop_results()
        self._refresh()

    def set_mode(self, mode: PointMode) -> None:
        """Set whether points belong together."""
        if mode is not self._mode:
            self._mode = mode
            self._ask_again()

    def set_options(self, options: MaskOptions) -> None:
        """Set how logits become masks; the preview follows."""
        if options != self._options:
            self._options = options
            self._ask_again(reuse=False)

    def set_keys(self, keys: KeyNames) -> None:
        """Set how the hints name the keys."""
        self._keys = keys
        self._publish()

    def set_tool_active(self, tool_active: bool) -> None:
        """Set whether a drawing tool is active; the hints follow."""
        self._tool_active = tool_active
        self._publish()

    def forget(self, plane_key: Hashable) -> None:
        """Drop the prompts of a plane whose image is gone."""
        self._histories.forget(plane_key)
        if plane_key == self._plane_key:
            self.set_plane(None)

    # What the user does

    def set_prompts(self, prompts: PromptSet, *, merge: bool = False) -> None:
        """Take what is drawn on the plane in view and ask for masks.

        Parameters
        ----------
        prompts : PromptSet
            Everything drawn. The object that is being edited is added by the session.
        merge : bool
            The change belongs to the one before (a point is being dragged): one undo step.
        """
        current = self._history.current
        if prompts.mask is None and current.editing is not None:
            prompts = replace(prompts, mask=current.prompts.mask)
        if prompts.same_as(current.prompts):
            return
        base = self._history.latest_results()
        entry = Entry(prompts, current.editing)
        if merge and self._history.can_undo:
            self._history.amend(entry)
        else:
            self._history.push(entry)
        self._refresh(base)

    def refuse(self, error: Exception) -> None:
        """Show why something drawn cannot be used; the prompts in force stay."""
        self._hint_text = replace(self._hint_text, error=str(error))
        self._publish()

    def say(self, hint: str = "", note: str = "") -> None:
        """Show a hint in place of the usual one, and a note below it, until the next change."""
        self._hint_text = HintText(self._hint_text.progress, notice=hint, note=note)
        self._publish()

    def edit_object(self, label: int, mask: MaskPrompt) -> None:
        """Pick up an object of the label image; its prompts start from `mask`."""
        self._history.push(Entry(PromptSet(mask=mask), editing=label))
        self.prompts_restored.emit(self.prompts)
        self._refresh()

    def next_candidate(self, step: int = 1) -> None:
        """Show another mask of the object that was prompted last."""
        results = self._history.current.results
        if not results or len(results[-1].candidates) < 2:
            return
        last = results[-1]
        chosen = (last.chosen + step) % len(last.candidates)
        self._hint_text = HintText()
        self._settle((*results[:-1], replace(last, chosen=chosen)))

    def undo(self) -> None:
        """Take the last change of prompts back."""
        if self._history.undo():
            self._restored()

    def redo(self) -> None:
        """Make a change that was taken back again."""
        if self._history.redo():
            self._restored()

    def clear(self) -> None:
        """Remove all prompts of the plane; can be undone."""
        if not self.prompts.empty or self._history.current.editing is not None:
            self._history.push(Entry())
            self._restored()
        else:
            self._refresh()

    def retry(self) -> None:
        """Ask again, after an error or a cancelled request."""
        self._refresh(self._history.latest_results())

    def cancel(self) -> None:
        """Stop waiting for the answer on its way; the prompts stay."""
        if self._pending is not None:
            self._drop_pending()
            self._hint_text = HintText(notice=CANCELLED)
            self._publish()

    # What the model answers

    def report_progress(self, generation: int, done: int, total: int, text: str = "") -> None:
        """Show how far the answer to a request is."""
        if self.is_current(generation):
            self._hint_text = replace(self._hint_text, progress=Progress(done, total, text))
            self._publish()

    def accept(self, prediction: Prediction) -> bool:
        """Take an answer; False when it came too late."""
        pending = self._pending
        if pending is None or not self.is_current(prediction.generation):
            return False
        self._drop_pending(keep_commit=True)
        self._answered_by = (prediction.model, prediction.model_key)
        self._settle(pending.plan.filled(prediction.objects))
        if self._commit_waits:
            self._commit_waits = False
            self.take_commit()
        return True

    def reject(self, generation: int, error: BaseException) -> bool:
        """Take the error of a request; False when it came too late."""
        if not self.is_current(generation):
            return False
        if isinstance(error, Cancelled):
            self.cancel()
            return True
        self._drop_pending()
        known = isinstance(error, SegmateError)
        self._fail(str(error) if known else f"{type(error).__name__}: {error}")
        return True

    # What goes into the label image

    def take_commit(self) -> Commit | None:
        """Return the objects of the preview and get ready for the next; None without a preview."""
        if self._pending is not None:
            return None
        commit = make_commit(
            self._history.current, self._plane_key, self._index, self._answered_by, self._options
        )
        if commit is None:
            return None
        self._histories.forget(self._plane_key)
        self._history = self._histories.of(self._plane_key)
        self._history.set_plane(self._plane)
        self._restored()
        self.committed.emit(commit)
        return commit

    def commit_when_ready(self) -> None:
        """Commit now, or as soon as the answer on its way is there."""
        if self._pending is not None:
            self._commit_waits = True
        else:
            self.take_commit()

    def restore(self, commit: Commit) -> None:
        """Bring back a commit that could not be written."""
        if commit.plane_key != self._plane_key:
            self._histories.of(commit.plane_key).push(commit.entry)
            return
        self._history.push(commit.entry)
        self._restored()

    # How it works

    def _restored(self) -> None:
        self.prompts_restored.emit(self.prompts)
        results = self._history.current.results
        if results is None:
            self._refresh(self._history.latest_results())
        else:
            self._drop_pending()
            self._settle(results)

    def _ask_again(self, *, reuse: bool = True) -> None:
        """Answer the same prompts under other rules; other entries are answered when needed."""
        base = self._history.latest_results()
        self._histories.drop_results()
        self._refresh(base, reuse=reuse)

    def _drop_pending(self, *, keep_commit: bool = False) -> None:
        self._pending = None
        self._hint_text = HintText()
        self._commit_waits = self._commit_waits and keep_commit

    def _refresh(self, base: tuple[ObjectResult, ...] = (), *, reuse: bool = True) -> None:
        """Request what the current prompts need, given earlier answers."""
        self._drop_pending()
        self._generation += 1
        try:
            objects = self._resolved()
        except (PromptError, ImageError) as error:
            self._fail(str(error))
            return
        plan = make_plan(objects, base, reuse=reuse)
        if plan.questions and self._plane is not None:
            self._ask(plan, self._plane)
        else:
            self._settle(plan.filled(()))

    def _resolved(self) -> tuple[ObjectPrompts, ...]:
        prompts, plane = self.prompts, self._plane
        if plane is None or self._model_name is None or not prompts.answerable:
            return ()
        if min(plane.shape) < 1:
            raise ImageError(f"the image is empty: {plane.shape[0]} x {plane.shape[1]} pixels")
        return resolve(prompts, self._mode, plane.shape)

    def _ask(self, plan: Plan, plane: PlaneLike) -> None:
        self._pending = _Pending(self._generation, plan)
        self._publish()
        request = Request(
            generation=self._generation,
            plane=plane,
            prompts=tuple(slot.prompts for slot in plan.questions),
            visible_yx=self._visible_yx,
            previous=tuple(slot.previous for slot in plan.questions),
            options=self._options,
        )
        self.requested.emit(request)

    def _settle(self, results: tuple[ObjectResult, ...]) -> None:
        self._history.amend(replace(self._history.current, results=results))
        found = [result.instance for result in results]
        self._show(
            tuple(one for one in found if one is not None) or self._history.current.unedited_object
        )
        self._publish()

    def _show(self, instances: tuple[Instance, ...]) -> None:
        if instances or self._shown:
            self._shown = instances
            self.preview_changed.emit(instances)

    def _fail(self, text: str) -> None:
        self._hint_text = HintText(error=text)
        self._show(())
        self._publish()

    def _publish(self) -> None:
        state = self._snapshot()
        if state != self._state:
            self._state = state
            self.state_changed.emit(state)

    def _snapshot(self) -> SessionState:
        return snapshot(
            SessionFacts(
                has_plane=self._plane is not None,
                has_model=self._model_name is not None,
                tool_active=self._tool_active,
                awaiting=self._pending is not None,
                hint_text=self._hint_text,
                mode=self._mode,
                keys=self._keys,
                entry=self._history.current,
                n_shown=len(self._shown),
                can_undo=self._history.can_undo,
                can_redo=self._history.can_redo,
                generation=self._generation,
            )
        )
