"""Where a user types what to look for: one concept per line or comma, with ideas and a memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from qtpy.QtCore import QEvent, QStringListModel, Qt, Signal
from qtpy.QtGui import QKeyEvent, QTextCursor
from qtpy.QtWidgets import (
    QCompleter,
    QHBoxLayout,
    QMenu,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

__all__ = ["IDEAS", "PhraseField", "last_phrase"]

IDEAS: Mapping[str, Sequence[str]] = {
    "Plain to see": (
        "round bright blob",
        "dark spot",
        "ring",
        "elongated bright object",
        "small round dot",
    ),
    "Cells": (
        "cell",
        "nucleus",
        "red blood cell",
        "white blood cell",
        "platelet",
        "bacterium",
        "yeast cell",
        "neuron",
        "dividing cell",
        "dead cell",
    ),
    "In cells": (
        "mitochondrion",
        "vesicle",
        "vacuole",
        "nucleolus",
        "chloroplast",
        "lipid droplet",
    ),
    "Tissue": ("gland", "blood vessel", "hair follicle", "fat cell", "muscle fibre"),
    "Organisms": ("embryo", "larva", "worm", "organoid", "colony", "pollen grain", "diatom"),
    "Not wanted": ("air bubble", "dust", "debris", "scratch", "scale bar"),
}
"""What people look for under a microscope; plain words first, because detectors know those best."""

SEPARATORS = re.compile(r"[,;.\n]")
VISIBLE_LINES = 3
FRAME = (
    "#segmate_phrases { border: 1px solid rgba(128, 128, 128, 160); border-radius: 3px; "
    "background: rgba(128, 128, 128, 40); padding: 2px; }"
)
TIP = (
    "One concept per line or comma, in English. Enter finds, Shift+Enter begins a new line. "
    "Words for what is to be seen (round bright blob) often find more than names"
)


def last_phrase(text: str) -> str:
    """Return what is being typed at the end of a text: the part after the last separator.

    Examples
    --------
    >>> last_phrase("nucleus, red bl")
    'red bl'
    """
    return SEPARATORS.split(text)[-1].strip()


class _Editor(QPlainTextEdit):
    """A text of a few lines in which Enter means go."""

    entered = Signal()

    def __init__(self, words: Sequence[str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        # napari's themes draw no frame round a text of several lines.
        self.setObjectName("segmate_phrases")
        self.setStyleSheet(FRAME)
        self.setPlaceholderText("nucleus, red blood cell")
        self.setToolTip(TIP)
        self.setTabChangesFocus(True)
        height = VISIBLE_LINES * self.fontMetrics().lineSpacing() + 16
        self.setFixedHeight(height)
        self.completer = QCompleter(self)
        self._words = QStringListModel(sorted(words), self)
        self.completer.setModel(self._words)
        self.completer.setWidget(self)
        self.completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.completer.setFilterMode(Qt.MatchFlag.MatchContains)
        self.completer.activated[str].connect(self._take)

    def keyPressEvent(self, e: QKeyEvent | None) -> None:
        """Find with Enter; let the list of suggestions have its keys."""
        if e is None:
            return
        popup = self.completer.popup()
        enter = e.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if popup is not None and popup.isVisible() and enter and not popup.currentIndex().isValid():
            # Nothing in the list was chosen: Enter means what it always does.
            popup.hide()
        if popup is not None and popup.isVisible():
            if enter or e.key() in (Qt.Key.Key_Escape, Qt.Key.Key_Tab):
                # The list handles these itself when it sees that they were not taken.
                e.ignore()
                return
        elif enter and not e.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self.entered.emit()
            return
        super().keyPressEvent(e)
        if e.text():
            self._suggest()

    def _suggest(self) -> None:
        popup = self.completer.popup()
        typed = last_phrase(self.toPlainText()[: self.textCursor().position()])
        self.completer.setCompletionPrefix(typed)
        only_itself = self.completer.completionCount() == 1 and (
            self.completer.currentCompletion().lower() == typed.lower()
        )
        if popup is None:
            return
        if len(typed) < 2 or self.completer.completionCount() == 0 or only_itself:
            popup.hide()
            return
        place = self.cursorRect()
        place.setWidth(max(popup.sizeHintForColumn(0) + 24, 160))
        self.completer.complete(place)

    def _take(self, word: str) -> None:
        cursor = self.textCursor()
        typed = last_phrase(self.toPlainText()[: cursor.position()])
        cursor.movePosition(
            QTextCursor.MoveOperation.Left, QTextCursor.MoveMode.KeepAnchor, len(typed)
        )
        cursor.insertText(word)
        self.setTextCursor(cursor)


class PhraseField(QWidget):
    """A field for the concepts, with recent searches and ideas for others."""

    changed = Signal(str)
    entered = Signal()

    def __init__(
        self, ideas: Mapping[str, Sequence[str]] = IDEAS, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._editor = _Editor([word for words in ideas.values() for word in words])
        self._editor.textChanged.connect(lambda: self.changed.emit(self.text))
        self._editor.entered.connect(self.entered)
        self._recent = _menu_button("Recent", "What you have looked for before")
        self._ideas = _menu_button("Ideas", "Words that people look for under a microscope")
        self._fill_ideas(ideas)
        self.show_history(())
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self._ideas)
        row.addWidget(self._recent)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self._editor)
        column.addLayout(row)

    @property
    def text(self) -> str:
        """What is typed."""
        return str(self._editor.toPlainText())

    def show_text(self, text: str) -> None:
        """Replace what is typed."""
        if text != self.text:
            self._editor.setPlainText(text)
            self._editor.moveCursor(QTextCursor.MoveOperation.End)

    def add_phrase(self, phrase: str) -> None:
        """Add a concept to those that are typed, unless it is there."""
        typed = self.text.rstrip().rstrip(",;.")
        if phrase.lower() in (part.strip().lower() for part in SEPARATORS.split(typed)):
            return
        self.show_text(f"{typed}, {phrase}" if typed else phrase)

    def show_history(self, prompts: Sequence[str]) -> None:
        """Offer former texts, latest first."""
        menu = self._recent.menu()
        assert menu is not None
        menu.clear()
        for prompt in prompts:
            _add(menu, _in_one_line(prompt), partial(self.show_text, prompt))
        self._recent.setEnabled(bool(prompts))

    def _fill_ideas(self, ideas: Mapping[str, Sequence[str]]) -> None:
        menu = self._ideas.menu()
        assert menu is not None
        for title, words in ideas.items():
            part = menu.addMenu(title)
            assert part is not None
            for word in words:
                _add(part, word, partial(self.add_phrase, word))

    def changeEvent(self, a0: QEvent | None) -> None:
        """Keep the height of the text at its number of lines when the font changes."""
        super().changeEvent(a0)
        if a0 is not None and a0.type() == QEvent.Type.FontChange and hasattr(self, "_editor"):
            lines = VISIBLE_LINES * self._editor.fontMetrics().lineSpacing()
            self._editor.setFixedHeight(lines + 16)


def _in_one_line(prompt: str) -> str:
    lines = (line.strip().rstrip(",;.") for line in prompt.splitlines())
    return ", ".join(line for line in lines if line)


def _menu_button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    button.setMenu(QMenu(button))
    button.setMinimumWidth(10)
    return button


def _add(menu: QMenu, text: str, act: Callable[[], None]) -> None:
    action = menu.addAction(text)
    assert action is not None
    action.triggered.connect(lambda: act())
