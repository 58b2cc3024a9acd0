"""The panel of the text search: words in, boxes to filter, objects out."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QGridLayout,
    QWidget,
)

from napari_segmate.core.masks.coarse_masks import MaskSource
from napari_segmate.sessions.text_state import TextState
from napari_segmate.widgets.actions import TextAction
from napari_segmate.widgets.concept_list import ConceptList
from napari_segmate.widgets.filter_view import FilterView
from napari_segmate.widgets.layout import choose, form, narrow, refill, scrolled_column
from napari_segmate.widgets.offer_card import OfferCard
from napari_segmate.widgets.panel import SearchPanel
from napari_segmate.widgets.phrase_field import PhraseField
from napari_segmate.widgets.text_options import TextOptionsView

__all__ = ["TextPanel"]

MASKS: Mapping[str, str] = {
    MaskSource.DETECTOR: "from the detector",
    MaskSource.MODEL: "from the model",
}
MASKS_TIP = (
    "Who draws the outlines of what was found. Boxes that you have moved or drawn are always "
    "outlined by the model"
)
WIDTH_PX = 320
OWN = "…"
"""Stands for a detector that is yet to be chosen; no detector is called so."""
OWN_TITLE = "Own checkpoint …"
OWN_TIP = "A model that you or others have trained: a folder, a .pth file, or a name on the hub"


class TextPanel(SearchPanel[TextState]):
    """Choosers, words, status, filters, buttons and options.

    Parameters
    ----------
    image_chooser, output_chooser : QWidget
        Choosers of layers, made by the dock.
    """

    detector_chosen = Signal(str)
    masks_chosen = Signal(str)

    def __init__(
        self,
        image_chooser: QWidget,
        output_chooser: QWidget,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(TextAction, options := TextOptionsView(), parent=parent)
        self.options: TextOptionsView = options
        self.phrases = PhraseField()
        self.offer = OfferCard()
        self.concepts = ConceptList()
        self.filter = FilterView()
        self._detector, self._masks = narrow(QComboBox()), narrow(QComboBox())
        refill(self._masks, MASKS, dict.fromkeys(MASKS, MASKS_TIP))
        self._masks.setToolTip(MASKS_TIP)
        self._last_detector = ""
        self._connect()
        self._lay_out(image_chooser, output_chooser)
        self.show_state(TextState())
        self.show_planes(1)
        self.show_can_draw_masks(False)

    def _connect(self) -> None:
        self._detector.currentIndexChanged.connect(self._on_detector)
        self._masks.currentIndexChanged.connect(lambda: self.masks_chosen.emit(self.masks))
        self.phrases.entered.connect(self._on_enter)
        self.offer.accepted.connect(lambda: self.triggered.emit(TextAction.DOWNLOAD))
        self.offer.declined.connect(lambda: self.triggered.emit(TextAction.DECLINE_DOWNLOAD))
        self.offer.rechecked.connect(lambda: self.triggered.emit(TextAction.RETRY))
        self.offer.cancelled.connect(lambda: self.triggered.emit(TextAction.CANCEL))

    def _lay_out(self, image_chooser: QWidget, output_chooser: QWidget) -> None:
        column = scrolled_column(self, WIDTH_PX)
        column.addLayout(
            form(("Image", image_chooser), ("Labels", output_chooser), ("Model", self._model))
        )
        column.addWidget(self.phrases)
        for row in (
            ("Detector", self._detector),
            ("Search in", self._region),
            ("Planes", self.planes),
        ):
            self.search.addRow(*row)
        column.addLayout(self.search)
        column.addWidget(self.add_button(TextAction.FIND, main=True))
        column.addWidget(self.offer)
        column.addWidget(self.status)
        column.addWidget(self.concepts)
        column.addWidget(self.filter)
        self._outlines = form(("Masks", self._masks))
        column.addLayout(self._outlines)
        column.addLayout(self._actions())
        column.addWidget(self.options)
        column.addStretch(1)

    def _actions(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setSpacing(4)
        for column, action in enumerate(
            (TextAction.DRAW, TextAction.EDIT, TextAction.FIND_SIMILAR)
        ):
            grid.addWidget(self.add_button(action), 0, 2 * column, 1, 2)
        grid.addWidget(self.add_button(TextAction.SEGMENT, main=True), 1, 0, 1, 6)
        grid.addWidget(self.add_button(TextAction.CLEAR), 2, 0, 1, 3)
        grid.addWidget(self.add_button(TextAction.TAKE_BACK), 2, 3, 1, 3)
        return grid

    def _on_detector(self) -> None:
        if self._detector.currentData() == OWN:
            self.show_detector(self._last_detector)
            self.triggered.emit(TextAction.CHOOSE_CHECKPOINT)
            return
        self._last_detector = self.detector
        self.detector_chosen.emit(self.detector)

    def _on_enter(self) -> None:
        if self._buttons[TextAction.FIND].isEnabled():
            self.triggered.emit(TextAction.FIND)

    # Out

    @property
    def detector(self) -> str:
        """Name of the detector that is chosen, empty without one."""
        return self._detector.currentData() or ""

    @property
    def masks(self) -> MaskSource:
        """Who draws the outlines of what was found."""
        return MaskSource(self._masks.currentData())

    # In

    def show_state(self, state: TextState) -> None:
        """Show what a search says."""
        self.show_status(state)
        self.offer.show_progress(state.status.progress)
        count = state.n_boxes
        title = "Segment" if not count else f"Segment {count} box{'' if count == 1 else 'es'}"
        self._buttons[TextAction.SEGMENT].setText(title)

    def explain_find_similar(self, reason: str) -> None:
        """Show why a box cannot be an example, empty when it can."""
        tip = reason or TextAction.FIND_SIMILAR.help
        self._buttons[TextAction.FIND_SIMILAR].setToolTip(tip)

    def show_can_draw_masks(self, on: bool) -> None:
        """Offer the choice of who draws the outlines, where the detector can, too."""
        self._outlines.setRowVisible(self._masks, on)

    def show_detectors(self, titles: Mapping[str, str], tips: Mapping[str, str]) -> None:
        """Offer detectors by name; the choice stays if it can."""
        refill(self._detector, {**titles, OWN: OWN_TITLE}, {**tips, OWN: OWN_TIP})
        self._last_detector = self.detector

    def show_detector(self, name: str) -> None:
        """Show which detector is chosen; emits nothing."""
        choose(self._detector, name)
        self._last_detector = self.detector
