"""Objects from plane to plane: what every engine offers, and the engine that needs no training.

A video model with a memory can serve in its place: it gets the same planes and prompts, and yields
the same stream.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_segmate.core.context import Context
from napari_segmate.core.labels.interpolate import mix_masks
from napari_segmate.core.masks.object_masks import crop as crop_mask
from napari_segmate.core.masks.object_masks import instance_from_mask, intersection
from napari_segmate.core.numbers.metrics import mask_iou
from napari_segmate.core.prompts import Box, MaskPrompt, ObjectPrompts, Points
from napari_segmate.core.types import BoolArray, Instance, IntBoxYX
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.inference.prompts.predict import predict
from napari_segmate.inference.prompts.request import MaskOptions, Request
from napari_segmate.models.base import Segmenter
from napari_segmate.tasks.propagate.neighbourhood import Neighbourhood, open_neighbourhood
from napari_segmate.tasks.propagate.params import Params
from napari_segmate.tasks.propagate.plane_prefetcher import PlanePrefetcher
from napari_segmate.tasks.propagate.planes import StackPlanes
from napari_segmate.tasks.propagate.state import Leg, Propagation

__all__ = ["Engine", "PlaneByPlane", "PlaneMasks"]

FEWEST_PX = 4
"""A smaller mask is none."""
FIRST_PLANES, QUICK_REACH = 2, 4
"""Planes on each side of a known one that are shown at once, and planes that are read for them."""

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PlaneMasks:
    """What was found on a plane.

    Parameters
    ----------
    plane : int
        Which one.
    masks : mapping of int to Instance
        By id of the object; the score of each mask is its own.
    ended : tuple of int
        Objects of which one way ends on this plane.
    """

    plane: int
    masks: Mapping[int, Instance]
    ended: tuple[int, ...] = ()

    @property
    def scores(self) -> Mapping[int, float]:
        """How sure each mask is, 0 to 1."""
        return {number: mask.score for number, mask in self.masks.items()}


class Engine(Protocol):
    """Follows objects through the planes of a stack."""

    def start(
        self, planes: StackPlanes, prompts: Propagation, context: Context | None = None
    ) -> Iterator[PlaneMasks]:
        """Yield the masks of one plane after the other, and write them into `prompts`.

        Parameters
        ----------
        planes : StackPlanes
            The stack.
        prompts : Propagation
            Masks of objects where they are known, and what is done already.
        context : Context, optional
            Progress in planes, and cancellation.
        """
        ...


@dataclass(frozen=True, eq=False)
class _Found:
    """The evidence for an object on a plane, in a part of it."""

    leg: Leg
    near: Neighbourhood
    evidence: Numbers
    before: Instance
    mask: BoolArray


class PlaneByPlane:
    """Follows objects by their shape, their intensities and the masks that a model draws.

    Parameters
    ----------
    model : Segmenter
        Who draws.
    params : Params, optional
        Weights and gates.
    store : EmbeddingStore, optional
        Where embeddings are kept.
    """

    def __init__(
        self,
        model: Segmenter,
        params: Params | None = None,
        store: EmbeddingStore | None = None,
    ) -> None:
        self._model, self._params = model, params or Params()
        self._store = store or EmbeddingStore()
        self._near: dict[tuple[int, int, int, bool], Neighbourhood] = {}

    def start(
        self, planes: StackPlanes, prompts: Propagation, context: Context | None = None
    ) -> Iterator[PlaneMasks]:
        """Yield the masks of one plane after the other; see `Engine.start`.

        Ways up and down take turns. Which plane comes next depends on what is done alone: a
        propagation that was stopped goes on as if it had not been.
        """
        context = context or Context()
        self._near.clear()
        diameter = self._params.diameter or _typical(prompts)
        with PlanePrefetcher(self._model, self._store, context) as ahead:
            while legs := _next_legs(prompts.legs):
                plane = legs[0].at + legs[0].step
                context.report(prompts.planes_done, 0, f"plane {plane + 1} of {len(planes)}")
                yield from self._advance(planes, prompts, legs, plane, diameter, ahead, context)

    def _advance(
        self,
        planes: StackPlanes,
        state: Propagation,
        legs: Sequence[Leg],
        plane: int,
        diameter: float,
        ahead: PlanePrefetcher,
        context: Context,
    ) -> Iterator[PlaneMasks]:
        """Look for objects on a plane, and yield what is new."""
        near = [self._around(planes, state, leg, plane, context) for leg in legs]
        before = [state.masks[leg.number][leg.last] for leg in legs]
        drawn = self._drawn(planes, legs, near, before, plane, diameter, ahead, context)
        found = [
            self._look(leg, block, last, plane, drawn.get(leg.number))
            for leg, block, last in zip(legs, near, before, strict=True)
        ]
        kept: dict[int, Instance] = {}
        bridged: dict[int, dict[int, Instance]] = {}
        for one, mask in zip(found, _apart(found, state, plane), strict=True):
            leg, passed = one.leg, self._passes(one, mask, state)
            leg.at = plane
            if passed is None:
                leg.failed += 1
            else:
                kept[leg.number] = passed
                for at, between in self._bridge(leg, one.before, passed, state):
                    bridged.setdefault(at, {})[leg.number] = between
                state.masks[leg.number][plane] = passed
                leg.last, leg.failed = plane, 0
            leg.ended = leg.failed >= self._params.misses or plane == leg.end
        self._forget(legs)
        for at in sorted(bridged):
            yield PlaneMasks(at, bridged[at])
        yield PlaneMasks(plane, kept, tuple(leg.number for leg in legs if leg.ended))

    def _around(
        self, planes: StackPlanes, state: Propagation, leg: Leg, plane: int, context: Context
    ) -> Neighbourhood:
        """Return what the planes round an object say, looked at anew where it leaves the block."""
        last = state.masks[leg.number][leg.last]
        if leg.other is None and abs(plane - leg.anchor) <= FIRST_PLANES:
            # Cuts across the planes take a while: the first planes are shown without them.
            quick = self._opened(planes, state, leg, context, quick=True)
            if quick.covers(plane, last, planes.shape):
                return quick
        near = self._opened(planes, state, leg, context)
        if not near.covers(plane, last, planes.shape) and leg.origin != leg.last:
            leg.origin = leg.last
            near = self._opened(planes, state, leg, context)
        return near

    def _opened(
        self,
        planes: StackPlanes,
        state: Propagation,
        leg: Leg,
        context: Context,
        *,
        quick: bool = False,
    ) -> Neighbourhood:
        params = replace(self._params, sections=False, reach=QUICK_REACH) if quick else self._params
        # Ways to both sides share what was looked at, unless one leads to another anchor.
        side = 0 if leg.other is None else leg.step
        key = (leg.number, leg.origin, side, quick)
        if key not in self._near:
            masks = state.masks[leg.number]
            toward = None if leg.other is None else (leg.other, masks[leg.other])
            self._near[key] = open_neighbourhood(
                planes,
                leg.origin,
                masks[leg.origin],
                self._model,
                self._store,
                params,
                context,
                toward,
            )
        return self._near[key]

    def _forget(self, legs: Sequence[Leg]) -> None:
        """Drop what no way needs any more: bounds memory."""
        for leg in legs:
            for key in [one for one in self._near if one[0] == leg.number]:
                stale = key[1] not in (leg.anchor, leg.origin)
                if stale and (key[1] - leg.anchor) * leg.step > 0:
                    del self._near[key]

    def _drawn(
        self,
        planes: StackPlanes,
        legs: Sequence[Leg],
        near: Sequence[Neighbourhood],
        before: Sequence[Instance],
        plane: int,
        diameter: float,
        ahead: PlanePrefetcher,
        context: Context,
    ) -> dict[int, Instance]:
        """Return what the model draws, all objects at once, where intensities say too little."""
        asked, prompts = [], []
        for leg, block, last in zip(legs, near, before, strict=True):
            if block.trust >= self._params.decode_below < 1:
                continue
            question = _prompts(block, plane, last, self._params)
            if question is not None:
                asked.append(leg)
                prompts.append(question)
        if not asked:
            return {}
        options = MaskOptions(diameter=diameter)
        request = Request(0, planes.plane(plane), tuple(prompts), options=options)
        answer = predict(request, self._model, self._store, context).objects
        step = asked[0].step
        following = range(plane + step, plane + step * (1 + self._params.planes_ahead), step)
        frames = dict.fromkeys(result.frame for result in answer)
        ahead.ask(
            (planes.plane(at), frame)
            for at in following
            if 0 <= at < len(planes)
            for frame in frames
        )
        return {
            leg.number: result.instance
            for leg, result in zip(asked, answer, strict=True)
            if result.instance is not None
        }

    def _look(
        self,
        leg: Leg,
        near: Neighbourhood,
        before: Instance,
        plane: int,
        drawn: Instance | None,
    ) -> _Found:
        last = near.crop(before)
        if not 0 <= plane - near.first < len(near.shape.distances):
            # The stack could not be looked at round the last mask: nothing is known.
            empty = np.full(last.shape, -1.0)
            return _Found(leg, near, empty, before, np.zeros(last.shape, bool))
        expected = near.expected(plane, last, self._params)
        shown = None if drawn is None else near.crop(drawn)
        evidence = near.evidence(plane, expected, shown, self._params)
        return _Found(leg, near, evidence, before, _one_piece(evidence > 0, expected))

    def _passes(self, found: _Found, mask: BoolArray, state: Propagation) -> Instance | None:
        """Return the mask of an object that passes all gates."""
        params, near = self._params, found.near
        wanted, area = np.count_nonzero(found.mask), np.count_nonzero(mask)
        known = state.masks[found.leg.number][found.leg.anchor].area
        if area < max(FEWEST_PX, params.least_area * known):
            return None
        if wanted - area > params.most_claimed * wanted:
            return None
        if area > params.most_growth * found.before.area:
            return None
        last = near.crop(found.before)
        iou = mask_iou(mask, last)
        if iou < params.least_iou:
            return None
        score = float(np.mean(np.tanh(np.maximum(found.evidence[mask], 0))))
        if score < params.least_score:
            return None
        return instance_from_mask(mask, near.box_yx[:2], score, iou)

    def _bridge(
        self, leg: Leg, before: Instance, after: Instance, state: Propagation
    ) -> Iterator[tuple[int, Instance]]:
        """Yield masks of the planes that an object was missing from, if they are few."""
        missing = abs(leg.at - leg.last) - 1
        if not 0 < missing <= self._params.gap:
            return
        box = _union(before.box_yx, after.box_yx)
        first = crop_mask(before.mask, before.box_yx, box)
        last = crop_mask(after.mask, after.box_yx, box)
        for number in range(1, missing + 1):
            plane = leg.last + number * leg.step
            mixed = mix_masks(first, last, number / (missing + 1))
            mixed &= ~_taken(box, state, plane, (leg.number,))
            mask = instance_from_mask(mixed, box[:2], min(before.score, after.score) / 2)
            if mask is not None:
                state.masks[leg.number][plane] = mask
                yield plane, mask


def _typical(state: Propagation) -> float:
    areas = [mask.area for masks in state.anchors.values() for mask in masks.values()]
    return 2 * float(np.sqrt(np.median(areas) / np.pi)) if areas else 0.0


def _next_legs(legs: Sequence[Leg]) -> list[Leg]:
    """Return the ways that go on to one plane in one direction: those that are least far."""
    left = [leg for leg in legs if not leg.ended]
    if not left:
        return []
    first = min(left, key=lambda leg: (leg.done, -leg.step, leg.at, leg.number))
    together = [leg for leg in left if (leg.at, leg.step) == (first.at, first.step)]
    return sorted(together, key=lambda leg: leg.number)


def _prompts(
    near: Neighbourhood, plane: int, last: Instance, params: Params
) -> ObjectPrompts | None:
    """Return what the model is asked: box, inner point and mask of what is expected."""
    if not 0 <= plane - near.first < len(near.shape.distances):
        return None
    expected = near.expected(plane, near.crop(last), params)
    mask = instance_from_mask(expected > 0, near.box_yx[:2])
    if mask is None:
        return None
    y0, x0, y1, x1 = mask.box_yx
    inner = np.unravel_index(int(expected.argmax()), expected.shape)
    point = [[float(inner[0] + near.box_yx[0]), float(inner[1] + near.box_yx[1])]]
    return ObjectPrompts(
        points=Points(np.array(point)),
        box=Box((y0 - 0.5, x0 - 0.5, y1 - 0.5, x1 - 0.5)),
        mask=MaskPrompt(last.box_yx, last.mask),
    )


def _one_piece(mask: BoolArray, expected: Numbers) -> BoolArray:
    """Return the piece of a mask that is expected most, without holes."""
    pieces, count = ndimage.label(mask)
    if not count:
        return mask
    weight = np.bincount(pieces.ravel(), np.maximum(expected, 0).ravel(), count + 1)
    weight[0] = -1
    return np.asarray(ndimage.binary_fill_holes(pieces == weight.argmax()), dtype=bool)


def _apart(found: Sequence[_Found], state: Propagation, plane: int) -> list[BoolArray]:
    """Return masks that share no pixel: it is of the one with the most evidence for it."""
    own = tuple(one.leg.number for one in found)
    masks = []
    for number, one in enumerate(found):
        mask = one.mask & ~_taken(one.near.box_yx, state, plane, own)
        for rival, other in enumerate(found):
            shared = intersection(one.near.box_yx, other.near.box_yx)
            if rival == number or shared is None:
                continue
            mine, theirs = _part(one, shared), _part(other, shared)
            wins = other.evidence[theirs] > one.evidence[mine]
            if rival < number:
                wins |= other.evidence[theirs] == one.evidence[mine]
            mask[mine] &= ~(other.mask[theirs] & wins)
        masks.append(_largest(mask))
    return masks


def _part(one: _Found, box: IntBoxYX) -> tuple[slice, slice]:
    y, x = one.near.box_yx[:2]
    return slice(box[0] - y, box[2] - y), slice(box[1] - x, box[3] - x)


def _largest(mask: BoolArray) -> BoolArray:
    pieces, count = ndimage.label(mask)
    if count < 2:
        return mask
    return np.asarray(pieces == 1 + np.bincount(pieces[pieces > 0] - 1).argmax(), dtype=bool)


def _taken(box: IntBoxYX, state: Propagation, plane: int, own: tuple[int, ...]) -> BoolArray:
    """Return the pixels of a box that other objects have on a plane."""
    taken = np.zeros((box[2] - box[0], box[3] - box[1]), bool)
    for number, masks in state.masks.items():
        mask = masks.get(plane)
        if number not in own and mask is not None and intersection(mask.box_yx, box):
            taken |= crop_mask(mask.mask, mask.box_yx, box)
    return taken


def _union(a: IntBoxYX, b: IntBoxYX) -> IntBoxYX:
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])
