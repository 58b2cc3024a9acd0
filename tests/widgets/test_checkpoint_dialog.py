from __future__ import annotations

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialogButtonBox, QFileDialog, QPushButton

from napari_segmate.widgets.checkpoint_dialog import CheckpointDialog

pytestmark = pytest.mark.gui


@pytest.fixture
def dialog(qtbot) -> CheckpointDialog:
    made = CheckpointDialog()
    made.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
    qtbot.addWidget(made)
    made.show()
    return made


def ok(dialog):
    return dialog._buttons.button(QDialogButtonBox.StandardButton.Ok)


def test_typed_name_is_handed_on(dialog, qtbot) -> None:
    assert not ok(dialog).isEnabled()
    qtbot.keyClicks(dialog._field, " someone/colonies@1f2e ")
    with qtbot.waitSignal(dialog.chosen) as signal:
        ok(dialog).click()
    assert signal.args == ["someone/colonies@1f2e"]
    assert dialog.isVisible()


def test_error_is_shown_until_something_else_is_typed(dialog, qtbot) -> None:
    dialog.give("/nowhere")
    dialog.show_error("no detector at /nowhere")
    assert dialog._error.isVisible() and dialog._error.text() == "No detector at /nowhere"
    qtbot.keyClicks(dialog._field, "x")
    assert not dialog._error.isVisible()


@pytest.mark.parametrize(
    ("title", "asks", "answer"),
    [
        ("File …", "getOpenFileName", ("/a/b.pth", "")),
        ("Folder …", "getExistingDirectory", "/a"),
    ],
)
def test_files_and_folders_can_be_pointed_at(dialog, monkeypatch, title, asks, answer) -> None:
    monkeypatch.setattr(QFileDialog, asks, lambda *args: answer)
    next(one for one in dialog.findChildren(QPushButton) if one.text() == title).click()
    assert dialog._field.text() == (answer if isinstance(answer, str) else answer[0])
