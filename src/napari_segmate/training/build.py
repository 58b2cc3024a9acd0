"""Samples and a network, made ready for the loop."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from napari_segmate.core.context import Context
from napari_segmate.training.control import Control
from napari_segmate.training.data import Knowledge, Sample
from napari_segmate.training.entries import Entry, make_entry
from napari_segmate.training.learner import Learner
from napari_segmate.training.presets import Preset, Schedule
from napari_segmate.training.views import View, fixed_views, random_view

__all__ = ["Views", "count_judged", "fingerprint_of", "judging_entries"]

JUDGED = 12
"""Most views to judge by after each epoch."""


class Views:
    """The views of each epoch: fresh ones, or with *quick* the same ones, looked at once.

    Parameters
    ----------
    samples : sequence of Sample
        Where from; planes with more objects are drawn more often.
    learner : Learner
        Who looks.
    schedule : Schedule
        How many.
    seed : int
        Which.
    control : Control, optional
        Asked before each view; a training that is stopped needs no more of them.
    context : Context, optional
        Progress.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        learner: Learner,
        schedule: Schedule,
        seed: int,
        control: Control | None = None,
        context: Context | None = None,
    ) -> None:
        self._samples, self._learner = tuple(samples), learner
        self._schedule, self._seed = schedule, seed
        self._control, self._context = control or Control(), context or Context()
        chances = np.sqrt([max(sample.objects, 0.25) for sample in samples])
        self._chances = chances / chances.sum()
        self._zooms = [learner.zoom(sample) for sample in samples]
        partly = any((sample.known < Knowledge.ALL).any() for sample in samples)
        self._teacher = copy.deepcopy(learner) if partly and learner.dense else None
        self._kept: tuple[Entry, ...] | None = None

    def __call__(self, epoch: int) -> Sequence[Entry]:
        """Return the views of an epoch, the same ones for the same number."""
        if self._learner.preset is not Preset.QUICK:
            return self._drawn(epoch, self._schedule.views)
        if self._kept is None:
            self._kept = self._drawn(0, self._schedule.views, "looking at the images")
        return self._kept

    def some(self, count: int) -> tuple[Entry, ...]:
        """Return a few views, to measure with."""
        return self._drawn(0, count)

    def _drawn(self, epoch: int, count: int, text: str = "") -> tuple[Entry, ...]:
        entries: list[Entry] = []
        for number in range(count):
            self._control.check()
            if self._control.stopped and entries:
                break
            if text:
                self._context.report(number, count, text)
            entries.append(self._entry(epoch, number))
        return tuple(entries)

    def _entry(self, epoch: int, number: int) -> Entry:
        rng = np.random.default_rng([self._seed, epoch, number, 2])
        chosen = int(rng.choice(len(self._samples), p=self._chances))
        view = random_view(
            self._samples[chosen],
            self._learner.size,
            self._zooms[chosen],
            rng,
            polarity=self._schedule.polarity,
        )
        return make_entry(view, self._learner, self._teacher)


def judging_entries(
    samples: Sequence[Sample], learner: Learner, context: Context | None = None
) -> tuple[Entry, ...]:
    """Return some views of samples as they are, those with most objects of each first."""
    context, views = context or Context(), _judging_views(samples, learner)
    entries: list[Entry] = []
    for number, view in enumerate(views):
        context.report(number, len(views), "looking at what is held out")
        entries.append(make_entry(view, learner))
    return tuple(entries)


def count_judged(samples: Sequence[Sample], learner: Learner) -> int:
    """Return the number of views to judge by."""
    return len(_judging_views(samples, learner))


def _judging_views(samples: Sequence[Sample], learner: Learner) -> list[View]:
    per_sample = [fixed_views(one, learner.size, learner.zoom(one)) for one in samples]
    rounds = range(max((len(views) for views in per_sample), default=0))
    views = [views[turn] for turn in rounds for views in per_sample if turn < len(views)]
    return views[:JUDGED]


def fingerprint_of(samples: Sequence[Sample], schedule: Schedule, *settings: object) -> str:
    """Return what identifies data and settings: the same training has the same one."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(repr((sorted(asdict(schedule).items()), settings)).encode())
    for sample in samples:
        for array in (sample.image, sample.labels, sample.known):
            digest.update(repr((array.shape, array.dtype.str)).encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
