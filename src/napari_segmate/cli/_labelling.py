"""What ``segmate auto`` does to each image: labels, and what lies beside them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer

from napari_segmate.cli._reading import Reading, ome_of
from napari_segmate.core.context import Context
from napari_segmate.core.image import ContrastMode, ImageSource
from napari_segmate.core.lengths import Length

if TYPE_CHECKING:
    from napari_segmate.core.types import LabelArray
    from napari_segmate.models.base import Segmenter
    from napari_segmate.tasks.auto import Params
    from napari_segmate.tasks.blocks import Output

__all__ = ["Blocks", "Labeller", "Writing", "is_blocks"]


@dataclass(frozen=True)
class Blocks:
    """How labels of any size are made, and the name, device and precision of the model."""

    side: int | None
    scheduler: str | None
    model: tuple[str, str, bool]


@dataclass(frozen=True)
class Writing:
    """What is written beside the labels."""

    table: bool
    coco: bool

    def files(self, image: Path, target: Path) -> list[Path]:
        """Return what it is."""
        endings = [".csv"] * self.table + [".coco.json"] * self.coco
        return [target.with_suffix(ending) for ending in endings]

    def write(self, image: Path, target: Path, labels: Any) -> None:
        """Write it."""
        for path in self.files(image, target):
            _write_beside(path, image, labels)

    def complete(self, image: Path, target: Path) -> None:
        """Write what is missing beside labels that are there."""
        missing = [path for path in self.files(image, target) if not path.exists()]
        if missing:
            from napari_segmate.io.images import read_image

            data, _ = read_image(target)
            for path in missing:
                _write_beside(path, image, data[0] if isinstance(data, list) else data)


def _write_beside(path: Path, image: Path, labels: Any) -> None:
    from napari_segmate.io.tables import write_coco, write_measurements

    if path.suffix == ".csv":
        write_measurements(path, np.asarray(labels))
    else:
        write_coco(path, np.asarray(labels), image.name)


@dataclass(frozen=True)
class Labeller:
    """What is done to each image."""

    model: Segmenter
    params: Params
    diameter: Length | None
    reading: Reading
    writing: Writing
    blocks: Blocks
    context: Context

    @property
    def made_with(self) -> dict[str, Any]:
        params = asdict(self.params)
        if self.diameter is not None and self.diameter.value:
            size = self.diameter
            params["diameter"] = str(size) if size.micrometres else size.value
        return {
            "model": self.model.key,
            "params": params,
            "reading": asdict(self.reading),
            "block": self.blocks.side,
        }

    def run(self, image: Path, target: Path) -> dict[str, Any]:
        """Label one image and write what belongs to it; return facts on the result."""
        params = replace(self.params, diameter=self.reading.pixels(image, self.diameter))
        make = self._blockwise if is_blocks(target) else self._whole
        labels = make(image, target, params)
        self.writing.write(image, target, labels)
        facts = {"objects": _largest(labels), "shape": list(labels.shape)}
        if not facts["objects"]:
            typer.echo(f"segmate: {image.name}: {self._nothing_found(params)}", err=True)
        facts |= self.reading.stack_facts(image, len(labels.shape))
        return facts | self.reading.size_facts(image, self.diameter)

    def _nothing_found(self, params: Params) -> str:
        from napari_segmate.tasks.auto import mode_for, suited
        from napari_segmate.tasks.auto_nothing import nothing_found

        mode = mode_for(self.model, params)
        return nothing_found(suited(params, self.model.info, mode), mode)

    def _whole(self, image: Path, target: Path, params: Params) -> LabelArray:
        """Return the labels of an image that fit into memory, once they are written."""
        from napari_segmate.io.labels import write_labels

        labels = self._labels(self.reading.source(image), image, params)
        write_labels(target, labels, axes=None if labels.ndim > 3 else "ZYX"[3 - labels.ndim :])
        return labels

    def _labels(self, source: ImageSource, image: Path, params: Params) -> LabelArray:
        from napari_segmate.tasks.auto import run, run_stack

        sizes = source.index_shape
        if all(size == 1 for size in sizes):
            index = (0,) * len(sizes)
            contrast = source.estimate_contrast(ContrastMode.PLANE, index)
            plane = source.plane(index, contrast)
            return run(plane, self.model, params, context=self.context).labels
        return run_stack(
            source,
            self.model,
            params,
            link=self.reading.link,
            anisotropy=self.reading.anisotropy_of(image),
            context=self.context,
        )

    def _blockwise(self, image: Path, target: Path, params: Params) -> Any:
        """Return the labels of an image of any size, not read yet, once they are written."""
        from napari_segmate.io.ome_zarr import open_ome
        from napari_segmate.tasks.block_work import ImageFile, ModelHandle
        from napari_segmate.tasks.blocks import BLOCK, label_blocks

        file = ImageFile(str(image.resolve()), self.reading.axes, self.reading.channels)
        written = label_blocks(
            file,
            ModelHandle(*self.blocks.model, model=self.model),
            target,
            params,
            output=self._output(image, len(file.open().index_shape)),
            block=BLOCK if self.blocks.side is None else self.blocks.side,
            scheduler=self.blocks.scheduler,
            overwrite=True,  # what was there is already known to be given up
            context=self.context,
        )
        result = open_ome(written.path)
        assert result is not None, "just written"
        return result.levels[0]

    def _output(self, image: Path, planes: int) -> Output:
        """Return how blocks are written: with axes and sizes of an OME-Zarr."""
        from napari_segmate.tasks.blocks import Output

        output = Output(
            link_axis=planes - 1 if planes and self.reading.link else None,
            anisotropy=self.reading.anisotropy_of(image),
        )
        known = None if self.reading.axes else ome_of(image)
        if known is None:
            return output
        kept = [at for at, letter in enumerate(known.axes) if letter != "c"]
        letters = "".join(known.axes[at] for at in kept)
        scale = tuple(known.scale[at] for at in kept)
        return replace(output, axes=letters, scale=scale, units=known.units)


def _largest(labels: Any) -> int:
    """Return the highest number in labels that may be larger than memory."""
    if isinstance(labels, np.ndarray):
        return int(labels.max(initial=0))
    rows = labels.chunks[-2]
    bands = product(*map(range, labels.shape[:-2]), range(0, labels.shape[-2], rows))
    return max(
        int(np.max(labels[(*place, slice(row, row + rows))], initial=0)) for *place, row in bands
    )


def is_blocks(target: Path) -> bool:
    """Tell whether labels are made block by block."""
    return target.suffix.lower() == ".zarr"
