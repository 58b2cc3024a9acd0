"""What ``segmate auto`` does to each image: labels, and what lies beside them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_segmate.cli._reading import Reading
from napari_segmate.cli._words import counted
from napari_segmate.core.context import Context
from napari_segmate.core.images.image_source import ContrastMode, ImageSource
from napari_segmate.core.numbers.lengths import Length

if TYPE_CHECKING:
    from napari_segmate.core.types import LabelArray
    from napari_segmate.models.base import Segmenter
    from napari_segmate.tasks.automask.run import Params
    from napari_segmate.tasks.blockwise.run import Output

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
    notices: list[str] = field(default_factory=list)

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
        self.notices.extend(self.reading.notes(image))
        params = replace(self.params, diameter=self.reading.pixels(image, self.diameter))
        make = self._blockwise if is_blocks(target) else self._whole
        labels = make(image, target, params)
        self.writing.write(image, target, labels)
        facts = {"objects": _largest(labels), "shape": list(labels.shape)}
        self._explain(image, params, facts["objects"] == 0)
        facts |= self.reading.stack_facts(image, len(labels.shape))
        return facts | self.reading.size_facts(image, self.diameter)

    def _explain(self, image: Path, params: Params, empty: bool) -> None:
        """Say why nothing, or not all, may have been found."""
        from napari_segmate.tasks.automask.nothing_found import nothing_found
        from napari_segmate.tasks.automask.run import largest_diameter, mode_for, suited

        limit = largest_diameter(self.model)
        if params.diameter is not None and limit and params.diameter > limit:
            self.notices.append(
                f"{image}: objects of {params.diameter:.4g} pixels are more than {limit:.4g}, the "
                f"most that {self.model.info.name} can see; make the image smaller, or use a model "
                "with --mode grid"
            )
        elif empty:
            mode = mode_for(self.model, params)
            said = nothing_found(suited(params, self.model.info, mode), mode)
            self.notices.append(f"{image.name}: {said}")

    def _whole(self, image: Path, target: Path, params: Params) -> LabelArray:
        """Return the labels of an image that fit into memory, once they are written."""
        from napari_segmate.io.input_state import check_unchanged, input_state
        from napari_segmate.io.labels import write_labels

        before, layout = input_state(image), self.reading.layout(image)
        labels = self._labels(self.reading.source(image), image, params)
        check_unchanged(image, before)
        write_labels(target, labels, layout)
        return labels

    def _labels(self, source: ImageSource, image: Path, params: Params) -> LabelArray:
        from napari_segmate.tasks.automask.run import run, run_stack

        sizes = source.index_shape
        if all(size == 1 for size in sizes):
            index = (0,) * len(sizes)
            contrast = source.estimate_contrast(ContrastMode.PLANE, index)
            plane = source.plane(index, contrast)
            return run(plane, self.model, params, context=self.context).labels
        axis = self.reading.link_axis(image, len(sizes))
        anisotropy = self.reading.anisotropy_of(image)
        if self._views(anisotropy):
            from napari_segmate.tasks.automask.volume import run_volumes

            return run_volumes(
                source,
                self.model,
                params,
                z_axis=-1 if axis is None else axis,
                anisotropy=anisotropy,
                context=self.context,
            )
        return run_stack(
            source,
            self.model,
            params,
            link=axis is not None,
            z_axis=-1 if axis is None else axis,
            anisotropy=anisotropy,
            context=self.context,
        )

    def _views(self, anisotropy: float) -> bool:
        """Tell whether objects are found in planes of three directions."""
        from napari_segmate.tasks.automask.run import Mode
        from napari_segmate.tasks.automask.volume import Volume, volume_for

        if self.reading.volume != "auto":
            return self.reading.volume == Volume.VIEWS
        able = self.model.info.instance_head and self.params.mode in (None, Mode.OBJECTS)
        return able and volume_for(anisotropy) is Volume.VIEWS

    def _blockwise(self, image: Path, target: Path, params: Params) -> Any:
        """Return the labels of an image of any size, not read yet, once they are written."""
        from napari_segmate.io.ome_zarr import open_ome
        from napari_segmate.tasks.blockwise.run import BLOCK, label_blocks
        from napari_segmate.tasks.blockwise.work import ImageFile, ModelHandle

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
        if written.damaged:
            self.notices.append(
                f"{target}: {counted(written.damaged, 'block')} of an earlier run were damaged and "
                "done again"
            )
        result = open_ome(written.path)
        assert result is not None, "just written"
        return result.levels[0]

    def _output(self, image: Path, planes: int) -> Output:
        """Return how blocks are written: with axes and sizes of an OME-Zarr."""
        from napari_segmate.tasks.blockwise.run import Output

        output = Output(
            link_axis=self.reading.link_axis(image, planes),
            anisotropy=self.reading.anisotropy_of(image),
        )
        layout = self.reading.layout(image)
        if layout is None or len(layout.axes) != planes + 2:
            return output
        return replace(output, axes=layout.axes, scale=layout.scale, units=layout.units)


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
