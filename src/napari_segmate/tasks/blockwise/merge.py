"""The second pass over blocks: which labels are one object, and their final numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_segmate.core.labels.seams import joined, same_objects
from napari_segmate.tasks.automask.params import Params
from napari_segmate.tasks.blockwise.plan import BlockPlan
from napari_segmate.tasks.blockwise.work import Finding

__all__ = ["Numbers", "number_objects"]

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Numbers:
    """The final number of every label of every block.

    Parameters
    ----------
    starts : (blocks + 1,) int64
        Where the labels of each block begin in `ids`; label N of block B is at ``starts[B] + N``.
    ids : int64
        Final numbers, 0 for objects that are left out.
    areas : (n,) int64
        Pixels of each object.
    scores : (n,) float32
        How sure the model is of each object: of its largest part.
    """

    starts: Ids
    ids: Ids
    areas: Ids
    scores: npt.NDArray[np.float32]

    @property
    def count(self) -> int:
        """Number of objects."""
        return len(self.areas)

    def of_block(self, number: int) -> Ids:
        """Return the final numbers of the labels 0 .. n of a block."""
        first, last = self.starts[number], self.starts[number + 1]
        return np.concatenate([[0], self.ids[first + 1 : last + 1]])


def number_objects(plan: BlockPlan, params: Params, load: Callable[[int], Finding]) -> Numbers:
    """Return the final numbers: labels of one object joined, small and cut ones left out.

    Parameters
    ----------
    plan : BlockPlan
        The blocks.
    params : Params
        Least and largest area, and whether objects at the border of the image are kept.
    load : callable
        Returns what the block of a number found; each is needed a few times.
    """
    parts = [_Summary.of(load(block.number)) for block in plan.blocks]
    starts = np.concatenate([[0], np.cumsum([len(part.areas) for part in parts])]).astype(np.int64)
    group = joined(int(starts[-1]), _pairs(plan, starts, load))
    area_of = np.concatenate([[0], *(part.areas for part in parts)])
    areas = np.bincount(group, area_of).astype(np.int64)
    cut = np.zeros(len(areas), bool)
    cut[group[np.concatenate([[False], *(part.cut for part in parts)])]] = True
    keep = areas >= max(params.min_area, 1)
    if params.max_area is not None:
        keep &= areas <= params.max_area
    if not params.border:
        keep &= ~cut
    keep[0] = False
    scores = _scores(group, area_of, np.concatenate([[0.0], *(part.scores for part in parts)]))
    ids = np.asarray(np.cumsum(keep) * keep, dtype=np.int64)
    return Numbers(starts, ids[group], areas[keep], scores[keep])


@dataclass(frozen=True, eq=False)
class _Summary:
    """The labels of a block, without background."""

    areas: Ids
    cut: npt.NDArray[np.bool_]
    scores: npt.NDArray[np.float32]

    @classmethod
    def of(cls, finding: Finding) -> _Summary:
        return cls(finding.areas[1:], finding.cut[1:], finding.scores)


def _pairs(plan: BlockPlan, starts: Ids, load: Callable[[int], Finding]) -> Ids:
    """Return the labels, counted through all blocks, that are one object."""
    found = [np.zeros((0, 2), np.int64)]
    for block in plan.blocks:
        later = [seam for seam in plan.seams_of(block) if seam.before == block.number]
        strips = load(block.number).strips if later else {}
        for seam in later:
            other = load(seam.after).strips[block.number]
            same = same_objects(strips[seam.after], other)
            found.append(same + starts[[seam.before, seam.after]])
    return np.concatenate(found)


def _scores(
    group: Ids, areas: npt.NDArray[np.int64], scores: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Return the score of the largest part of each object."""
    best = np.zeros(int(group.max(initial=0)) + 1, np.float32)
    order = np.argsort(areas, kind="stable")
    best[group[order]] = scores[order]
    return best
