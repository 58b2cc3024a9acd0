"""The pairs that a training learns from: rows that are added and removed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from napari.components import ViewerModel
from napari.layers import Image
from napari.utils import notifications
from qtpy.QtWidgets import QFileDialog

from napari_segmate.core.errors import SegmateError
from napari_segmate.plugin.train.pair_rows import FileRow, LayerRow, Row
from napari_segmate.plugin.train.run import Source
from napari_segmate.plugin.worker.runner import Runner
from napari_segmate.training.data import Annotation
from napari_segmate.training.files import expand, pair_files
from napari_segmate.widgets.pair_list import PairList

__all__ = ["TrainingRows"]

FILES = "Images (*.tif *.tiff *.png *.jpg *.jpeg *.npy);;All files (*)"


class TrainingRows:
    """Pairs of images and labels.

    Parameters
    ----------
    viewer : ViewerModel
        Whose layers are offered.
    view : PairList
        Where the rows are shown.
    runner : Runner
        Counts labels.
    changed : callable
        Called without arguments when something else is known about a pair.
    """

    def __init__(
        self, viewer: ViewerModel, view: PairList, runner: Runner, changed: Callable[[], None]
    ) -> None:
        self.rows: list[Row] = []
        self._viewer, self._view = viewer, view
        self._runner, self._changed = runner, changed
        self._annotation = Annotation.PLANES
        view.add_layers_clicked.connect(self.add_layers)
        view.add_files_clicked.connect(self._ask_files)
        view.add_folders_clicked.connect(self._ask_folders)

    # What they say

    @property
    def name(self) -> str:
        """Name of the first image."""
        return next((row.name for row in self.rows if row.name), "")

    @property
    def count(self) -> int:
        """Number of objects to learn from, as far as it is known."""
        return sum(row.count for row in self.rows)

    @property
    def error(self) -> str:
        """Why one of them cannot be used, empty when all can."""
        return next((row.error for row in self.rows if row.error), "")

    def sources(self) -> list[Source]:
        """Return what to learn from, as it is now.

        Raises
        ------
        SegmateError
            A pair cannot be used; says why.
        """
        return [row.source() for row in self.rows]

    def set_annotation(self, annotation: Annotation) -> None:
        """Take what counts as annotated."""
        self._annotation = annotation
        for row in self.rows:
            if row.annotation is not annotation:
                row.set_annotation(annotation)

    def close(self) -> None:
        """Follow no layers any more."""
        for row in self.rows:
            row.close()

    # More and fewer

    def add_layers(self) -> None:
        """Add a pair of layers: the image in view that is in no row yet, and its labels."""
        row = LayerRow(self._viewer, self._runner, self._changed)
        self._add(row)
        used = {id(one.image) for one in self.rows if isinstance(one, LayerRow) and one is not row}
        active = self._viewer.layers.selection.active
        images = [active, *reversed(self._viewer.layers)]
        free = [one for one in images if isinstance(one, Image) and id(one) not in used]
        row.choose_fitting(next(iter(free), None))

    def add_files(self, pairs: Sequence[tuple[Path, Path]]) -> None:
        """Add pairs of files; a first row without labels makes room for them."""
        for row in list(self.rows):
            if isinstance(row, LayerRow) and row.labels is None:
                self._remove(row)
        for image, labels in pairs:
            self._add(FileRow(image, labels, self._runner, self._changed))

    def add_matching(self, images: Sequence[str], labels: Sequence[str]) -> None:
        """Add the files that names and folders mean, paired by their names."""
        try:
            self.add_files(pair_files(expand(images), expand(labels)))
        except SegmateError as error:
            notifications.show_warning(str(error))

    def _add(self, row: Row) -> None:
        row.set_annotation(self._annotation)
        row.view.remove_clicked.connect(lambda: self._remove(row))
        self.rows.append(row)
        self._view.add(row.view)
        self._changed()

    def _remove(self, row: Row) -> None:
        if row in self.rows:
            self.rows.remove(row)
            row.close()
            self._view.remove(row.view)
            self._changed()

    def _ask_files(self) -> None:
        images, _ = QFileDialog.getOpenFileNames(self._view, "Images to learn from", "", FILES)
        if not images:
            return
        folder = str(Path(images[0]).parent)
        labels, _ = QFileDialog.getOpenFileNames(self._view, "Their label images", folder, FILES)
        if labels:
            self.add_matching(images, labels)

    def _ask_folders(self) -> None:
        view = self._view
        images = QFileDialog.getExistingDirectory(view, "Folder of the images")
        labels = images and QFileDialog.getExistingDirectory(view, "Folder of the labels", images)
        if labels:
            self.add_matching([images], [labels])
