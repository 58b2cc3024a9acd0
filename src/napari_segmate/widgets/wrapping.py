"""Labels whose text fits into a narrow dock, however long its words are."""

from __future__ import annotations

import re

from qtpy.QtCore import Qt
from qtpy.QtGui import QClipboard, QContextMenuEvent, QKeyEvent, QKeySequence, QMouseEvent
from qtpy.QtWidgets import QApplication, QLabel, QMenu, QWidget

__all__ = ["WrappingLabel", "breakable", "unbroken"]

BREAK = "\u200b"
"""A space without width: Qt may go on in the next line there."""
LONG = 20
"""Letters of the longest word that is left whole; bold, it takes up half of a dock."""


def breakable(text: str) -> str:
    r"""Return a text whose long words may go on in the next line: paths, addresses, digests.

    Examples
    --------
    >>> breakable("put it into /home/me/models/dino").split("\u200b")
    ['put it into /', 'home/', 'me/', 'models/', 'dino']
    >>> breakable("a2bb814dd30d776dcf7e30523b00659f").split("\u200b")
    ['a2bb814dd30d776dcf7e', '30523b00659f']
    """
    return re.sub(rf"\S{{{LONG + 1},}}|\S*[/\\]\S*", lambda word: _broken(word.group()), text)


def unbroken(text: str) -> str:
    """Return a text as it was before `breakable`.

    Examples
    --------
    >>> unbroken(breakable("/home/me/models/dino"))
    '/home/me/models/dino'
    """
    return text.replace(BREAK, "")


def _broken(word: str) -> str:
    # After what separates the parts of an address; then parts that are long still.
    parts = re.findall(rf"[^/\\_.,=&?-]{{1,{LONG}}}[/\\_.,=&?-]*|[/\\_.,=&?-]+", word)
    return BREAK.join(parts)


class WrappingLabel(QLabel):
    """Plain text that wraps and can be selected; what is copied has no hidden spaces."""

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setText(text)

    def setText(self, a0: str | None) -> None:
        """Show a text."""
        super().setText(breakable(a0 or ""))

    def text(self) -> str:
        """Return the text as it was set."""
        return unbroken(super().text())

    def selectedText(self) -> str:
        """Return what is selected, as it was set."""
        return unbroken(super().selectedText())

    def keyPressEvent(self, ev: QKeyEvent | None) -> None:
        """Copy with Ctrl+C."""
        if ev is not None and ev.matches(QKeySequence.StandardKey.Copy):
            self._copy(QClipboard.Mode.Clipboard)
            ev.accept()
            return
        super().keyPressEvent(ev)

    def mouseReleaseEvent(self, ev: QMouseEvent | None) -> None:
        """Hand out what was selected, where the middle button pastes."""
        super().mouseReleaseEvent(ev)
        clipboard = QApplication.clipboard()
        if self.hasSelectedText() and clipboard is not None and clipboard.supportsSelection():
            self._copy(QClipboard.Mode.Selection)

    def contextMenuEvent(self, ev: QContextMenuEvent | None) -> None:
        """Offer to copy."""
        if ev is None:
            return
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        copy = menu.addAction("Copy", lambda: self._copy(QClipboard.Mode.Clipboard))
        assert copy is not None
        menu.popup(ev.globalPos())

    def _copy(self, where: QClipboard.Mode) -> None:
        """Copy the selection; all of the text without one."""
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(self.selectedText() or self.text(), where)
