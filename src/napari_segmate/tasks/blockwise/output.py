"""The end of labelling block by block: labels numbered across blocks, as OME-Zarr in its place."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.context import Context
from napari_segmate.core.files.atomic import put_in_place
from napari_segmate.core.labels.commit import dtype_for
from napari_segmate.io.ome_zarr import add_pyramid, create_labels
from napari_segmate.tasks.blockwise.merge import Numbers, number_objects
from napari_segmate.tasks.blockwise.plan import Block
from napari_segmate.tasks.blockwise.work import BlockJob, Finding, load_finding
from napari_segmate.tasks.stack import Numbering, planes_in_order

__all__ = ["Output", "finish"]

FINDINGS = 64
"""Findings of blocks that are held in memory at a time."""


@dataclass(frozen=True)
class Output:
    """How labels of blocks are written.

    Parameters
    ----------
    axes : str
        One letter per axis of the labels; by default ``yx``, ``zyx`` or ``tzyx``.
    scale : tuple of float, optional
        Size of a pixel along each axis.
    units : mapping of str to str
        Unit of some axes.
    version : str
        Version of OME-Zarr.
    link_axis : int, optional
        Axis of planes, from 0, along which objects are linked.
    anisotropy : float
        Distance of planes over that of pixels.
    """

    axes: str | None = None
    scale: tuple[float, ...] | None = None
    units: Mapping[str, str] = field(default_factory=dict)
    version: str = "0.5"
    link_axis: int | None = None
    anisotropy: float = 1.0

    def letters(self, planes: int) -> str:
        """Return the axes of the labels of an image with so many axes of planes."""
        return self.axes or "tpq"[: max(planes - 1, 0)] + "z" * (planes > 0) + "yx"


def finish(
    job: BlockJob,
    path: Path,
    output: Output,
    context: Context,
    unchanged: Callable[[], None] | None = None,
) -> int:
    """Write the result, put it in its place, and return the number of objects.

    Parameters
    ----------
    job : BlockJob
        All its blocks are labelled.
    path : Path
        OME-Zarr folder; one that is there is replaced at the end.
    output : Output
        Axes and format.
    context : Context
        Progress, and cancellation.
    unchanged : callable, optional
        Called right before the result is put in place; raises when it must not be.

    Raises
    ------
    LabelsError
        The labels or the record of a block are damaged; the next run does it again.
    """
    context.report(0, 0, "joining blocks")
    load = lru_cache(maxsize=FINDINGS)(lambda number: load_finding(job.finding_path(number)))
    numbers = number_objects(job.plan, job.params, load)
    part = job.folder / "result.zarr"
    shutil.rmtree(part, ignore_errors=True)
    plan = job.plan
    first = create_labels(
        part,
        (*plan.index_shape, *plan.shape),
        dtype_for(numbers.count, np.uint16),
        output.letters(len(plan.index_shape)),
        scale=output.scale,
        units=output.units,
        chunk=plan.chunk,
        version=output.version,
        name=path.stem,
    )
    count = _write(job, numbers, load, first, output, context)
    add_pyramid(part, lambda done, total: context.report(done, total, "writing the pyramid"))
    if unchanged is not None:
        unchanged()
    put_in_place(part, path)
    shutil.rmtree(job.folder, ignore_errors=True)
    return count


def _write(
    job: BlockJob,
    numbers: Numbers,
    load: Callable[[int], Finding],
    target: Any,
    output: Output,
    context: Context,
) -> int:
    """Write the final labels plane by plane, and return the number of objects."""
    per_plane = len(job.plan.blocks) // max(1, int(np.prod(job.plan.index_shape)))
    axis = output.link_axis
    order = planes_in_order(job.plan.index_shape, None, -1 if axis is None else axis)
    linker = None
    if axis is not None and len(order) > 1:
        linker = Numbering(axis, output.anisotropy, link=True)
    count = 0
    for done, index in enumerate(order):
        context.report(done, len(order), "writing labels")
        at = int(np.ravel_multi_index(index, job.plan.index_shape)) if index else 0
        blocks = job.plan.blocks[at * per_plane : (at + 1) * per_plane]
        if linker is not None:
            plane = np.zeros(job.plan.shape, np.int64)
            for block in blocks:
                plane[_place((), block.own)] = _renumbered(job, block, load, numbers)
            linked = linker.add(index, _from_one(plane))
            target[(*index, slice(None), slice(None))] = linked.astype(target.dtype)
            count = max(count, int(linked.max(initial=0)))
            continue
        for block in blocks:
            context.check()
            values = _renumbered(job, block, load, numbers)
            target[_place(index, block.own)] = values.astype(target.dtype)
    return count if linker is not None else numbers.count


def _renumbered(
    job: BlockJob, block: Block, load: Callable[[int], Finding], numbers: Numbers
) -> npt.NDArray[np.int64]:
    values = job.checked_labels(block, load(block.number))
    return np.asarray(numbers.of_block(block.number)[values])


def _place(index: Sequence[int], box: tuple[int, int, int, int]) -> tuple[Any, ...]:
    y0, x0, y1, x1 = box
    return (*index, slice(y0, y1), slice(x0, x1))


def _from_one(plane: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return labels of a plane, which follow each other without gaps, counted from 1."""
    inside = plane > 0
    first = int(plane[inside].min()) if inside.any() else 1
    return np.where(inside, plane - first + 1, 0)
