"""Asks for a detector of the user's: a folder, a file, or a name on the hub."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_segmate.widgets.wrapping import WrappingLabel

__all__ = ["CheckpointDialog"]

WIDTH_PX = 460
ABOUT = (
    "A folder of a model that transformers has saved (GroundingDINO, MM-GroundingDINO, LLMDet, "
    "OWL-ViT, OWLv2, SAM 3), a .pth file of GroundingDINO, or a repository on huggingface.co with "
    "its revision"
)
HINT = "/path/to/model   or   owner/name@revision"
FILES = "Checkpoints (*.pth *.pt);;All files (*)"


class CheckpointDialog(QDialog):
    """One line for a path or a name, File, Folder; stays open until what is given will do."""

    chosen = Signal(str)
    """OK was pressed; the listener closes the dialog, or shows what is wrong."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Own checkpoint")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setMinimumWidth(WIDTH_PX)
        self._field = QLineEdit()
        self._field.setPlaceholderText(HINT)
        self._error = WrappingLabel()
        self._error.setStyleSheet("color: #ef5350;")
        self._error.hide()
        self._buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        self._lay_out()
        self._field.textChanged.connect(self._on_typed)
        self._buttons.accepted.connect(lambda: self.chosen.emit(self._field.text().strip()))
        self._buttons.rejected.connect(self.reject)
        self._on_typed()

    def _lay_out(self) -> None:
        about = QLabel(ABOUT)
        about.setWordWrap(True)
        file, folder = QPushButton("File …"), QPushButton("Folder …")
        for button in (file, folder):
            # Enter is for OK.
            button.setAutoDefault(False)
        file.clicked.connect(self._on_file)
        folder.clicked.connect(self._on_folder)
        row = QHBoxLayout()
        row.addWidget(self._field, 1)
        row.addWidget(file)
        row.addWidget(folder)
        column = QVBoxLayout(self)
        column.addWidget(about)
        column.addLayout(row)
        column.addWidget(self._error)
        column.addWidget(self._buttons)

    def show_error(self, text: str) -> None:
        """Say why what was given will not do."""
        self._error.setText(text[:1].upper() + text[1:])
        self._error.show()

    def give(self, text: str) -> None:
        """Fill in a path or a name."""
        self._field.setText(text)

    def _on_typed(self) -> None:
        ok = self._buttons.button(QDialogButtonBox.StandardButton.Ok)
        assert ok is not None
        ok.setEnabled(bool(self._field.text().strip()))
        self._error.hide()

    def _on_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Own checkpoint", self._field.text(), FILES)
        if path:
            self.give(path)

    def _on_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Own checkpoint", self._field.text())
        if path:
            self.give(path)
