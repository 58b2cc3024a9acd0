"""What a change of prompts means for the model: keep an answer, go on from one, or start afresh."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from napari_segmate.core.prompts import MaskPrompt, ObjectPrompts, Points
from napari_segmate.inference.prompts.request import ObjectResult, Previous

__all__ = ["Plan", "Slot", "extends", "make_plan", "same_prompts"]


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
    """One slot per object."""

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
