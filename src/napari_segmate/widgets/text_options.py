"""Options of the text search, and those of all docks."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QSpinBox, QWidget

from napari_segmate.inference.detection.search import SearchOptions, Tiling
from napari_segmate.widgets.options_view import OptionsView

__all__ = ["SearchOptions", "TextOptionsView", "Tiling"]


TILING_TITLES: Mapping[Tiling, str] = {
    Tiling.AUTO: "if objects are small",
    Tiling.NEVER: "never",
    Tiling.ALWAYS: "always",
}
TILING_TIP = (
    "Detectors overlook small objects in a large image. In tiles they are seen larger, but every "
    "tile takes as long as the whole image"
)
DETAIL_TIP = "Shorter side of the picture that the detector sees: less is faster, more sees more"
PASSES_TIP = "Every concept on its own: slower, but concepts do not get into each other's way"
LEAST_DETAIL, MOST_DETAIL, DETAIL = 256, 1600, 800


class TextOptionsView(OptionsView):
    """A form of `SearchOptions` above that of `OptionValues`; folds away."""

    search_changed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.leave_out_points()
        self._tiling = QComboBox()
        self._tiling.setToolTip(TILING_TIP)
        for value, title in TILING_TITLES.items():
            self._tiling.addItem(title, value)
        self._detail = QSpinBox()
        self._detail.setRange(LEAST_DETAIL, MOST_DETAIL)
        self._detail.setSingleStep(64)
        self._detail.setValue(DETAIL)
        self._detail.setSuffix(" px")
        self._detail.setToolTip(DETAIL_TIP)
        self._separately = QCheckBox("One concept at a time")
        self._separately.setToolTip(PASSES_TIP)
        self.add_row("Tiles", self._tiling)
        self.add_row("Detail", self._detail)
        self.add_row("", self._separately)
        self._tiling.currentIndexChanged.connect(self._on_search)
        self._detail.valueChanged.connect(self._on_search)
        self._separately.toggled.connect(self._on_search)

    def _on_search(self) -> None:
        self.search_changed.emit(self.search)

    @property
    def search(self) -> SearchOptions:
        """What the form says about the search."""
        return SearchOptions(
            Tiling(self._tiling.currentData()),
            self._detail.value(),
            self._separately.isChecked(),
        )
