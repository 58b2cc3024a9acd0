"""The panel of automask: one button finds everything, sliders say what counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QGridLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)
from superqt import QLabeledDoubleSlider
from superqt.utils import signals_blocked

from napari_segmate.sessions.auto_state import object_count
from napari_segmate.sessions.panel_state import PanelState
from napari_segmate.widgets.actions import AutoAction
from napari_segmate.widgets.diameter_box import DiameterBox
from napari_segmate.widgets.histogram_view import HistogramView, Series
from napari_segmate.widgets.layout import choose, form, narrow, refill, scrolled_column
from napari_segmate.widgets.options_view import OptionsView
from napari_segmate.widgets.panel import REGIONS, SearchPanel

__all__ = ["AutoPanel", "AutoValues"]

WIDTH_PX = 320
COLOUR = "#2196f3"
LARGEST_PX = 100_000.0
MODES: Mapping[str, str] = {
    "": "what suits the model",
    "objects": "objects (fast)",
    "refined": "objects, redrawn",
    "grid": "everything (grid)",
}
MODE_TIPS: Mapping[str, str] = {
    "": "Objects where the model knows what they are, otherwise everything",
    "objects": "All objects at once, as the model outlines them",
    "refined": "The same objects, each outlined again as if by a click: slower, finer",
    "grid": "Everything that a grid of clicks finds, parts and background too: takes minutes "
    "without a graphics card",
}
AUTO_REGIONS: Mapping[str, str] = {**REGIONS, "shapes": "shapes of a layer"}


SLIDERS: Mapping[str, tuple[str, str]] = {
    "foreground": ("Boundary", "Higher draws objects smaller and leaves out faint ones"),
    "seed": ("Joining", "Higher finds fewer cores: touching objects are split less"),
    "score": ("Score above", "Objects that the model is less sure of are left out"),
    "stability": ("Stability above", "Masks that change with the threshold are left out"),
}
OF_HEAD = ("foreground", "seed")
OF_MASKS = ("stability",)


@dataclass(frozen=True)
class AutoValues:
    """What the form says.

    Parameters
    ----------
    mode : str
        ``"objects"``, ``"refined"``, ``"grid"``; empty for what suits the model.
    diameter : float
        Typical object in pixels; 0 has it estimated.
    foreground, seed, score, stability : float
        Thresholds, 0 to 1.
    smallest, largest : float
        Pixels of an object; infinite for no limit.
    border : bool
        Keep objects that the border of the image cuts.
    """

    mode: str = ""
    diameter: float = 0.0
    foreground: float = 0.5
    seed: float = 0.55
    score: float = 0.0
    stability: float = 0.0
    smallest: float = 20.0
    largest: float = math.inf
    border: bool = True


class AutoPanel(SearchPanel[PanelState]):
    """Choosers, Run, status, histogram, sliders, what to do with the proposals.

    Parameters
    ----------
    image_chooser, output_chooser, shapes_chooser : QWidget
        Choosers of layers, made by the dock.
    """

    changed = Signal(object)

    def __init__(
        self,
        image_chooser: QWidget,
        output_chooser: QWidget,
        shapes_chooser: QWidget,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(AutoAction, OptionsView(), AUTO_REGIONS, parent)
        self._values = AutoValues()
        self.sizes = HistogramView(
            "Sizes in pixels", logarithmic=True, high_cut=True, empty_text="Sizes appear here"
        )
        self.options.leave_out_points()
        self.options.leave_out_sizes()
        self._mode = narrow(QComboBox())
        refill(self._mode, MODES, MODE_TIPS)
        self._mode.setToolTip("\n".join(f"{MODES[name]}: {tip}" for name, tip in MODE_TIPS.items()))
        self._diameter = DiameterBox("Diameter of a typical object; 0 has it estimated")
        self._smallest, self._largest = _size_box("no limit"), _size_box("no limit")
        self._boxes = self._smallest, self._largest, self._diameter
        self._sliders = {name: _slider(tip) for name, (_, tip) in SLIDERS.items()}
        self._border = QCheckBox("keep what it cuts")
        self._count = QLabel()
        # A long one must not widen the column beyond the dock, which would cut all of it off.
        self._count.setWordWrap(True)
        self._limits = QWidget()
        self._shapes = shapes_chooser
        self._lay_out(image_chooser, output_chooser)
        self._connect()
        self.show_values(self._values)
        self.show_state(PanelState())
        self.show_found((), 0)
        self.search.setRowVisible(self._shapes, False)
        self.show_planes(1)

    # Making

    def _lay_out(self, image_chooser: QWidget, output_chooser: QWidget) -> None:
        for row in (
            ("Image", image_chooser),
            ("Labels", output_chooser),
            ("Model", self._model),
            ("Find", self._mode),
            ("Object size", self._diameter),
            ("Search in", self._region),
            ("Shapes", self._shapes),
            ("Planes", self.planes),
        ):
            self.search.addRow(*row)
        column = scrolled_column(self, WIDTH_PX)
        column.addLayout(self.search)
        column.addWidget(self.add_button(AutoAction.RUN, main=True))
        column.addWidget(self.status)
        column.addWidget(self._count)
        column.addWidget(self._limit_form())
        column.addLayout(self._actions())
        column.addWidget(self.options)
        column.addStretch(1)

    def _limit_form(self) -> QWidget:
        self._form = form(*((SLIDERS[name][0], slider) for name, slider in self._sliders.items()))
        self._form.addRow("Smallest", self._smallest)
        self._form.addRow("Largest", self._largest)
        self._form.addRow("Image border", self._border)
        column = QVBoxLayout(self._limits)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.sizes)
        column.addLayout(self._form)
        return self._limits

    def _actions(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setSpacing(4)
        grid.addWidget(self.add_button(AutoAction.ACCEPT, main=True), 0, 0, 1, 2)
        rows = (
            (AutoAction.ACCEPT_ONE, AutoAction.DELETE_ONE),
            (AutoAction.DISCARD, AutoAction.TAKE_BACK),
        )
        for row, actions in enumerate(rows, start=1):
            for place, action in enumerate(actions):
                grid.addWidget(self.add_button(action), row, place)
        return grid

    def _connect(self) -> None:
        self._mode.currentIndexChanged.connect(lambda: self._set(mode=self._mode.currentData()))
        self._diameter.valueChanged.connect(lambda value: self._set(diameter=float(value)))
        for name, slider in self._sliders.items():
            slider.valueChanged.connect(self._setter(name))
        self._smallest.valueChanged.connect(lambda value: self._set(smallest=float(value)))
        self._largest.valueChanged.connect(lambda value: self._set(largest=value or math.inf))
        self._border.toggled.connect(lambda on: self._set(border=bool(on)))
        self.sizes.cut_changed.connect(self._on_cut)

    def _setter(self, name: str) -> Callable[[float], None]:
        def changed(value: float) -> None:
            self._set(**{name: float(value)})

        return changed

    def _on_region(self) -> None:
        self.search.setRowVisible(self._shapes, self.region == "shapes")
        super()._on_region()

    def _on_cut(self, low: float, high: float) -> None:
        smallest = 0.0 if math.isinf(low) else float(round(low))
        self._set(smallest=smallest, largest=high if math.isinf(high) else float(math.ceil(high)))

    def _set(self, **changes: object) -> None:
        values = replace(self._values, **changes)  # type: ignore[arg-type]
        if values != self._values:
            self.show_values(values)
            self.changed.emit(values)

    # Out

    @property
    def values(self) -> AutoValues:
        """What the form says."""
        return self._values

    # In

    def show_values(self, values: AutoValues) -> None:
        """Fill the form; emits nothing."""
        self._values = values
        finite = 0.0 if math.isinf(values.largest) else values.largest
        for name, slider in self._sliders.items():
            with signals_blocked(slider):
                slider.setValue(getattr(values, name))
        numbers = (values.smallest, finite, values.diameter)
        for box, value in zip(self._boxes, numbers, strict=True):
            with signals_blocked(box):
                box.setValue(value)
        with signals_blocked(self._border):
            self._border.setChecked(values.border)
        choose(self._mode, values.mode)
        self.sizes.show_cut(values.smallest or -math.inf, values.largest)

    def show_mode(self, mode: str, least: Mapping[str, float]) -> None:
        """Show the sliders that mean something in a mode, and where they begin."""
        for name in OF_HEAD:
            self._form.setRowVisible(self._sliders[name], mode != "grid")
        for name in OF_MASKS:
            self._form.setRowVisible(self._sliders[name], mode in ("grid", "refined"))
        for name, slider in self._sliders.items():
            with signals_blocked(slider):
                slider.setRange(least.get(name, 0.0), 1.0)

    def show_state(self, state: PanelState) -> None:
        """Show hint, error and progress, and which buttons do something now."""
        self.show_status(state)

    def show_found(
        self, areas: npt.ArrayLike, planes: int, *, linked: bool = False, objects: int = 0
    ) -> None:
        """Show how many proposals there are and how large.

        Parameters
        ----------
        areas : array_like of n int
            Pixels of each.
        planes : int
            How many have been searched.
        linked : bool
            Proposals that go on from plane to plane are one object.
        objects : int
            How many objects these are; 0 is not known yet.
        """
        areas = np.asarray(areas)
        count = len(areas)
        where = f" on {planes} planes" if planes > 1 else ""
        self._count.setText(f"{object_count(count, objects, linked=linked)} proposed{where}")
        self._count.setVisible(planes > 0)
        self._limits.setVisible(planes > 0)
        self.sizes.show_series((Series("", COLOUR, areas),) if count else ())

    def show_estimate(self, diameter: float) -> None:
        """Say how large objects were estimated to be, in pixels; 0 is not known."""
        self._diameter.show_estimate(diameter)

    def show_pixel_size(self, micrometres: float) -> None:
        """Tell how many micrometres a pixel is wide; 0 is not known."""
        self._diameter.show_pixel_size(micrometres)


def _slider(tip: str) -> QLabeledDoubleSlider:
    slider = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
    slider.setRange(0.0, 1.0)
    slider.setDecimals(2)
    slider.setToolTip(tip)
    slider.setMinimumWidth(60)
    return slider


def _size_box(unlimited: str) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setRange(0, LARGEST_PX**2)
    box.setDecimals(0)
    box.setSuffix(" px")
    box.setSpecialValueText(unlimited)
    # The widest number would widen the whole dock.
    box.setMinimumWidth(50)
    return box
