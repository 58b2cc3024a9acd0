from __future__ import annotations

import pytest

pytest.importorskip("pytestqt")

from qtpy.QtCore import Qt

from napari_segmate.widgets.diameter_box import DiameterBox

pytestmark = pytest.mark.gui


@pytest.fixture
def box(qtbot) -> DiameterBox:
    box = DiameterBox("Size")
    qtbot.addWidget(box)
    return box


def type_in(qtbot, box: DiameterBox, text: str) -> None:
    box.lineEdit().selectAll()
    qtbot.keyClicks(box.lineEdit(), text)
    qtbot.keyClick(box.lineEdit(), Qt.Key.Key_Return)


def test_pixels_are_typed_with_or_without_unit(qtbot, box):
    type_in(qtbot, box, "26")
    assert (box.value(), box.text()) == (26, "26 px")
    type_in(qtbot, box, "12.5 px")
    assert (box.value(), box.text()) == (12.5, "12.5 px")
    type_in(qtbot, box, "0")
    assert box.text() == "estimated"


def test_micrometres_are_understood_where_the_size_of_a_pixel_is_known(qtbot, box):
    box.show_pixel_size(0.5)
    type_in(qtbot, box, "8 um")
    assert (box.value(), box.text()) == (16, "16 px (8 µm)")
    type_in(qtbot, box, "9000nm")
    assert box.value() == 18
    box.show_estimate(20)
    type_in(qtbot, box, "0")
    assert box.text() == "estimated: 20 px (10 µm)"


def test_micrometres_cannot_be_typed_without_the_size_of_a_pixel(qtbot, box):
    type_in(qtbot, box, "8um")
    assert (box.value(), box.text()) == (8, "8 px")


def test_the_same_pixels_are_other_micrometres_in_another_image(qtbot, box):
    box.show_pixel_size(0.5)
    box.setValue(20)
    box.show_pixel_size(0.25)
    assert (box.value(), box.text()) == (20, "20 px (5 µm)")
    box.show_pixel_size(0)
    assert box.text() == "20 px"


@pytest.mark.parametrize("text", ["abc", "-3", "5 parsec"])
def test_other_words_are_not_taken(qtbot, box, text):
    box.setValue(7)
    before = box.value()
    box.lineEdit().selectAll()
    state, *_ = box.validate(text, 0)
    assert state.name == "Invalid" and box.value() == before
