"""A training while it runs, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QMouseEvent, QPixmap
from qtpy.QtWidgets import (
    QDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_segmate.core.training_events import Command, Result
from napari_segmate.sessions.training import (
    Stage,
    TrainingState,
    finds_objects,
    is_better,
    measure_tips,
    measures,
)
from napari_segmate.widgets.curve_view import Curve, CurveView

__all__ = ["Picture", "ResultView", "RunView", "show_picture"]

TALLEST_PX = 220
"""More of a picture in the dock would push everything else out of sight."""

# Told apart by people who see few colours, on dark and on light.
TRAINING_COLOUR, VALIDATION_COLOUR, THIRD_COLOUR = "#4fa3e0", "#ee8a2c", "#2ca58d"


class RunView(QWidget):
    """Two plots, Pause and Stop."""

    commanded = Signal(object)
    """A `Command`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._losses = CurveView(x_title="epoch", empty_text="Loss: after the first steps")
        self._scores = CurveView((0.0, 1.0), "epoch", "Quality: after the first epoch")
        self._losses.setToolTip("What the training makes small. Both falling is good")
        self._scores.setToolTip(
            "How well labels that were held out are met, 0 to 1. Rising is good.\n"
            "IoU of views: masks after a click or a box, on average.\n"
            "AP50 of views: objects that the model finds by itself, on a few small views, "
            "without your settings. The table at the end is measured on the held-out planes "
            "instead, so its numbers are others"
        )
        self._pause = QPushButton("Pause")
        self._stop = QPushButton("Stop")
        self._stop.setToolTip("End the training now and keep the best weights so far")
        self._paused = False
        self._pause.clicked.connect(
            lambda: self.commanded.emit(Command.RESUME if self._paused else Command.PAUSE)
        )
        self._stop.clicked.connect(lambda: self.commanded.emit(Command.STOP))
        self._buttons = QWidget()
        row = QHBoxLayout(self._buttons)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self._pause)
        row.addWidget(self._stop)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self._buttons)
        column.addWidget(self._losses)
        column.addWidget(self._scores)

    def show_state(self, state: TrainingState) -> None:
        """Show how far a training is."""
        self._paused = state.stage is Stage.PAUSED
        self._pause.setText("Resume" if self._paused else "Pause")
        self._pause.setToolTip(
            "Go on with the training" if self._paused else "Leave the processor to you for a while"
        )
        self._pause.setEnabled(state.pausable)
        self._stop.setEnabled(state.pausable)
        self._buttons.setVisible(state.stage.busy)
        # What is hidden needs no drawing, and the curves of a failed start are empty.
        busy = state.stage.busy and state.stage is not Stage.MEASURING
        self.setVisible(busy or bool(state.losses))
        epochs = float(state.epochs)
        checks = state.validations
        x = [float(one.epoch) for one in checks]
        self._losses.show_curves(
            [
                Curve(
                    "loss",
                    TRAINING_COLOUR,
                    [epoch for epoch, _ in state.losses],
                    [loss for _, loss in state.losses],
                    smooth=True,
                ),
                Curve(
                    "loss, held out",
                    VALIDATION_COLOUR,
                    x,
                    [one.loss for one in checks],
                    marked=True,
                ),
            ],
            epochs,
        )
        self._scores.show_curves(
            [
                Curve(
                    "IoU of views",
                    VALIDATION_COLOUR,
                    x,
                    [one.iou for one in checks],
                    marked=True,
                ),
                Curve(
                    "AP50 of views",
                    THIRD_COLOUR,
                    x,
                    [one.ap50 for one in checks],
                    marked=True,
                ),
            ],
            epochs,
        )


