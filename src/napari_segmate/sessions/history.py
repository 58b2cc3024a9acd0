"""Undo and redo of prompts: a line of entries, each with the answers it got."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from weakref import ReferenceType, ref

from napari_segmate.core.types import Instance
from napari_segmate.inference.prompts.request import ObjectResult, PlaneLike
from napari_segmate.sessions.prompt_set import PromptSet

__all__ = ["Entry", "Histories", "History"]

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
    def untouched(self) -> tuple[Instance, ...]:
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

    def look_at(self, plane: PlaneLike | None) -> None:
        """Say which plane answers come from; those of another one are forgotten."""
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
