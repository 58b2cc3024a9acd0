"""The labels of one block: made and recorded anywhere, on a thread here or on another machine."""

from __future__ import annotations

import threading
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.context import Context
from napari_segmate.core.errors import ImageError, LabelsError
from napari_segmate.core.files.atomic import replacing
from napari_segmate.core.images.axes import ChannelMap
from napari_segmate.core.images.image_source import ImageSource
from napari_segmate.core.types import IntBoxYX, LabelArray
from napari_segmate.io.images import read_image
from napari_segmate.io.input_state import InputState, metadata_state
from napari_segmate.models import load_model
from napari_segmate.models.base import Segmenter
from napari_segmate.tasks.automask.params import Params
from napari_segmate.tasks.automask.run import generate, prepare
from napari_segmate.tasks.blockwise.plan import Block, BlockPlan, PlanePart

__all__ = ["BlockJob", "Finding", "ImageFile", "ModelHandle", "load_finding"]


@dataclass(frozen=True)
class ImageFile:
    """An image that every worker opens for itself.

    Parameters
    ----------
    path : str
        Where all workers find it.
    axes : str, optional
        What its axes are, where the file does not say.
    channels : ChannelMap, optional
        Which channel is shown in which colour.
    """

    path: str
    axes: str | None = None
    channels: ChannelMap | None = None

    def open(self) -> ImageSource:
        """Return the image; opened once per process, and again when it was replaced.

        Raises
        ------
        ImageError
            It is not there, or no longer.
        """
        return _opened(self, metadata_state(self.path))


@lru_cache(maxsize=2)
def _opened(file: ImageFile, state: InputState) -> ImageSource:
    return ImageSource(*read_image(file.path, file.axes), file.channels)


class ModelHandle:
    """A model that every process loads once, and one thread at a time uses.

    Parameters
    ----------
    name : str
        Name of the model, or a weights file that all workers find.
    device : str
        See `napari_segmate.models.load_model`.
    fast : bool
        Allow lower precision.
    model : Segmenter, optional
        The model if it is loaded already; does not travel to other processes.
    """

    def __init__(
        self,
        name: str,
        device: str = "auto",
        fast: bool = False,
        model: Segmenter | None = None,
    ) -> None:
        self.name, self.device, self.fast = name, device, fast
        self.lock = threading.Lock()
        self._model = model

    def __reduce__(self) -> Any:
        return _handle, (self.name, self.device, self.fast)

    def get(self, context: Context | None = None) -> Segmenter:
        """Return the model, loaded if need be."""
        with self.lock:
            if self._model is None:
                self._model = load_model(
                    self.name, device=self.device, fast=self.fast, context=context
                )
            return self._model


@lru_cache(maxsize=2)
def _handle(name: str, device: str, fast: bool) -> ModelHandle:
    return ModelHandle(name, device, fast)


@dataclass(frozen=True, eq=False)
class Finding:
    """What a block found, as the second pass needs it.

    Parameters
    ----------
    areas : (n + 1,) int64
        Pixels of each label in the part that is the block's own; the first is background.
    cut : (n + 1,) bool
        Which labels touch the border of the image.
    scores : (n,) float32
        How sure the model is of each.
    strips : mapping of int to (h, w) int32
        Labels of what a neighbour looks at too, by its number.
    checksum : int
        CRC-32 of the labels of the part that is the block's own.
    """

    areas: npt.NDArray[np.int64]
    cut: npt.NDArray[np.bool_]
    scores: npt.NDArray[np.float32]
    strips: Mapping[int, LabelArray]
    checksum: int

    @property
    def count(self) -> int:
        """Number of labels."""
        return len(self.areas) - 1


