"""Prompts with the answers they got: undo and redo, which answers are reused, what is committed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any
from weakref import ReferenceType, ref

import numpy.typing as npt

from napari_segmate.core.prompts import MaskPrompt, ObjectPrompts, Points
from napari_segmate.core.types import Instance
from napari_segmate.inference.prompts.request import MaskOptions, ObjectResult, PlaneLike, Previous
from napari_segmate.io.provenance import Record
from napari_segmate.sessions.prompt_set import PromptSet

__all__ = [
    "Commit",
    "Entry",
    "Histories",
    "History",
    "Plan",
    "Slot",
    "extends",
    "make_commit",
    "make_plan",
    "same_prompts",
]

MAX_PLANES = 64
"""Planes whose prompts are kept."""

MAX_ENTRIES = 200
MAX_ANSWERS = 24
"""Entries that keep their answers (about 1 MB each); older ones are asked again when needed."""


@dataclass(frozen=True, eq=False)
class Entry:
    """The prompts at one moment.

    Parameters
    ----------
    prompts : PromptSet
        Everything drawn on the plane.
    editing : int, optional
        Label value of the object that is being edited.
    results : tuple of ObjectResult, optional
        The answers, None while they are awaited or after they became invalid.
    """

    prompts: PromptSet = field(default_factory=PromptSet)
    editing: int | None = None
    results: tuple[ObjectResult, ...] | None = None

    @property
    def unedited_object(self) -> tuple[Instance, ...]:
        """The object that was picked up and not yet changed; none otherwise."""
        if self.editing is None or self.prompts.mask is None or self.results:
            return ()
        return (Instance(self.prompts.mask.box_yx, self.prompts.mask.mask),)


class History:
    """Entries of one plane and the position in them.

    Examples
    --------
    >>> history = History()
    >>> history.push(Entry(editing=1))
    >>> history.undo(), history.current.editing, history.redo(), history.current.editing
    (True, None, True, 1)
    """

    def __init__(self) -> None:
        self._entries = [Entry()]
        self._at = 0
        self._plane: ReferenceType[PlaneLike] | None = None

    def set_plane(self, plane: PlaneLike | None) -> None:
        """Set which plane answers come from; those of another one are dropped."""
        if self._plane is not None and self._plane() is not plane:
            self.drop_results()
        self._plane = ref(plane) if plane is not None else None

    @property
    def current(self) -> Entry:
        """The entry in force."""
        return self._entries[self._at]

    @property
    def can_undo(self) -> bool:
        """True when there is an earlier entry."""
        return self._at > 0

    @property
    def can_redo(self) -> bool:
        """True when an entry was taken back."""
        return self._at + 1 < len(self._entries)

    def push(self, entry: Entry) -> None:
        """Add an entry after the current one; what was taken back is dropped."""
        self._entries = [*self._entries[: self._at + 1], entry][-MAX_ENTRIES:]
        self._at = len(self._entries) - 1
        if (old := self._at - MAX_ANSWERS) >= 0:
            self._entries[old] = replace(self._entries[old], results=None)

    def amend(self, entry: Entry) -> None:
        """Replace the current entry."""
        self._entries[self._at] = entry

    def undo(self) -> bool:
        """Go back by one entry; False at the first."""
        moved = self.can_undo
        self._at -= moved
        return moved

    def redo(self) -> bool:
        """Go forward by one entry; False at the last."""
        moved = self.can_redo
        self._at += moved
        return moved

    def latest_results(self) -> tuple[ObjectResult, ...]:
        """Return the answers of the newest entry, up to the current one, that has any."""
        for entry in reversed(self._entries[: self._at + 1]):
            if entry.results is not None:
                return entry.results
        return ()

    def drop_results(self) -> None:
        """Forget all answers: the model or the pixels changed."""
        self._entries = [replace(entry, results=None) for entry in self._entries]


class Histories:
    """The histories of several planes; those looked at longest ago are dropped first."""

    def __init__(self) -> None:
        self._of: OrderedDict[Hashable, History] = OrderedDict()

    def of(self, plane_key: Hashable) -> History:
        """Return the history of a plane, a new one when there is none."""
        history = self._of.setdefault(plane_key, History())
        self._of.move_to_end(plane_key)
        if len(self._of) > MAX_PLANES:
            self._of.popitem(last=False)
        return history

    def forget(self, plane_key: Hashable) -> None:
        """Drop the history of a plane."""
        self._of.pop(plane_key, None)

    def drop_results(self) -> None:
        """Forget all answers on all planes."""
        for history in self._of.values():
            history.drop_results()


@dataclass(frozen=True, eq=False)
class Slot:
    """One object of the preview to come: a kept answer, or a question.

    Parameters
    ----------
    prompts : ObjectPrompts
        What is said about the object.
    kept : ObjectResult, optional
        The answer to keep; None asks the model.
    previous : Previous, optional
        The answer to go on from.
    chosen : int
        The candidate to show once there is an answer.
    """

    prompts: ObjectPrompts
    kept: ObjectResult | None = None
    previous: Previous | None = None
    chosen: int = 0


@dataclass(frozen=True, eq=False)
class Plan:
    """Which objects keep their answers and which are asked: one slot per object."""

    slots: tuple[Slot, ...]

    @property
    def questions(self) -> tuple[Slot, ...]:
        """The slots that the model must answer."""
        return tuple(slot for slot in self.slots if slot.kept is None)

    def filled(self, answers: Sequence[ObjectResult]) -> tuple[ObjectResult, ...]:
        """Return the results of all objects, given the answers to `questions` in order."""
        fresh = iter(answers)
        return tuple(slot.kept or next(fresh).choose(slot.chosen) for slot in self.slots)


def _equal(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> bool:
    return first.shape == second.shape and bool((first == second).all())


def _same_points(first: Points | None, second: Points | None) -> bool:
    if first is None or second is None:
        return first is second
    return _equal(first.points_yx, second.points_yx) and _equal(first.positive, second.positive)


def _same_mask(first: MaskPrompt | None, second: MaskPrompt | None) -> bool:
    if first is None or second is None or first is second:
        return first is second
    return first.box_yx == second.box_yx and _equal(first.mask, second.mask)


def same_prompts(first: ObjectPrompts, second: ObjectPrompts) -> bool:
    """Tell whether two objects are described by the same prompts."""
    return (
        first.box == second.box
        and _same_points(first.points, second.points)
        and _same_mask(first.mask, second.mask)
    )


def _click_set(points: Points | None) -> set[tuple[float, float, bool]]:
    if points is None:
        return set()
    pairs = zip(points.points_yx.tolist(), points.positive.tolist(), strict=True)
    return {(y, x, positive) for (y, x), positive in pairs}


def extends(new: ObjectPrompts, old: ObjectPrompts) -> bool:
    """Tell whether `new` says everything that `old` says, and more.

    Examples
    --------
    >>> one, two = Points([[1, 1]]), Points([[1, 1], [5, 5]])
    >>> extends(ObjectPrompts(two), ObjectPrompts(one))
    True
    >>> extends(ObjectPrompts(one), ObjectPrompts(two))
    False
    """
    keeps_box = old.box is None or old.box == new.box
    keeps_points = _click_set(old.points) <= _click_set(new.points)
    keeps_mask = _same_mask(old.mask, new.mask)
    return keeps_box and keeps_points and keeps_mask and not same_prompts(new, old)


def make_plan(
    objects: Sequence[ObjectPrompts], base: Sequence[ObjectResult], *, reuse: bool
) -> Plan:
    """Return what to ask so that `objects` are answered.

    Parameters
    ----------
    objects : sequence of ObjectPrompts
        What is said about each object.
    base : sequence of ObjectResult
        Earlier answers for the same pixels and the same model.
    reuse : bool
        False when answers to the same prompts must be computed again (the mask options changed).
    """
    earlier = _Earlier(base)
    return Plan(tuple(_slot(prompts, earlier, reuse) for prompts in objects))


class _Earlier:
    """Earlier answers, found by the prompts that they have in common with others."""

    def __init__(self, base: Sequence[ObjectResult]) -> None:
        self._base = base
        self._holders: dict[Hashable, list[int]] = {}
        for number, result in enumerate(base):
            for trait in _traits(result.prompts):
                self._holders.setdefault(trait, []).append(number)

    def related(self, prompts: ObjectPrompts) -> list[ObjectResult]:
        """Return the answers that share a prompt, in order."""
        found = {number for one in _traits(prompts) for number in self._holders.get(one, ())}
        return [self._base[number] for number in sorted(found)]


def _traits(prompts: ObjectPrompts) -> set[Hashable]:
    traits: set[Hashable] = {*_click_set(prompts.points)}
    if prompts.box is not None:
        traits.add(("box", prompts.box.box_yx))
    if prompts.mask is not None:
        traits.add(("mask", prompts.mask.box_yx))
    return traits


def _slot(prompts: ObjectPrompts, earlier: _Earlier, reuse: bool) -> Slot:
    related = earlier.related(prompts)
    for result in related:
        if same_prompts(prompts, result.prompts):
            kept = result if reuse else None
            return Slot(prompts, kept, result.previous, result.chosen)
    for result in related:
        if extends(prompts, result.prompts):
            return Slot(prompts, previous=result.as_previous())
    return Slot(prompts)


@dataclass(frozen=True, eq=False)
class Commit:
    """The objects that a user has accepted, with a record of each.

    Parameters
    ----------
    instances : tuple of Instance
        The objects, in plane pixels.
    records : tuple of Record
        One per object; their label is 0 until `labelled`.
    replaced_id : int, optional
        Label value of the edited object that the first instance replaces.
    plane_key : hashable
        Which plane, as given to `Session.set_plane`.
    index : tuple of int
        Index of the plane in its stack.
    entry : Entry
        The prompts and answers, to bring them back with `Session.restore`.
    """

    instances: tuple[Instance, ...]
    records: tuple[Record, ...]
    replaced_id: int | None
    plane_key: Hashable
    index: tuple[int, ...]
    entry: Entry

    def without(self, numbers: Collection[int]) -> Commit:
        """Return the commit without some of its objects, numbered from 0."""
        kept = [at for at in range(len(self.instances)) if at not in numbers]
        return replace(
            self,
            instances=tuple(self.instances[at] for at in kept),
            records=tuple(self.records[at] for at in kept),
        )

    def labelled(self, first_id: int, view: Mapping[str, Any] | None = None) -> tuple[Record, ...]:
        """Return the records with label values: `first_id` and on, after the replaced one.

        Parameters
        ----------
        first_id : int
            As given to `napari_segmate.core.labels.commit.commit`.
        view : mapping, optional
            How the plane was shown to the model (contrast limits, channels; JSON values).
        """
        records = [replace(record, view=dict(view or {})) for record in self.records]
        labels = list(range(first_id, first_id + len(self.records)))
        if self.replaced_id is not None:
            labels = [self.replaced_id, *labels[:-1]]
        return tuple(map(Record.with_label, records, labels))


def _record(
    result: ObjectResult,
    instance: Instance,
    index: tuple[int, ...],
    model: tuple[str, str],
    options: MaskOptions,
) -> Record:
    return Record(
        label=0,
        index=index,
        box_yx=instance.box_yx,
        model=model[0],
        model_key=model[1],
        steps=result.steps,
        options=asdict(options),
        score=instance.score,
        stability=instance.stability,
    )


def make_commit(
    entry: Entry,
    plane_key: Hashable,
    index: tuple[int, ...],
    model: tuple[str, str],
    options: MaskOptions,
) -> Commit | None:
    """Return the commit of an answered entry, None when it has no object.

    Parameters
    ----------
    entry : Entry
        Prompts and answers.
    plane_key, index
        Which plane.
    model : (name, key)
        Who answered.
    options : MaskOptions
        How logits became masks.
    """
    found = [(result, result.instance) for result in entry.results or ()]
    pairs = [(result, instance) for result, instance in found if instance is not None]
    if not pairs:
        return None
    records = tuple(_record(result, one, index, model, options) for result, one in pairs)
    instances = tuple(instance for _, instance in pairs)
    return Commit(instances, records, entry.editing, plane_key, index, entry)
