"""Explains a download before it begins."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_segmate.sessions.text_state import Offer

__all__ = ["OfferCard"]


class OfferCard(QFrame):
    """What would be downloaded, Download and Not now; hidden until there is something to offer."""

    accepted = Signal()
    declined = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("segmate_offer")
        self.setStyleSheet("#segmate_offer { border: 1px solid #29b6f6; border-radius: 3px; }")
        self._title, self._text = _label(), _label()
        font = self._title.font()
        font.setBold(True)
        self._title.setFont(font)
        accept, decline = QPushButton("Download"), QPushButton("Not now")
        accept.clicked.connect(lambda: self.accepted.emit())
        decline.clicked.connect(lambda: self.declined.emit())
        row = QHBoxLayout()
        row.addWidget(accept)
        row.addWidget(decline)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.addWidget(self._title)
        layout.addWidget(self._text)
        layout.addLayout(row)
        self.hide()

    def offer(self, offer: Offer | None) -> None:
        """Show what can be downloaded; None hides the card."""
        if offer is not None:
            self._title.setText(offer.title)
            self._text.setText(_breakable(offer.text))
        self.setVisible(offer is not None)


def _breakable(text: str) -> str:
    """Return a text whose paths may go on in the next line."""
    return text.replace("/", "/\u200b").replace("\\", "\\\u200b")


def _label() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label
