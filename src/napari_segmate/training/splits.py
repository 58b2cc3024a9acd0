"""What is held out to judge a training: whole groups of planes, or a part of the only one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from napari_segmate.core.errors import LabelsError
from napari_segmate.core.types import IntBoxYX
from napari_segmate.training.data import Knowledge, Sample, count_objects

__all__ = ["Split", "split"]

SHARE = 0.2
LARGEST = 0.5
"""Part of the objects that may be held out where there is no smaller group."""
PARTS = (0.75, 0.7, 0.8, 0.65, 0.6, 0.5)
"""Where the only plane may be cut, in its length."""


@dataclass(frozen=True, eq=False)
class Split:
    """Two parts that share no pixel.

    Parameters
    ----------
    training, held_out : tuple of Sample
        The second may be empty: there is too little to hold any out.
    how : str
        In words: what is held out.
    """

    training: tuple[Sample, ...]
    held_out: tuple[Sample, ...]
    how: str


def split(samples: Sequence[Sample], share: float = SHARE, seed: int = 0) -> Split:
    """Return samples to learn from and samples to judge by.

    Groups stay together. With one group of several planes its last planes are held out, with a
    single plane a block of it.

    Parameters
    ----------
    samples : sequence of Sample
        At least one labelled object in all of them.
    share : float
        Part of the objects to hold out, about.
    seed : int
        Which groups are drawn.

    Raises
    ------
    LabelsError
        There is no labelled object.
    """
    labelled = [sample for sample in samples if sample.objects]
    if not labelled:
        raise LabelsError(
            "there is no labelled object to learn from; label some objects first, or check that "
            "these are the right labels"
        )
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        if sample.objects or (sample.known == Knowledge.ALL).any():
            groups.setdefault(sample.group, []).append(sample)
    if len(groups) > 1:
        return _by_group(list(groups.values()), share, seed)
    (planes,) = groups.values()
    if len(planes) > 1:
        return _by_plane(planes, share)
    return _by_block(planes[0], share)


def _by_group(groups: list[list[Sample]], share: float, seed: int) -> Split:
    order = np.random.default_rng(seed).permutation(len(groups))
    counts = [count_objects(group) for group in groups]
    wanted = share * sum(counts)
    chosen: set[int] = set()
    for number in order.tolist():
        together = sum(counts[one] for one in chosen) + counts[number]
        if counts[number] and together <= max(LARGEST * sum(counts), 1):
            chosen.add(number)
        if together >= wanted and chosen:
            break
    if not chosen:
        # One group holds most objects: the smallest other one judges, if it has any.
        filled = [number for number in order.tolist() if counts[number]]
        if len(filled) < 2:
            return Split(tuple(_flat(groups)), (), "nothing")
        chosen.add(min(filled, key=lambda number: counts[number]))
    kept = [group for number, group in enumerate(groups) if number not in chosen]
    out = _flat([groups[number] for number in sorted(chosen)])
    if not count_objects(_flat(kept)):
        return Split(tuple(_flat(groups)), (), "nothing")
    return Split(tuple(_flat(kept)), tuple(out), f"{len(out)} of {len(_flat(groups))} planes")


def _flat(groups: Sequence[Sequence[Sample]]) -> list[Sample]:
    return [sample for group in groups for sample in group]


def _by_plane(planes: list[Sample], share: float) -> Split:
    """Hold out the last planes: neighbours that resemble them stay together as far as possible."""
    wanted = share * count_objects(planes)
    first = len(planes)
    while first > 1 and (count_objects(planes[first:]) < wanted or first == len(planes)):
        first -= 1
    kept, out = planes[:first], planes[first:]
    if not count_objects(kept) or not count_objects(out):
        return Split(tuple(planes), (), "nothing")
    return Split(tuple(kept), tuple(out), f"the last {len(out)} of {len(planes)} planes")


def _by_block(sample: Sample, share: float) -> Split:
    """Hold out a block of the only plane: the one whose share of the objects fits best."""
    options: list[tuple[float, Sample, Sample]] = []
    total = sample.objects
    for kept_box, out_box in _cuts(sample):
        kept, out = sample.part(kept_box), sample.part(out_box, f"{sample.name} (held-out part)")
        if kept.objects and out.objects and total > 1:
            cut = kept.objects + out.objects - total
            options.append((abs(out.objects / total - share) + 0.5 * cut / total, kept, out))
    if not options:
        return Split((sample,), (), "nothing")
    _, kept, out = min(options, key=lambda option: option[0])
    how = f"a block of {out.shape[0]} x {out.shape[1]} pixels"
    return Split((kept,), (out,), f"{how}{_both_sides(kept.objects + out.objects - total)}")


def _both_sides(count: int) -> str:
    """Return in words that objects are cut, and counted in both parts."""
    if count <= 0:
        return ""
    return f"; {count} object{' lies' if count == 1 else 's lie'} on both sides of the cut"


def _cuts(sample: Sample) -> Iterator[tuple[IntBoxYX, IntBoxYX]]:
    """Yield pairs of boxes that fill the annotated part of a plane."""
    rows, columns = np.nonzero((sample.known == Knowledge.ALL) | (sample.labels > 0))
    top, left = int(rows.min()), int(columns.min())
    bottom, right = int(rows.max()) + 1, int(columns.max()) + 1
    height, width = sample.shape
    for part in PARTS:
        y = top + round(part * (bottom - top))
        x = left + round(part * (right - left))
        yield (0, 0, y, width), (y, 0, height, width)
        yield (0, 0, height, x), (0, x, height, width)
