"""Proposals as objects: numbered across planes, counted, ready to be written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_segmate.core.context import Context
from napari_segmate.core.labels.link import Linker
from napari_segmate.io.provenance import Record
from napari_segmate.plugin.automask.proposals import Index, PlaneProposal, middles_of, pixels
from napari_segmate.plugin.labels.commit_many import ManyObjects, Patch
from napari_segmate.plugin.planes.geometry import DisplayedPlane
from napari_segmate.plugin.worker.runner import Job, Runner
from napari_segmate.tasks.automask.run import Params

__all__ = ["ObjectCounter", "PlaneObjects", "chosen_objects", "numbers_of", "objects_of"]

Numbers = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class PlaneObjects:
    """Some objects of one plane, to be written.

    Parameters
    ----------
    plane : PlaneProposal
        Where they are proposed.
    labels : (n,) int
        Their labels there.
    numbers : (n,) int
        Their numbers from 1; objects of several planes have one number.
    middles : (n, 2) int
        A pixel (y, x) of each.
    """

    plane: PlaneProposal
    labels: Numbers
    numbers: Numbers
    middles: npt.NDArray[np.intp]

    def accept(self, which: npt.NDArray[np.bool_]) -> None:
        """Take objects out of the proposals: they are written."""
        self.plane.gone.update(pixels(self.middles[which]))

    def propose_again(self) -> None:
        """Propose the objects again."""
        self.plane.gone.difference_update(pixels(self.middles))


def numbers_of(
    planes: Sequence[PlaneProposal],
    *,
    linked: bool,
    anisotropy: float = 1.0,
    context: Context | None = None,
) -> list[Numbers]:
    """Return the number of each object that is still proposed, from 1.

    Parameters
    ----------
    planes : sequence of PlaneProposal
        In order along the stack.
    linked : bool
        Objects that lie on each other in neighbouring planes get one number.
    anisotropy : float
        Distance of planes over that of pixels.
    context : Context, optional
        Cancellation.

    Returns
    -------
    list of (n,) int
        In the order of `PlaneProposal.kept`.
    """
    found: list[Numbers] = []
    linker, offset = Linker(anisotropy=anisotropy), 0
    context = context or Context()
    for at, plane in enumerate(planes):
        context.check()
        if at and not (linked and _are_next(planes[at - 1].index, plane.index)):
            offset += linker.count
            linker = Linker(anisotropy=anisotropy)
        numbered = linker.add(plane.labels)
        number_of = np.zeros(plane.proposal.count + 1, np.intp)
        number_of[plane.proposal.labels] = numbered
        found.append(number_of[plane.kept] + offset)
    return found


def _are_next(before: Index, here: Index) -> bool:
    return sum(abs(a - b) for a, b in zip(before, here, strict=True)) == 1


def chosen_objects(
    planes: Sequence[PlaneProposal],
    only: tuple[PlaneProposal, int] | None,
    *,
    linked: bool,
    anisotropy: float = 1.0,
) -> list[PlaneObjects]:
    """Return all objects that are proposed, or one of them with all of its planes.

    Parameters
    ----------
    planes : sequence of PlaneProposal
        In order along the stack.
    only : (PlaneProposal, int), optional
        Plane and label of the one object that is wanted.
    linked, anisotropy
        See `numbers_of`.
    """
    numbers = numbers_of(planes, linked=linked, anisotropy=anisotropy)
    wanted = [np.ones(len(own), bool) for own in numbers]
    if only is not None:
        at = planes.index(only[0])
        number = numbers[at][np.searchsorted(only[0].kept, only[1])]
        wanted = [own == number for own in numbers]
        numbers = [np.ones_like(own) for own in numbers]
    found = []
    for plane, own, which in zip(planes, numbers, wanted, strict=True):
        if which.any():
            labels = plane.kept[which]
            middles = middles_of(plane.proposal.labels, labels)
            found.append(PlaneObjects(plane, labels, own[which], middles))
    return found


def objects_of(
    parts: Sequence[PlaneObjects], targets: Mapping[Index, DisplayedPlane]
) -> ManyObjects:
    """Return proposals as objects that can be written.

    Parameters
    ----------
    parts : sequence of PlaneObjects
        The objects.
    targets : mapping
        Where each plane lies in the output.
    """
    patches: list[Patch] = []
    records: list[Record] = []
    for part in parts:
        number_of = np.zeros(part.plane.proposal.count + 1, np.intp)
        number_of[part.labels] = part.numbers
        number = number_of[part.plane.proposal.labels]
        y, x = np.nonzero(number)
        patches.append(Patch(targets[part.plane.index], y, x, number[y, x]))
        records += _records(part)
    count = max((int(part.numbers.max()) for part in parts), default=0)
    return ManyObjects(count, patches, records)


def _records(part: PlaneObjects) -> Iterator[Record]:
    plane = part.plane
    boxes = ndimage.find_objects(plane.proposal.labels)
    options = _options(plane.params)
    for label, number in zip(part.labels.tolist(), part.numbers.tolist(), strict=True):
        rows, columns = boxes[label - 1]
        yield Record(
            label=number,
            index=plane.index,
            box_yx=(rows.start, columns.start, rows.stop, columns.stop),
            model=plane.prepared.model,
            model_key=plane.prepared.model_key,
            steps=(),
            options=options,
            score=float(plane.proposal.scores[label - 1]),
            stability=1.0,
            view={"automatic": str(plane.prepared.mode), "diameter": plane.prepared.diameter},
        )


def _options(params: Params) -> dict[str, Any]:
    """Return the settings as JSON values."""
    values = asdict(params)
    values.pop("grid")
    return {name: str(value) if isinstance(value, str) else value for name, value in values.items()}


class ObjectCounter:
    """Counts linked objects while nothing else is to be done.

    Parameters
    ----------
    runner : Runner
        Where it runs.
    planes : callable
        Returns what is proposed, in order along the stack; nothing where objects are not linked.
    anisotropy : callable
        Returns the distance of planes over that of pixels.
    counted : callable
        Called without arguments when the number is known.
    """

    def __init__(
        self,
        runner: Runner,
        planes: Callable[[], list[PlaneProposal]],
        anisotropy: Callable[[], float],
        counted: Callable[[], None],
    ) -> None:
        self._runner, self._planes = runner, planes
        self._anisotropy, self._counted = anisotropy, counted
        self._job: Job | None = None
        self._counted_key: list[object] = []
        self._count = 0

    @property
    def objects(self) -> int:
        """How many objects there are; 0 is not known yet."""
        return self._count if self._counted_key == self._key() else 0

    def start(self) -> None:
        """Count again if something has changed."""
        key = self._key()
        dropped = self._job is not None and self._job.cancelled
        if key == self._counted_key and not dropped:
            return
        self.stop()
        self._counted_key, self._count = key, 0
        if key:
            # The user goes on to accept and delete meanwhile.
            kept = [plane for plane in self._planes() if plane.kept.size]
            planes = [replace(plane, gone=set(plane.gone)) for plane in kept]
            self._job = self._runner.submit(self._count_job(planes, self._anisotropy()))

    def stop(self) -> None:
        """Forget what runs."""
        if self._job is not None:
            self._job.cancel()
        self._job, self._counted_key = None, []

    def _key(self) -> list[object]:
        """Return what the number depends on."""
        return [(plane, id(plane.proposal), len(plane.gone)) for plane in self._planes()]

    def _count_job(self, planes: list[PlaneProposal], anisotropy: float) -> Job:
        def work(context: Context) -> int:
            numbers = numbers_of(planes, linked=True, anisotropy=anisotropy, context=context)
            return max((int(own.max(initial=0)) for own in numbers), default=0)

        def done(count: int) -> None:
            self._job, self._count = None, count
            self._counted()

        return Job(work, done, idle=True)
