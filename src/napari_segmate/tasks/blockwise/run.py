"""Label images of any size block by block, on threads or on a cluster, and go on after a stop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from napari_segmate.core.context import Context
from napari_segmate.core.errors import ImageError, LabelsError
from napari_segmate.core.images.image_source import ImageSource
from napari_segmate.io.input_state import InputState, check_unchanged, input_state
from napari_segmate.tasks.automask.params import Params
from napari_segmate.tasks.blockwise.execute import run_all
from napari_segmate.tasks.blockwise.output import Output, finish
from napari_segmate.tasks.blockwise.plan import BlockPlan
from napari_segmate.tasks.blockwise.start import begin, work_folder
from napari_segmate.tasks.blockwise.work import BlockJob, ImageFile, ModelHandle

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
    damaged : int
        Blocks that an earlier run had finished and that were done again, because what it left of
        them was damaged.
    """

    path: Path
    count: int
    plan: BlockPlan
    resumed: int
    damaged: int = 0


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
        The result exists, another run works on it, or the disk is full or cannot be written.
    ImageError
        The image was removed or changed while it was read.
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
    with _disk(path), _alone(path):
        before = input_state(source.path) if isinstance(source, ImageFile) else None
        job, resumed = begin(source, model, path, params, block, context)
        context.report(0, 0, "checking finished blocks")
        numbers = [one.number for one in job.plan.blocks]
        recorded = {number for number in numbers if job.finding_path(number).exists()}
        finished = {number for number in recorded if job.is_finished(number)}
        todo = [number for number in numbers if number not in finished]

        def unchanged() -> None:
            if isinstance(source, ImageFile) and before is not None:
                _check_input(source, before, job, todo)

        try:
            run_all(job, todo, scheduler, context)
        except BaseException:
            with suppress(ImageError):
                unchanged()
            raise
        unchanged()
        count = finish(job, path, output, context, unchanged)
    known = len(finished) if resumed else 0
    return Written(path, count, job.plan, known, len(recorded - finished))


def _check_input(source: ImageFile, before: InputState, job: BlockJob, done: list[int]) -> None:
    """Make sure that the image stayed what it was; what this run made of it goes otherwise."""
    try:
        check_unchanged(source.path, before)
    except ImageError:
        for number in done:
            job.finding_path(number).unlink(missing_ok=True)
        raise


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep a second run from the same result, as long as this one works on it.

    Raises
    ------
    LabelsError
        Another run is at work.
    """
    place = work_folder(path).with_suffix(".lock")
    lock = FileLock(place, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise LabelsError(
            f"another run is writing {path} (it holds {place}); wait until it ends, or choose "
            "another name"
        ) from None
    try:
        yield
    finally:
        with suppress(OSError):
            place.unlink(missing_ok=True)
        lock.release()


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
