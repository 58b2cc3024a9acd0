"""Explains a download before it begins, shows how far it is, and how to do without."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QApplication,
    QFrame,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_segmate.sessions.state import Progress
from napari_segmate.sessions.text_state import OfferState
from napari_segmate.widgets.wrapping import WrappingLabel

__all__ = ["OfferCard"]

BY_HAND = "Get these files with another computer, and put them into {folder}:"
SHORT = "{by_hand} {names}. Copy gives their addresses"
COPY_TIP = "Copy the addresses and the folder, to paste them into a mail or a browser"
KB, MB = 1 << 10, 1 << 20


class OfferCard(QFrame):
    """What would be downloaded, Download and Not now; hidden until there is something to offer.

    **By hand** tells which files belong where, for computers without a connection.
    """

    accepted = Signal()
    declined = Signal()
    rechecked = Signal()
    """The user has put the files there."""
    cancelled = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("segmate_offer")
        self.setStyleSheet("#segmate_offer { border: 1px solid #29b6f6; border-radius: 3px; }")
        self._offered: OfferState | None = None
        self._title, self._text, self._manual, self._so_far = (WrappingLabel() for _ in range(4))
        font = self._title.font()
        font.setBold(True)
        self._title.setFont(font)
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setFixedHeight(10)
        self._accept = _button("Download", self.accepted)
        self._decline = _button("Not now", self.declined)
        self._cancel = _button("Cancel", self.cancelled)
        self._recheck = _button("Look again", self.rechecked)
        self._by_hand = QPushButton("By hand …")
        self._by_hand.clicked.connect(lambda: self._show_manual(on=True))
        self._copy = QPushButton("Copy")
        self._copy.setToolTip(COPY_TIP)
        self._copy.clicked.connect(self._on_copy)
        self._lay_out()
        self.hide()

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        for widget in (self._title, self._text, self._bar, self._so_far, self._manual):
            layout.addWidget(widget)
        for buttons in (
            (self._recheck, self._copy),
            (self._accept, self._by_hand, self._decline, self._cancel),
        ):
            row = QHBoxLayout()
            row.setSpacing(4)
            for button in buttons:
                button.setMinimumWidth(10)
                row.addWidget(button)
            layout.addLayout(row)

    def offer(self, offered: OfferState | None) -> None:
        """Show what can be downloaded; None hides the card."""
        self._offered = offered
        if offered is not None:
            self._title.setText(offered.offer.title)
            self._text.setText(offered.offer.text)
            self._manual.setText(self._short)
            running = offered.running
            for widget in (self._bar, self._so_far, self._cancel):
                widget.setVisible(running)
            for widget in (self._accept, self._decline):
                widget.setVisible(not running)
            self._accept.setText("Try again" if offered.failed else "Download")
            self._show_manual(on=offered.failed)
            self.show_progress(None)
        self.setVisible(offered is not None)

    def show_progress(self, progress: Progress | None) -> None:
        """Show how far the download is, in bytes."""
        done, total = (progress.done, progress.total) if progress is not None else (0, 0)
        # Qt counts with 32 bits only.
        self._bar.setRange(0, total // KB)
        self._bar.setValue(done // KB)
        said = f"{done / MB:.0f} of {total / MB:.0f} MB" if total >= MB else ""
        text = progress.text if progress is not None else ""
        self._so_far.setText("  ·  ".join(part for part in (text, said) if part))

    @property
    def _addresses(self) -> tuple[str, ...]:
        return () if self._offered is None else self._offered.offer.addresses

    @property
    def _by_hand_into(self) -> str:
        return "" if self._offered is None else BY_HAND.format(folder=self._offered.offer.folder)

    @property
    def _short(self) -> str:
        """What to do, with the names of files alone: their addresses are wider than the dock."""
        names = ", ".join(one.rsplit("/", 1)[-1] for one in self._addresses)
        return SHORT.format(by_hand=self._by_hand_into, names=names)

    def _show_manual(self, *, on: bool) -> None:
        offered = self._offered
        able = offered is not None and not offered.running and bool(self._addresses)
        self._manual.setVisible(on and able)
        self._recheck.setVisible(on and able)
        self._copy.setVisible(on and able)
        self._by_hand.setVisible(able and not on)

    def _on_copy(self) -> None:
        clipboard = QApplication.clipboard()
        assert clipboard is not None
        clipboard.setText("\n".join([self._by_hand_into, *self._addresses]))


def _button(title: str, clicked: Signal) -> QPushButton:
    button = QPushButton(title)
    button.clicked.connect(lambda: clicked.emit())
    return button
