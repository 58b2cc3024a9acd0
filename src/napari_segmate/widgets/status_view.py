"""What is going on and what to do next, progress, and the score of the mask."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_segmate.sessions.state import Phase, Progress, SessionState
from napari_segmate.widgets.actions import Action
from napari_segmate.widgets.wrapping import WrappingLabel

__all__ = ["StatusView"]

COLOURS = {
    Phase.IDLE: "#78909c",
    Phase.NEEDS_PROMPT: "#29b6f6",
    Phase.ENCODING: "#ffa726",
    Phase.DECODING: "#ffa726",
    Phase.PREVIEW: "#66bb6a",
    Phase.ERROR: "#ef5350",
}
"""Seen on napari's dark and light backgrounds; the text itself follows the theme."""
TEXT_LINES = 7


class StatusView(QFrame):
    """A coloured bar with the hint, a progress bar with Cancel below it.

    Its height stays the same whatever it shows, so that buttons do not move under the mouse.
    """

    triggered = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("segmate_status")
        self._title = _text(bold=True)
        self._text = _text(bold=False)
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setFixedHeight(10)
        self._cancel = _small_button(Action.CANCEL, self)
        self._retry = _small_button(Action.RETRY, self)
        self._lay_out()
        self.show_state(SessionState())

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._bar, 1)
        row.addWidget(self._cancel)
        row.addWidget(self._retry, 0, Qt.AlignmentFlag.AlignRight)
        strip = QWidget()
        strip.setLayout(row)
        strip.setFixedHeight(30)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 6, 6, 4)
        layout.setSpacing(2)
        layout.addWidget(self._title)
        layout.addWidget(self._text)
        layout.addStretch(1)
        layout.addWidget(strip)
        line = self.fontMetrics().lineSpacing()
        self.setMinimumHeight(TEXT_LINES * line + strip.height() + 18)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)

    def show_state(self, state: SessionState) -> None:
        """Show what a session says."""
        # What went wrong comes first, what to do about it below.
        error = state.error[:1].upper() + state.error[1:]
        first, second = (error, state.hint) if error else (state.hint, state.note)
        self._title.setText(first)
        if state.phase.busy and state.progress is not None:
            # Not hidden only to be shown again below: the panel would be laid out anew each time.
            second = state.progress.text or second
        self._text.setText(second)
        self._text.setVisible(bool(second))
        self._retry.setVisible(state.phase is Phase.ERROR and state.can_retry)
        self._colour(state.phase)
        self.show_progress(state.progress, busy=state.phase.busy)

    def show_progress(self, progress: Progress | None, *, busy: bool) -> None:
        """Show how far a job is; no bar when nothing runs."""
        self._bar.setVisible(busy)
        self._cancel.setVisible(busy)
        total = progress.total if progress is not None else 0
        self._bar.setRange(0, total)
        # A bar draws itself, and so the whole window, at once; this way it waits for its turn.
        self._bar.setUpdatesEnabled(False)
        self._bar.setValue(progress.done if progress is not None else 0)
        self._bar.setUpdatesEnabled(True)
        if busy and progress is not None and progress.text:
            self._text.setText(progress.text)
            self._text.setVisible(True)

    def _colour(self, phase: Phase) -> None:
        style = f"#segmate_status {{ border: 0; border-left: 5px solid {COLOURS[phase]}; }}"
        # Qt works out the style of everything inside anew, whether it changes or not.
        if style != self.styleSheet():
            self.setStyleSheet(style)


def _text(*, bold: bool) -> QLabel:
    label = WrappingLabel()
    font = label.font()
    font.setBold(bold)
    label.setFont(font)
    return label


def _small_button(action: Action, view: StatusView) -> QPushButton:
    button = QPushButton(action.title)
    button.setToolTip(action.help)
    button.clicked.connect(lambda: view.triggered.emit(action))
    return button
