"""The concepts of a search: their colours, how many boxes each has, and which is drawn next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QListWidget, QListWidgetItem, QSizePolicy, QWidget
from superqt.utils import signals_blocked

__all__ = ["ConceptList"]

MOST_ROWS = 6
COLOUR_ROLE = Qt.ItemDataRole.UserRole + 1
SWATCH_PX = 12
TIP = "Boxes that you draw get the chosen concept; a click gives it to the boxes that are selected"


class ConceptList(QListWidget):
    """One row per concept; hidden without any."""

    chosen = Signal(str)
    """A click on a concept, on the current one, too."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setToolTip(TIP)
        self.setVerticalScrollMode(QListWidget.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.itemClicked.connect(self._on_clicked)
        self.show_concepts((), {}, {})

    def _on_clicked(self, item: QListWidgetItem) -> None:
        self.chosen.emit(item.data(Qt.ItemDataRole.UserRole))

    def show_concepts(
        self, concepts: Sequence[str], colours: Mapping[str, str], counts: Mapping[str, int]
    ) -> None:
        """Show these concepts; the chosen one stays chosen, otherwise the first one is."""
        kept = self.concept if self.concept in concepts else next(iter(concepts), "")
        with signals_blocked(self):
            if [self._at(row) for row in range(self.count())] != list(concepts):
                self.clear()
                for concept in concepts:
                    self._add(concept)
            for row, concept in enumerate(concepts):
                item = self.item(row)
                assert item is not None
                item.setText(f"{concept}   {counts.get(concept, 0)}")
                colour = colours.get(concept, "#ffffff")
                if item.data(COLOUR_ROLE) != colour:
                    item.setData(COLOUR_ROLE, colour)
                    item.setIcon(_swatch(colour))
        self.choose(kept)
        self.setVisible(bool(concepts))
        self.setFixedHeight(self.sizeHint().height())

    def choose(self, concept: str) -> None:
        """Show another concept as chosen; emits nothing."""
        rows = [row for row in range(self.count()) if self._at(row) == concept]
        with signals_blocked(self):
            self.setCurrentRow(rows[0] if rows else -1)

    @property
    def concept(self) -> str:
        """The chosen concept, empty without any."""
        return self._at(self.currentRow())

    def _at(self, row: int) -> str:
        item = self.item(row)
        return "" if item is None else str(item.data(Qt.ItemDataRole.UserRole))

    def _add(self, concept: str) -> None:
        item = QListWidgetItem(concept)
        item.setData(Qt.ItemDataRole.UserRole, concept)
        self.addItem(item)

    def sizeHint(self) -> QSize:
        """Return a height for all rows, up to a limit."""
        rows = min(max(self.count(), 1), MOST_ROWS)
        row = max(self.sizeHintForRow(0), self.fontMetrics().height() + 6)
        return QSize(240, rows * row + 2 * self.frameWidth() + 2)


def _swatch(colour: str) -> QIcon:
    pixmap = QPixmap(SWATCH_PX, SWATCH_PX)
    pixmap.fill(QColor(colour))
    return QIcon(pixmap)
