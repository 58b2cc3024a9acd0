"""What training learns from: rows of an image and its labels."""

from __future__ import annotations

from dataclasses import dataclass

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_segmate.widgets.wrapping import WrappingLabel

__all__ = ["PairList", "PairNote", "PairRow"]

ERROR_COLOUR = "#ef5350"
PLANES_TIP = "Planes to learn from, such as 3, 5-7. Empty takes all that have labels"
RECTANGLE_TIP = "Drag a rectangle on this image: everything inside it counts as annotated"


@dataclass(frozen=True)
class PairNote:
    """What a row says about its pair.

    Parameters
    ----------
    text : str
        In words: what was found, or what is wrong.
    error : bool
        The pair cannot be used.
    stack : bool
        There are planes to choose from.
    """

    text: str
    error: bool = False
    stack: bool = False


class PairRow(QFrame):
    """One image and its labels.

    Parameters
    ----------
    image, labels : QWidget
        Choosers of layers, or the names of files.
    drawable : bool
        A rectangle can be drawn on the image.
    """

    remove_clicked = Signal()
    draw_clicked = Signal()
    planes_edited = Signal(str)

    def __init__(
        self,
        image: QWidget,
        labels: QWidget,
        *,
        drawable: bool = True,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("segmate_pair")
        self.setStyleSheet("#segmate_pair { border: 1px solid #80808080; border-radius: 3px; }")
        self._drawable = drawable
        self._note = WrappingLabel()
        self._planes = QLineEdit()
        self._planes.setPlaceholderText("all with labels")
        self._planes.setToolTip(PLANES_TIP)
        self._planes.editingFinished.connect(
            lambda: self.planes_edited.emit(self._planes.text().strip())
        )
        self._draw = QPushButton("Draw rectangle")
        self._draw.setToolTip(RECTANGLE_TIP)
        self._draw.clicked.connect(lambda: self.draw_clicked.emit())
        self._lay_out(image, labels)
        self.show_note(PairNote(""))
        self.show_rectangle(False)

    def _lay_out(self, image: QWidget, labels: QWidget) -> None:
        self._form = QFormLayout()
        self._form.setVerticalSpacing(4)
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._form.addRow("Image", image)
        self._form.addRow("Labels", labels)
        self._form.addRow("Planes", self._planes)
        self._form.addRow("", self._draw)
        self._form.addRow(self._note)
        remove = QToolButton()
        remove.setText("✕")
        remove.setAutoRaise(True)
        remove.setToolTip("Do not learn from this pair")
        remove.clicked.connect(lambda: self.remove_clicked.emit())
        self._remove = remove
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 6, 4, 6)
        row.setSpacing(4)
        row.addLayout(self._form, 1)
        row.addWidget(remove, 0, Qt.AlignmentFlag.AlignTop)

    @property
    def planes(self) -> str:
        """What the user wrote about planes; empty for all with labels."""
        return self._planes.text().strip()

    def show_note(self, note: PairNote) -> None:
        """Say what is known about the pair."""
        self._note.setText(note.text)
        self._note.setStyleSheet(f"color: {ERROR_COLOUR};" if note.error else "")
        self._note.setVisible(bool(note.text))
        self._form.setRowVisible(self._planes, note.stack)

    def show_rectangle(self, on: bool) -> None:
        """Offer to draw a rectangle or not."""
        self._form.setRowVisible(self._draw, on and self._drawable)


class PairList(QWidget):
    """The rows, and buttons that add to them."""

    add_layers_clicked = Signal()
    add_files_clicked = Signal()
    add_folders_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows = QVBoxLayout()
        self._rows.setSpacing(4)
        self._empty = QLabel("Add an image and its labels to learn from")
        self._empty.setWordWrap(True)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self._empty)
        column.addLayout(self._rows)
        column.addLayout(self._buttons())

    def _buttons(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(4)
        for text, tip, signal in (
            ("+ Layers", "Add another pair of layers", self.add_layers_clicked),
            ("+ Files …", "Add image files and their label files", self.add_files_clicked),
            (
                "+ Folders …",
                "Add a folder of images and a folder of labels of the same names",
                self.add_folders_clicked,
            ),
        ):
            button = QPushButton(text)
            button.setToolTip(tip)
            button.setMinimumWidth(10)
            button.clicked.connect(lambda _=False, one=signal: one.emit())
            row.addWidget(button)
        return row

    def add(self, row: PairRow) -> None:
        """Add a row at the end."""
        self._rows.addWidget(row)
        self._empty.hide()

    def remove(self, row: PairRow) -> None:
        """Take a row away for good."""
        self._rows.removeWidget(row)
        row.hide()
        row.deleteLater()
        self._empty.setVisible(self._rows.count() == 0)
