"""Offers what was left behind by a session that did not end properly."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

__all__ = ["RecoveryBanner"]


class RecoveryBanner(QFrame):
    """One line of text, Restore and Discard; hidden until there is something to offer.

    Parameters
    ----------
    restore_text : str
        What the first button says.
    """

    restore_clicked = Signal()
    discard_clicked = Signal()

    def __init__(self, restore_text: str = "Restore", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("segmate_recovery")
        self.setStyleSheet("#segmate_recovery { border: 1px solid #ffa726; border-radius: 3px; }")
        self._text = QLabel()
        self._text.setWordWrap(True)
        restore, discard = QPushButton(restore_text), QPushButton("Discard")
        restore.clicked.connect(lambda: self.restore_clicked.emit())
        discard.clicked.connect(lambda: self.discard_clicked.emit())
        row = QHBoxLayout()
        row.addWidget(restore)
        row.addWidget(discard)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.addWidget(self._text)
        layout.addLayout(row)
        self.hide()

    def offer(self, text: str) -> None:
        """Show what can be restored; an empty text hides the banner."""
        self._text.setText(text)
        self.setVisible(bool(text))
