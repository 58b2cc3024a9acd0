"""Everything that most users never change, folded away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible
from superqt.utils import signals_blocked

from napari_segmate.core.images.image_source import ContrastMode
from napari_segmate.core.labels.commit import CommitPolicy
from napari_segmate.sessions.prompt_set import PointMode
from napari_segmate.widgets.diameter_box import DiameterBox
from napari_segmate.widgets.layout import choose, refill

__all__ = ["OptionValues", "OptionsView"]

CONTRAST_TITLES: Mapping[Enum, str] = {
    ContrastMode.PLANE: "of this plane",
    ContrastMode.STACK: "of the whole stack",
    ContrastMode.LAYER: "as the layer shows it",
}
POLICY_TITLES: Mapping[Enum, str] = {
    CommitPolicy.KEEP_OBJECTS: "keep other objects",
    CommitPolicy.OVERWRITE: "overwrite others",
    CommitPolicy.ONLY_BACKGROUND: "skip what is labelled",
}
POLICY_TIP = (
    "What happens to labels underneath. Of many objects at once, those that lie on others by more "
    "than half are left out, unless they overwrite"
)
MODE_TITLES: Mapping[Enum, str] = {
    PointMode.ONE_OBJECT: "all on one object",
    PointMode.EACH_POINT: "one object each",
}
DEVICE_TITLES = {"auto": "automatic", "cpu": "processor (CPU)"}
NO_CHANNELS = -1
LARGEST_MIN_SIZE = 1_000_000


@dataclass(frozen=True)
class OptionValues:
    """What the options say.

    Parameters
    ----------
    device : str
        Where the model runs: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"mps"``.
    contrast : ContrastMode
        How intensities become grey values.
    channel_axis : int, optional
        Axis of the image that holds channels.
    channels : tuple of int or None
        Channel shown as red, green and blue.
    points : PointMode
        Whether points belong to one object.
    policy : CommitPolicy
        What happens to labels that lie under a new object.
    fill_holes : bool
        Fill the holes of objects.
    min_size : int
        Drop pieces smaller than this many pixels.
    diameter : float
        Typical object in pixels; 0 has it estimated.
    """

    device: str = "auto"
    contrast: ContrastMode = ContrastMode.PLANE
    channel_axis: int | None = None
    channels: tuple[int | None, int | None, int | None] = (0, 1, 2)
    points: PointMode = PointMode.ONE_OBJECT
    policy: CommitPolicy = CommitPolicy.KEEP_OBJECTS
    fill_holes: bool = True
    min_size: int = 0
    diameter: float = 0.0


class OptionsView(QCollapsible):
    """A form of `OptionValues` that folds away."""

    changed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Options", parent)
        self.setDuration(0)
        self._added = 0
        self._form = QFormLayout()
        self._form.setContentsMargins(4, 4, 4, 4)
        self._form.setVerticalSpacing(4)
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._points = self._combo("Points", MODE_TITLES, "Whether your points mark one object")
        self._policy = self._combo("Commit", POLICY_TITLES, POLICY_TIP)
        self._contrast = self._combo("Contrast", CONTRAST_TITLES, "The range the model sees")
        self._device = self._combo("Device", DEVICE_TITLES, "Where the model runs")
        self._channel_axis = self._combo(
            "Channels", {NO_CHANNELS: "none"}, "The axis that holds channels, not planes"
        )
        self._colours = tuple(self._combo(name, {None: "–"}) for name in ("Red", "Green", "Blue"))
        self._fill = QCheckBox("Fill holes")
        self._size = QSpinBox()
        self._diameter = DiameterBox("Typical object: small ones are shown to the model enlarged")
        self._finish_form()
        self.show_values(OptionValues())
        self.show_channel_axes({}, {})

    def _combo(self, label: str, titles: Mapping[Any, str], tip: str = "") -> QComboBox:
        combo = QComboBox()
        combo.setToolTip(tip)
        # A long entry must not widen the whole dock.
        combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        combo.setMinimumContentsLength(8)
        refill(combo, titles)
        combo.currentIndexChanged.connect(self._emit)
        self._form.addRow(label, combo)
        return combo

    def _finish_form(self) -> None:
        self._fill.toggled.connect(self._emit)
        self._size.setRange(0, LARGEST_MIN_SIZE)
        self._size.setSuffix(" px")
        self._size.setToolTip("Pieces smaller than this are dropped")
        self._size.valueChanged.connect(self._emit)
        self._form.addRow("Smallest", self._size)
        self._diameter.valueChanged.connect(self._emit)
        self._form.addRow("Object size", self._diameter)
        self._form.addRow("", self._fill)
        content = QWidget()
        layout = QVBoxLayout(content)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(self._form)
        self.setContent(content)
        # Its own arrows are drawn black in every theme.
        self.setCollapsedIcon(QIcon())
        self.setExpandedIcon(QIcon())
        self.toggled.connect(self._show_arrow)
        self.collapse(animate=False)
        self._show_arrow(False)

    def add_row(self, label: str, widget: QWidget) -> None:
        """Put something of a dock's own above the rows that all docks have."""
        self._form.insertRow(self._added, label, widget)
        self._added += 1

    def leave_out_points(self) -> None:
        """Hide what matters only where the user clicks."""
        self._form.setRowVisible(self._points, False)

    def leave_out_sizes(self) -> None:
        """Hide sizes of objects, where a dock asks for them elsewhere."""
        for widget in (self._size, self._diameter):
            self._form.setRowVisible(widget, False)

    def _show_arrow(self, expanded: bool) -> None:
        self.setText(f"{'▼' if expanded else '▶'}  Options")

    @property
    def values(self) -> OptionValues:
        """What the form says."""
        axis = self._channel_axis.currentData()
        red, green, blue = (combo.currentData() for combo in self._colours)
        return OptionValues(
            device=self._device.currentData(),
            contrast=self._contrast.currentData(),
            channel_axis=None if axis in (None, NO_CHANNELS) else axis,
            channels=(red, green, blue),
            points=self._points.currentData(),
            policy=self._policy.currentData(),
            fill_holes=self._fill.isChecked(),
            min_size=self._size.value(),
            diameter=self._diameter.value(),
        )

    def show_values(self, values: OptionValues) -> None:
        """Fill the form; emits nothing."""
        axis = NO_CHANNELS if values.channel_axis is None else values.channel_axis
        choose(self._device, values.device)
        choose(self._contrast, values.contrast)
        choose(self._points, values.points)
        choose(self._policy, values.policy)
        choose(self._channel_axis, axis)
        self._show_colours()
        for combo, channel in zip(self._colours, values.channels, strict=True):
            choose(combo, channel)
        with (
            signals_blocked(self._fill),
            signals_blocked(self._size),
            signals_blocked(self._diameter),
        ):
            self._fill.setChecked(values.fill_holes)
            self._size.setValue(values.min_size)
            self._diameter.setValue(values.diameter)

    def show_estimate(self, diameter: float) -> None:
        """Say how large objects were estimated to be, in pixels; 0 is not known."""
        self._diameter.show_estimate(diameter)

    def show_pixel_size(self, micrometres: float) -> None:
        """Tell how many micrometres a pixel is wide; 0 is not known."""
        self._diameter.show_pixel_size(micrometres)

    def show_devices(self, devices: Sequence[str]) -> None:
        """Offer devices, ``"auto"`` first."""
        titles = {name: DEVICE_TITLES.get(name, name.upper()) for name in ("auto", *devices)}
        refill(self._device, titles)

    def show_channel_axes(self, axes: Mapping[int, str], counts: Mapping[int, int]) -> None:
        """Offer the axes that may hold channels, by number, with how many entries each has."""
        self._counts = dict(counts)
        refill(self._channel_axis, {NO_CHANNELS: "none", **axes})
        self._form.setRowVisible(self._channel_axis, bool(axes))
        self._show_colours()

    def _show_colours(self) -> None:
        axis = self._channel_axis.currentData()
        count = self._counts.get(axis, 0) if hasattr(self, "_counts") else 0
        for combo in self._colours:
            shown = combo.currentData()
            refill(
                combo, {None: "–", **{number: str(number) for number in range(count)}}, keep=shown
            )
            self._form.setRowVisible(combo, count > 0)

    def _emit(self) -> None:
        if self.sender() is self._channel_axis:
            self._show_colours()
            self._default_colours()
        self.changed.emit(self.values)

    def _default_colours(self) -> None:
        for number, combo in enumerate(self._colours):
            choose(combo, number)
