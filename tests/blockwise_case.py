"""A small image that is labelled block by block."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import zarr

from napari_segmate.core.context import Context
from napari_segmate.io.ome_zarr import open_ome
from napari_segmate.tasks.automask.run import Params
from napari_segmate.tasks.blockwise.run import Written, label_blocks, work_folder
from napari_segmate.tasks.blockwise.work import ImageFile, ModelHandle

PARAMS = Params(diameter=24.0)
BLOCKS = 4


@dataclass
class Case:
    """An image, where its labels go, and the model."""

    image: Path
    target: Path
    handle: ModelHandle

    @classmethod
    def make(cls, folder: Path, handle: ModelHandle) -> Case:
        values = np.full((192, 192), 20, np.uint8)
        for y, x in [(40, 40), (116, 60), (60, 118), (150, 150)]:
            values[y : y + 24, x : x + 24] = 220
        path = folder / "image.zarr"
        array = zarr.create_array(str(path), shape=values.shape, chunks=(64, 64), dtype="u1")
        array[...] = values
        return cls(path, folder / "labels.zarr", handle)

    @property
    def work(self) -> Path:
        return work_folder(self.target)

    @property
    def findings(self) -> list[Path]:
        return sorted((self.work / "findings").glob("*.npz"))

    def run(self, context: Context | None = None, scheduler: str | None = None) -> Written:
        return label_blocks(
            ImageFile(str(self.image)),
            self.handle,
            self.target,
            PARAMS,
            block=96,
            scheduler=scheduler,
            context=context,
        )

    def stop_before_writing(self) -> None:
        """Leave a run that has all blocks finished, as a kill at that moment would."""

        class Killed(BaseException):
            pass

        def progress(done: int, total: int, text: str) -> None:
            if text == "joining blocks":
                raise Killed

        with pytest.raises(Killed):
            self.run(Context(progress=progress))
        assert len(self.findings) == BLOCKS

    def labels(self) -> np.ndarray:
        image = open_ome(self.target)
        assert image is not None
        return np.asarray(image.levels[0][...])
