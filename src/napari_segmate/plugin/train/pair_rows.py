"""Rows of pairs: each follows its layers and says what is labelled in them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from qtpy.QtWidgets import QLabel

from napari_segmate.core.context import Context
from napari_segmate.core.errors import LabelsError, SegmateError
from napari_segmate.core.images.image_source import ImageAxes
from napari_segmate.core.types import IntBoxYX
from napari_segmate.plugin.docks.layer_choosers import LayerChooser
from napari_segmate.plugin.labels.layer_names import OUTPUT_NAME, PREVIEW_NAME, PROPOSALS_NAME
from napari_segmate.plugin.planes.alignment import Alignment, align
from napari_segmate.plugin.planes.geometry import DisplayedPlane, Geometry
from napari_segmate.plugin.planes.region import RegionLayer
from napari_segmate.plugin.train.pairs import (
    LabelSummary,
    Pair,
    pair_from_files,
    pair_from_layers,
    parse_planes,
    summary_text,
)
from napari_segmate.plugin.train.run import Source
from napari_segmate.plugin.worker.debounce import Debouncer
from napari_segmate.plugin.worker.runner import Job, Runner
from napari_segmate.training.data import Annotation
from napari_segmate.widgets.pair_list import PairNote, PairRow

__all__ = ["FileRow", "LayerRow", "Row"]

NO_IMAGE = "choose an image to learn from"
NO_LABELS = "choose the labels of '{}'; the Segment panel makes some"

RECOUNT_MS = 400
"""How long after the last stroke of a brush labels are counted again."""
LABEL_EVENTS = ("data", "set_data", "labels_update", "paint", "scale", "translate", "affine")
IMAGE_EVENTS = ("data", "scale", "translate", "affine")
EDGE_SHARE = 1 / 200


class _NotChosenError(LabelsError):
    """A chooser is empty: seen at once, so that nothing is wrong yet."""


class Row(ABC):
    """One pair, as a row of the panel.

    Parameters
    ----------
    view : PairRow
        What is seen of it.
    runner : Runner
        Counts labels.
    changed : callable
        Called without arguments when something else is known about the pair.
    """

    def __init__(self, view: PairRow, runner: Runner, changed: Callable[[], None]) -> None:
        self.view = view
        self.annotation = Annotation.PLANES
        self.summary: LabelSummary | None = None
        self.error = ""
        self._runner = runner
        self._changed = changed
        self._job: Job | None = None
        view.planes_edited.connect(self._on_planes)

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the image."""

    @abstractmethod
    def source(self) -> Source:
        """Return what to learn from, as it is now.

        Raises
        ------
        SegmateError
            The pair cannot be used; says why.
        """

    @abstractmethod
    def _work(self) -> Callable[[Context], tuple[LabelSummary, int]]:
        """Return what counts the labels, for the worker thread; raises as `source`."""

    def close(self) -> None:
        """Follow nothing any more."""
        if self._job is not None:
            self._job.cancel()

    def set_annotation(self, annotation: Annotation) -> None:
        """Take what counts as annotated."""
        self.annotation = annotation
        self.view.show_rectangle(annotation is Annotation.RECTANGLE)

    @property
    def count(self) -> int:
        """Number of objects to learn from, 0 while that is not known."""
        if self.summary is None or self.error:
            return 0
        return self.summary.count(self._planes(self.summary))

    def recount(self) -> None:
        """Count labels again."""
        if self._job is not None:
            self._job.cancel()
        try:
            self._job = Job(self._work(), self._on_summary, self._on_error)
        except SegmateError as error:
            self._job = None
            self._on_error(error)
            return
        self._runner.submit(self._job)

    def _planes(self, summary: LabelSummary) -> tuple[int, ...] | None:
        return parse_planes(self.view.planes, summary.n_planes) if summary.stack else None

    def _chosen_planes(self) -> tuple[int, ...] | None:
        return None if self.summary is None else self._planes(self.summary)

    def _on_summary(self, found: tuple[LabelSummary, int]) -> None:
        self.summary, channels = found
        self.error = ""
        try:
            text = (
                summary_text(self.summary, self._planes(self.summary), channels)
                + self._extra_note()
            )
        except LabelsError as error:
            text, self.error = str(error), str(error)
        self.view.show_note(PairNote(text, bool(self.error), self.summary.stack))
        self._changed()

    def _extra_note(self) -> str:
        """Return what else is to be said about the pair."""
        return ""

    def _on_error(self, error: BaseException) -> None:
        known = isinstance(error, SegmateError)
        self.error = str(error) if known else f"{type(error).__name__}: {error}"
        self.summary = None
        text = "" if isinstance(error, _NotChosenError) else self.error
        self.view.show_note(PairNote(text[:1].upper() + text[1:], error=True))
        self._changed()

    def _on_planes(self, text: str) -> None:
        self.recount()


