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
from napari_segmate.widgets.actions import SegmentAction
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
TEXT_LINES = 4
"""Lines of what is usually said: room is kept for them."""
STRIP_PX = 26


class StatusView(QFrame):
    """A coloured bar with the hint, a progress bar with Cancel below it while something runs.

    Its height stays the same for all that is usually said, so that buttons do not move under the
    mouse.

    Parameters
    ----------
    lines : int
        Lines of text that room is kept for; with a progress bar one line less.
    """

    cancel_clicked = Signal()
    retry_clicked = Signal()

    def __init__(self, lines: int = TEXT_LINES, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._lines = lines
        self.setObjectName("segmate_status")
        self._title = _text(bold=True)
        self._text = _text(bold=False)
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setFixedHeight(10)
        self._cancel = _small_button(SegmentAction.CANCEL, self.cancel_clicked)
        self._retry = _small_button(SegmentAction.RETRY, self.retry_clicked)
        self._lay_out()
        self.show_state(SessionState())

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._bar, 1)
        row.addWidget(self._cancel)
        row.addWidget(self._retry, 0, Qt.AlignmentFlag.AlignRight)
        self._strip = QWidget()
        self._strip.setLayout(row)
        self._strip.setFixedHeight(STRIP_PX)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 6, 6, 4)
        layout.setSpacing(2)
        layout.addWidget(self._title)
        layout.addWidget(self._text)
        layout.addStretch(1)
        layout.addWidget(self._strip)
        line = self.fontMetrics().lineSpacing()
        self.setMinimumHeight(self._lines * line + max(0, STRIP_PX - line) + 14)
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
        again = state.phase is Phase.ERROR and state.can_retry
        self._retry.setVisible(again)
        self._strip.setVisible(again or state.phase.busy)
        self._colour(state.phase)
        self._show_progress(state.progress, busy=state.phase.busy)

    def _show_progress(self, progress: Progress | None, *, busy: bool) -> None:
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


def _small_button(action: SegmentAction, clicked: Signal) -> QPushButton:
    button = QPushButton(action.title)
    button.setToolTip(action.help)
    button.clicked.connect(lambda: clicked.emit())
    return button
