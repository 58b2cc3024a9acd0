"""Label images of any size block by block, on threads or on a cluster, and go on after a stop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from napari_segmate.core.context import Context
from napari_segmate.core.errors import LabelsError
from napari_segmate.core.images.image_source import ImageSource
from napari_segmate.tasks.automask.params import Params
from napari_segmate.tasks.blockwise.execute import run_all
from napari_segmate.tasks.blockwise.output import Output, finish
from napari_segmate.tasks.blockwise.plan import BlockPlan
from napari_segmate.tasks.blockwise.start import begin, work_folder
from napari_segmate.tasks.blockwise.work import ImageFile, ModelHandle

__all__ = ["BLOCK", "Output", "Written", "label_blocks", "work_folder"]

BLOCK = 2048
"""Side of a block in pixels."""


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
        job, resumed = begin(source, model, path, params, block, context)
        todo = [b.number for b in job.plan.blocks if not job.finding_path(b.number).exists()]
        run_all(job, todo, scheduler, context)
        count = finish(job, path, output, context)
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