def _summary_of(pair: Pair, context: Context) -> tuple[LabelSummary, int]:
    return pair.summarise(context), pair.source.n_channels


class LayerRow(Row):
    """A pair of layers.

    Parameters
    ----------
    viewer : ViewerModel
        Whose layers.
    runner : Runner
        Counts labels.
    changed : callable
        Called without arguments when something else is known about the pair.
    """

    def __init__(self, viewer: ViewerModel, runner: Runner, changed: Callable[[], None]) -> None:
        self._viewer = viewer
        self._followed: list[Any] = []
        self._ready = False
        self._recount_soon = Debouncer(self.recount, RECOUNT_MS)
        self._images = LayerChooser(viewer, lambda layer: isinstance(layer, Image), self._on_layer)
        self._labels = LayerChooser(viewer, _is_labels, self._on_layer)
        self._region = RegionLayer(viewer, self._recount_soon)
        super().__init__(PairRow(self._images.native, self._labels.native), runner, changed)
        self.view.draw_clicked.connect(self._draw)
        viewer.dims.events.order.connect(self._recount_soon)
        self._ready = True
        self._on_layer(None)

    @property
    def image(self) -> Image | None:
        """The image that is chosen."""
        layer = self._images.layer
        return layer if isinstance(layer, Image) else None

    @property
    def labels(self) -> Labels | None:
        """The labels that are chosen."""
        layer = self._labels.layer
        return layer if isinstance(layer, Labels) else None

    @property
    def name(self) -> str:
        """Name of the image."""
        return self.image.name if self.image is not None else ""

    def choose(self, image: Image | None, labels: Labels | None) -> None:
        """Choose layers; None leaves what is chosen."""
        if image is not None:
            self._images.choose(image)
        if labels is not None:
            self._labels.choose(labels)

    def choose_fitting(self, image: Image | None) -> None:
        """Choose an image and the last labels that lie on it, those of the panels first."""
        if image is not None:
            self._images.choose(image)
        image = self.image
        if image is None:
            return
        fitting = [
            layer
            for layer in reversed(self._viewer.layers)
            if _is_labels(layer) and self._fits(image, layer)
        ]
        own = [layer for layer in fitting if layer.name.startswith(OUTPUT_NAME)]
        for layer in (own or fitting)[:1]:
            self._labels.choose(layer)

    def _fits(self, image: Image, labels: Layer) -> bool:
        try:
            align(image, labels, self._viewer.dims)
        except SegmateError:
            return False
        return True

    def source(self) -> Source:
        """Return what to learn from, as it is now."""
        planes = self._chosen_planes()
        return Source(self._pair(), self.annotation, planes, self._rectangle())

    def close(self) -> None:
        """Follow nothing any more, and take the rectangle away."""
        super().close()
        self._recount_soon.stop()
        self._unfollow()
        self._viewer.dims.events.order.disconnect(self._recount_soon)
        self._images.close()
        self._labels.close()
        self._region.remove()

    def set_annotation(self, annotation: Annotation) -> None:
        """Take what counts as annotated; a rectangle that does not count is hidden."""
        super().set_annotation(annotation)
        if self._region.layer is not None:
            self._region.layer.visible = annotation is Annotation.RECTANGLE
        self._recount_soon()

    def _pair(self) -> Pair:
        if self.image is None:
            raise _NotChosenError(NO_IMAGE)
        if self.labels is None:
            raise _NotChosenError(NO_LABELS.format(self.image.name))
        return pair_from_layers(self.image, self.labels, self._viewer.dims)

    def _work(self) -> Callable[[Context], tuple[LabelSummary, int]]:
        pair = self._pair()
        return lambda context: _summary_of(pair, context)

    # The rectangle

    def _rectangle(self) -> IntBoxYX | None:
        if self.annotation is not Annotation.RECTANGLE or self.image is None:
            return None
        if self.labels is None:
            return None
        return self._region.box(_any_plane(align(self.image, self.labels, self._viewer.dims)))

    def _extra_note(self) -> str:
        if self.annotation is not Annotation.RECTANGLE:
            return ""
        try:
            box = self._rectangle()
        except SegmateError:
            return ""
        if box is None:
            return ". Draw the rectangle; until then, the box round all labels counts"
        return f". The rectangle has {box[2] - box[0]} x {box[3] - box[1]} pixels"

    def _draw(self) -> None:
        image = self.image
        if image is not None:
            height, width = image.data.shape[: image.ndim][-2:]
            self._region.take_tool(Geometry.of(image), max(1.0, max(height, width) * EDGE_SHARE))

    # Following layers

    def _on_layer(self, layer: Layer | None) -> None:
        if not self._ready:
            return
        self._unfollow()
        for one, names in ((self.image, IMAGE_EVENTS), (self.labels, LABEL_EVENTS)):
            if one is not None:
                self._followed += [getattr(one.events, name) for name in names]
        for event in self._followed:
            event.connect(self._recount_soon)
        self.recount()

    def _unfollow(self) -> None:
        for event in self._followed:
            event.disconnect(self._recount_soon)
        self._followed.clear()


