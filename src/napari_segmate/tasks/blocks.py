"""Label images of any size block by block, on threads or on a cluster, and go on after a stop."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.context import Context
from napari_segmate.core.errors import LabelsError
from napari_segmate.core.image import ContrastMode, ImageSource
from napari_segmate.core.labels import dtype_for
from napari_segmate.inference.embeddings import EmbeddingStore
from napari_segmate.io.ome_zarr import add_pyramid, create_labels
from napari_segmate.io.provenance import package_version
from napari_segmate.tasks.auto import mode_for, sized_for
from napari_segmate.tasks.auto_params import Params, suited
from napari_segmate.tasks.auto_stack import Numbering, planes_in_order
from napari_segmate.tasks.block_merge import Numbers, number_objects
from napari_segmate.tasks.block_plan import BlockPlan, plan_blocks
from napari_segmate.tasks.block_run import run_all
from napari_segmate.tasks.block_work import BlockJob, ImageFile, ModelHandle, load_finding

__all__ = ["BLOCK", "Output", "Written", "label_blocks", "work_folder"]

BLOCK = 2048
"""Side of a block in pixels."""
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


@dataclass(frozen=True)
class Written:
    """Labels that were written.

    Parameters
    ----------
    path : Path
        OME-Zarr folder.
    count : int
        Number of objects.
    plan : BlockPlan
        The blocks, the contrast and the diameter.
    resumed : int
        Blocks that an earlier run had finished.
    """

    path: Path
    count: int
    plan: BlockPlan
    resumed: int


def work_folder(path: Path) -> Path:
    """Return where the blocks of an unfinished result are kept, beside it.

    Examples
    --------
    >>> work_folder(Path("results/cells.zarr")).name
    '.cells.zarr.partial'
    """
    return path.with_name(f".{path.name}.partial")


def label_blocks(
    source: ImageSource | ImageFile,
    model: ModelHandle,
    path: Path,
    params: Params | None = None,
    *,
    output: Output | None = None,
    block: int = BLOCK,
    scheduler: str | None = None,
    overwrite: bool = False,
    context: Context | None = None,
) -> Written:
    """Label all objects of an image of any size into an OME-Zarr folder.

    Blocks are labelled independently and kept as they finish in `work_folder`; a run that was
    stopped goes on there when it is started again with the same settings. A second pass finds
    which labels of neighbouring blocks are one object. The result appears once it is complete, and
    is the same wherever it was computed.

    Parameters
    ----------
    source : ImageSource or ImageFile
        The image; a cluster needs a file that all its workers find.
    model : ModelHandle
        Who looks at it.
    path : Path
        OME-Zarr folder to write.
    params : Params, optional
        How objects are found.
    output : Output, optional
        Axes and format of what is written, and along which axis planes are linked.
    block : int
        Side of a block in pixels.
    scheduler : str, optional
        Address of a ``dask.distributed`` scheduler; threads of this process by default.
    overwrite : bool
        Replace an earlier result.
    context : Context, optional
        Progress in blocks, and cancellation.

    Raises
    ------
    LabelsError
        The result exists, or the disk is full or cannot be written.
    ParameterError
        Nothing answers at the address of the scheduler, or settings do not fit.
    MissingExtraError
        A scheduler is named, and ``distributed`` is not installed.
    SegmateError
        A block lost its worker several times.
    Cancelled
        The user stopped the job; finished blocks stay.
    """
    params, output, context = params or Params(), output or Output(), context or Context()
    path = Path(path).absolute()
    if path.exists() and not overwrite:
        raise LabelsError(f"{path} exists; choose another name, or overwrite it")
    with _disk(path):
        job, resumed = _begin(source, model, path, params, block, context)
        todo = [b.number for b in job.plan.blocks if not job.finding_path(b.number).exists()]
        run_all(job, todo, scheduler, context)
        count = _finish(job, path, output, context)
    return Written(path, count, job.plan, len(job.plan.blocks) - len(todo) if resumed else 0)


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.__class__.__module__.startswith("napari_segmate"):
            raise
        raise LabelsError(
            f"cannot write {path} ({error.strerror or error}); free some space, or choose a "
            "folder that you may write to; finished blocks stay"
        ) from error


def _begin(
    source: ImageSource | ImageFile,
    handle: ModelHandle,
    path: Path,
    params: Params,
    block: int,
    context: Context,
) -> tuple[BlockJob, bool]:
    """Return the job, and whether an earlier run had begun it."""
    image = source.open() if isinstance(source, ImageFile) else source
    model = handle.get(context)
    params = suited(params, model.info, mode_for(model, params))
    folder = work_folder(path)
    request = _request(source, image, model.key, params, block)
    plan = _known_plan(folder, request)
    resumed = plan is not None
    if plan is None:
        shutil.rmtree(folder, ignore_errors=True)
        plan = _plan(image, handle, params, block, context)
        _prepare_folder(folder, plan, request)
    sized = replace(params, diameter=plan.diameter or None)
    return BlockJob(
        source, handle, sized, plan, folder, Context(cancelled=context.cancelled)
    ), resumed


def _request(
    source: ImageSource | ImageFile, image: ImageSource, key: str, params: Params, block: int
) -> str:
    """Return what an earlier run must have been asked for to be gone on with."""
    where: list[Any] = []
    if isinstance(source, ImageFile):
        file = Path(source.path)
        probes = [file, *(file / name for name in ("zarr.json", ".zattrs", ".zarray"))]
        stamps = [(one.stat().st_size, one.stat().st_mtime_ns) for one in probes if one.is_file()]
        where = [str(file.absolute()), source.axes, stamps]
    shown = [image.shape, image.index_shape, str(image.dtype), image.channels.colours]
    wanted = [where, shown, key, repr(params), block, package_version()]
    return json.dumps(wanted)


def _known_plan(folder: Path, request: str) -> BlockPlan | None:
    try:
        known = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
        return BlockPlan.from_json(known["plan"]) if known["request"] == request else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _plan(
    image: ImageSource, handle: ModelHandle, params: Params, block: int, context: Context
) -> BlockPlan:
    first = (0,) * len(image.index_shape)
    contrast = image.estimate_contrast(ContrastMode.STACK, first)
    order = planes_in_order(image.index_shape, None, -1)
    planes = [image.plane(index, contrast) for index in order]
    quiet = Context(cancelled=context.cancelled)
    context.report(0, 0, "estimating the size of objects")
    sized = sized_for(planes, handle.get(), params, EmbeddingStore(), quiet)
    halo = params.halo
    return plan_blocks(
        image.shape, image.index_shape, contrast, sized.diameter or 0.0, side=block, halo=halo
    )


def _prepare_folder(folder: Path, plan: BlockPlan, request: str) -> None:
    import zarr

    (folder / "findings").mkdir(parents=True)
    zarr.create_array(
        str(folder / "blocks.zarr"),
        shape=(*plan.index_shape, *plan.shape),
        chunks=(*(1,) * len(plan.index_shape), plan.chunk, plan.chunk),
        dtype=np.int32,
        fill_value=0,
    )
    # The plan comes last: with it, the folder is complete.
    part = folder / "plan.json.part"
    part.write_text(json.dumps({"request": request, "plan": plan.as_json()}), encoding="utf-8")
    part.replace(folder / "plan.json")


def _finish(job: BlockJob, path: Path, output: Output, context: Context) -> int:
    """Write the result, put it in its place, and return the number of objects."""
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
    count = _write(job, numbers, first, output, context)
    add_pyramid(part, lambda done, total: context.report(done, total, "writing the pyramid"))
    _put(part, path)
    shutil.rmtree(job.folder, ignore_errors=True)
    return count


def _write(job: BlockJob, numbers: Numbers, target: Any, output: Output, context: Context) -> int:
    """Write the final labels plane by plane, and return the number of objects."""
    import zarr

    local = zarr.open_array(str(job.labels_path), mode="r")
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
                plane[_place((), block.own)] = _renumbered(local, block, numbers)
            linked = linker.add(index, _from_one(plane))
            target[(*index, slice(None), slice(None))] = linked.astype(target.dtype)
            count = max(count, int(linked.max(initial=0)))
            continue
        for block in blocks:
            context.check()
            values = _renumbered(local, block, numbers)
            target[_place(index, block.own)] = values.astype(target.dtype)
    return count if linker is not None else numbers.count


def _renumbered(local: Any, block: Any, numbers: Numbers) -> npt.NDArray[np.int64]:
    values = np.asarray(local[_place(block.index, block.own)])
    return np.asarray(numbers.of_block(block.number)[values])


def _place(index: Sequence[int], box: tuple[int, int, int, int]) -> tuple[Any, ...]:
    y0, x0, y1, x1 = box
    return (*index, slice(y0, y1), slice(x0, x1))


def _from_one(plane: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return labels of a plane, which follow each other without gaps, counted from 1."""
    inside = plane > 0
    first = int(plane[inside].min()) if inside.any() else 1
    return np.where(inside, plane - first + 1, 0)


def _put(part: Path, path: Path) -> None:
    if not path.exists():
        part.rename(path)
        return
    old = path.with_name(f".{path.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    path.rename(old)
    try:
        part.rename(path)
    except OSError:
        old.rename(path)
        raise
    if old.is_dir():
        shutil.rmtree(old, ignore_errors=True)
    else:
        old.unlink()