class Picture(QLabel):
    """A picture as large as there is room; a click tells."""

    clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._picture = QPixmap()
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setToolTip("Click to see it larger")

    def show_file(self, path: str) -> None:
        """Show a picture file; nothing when there is none."""
        self._picture = QPixmap(path) if path else QPixmap()
        self.setVisible(not self._picture.isNull())
        self._fit(self.width())

    def resizeEvent(self, a0: object) -> None:
        """Fit the picture to the width."""
        self._fit(self.width())

    def _fit(self, width: int) -> None:
        if self._picture.isNull() or width < 2:
            return
        ratio = self.devicePixelRatioF()
        size = self._picture.size().boundedTo(QSize(width, TALLEST_PX))
        shown = self._picture.scaled(
            size * ratio,
            Qt.AspectRatioMode.KeepAspectRatio,
            Qt.TransformationMode.SmoothTransformation,
        )
        shown.setDevicePixelRatio(ratio)
        self.setPixmap(shown)
        self.setFixedHeight(int(shown.height() / ratio))

    def sizeHint(self) -> QSize:
        """Return a size that asks for no width of its own."""
        return QSize(10, self.height())

    def mouseReleaseEvent(self, ev: QMouseEvent | None) -> None:
        """Tell of a click."""
        self.clicked.emit()


def show_picture(parent: QWidget, picture: QPixmap, title: str) -> None:
    """Show a picture in a window of its own, in full size."""
    dialog = QDialog(parent)
    dialog.setWindowTitle(title)
    label = QLabel()
    label.setPixmap(picture)
    layout = QVBoxLayout(dialog)
    layout.addWidget(label)
    dialog.open()


class ResultView(QWidget):
    """Before and after as a table and a picture, and what to do with the new model."""

    segment_clicked = Signal()
    discard_clicked = Signal()
    picture_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._table = QGridLayout()
        self._table.setHorizontalSpacing(8)
        self._table.setVerticalSpacing(2)
        self._table.setColumnStretch(0, 1)
        self._picture = Picture()
        self._picture.clicked.connect(self.picture_clicked)
        self.segment = QPushButton("Segment the rest")
        self.segment.setToolTip("Open the Automask panel with the new model on this image")
        self.segment.setMinimumHeight(34)
        self.discard = QPushButton("Discard")
        self.discard.setToolTip("Delete the new model; the one it began with stays")
        self.segment.clicked.connect(lambda: self.segment_clicked.emit())
        self.discard.clicked.connect(lambda: self.discard_clicked.emit())
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.segment, 1)
        row.addWidget(self.discard)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row)
        column.addLayout(self._table)
        column.addWidget(self._picture)
        self.show_result(None)

    def show_result(self, result: Result | None) -> None:
        """Show what came of a training; nothing for None."""
        self.setVisible(result is not None)
        if result is None:
            return
        rows = [("On what was held out", "before", "after"), *measures(result)]
        self._fill(rows, ["", *measure_tips(result)])
        self._picture.show_file(result.picture)
        # The button that is the better advice is the one that strikes the eye.
        good = finds_objects(result) and is_better(result)
        for button, strong in ((self.segment, good), (self.discard, result.worse)):
            font = button.font()
            font.setBold(strong)
            button.setFont(font)

    def rows(self) -> list[tuple[str, ...]]:
        """Return the texts of the table."""
        found = []
        for row in range(self._table.rowCount()):
            labels = [self._label(row, column) for column in range(3)]
            if all(label is not None for label in labels):
                found.append(tuple(label.text() for label in labels if label is not None))
        return found

    def _label(self, row: int, column: int) -> QLabel | None:
        item = self._table.itemAtPosition(row, column)
        widget = item.widget() if item is not None else None
        return widget if isinstance(widget, QLabel) else None

    def _fill(self, rows: Sequence[tuple[str, str, str]], tips: Sequence[str]) -> None:
        while (item := self._table.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.deleteLater()
        for row, (texts, tip) in enumerate(zip(rows, tips, strict=True)):
            for column, text in enumerate(texts):
                label = QLabel(text)
                label.setToolTip(tip)
                font = label.font()
                font.setBold(row == 0 or column == 2)
                label.setFont(font)
                label.setWordWrap(column == 0)
                if column:
                    label.setAlignment(Qt.AlignmentFlag.AlignRight)
                self._table.addWidget(label, row, column)