@dataclass(frozen=True, eq=False)
class BlockJob:
    """All that a worker needs for any block of an image.

    Parameters
    ----------
    source : ImageSource or ImageFile
        The image.
    model : ModelHandle
        Who looks at it.
    params : Params
        How objects are found.
    plan : BlockPlan
        The blocks.
    folder : Path
        Where labels and findings of blocks are written.
    """

    source: ImageSource | ImageFile
    model: ModelHandle
    params: Params
    plan: BlockPlan
    folder: Path
    context: Context = field(default_factory=Context)

    def __reduce__(self) -> Any:
        # Progress and cancellation stay with the process that asked.
        return BlockJob, (self.source, self.model, self.params, self.plan, self.folder)

    @property
    def labels_path(self) -> Path:
        """The labels of the blocks, each numbered from 1."""
        return self.folder / "blocks.zarr"

    def finding_path(self, number: int) -> Path:
        """Return the file that says that a block is finished."""
        return self.folder / "findings" / f"{number}.npz"

    def is_finished(self, number: int) -> bool:
        """Tell whether a block was recorded as finished and its labels are what was recorded."""
        try:
            self.checked_labels(self.plan.blocks[number], load_finding(self.finding_path(number)))
        except (LabelsError, OSError):
            return False
        return True

    def checked_labels(self, block: Block, finding: Finding) -> LabelArray:
        """Return the labels of the part that is a block's own.

        Raises
        ------
        LabelsError
            They are damaged or gone; the record of the block is removed, so that the next run
            does it again.
        """
        import zarr

        y0, x0, y1, x1 = block.own
        place = (*block.index, slice(y0, y1), slice(x0, x1))
        try:
            local: Any = zarr.open_array(str(self.labels_path), mode="r")
            labels: LabelArray | None = np.asarray(local[place])
        except Exception:
            # Codecs raise what they like for damaged chunks.
            labels = None
        if labels is None or _checksum(labels) != finding.checksum:
            self.finding_path(block.number).unlink(missing_ok=True)
            raise LabelsError(
                f"the labels of block {block.number} in {self.folder} are damaged or gone; start "
                "again to do this block again and keep the others"
            )
        return labels

    def compute(self, number: int) -> int:
        """Label one block, write it, then record that it is finished; return the count.

        Raises
        ------
        ImageError
            The image was removed or replaced meanwhile.
        """
        import zarr

        self.context.check()
        path = self.source.path if isinstance(self.source, ImageFile) else None
        before = None if path is None else metadata_state(path)
        block = self.plan.blocks[number]
        labels, scores = self._labelled(block)
        if path is not None and metadata_state(path) != before:
            raise ImageError(
                f"{path} was removed or changed while it was read; see that it is complete, and "
                "start again"
            )
        own = _part(labels, block.own, block.outer)
        y0, x0, y1, x1 = block.own
        target: Any = zarr.open_array(str(self.labels_path), mode="r+")
        target[(*block.index, slice(y0, y1), slice(x0, x1))] = own
        finding = self._finding(block, labels, own, scores)
        _save(self.finding_path(number), finding)
        return finding.count

    def _labelled(self, block: Block) -> tuple[LabelArray, npt.NDArray[np.float32]]:
        source = self.source.open() if isinstance(self.source, ImageFile) else self.source
        part = PlanePart(source.plane(block.index, self.plan.contrast), block.outer)
        model = self.model.get()
        # Objects are complete only after the second pass, which then applies these limits.
        params = replace(self.params, min_area=0, max_area=None, border=True)
        quiet = Context(cancelled=self.context.cancelled)
        with self.model.lock:
            prepared = prepare(part, model, params, context=quiet)
        found = generate(prepared, params, context=quiet)
        return found.labels, found.scores

    def _finding(
        self,
        block: Block,
        labels: LabelArray,
        own: LabelArray,
        scores: npt.NDArray[np.float32],
    ) -> Finding:
        count = len(scores)
        seams = self.plan.seams_of(block)
        strips = {
            seam.before + seam.after - block.number: _part(labels, seam.box_yx, block.outer)
            for seam in seams
        }
        areas = np.bincount(own.ravel(), minlength=count + 1).astype(np.int64)
        return Finding(areas, self._cut(block, own, count), scores, strips, _checksum(own))

    def _cut(self, block: Block, own: LabelArray, count: int) -> npt.NDArray[np.bool_]:
        height, width = self.plan.shape
        y0, x0, y1, x1 = block.own
        touching = np.zeros(count + 1, bool)
        for at_border, edge in (
            (y0 == 0, own[0]),
            (x0 == 0, own[:, 0]),
            (y1 == height, own[-1]),
            (x1 == width, own[:, -1]),
        ):
            if at_border:
                touching[edge] = True
        return touching


def _part(labels: LabelArray, box: IntBoxYX, outer: IntBoxYX) -> LabelArray:
    """Return a box of the plane from the labels of the part `outer`."""
    y, x = outer[:2]
    return labels[box[0] - y : box[2] - y, box[1] - x : box[3] - x]


def _checksum(labels: LabelArray) -> int:
    return zlib.crc32(np.ascontiguousarray(labels, dtype="<i4").tobytes())


def _save(path: Path, finding: Finding) -> None:
    arrays: dict[str, Any] = {f"strip{other}": one for other, one in finding.strips.items()}
    arrays |= {"areas": finding.areas, "cut": finding.cut, "scores": finding.scores}
    arrays["checksum"] = np.uint32(finding.checksum)
    # A block that was given to a second worker may be written by both.
    with replacing(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays)


def load_finding(path: Path) -> Finding:
    """Return what a block found.

    Raises
    ------
    LabelsError
        The record is damaged; it is removed, so that the next run does the block again.
    OSError
        There is none.
    """
    try:
        # Given a path, numpy leaves a damaged file open.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            strips = {
                int(name.removeprefix("strip")): file[name]
                for name in file.files
                if name.startswith("strip")
            }
            return Finding(
                file["areas"], file["cut"], file["scores"], strips, int(file["checksum"])
            )
    except (ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        path.unlink(missing_ok=True)
        raise LabelsError(
            f"the record {path} of a finished block is damaged ({error}); start again to do this "
            "block again and keep the others"
        ) from error