def _is_labels(layer: Layer) -> bool:
    # Of a second one the viewer counts on: "SegMate proposals [1]".
    return isinstance(layer, Labels) and not layer.name.startswith((PREVIEW_NAME, PROPOSALS_NAME))


def _any_plane(alignment: Alignment) -> DisplayedPlane:
    """Return a plane that turns coordinates of the image into those of its planes."""
    axes = alignment.axes
    known = [axis for axis in (axes.y, axes.x, axes.channel) if axis is not None]
    known += [one.image_axis for one in alignment.maps if one.image_axis is not None]
    flat = ImageAxes(y=axes.y, x=axes.x, channel=axes.channel, rgb=axes.rgb)
    return DisplayedPlane(flat, (0,) * (max(known) + 1), alignment.shape)


class FileRow(Row):
    """A pair of files.

    Parameters
    ----------
    image, labels : Path
        The files.
    runner : Runner
        Counts labels.
    changed : callable
        Called without arguments when something else is known about the pair.
    """

    def __init__(
        self, image: Path, labels: Path, runner: Runner, changed: Callable[[], None]
    ) -> None:
        self._files = image, labels
        view = PairRow(_file_label(image), _file_label(labels), drawable=False)
        super().__init__(view, runner, changed)
        self.recount()

    @property
    def name(self) -> str:
        """Name of the image."""
        return self._files[0].name.partition(".")[0]

    def source(self) -> Source:
        """Return what to learn from; the files are read when training begins."""
        return Source(self._files, self.annotation, self._chosen_planes())

    def _work(self) -> Callable[[Context], tuple[LabelSummary, int]]:
        return lambda context: _summary_of(pair_from_files(*self._files), context)


def _file_label(path: Path) -> QLabel:
    label = QLabel(path.name)
    label.setToolTip(str(path))
    # A long name must not widen the dock.
    label.setMinimumWidth(10)
    return label
