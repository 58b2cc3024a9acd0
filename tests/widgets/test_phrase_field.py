from __future__ import annotations

import pytest
from qtpy.QtCore import Qt

from napari_segmate.widgets.phrase_field import IDEAS, PhraseField

pytestmark = pytest.mark.gui


@pytest.fixture
def field(qtbot) -> PhraseField:
    made = PhraseField()
    qtbot.addWidget(made)
    made.show()
    qtbot.waitExposed(made)
    return made


def popup(field):
    return field._editor.completer.popup()


def labels(menu) -> list[str]:
    return [action.text() for action in menu.actions()]


def test_enter_finds_and_shift_enter_begins_a_line(field, qtbot) -> None:
    field.show_text("cell")
    with qtbot.waitSignal(field.entered):
        qtbot.keyClick(field._editor, Qt.Key.Key_Return)
    assert field.text == "cell"
    with qtbot.assertNotEmitted(field.entered):
        qtbot.keyClick(field._editor, Qt.Key.Key_Return, modifier=Qt.KeyboardModifier.ShiftModifier)
    assert field.text == "cell\n"


def test_typing_suggests_words_for_the_phrase_being_typed(field, qtbot) -> None:
    qtbot.keyClicks(field._editor, "nucleus, red bl")
    assert popup(field).isVisible()
    model = popup(field).model()
    words = [model.index(row, 0).data() for row in range(model.rowCount())]
    assert words == ["red blood cell"]
    field._editor._take("red blood cell")
    assert field.text == "nucleus, red blood cell"


def test_suggestion_in_the_list_is_taken_with_enter(field, qtbot) -> None:
    qtbot.keyClicks(field._editor, "nucle")
    qtbot.keyClick(popup(field), Qt.Key.Key_Down)
    with qtbot.assertNotEmitted(field.entered):
        qtbot.keyClick(popup(field), Qt.Key.Key_Return)
    assert field.text in ("nucleus", "nucleolus")
    assert not popup(field).isVisible()


def test_enter_finds_when_no_suggestion_was_chosen(field, qtbot) -> None:
    qtbot.keyClicks(field._editor, "cell")
    assert popup(field).isVisible()
    with qtbot.waitSignal(field.entered):
        qtbot.keyClick(field._editor, Qt.Key.Key_Return)
    assert field.text == "cell"
    assert not popup(field).isVisible()


def test_nothing_is_suggested_for_a_word_that_is_complete_or_unknown(field, qtbot) -> None:
    qtbot.keyClicks(field._editor, "platelet")
    assert not popup(field).isVisible()
    field.show_text("")
    qtbot.keyClicks(field._editor, "xyzzy")
    assert not popup(field).isVisible()


def test_ideas_are_added_once(field) -> None:
    groups = field._ideas.menu().actions()
    assert [group.text() for group in groups] == list(IDEAS)
    cells = groups[1].menu().actions()
    cells[1].trigger()
    cells[0].trigger()
    cells[1].trigger()
    assert field.text == "nucleus, cell"


def test_former_prompts_are_brought_back(field, qtbot) -> None:
    assert not field._recent.isEnabled()
    field.show_history(["cell,\nnucleus\n", "platelet"])
    assert labels(field._recent.menu()) == ["cell, nucleus", "platelet"]
    with qtbot.waitSignal(field.changed):
        field._recent.menu().actions()[0].trigger()
    assert field.text == "cell,\nnucleus\n"
