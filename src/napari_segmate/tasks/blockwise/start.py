"""The beginning of labelling block by block: a plan, or that of an earlier run to go on with."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_segmate.core.context import Context
from napari_segmate.core.files.atomic import write_text
from napari_segmate.core.files.json_reader import read_json
from napari_segmate.core.images.image_source import ContrastMode, ImageSource
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.io.input_state import input_state
from napari_segmate.io.provenance import package_version
from napari_segmate.tasks.automask.params import Params, suited
from napari_segmate.tasks.automask.run import mode_for, sized_for
from napari_segmate.tasks.blockwise.plan import BlockPlan, plan_blocks
from napari_segmate.tasks.blockwise.work import BlockJob, ImageFile, ModelHandle
from napari_segmate.tasks.stack import planes_in_order

__all__ = ["begin", "work_folder"]


def work_folder(path: Path) -> Path:
    """Return where the blocks of an unfinished result are kept, beside it.

    Examples
    --------
    >>> work_folder(Path("results/cells.zarr")).name
    '.cells.zarr.partial'
    """
    return path.with_name(f".{path.name}.partial")


def begin(
    source: ImageSource | ImageFile,
    handle: ModelHandle,
    path: Path,
    params: Params,
    block: int,
    context: Context,
) -> tuple[BlockJob, bool]:
    """Return the job, and whether an earlier run had begun it.

    Parameters
    ----------
    source : ImageSource or ImageFile
        The image.
    handle : ModelHandle
        Who looks at it.
    path : Path
        OME-Zarr folder to write; the work is done in `work_folder`, beside it.
    params : Params
        How objects are found.
    block : int
        Side of a block in pixels.
    context : Context
        Progress, and cancellation.
    """
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
        state = input_state(source.path).as_list()
        where = [str(Path(source.path).absolute()), source.axes, state]
    shown = [image.shape, image.index_shape, str(image.dtype), image.channels.colours]
    wanted = [where, shown, key, repr(params), block, package_version()]
    return json.dumps(wanted)


def _known_plan(folder: Path, request: str) -> BlockPlan | None:
    try:
        known = read_json(folder / "plan.json")
        return BlockPlan.from_json(known["plan"]) if known["request"] == request else None
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
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
    write_text(folder / "plan.json", json.dumps({"request": request, "plan": plan.as_json()}))
