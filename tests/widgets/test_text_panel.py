from __future__ import annotations

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QComboBox, QPushButton

from napari_segmate.core.masks.coarse_masks import MaskSource
from napari_segmate.sessions.panel_state import JobStatus
from napari_segmate.sessions.state import Phase, Progress
from napari_segmate.sessions.text_state import Offer, OfferState, TextFacts, TextState, text_state
from napari_segmate.widgets.actions import TextAction
from napari_segmate.widgets.concept_list import ConceptList
from napari_segmate.widgets.offer_card import OfferCard
from napari_segmate.widgets.planes_view import PlaneChoice, PlanesView
from napari_segmate.widgets.text_options import SearchOptions, TextOptionsView, Tiling
from napari_segmate.widgets.text_panel import TextPanel

pytestmark = pytest.mark.gui

FOUND = text_state(
    TextFacts(image=True, prompt=True, counts={"cell": 3}, n_boxes=3, n_planes=1, searched=True)
)


@pytest.fixture
def panel(qtbot) -> TextPanel:
    made = TextPanel(QComboBox(), QComboBox())
    qtbot.addWidget(made)
    made.show()
    qtbot.waitExposed(made)
    return made


def test_buttons_follow_the_state(panel) -> None:
    panel.show_state(TextState())
    assert not panel.button(TextAction.FIND).isEnabled()
    assert panel.button(TextAction.SEGMENT).text() == "Segment"
    panel.show_state(FOUND)
    assert panel.button(TextAction.FIND).isEnabled()
    assert panel.button(TextAction.SEGMENT).text() == "Segment 3 boxes"
    assert panel.button(TextAction.CLEAR).isEnabled()


@pytest.mark.parametrize("action", list(TextAction)[:7])
def test_buttons_trigger_their_action(panel, qtbot, action) -> None:
    panel.button(action).setEnabled(True)
    with qtbot.waitSignal(panel.triggered) as signal:
        panel.button(action).click()
    assert signal.args == [action]


def test_enter_finds_only_when_the_button_could(panel, qtbot) -> None:
    panel.show_state(TextState())
    with qtbot.assertNotEmitted(panel.triggered):
        panel.phrases.entered.emit()
    panel.show_state(FOUND)
    with qtbot.waitSignal(panel.triggered) as signal:
        panel.phrases.entered.emit()
    assert signal.args == [TextAction.FIND]


def test_cancel_in_the_status_line(panel, qtbot) -> None:
    panel.show_state(
        text_state(TextFacts(), JobStatus(progress=Progress(1, 2), activity="Looking …"))
    )
    assert panel.status.isVisible()
    cancel = next(one for one in panel.status.findChildren(QPushButton) if one.isVisible())
    with qtbot.waitSignal(panel.triggered) as signal:
        cancel.click()
    assert signal.args == [TextAction.CANCEL]


def test_detectors_and_models_are_told_by_name(panel, qtbot) -> None:
    panel.show_detectors({"auto": "Automatic", "owl": "OWLv2"}, {})
    with qtbot.waitSignal(panel.detector_chosen) as signal:
        panel._detector.setCurrentIndex(1)
    assert signal.args == ["owl"]
    panel.show_detectors({"sam3": "SAM 3", "auto": "Automatic", "owl": "OWLv2"}, {})
    assert panel.detector == "owl"
    panel.show_models({"tiny": "Tiny", "vit_b": "ViT-B"}, {})
    panel.show_model("vit_b")
    assert panel.model == "vit_b"
    assert list(panel.models()) == ["tiny", "vit_b"]


def test_region_is_told_by_name(panel, qtbot) -> None:
    with qtbot.waitSignal(panel.region_chosen) as signal:
        panel._region.setCurrentIndex(2)
    assert signal.args == ["rectangle"]


def test_planes_are_only_asked_for_in_stacks(panel) -> None:
    assert not panel.planes.isVisible()
    panel.show_planes(5)
    assert panel.planes.isVisible()


def test_masks_are_only_asked_for_where_the_detector_draws_some(panel, qtbot) -> None:
    assert not panel._masks.isVisibleTo(panel)
    panel.show_can_draw_masks(True)
    assert panel._masks.isVisibleTo(panel)
    assert panel.masks is MaskSource.DETECTOR
    with qtbot.waitSignal(panel.masks_chosen, check_params_cb=lambda name: name == "model"):
        panel._masks.setCurrentIndex(1)
    assert panel.masks is MaskSource.MODEL
    assert "moved or drawn are always" in panel._masks.toolTip()


def test_reason_is_given_when_a_box_cannot_be_a_pattern(panel) -> None:
    panel.explain_find_similar("This detector only understands words")
    assert "only understands words" in panel.button(TextAction.FIND_SIMILAR).toolTip()
    panel.explain_find_similar("")
    assert "resembles" in panel.button(TextAction.FIND_SIMILAR).toolTip()


OFFER = Offer(
    "GroundingDINO",
    "689 MB, Apache-2.0, to /home/me/cache",
    ("https://example.org/model.safetensors", "https://example.org/vocab.txt"),
    "/home/me/cache/dino",
)


def plain(label) -> str:
    return label.text().replace("\u200b", "")


def titles(card) -> list[str]:
    buttons = card.findChildren(QPushButton)
    return [one.text() for one in buttons if one.isVisible()]


def press(card, title: str) -> None:
    next(one for one in card.findChildren(QPushButton) if one.text() == title).click()


def test_download_is_explained_and_agreed_to(panel, qtbot) -> None:
    panel.offer.offer(OfferState(OFFER))
    assert panel.offer.isVisible()
    assert plain(panel.offer._text).endswith("/home/me/cache")
    assert titles(panel.offer) == ["Download", "By hand …", "Not now"]
    for title, action in (
        ("Download", TextAction.DOWNLOAD),
        ("Not now", TextAction.DECLINE_DOWNLOAD),
    ):
        with qtbot.waitSignal(panel.triggered) as signal:
            press(panel.offer, title)
        assert signal.args == [action]
    panel.offer.offer(None)
    assert not panel.offer.isVisible()


def test_download_by_hand_names_files_and_folder(panel, qtbot) -> None:
    panel.offer.offer(OfferState(OFFER))
    assert not panel.offer._manual.isVisible()
    press(panel.offer, "By hand …")
    assert "model.safetensors, vocab.txt" in plain(panel.offer._manual)
    assert panel.offer._manual.isVisible()
    assert panel.offer.minimumSizeHint().width() < 320
    assert titles(panel.offer) == ["Look again", "Copy", "Download", "Not now"]
    press(panel.offer, "Copy")
    copied = QApplication.clipboard().text()
    assert "into /home/me/cache/dino" in copied
    assert copied.splitlines()[1:] == list(OFFER.addresses)
    with qtbot.waitSignal(panel.triggered) as signal:
        press(panel.offer, "Look again")
    assert signal.args == [TextAction.RETRY]


def test_download_shows_how_far_it_is_and_can_be_cancelled(panel, qtbot) -> None:
    panel.offer.offer(OfferState(OFFER, running=True))
    assert titles(panel.offer) == ["Cancel"]
    # More bytes than Qt can count.
    panel.offer.show_progress(Progress(1 << 31, 1 << 32, "downloading model.safetensors"))
    assert panel.offer._bar.value() / panel.offer._bar.maximum() == pytest.approx(0.5)
    assert panel.offer._so_far.text() == "downloading model.safetensors  ·  2048 of 4096 MB"
    with qtbot.waitSignal(panel.triggered) as signal:
        press(panel.offer, "Cancel")
    assert signal.args == [TextAction.CANCEL]


def test_download_that_failed_says_how_to_do_without(panel) -> None:
    panel.offer.offer(OfferState(OFFER, failed=True))
    assert titles(panel.offer) == ["Look again", "Copy", "Try again", "Not now"]
    assert "/home/me/cache/dino" in plain(panel.offer._manual)
    assert not panel.offer._bar.isVisible()


def test_own_checkpoint_is_asked_for_and_the_choice_stays(panel, qtbot) -> None:
    panel.show_detectors({"a": "A", "b": "B"}, {})
    chosen = []
    panel.detector_chosen.connect(chosen.append)
    panel._detector.setCurrentIndex(1)
    with qtbot.waitSignal(panel.triggered) as signal:
        panel._detector.setCurrentIndex(panel._detector.count() - 1)
    assert signal.args == [TextAction.CHOOSE_CHECKPOINT]
    assert panel.detector == "b"
    assert chosen == ["b"]


def test_range_of_planes(qtbot) -> None:
    view = PlanesView()
    qtbot.addWidget(view)
    view.show_count(8)
    assert not view.choice.is_range
    view._what.setCurrentIndex(1)
    assert view.choice == PlaneChoice(0, 7, linked=True)
    view._first.setValue(5)
    view._last.setValue(2)
    view._linked.setChecked(False)
    assert view.choice == PlaneChoice(2, 5, linked=False)
    view.show_count(8)
    assert view.choice == PlaneChoice(2, 5, linked=False)
    view.show_count(1)
    assert not view.choice.is_range


def test_concepts_show_colour_and_count_and_are_chosen_by_click(qtbot) -> None:
    concepts = ConceptList()
    qtbot.addWidget(concepts)
    concepts.show_concepts(["cell", "nucleus"], {"cell": "#ff0000"}, {"cell": 4})
    assert [concepts.item(row).text() for row in (0, 1)] == ["cell   4", "nucleus   0"]
    assert concepts.item(0).icon().pixmap(12, 12).toImage().pixelColor(5, 5).name() == "#ff0000"
    assert concepts.concept == "cell"
    concepts.show()
    where = concepts.visualItemRect(concepts.item(1)).center()
    with qtbot.waitSignal(concepts.chosen) as signal:
        qtbot.mouseClick(concepts.viewport(), Qt.MouseButton.LeftButton, pos=where)
    assert signal.args == ["nucleus"]
    concepts.show_concepts(["nucleus", "cell"], {}, {})
    assert concepts.concept == "nucleus"
    concepts.show_concepts([], {}, {})
    assert concepts.concept == "" and not concepts.isVisible()


def test_options_of_the_search(qtbot) -> None:
    view = TextOptionsView()
    qtbot.addWidget(view)
    assert view.search == SearchOptions()
    with qtbot.waitSignal(view.search_changed) as signal:
        view._separately.setChecked(True)
    view._tiling.setCurrentIndex(2)
    view._detail.setValue(640)
    assert view.search == SearchOptions(Tiling.ALWAYS, 640, separately=True)
    assert signal.args[0].separately
    assert not view._form.isRowVisible(view._points)


def test_paths_of_an_offer_can_be_broken_into_lines(qtbot) -> None:
    card = OfferCard()
    qtbot.addWidget(card)
    path = "/very/long/path" * 20
    card.offer(OfferState(Offer("a", path)))
    assert card._text.text() == path
    assert card._text.minimumSizeHint().width() < 300


def test_error_is_shown_in_the_status(panel) -> None:
    panel.show_state(
        text_state(TextFacts(image=True), JobStatus(error="no connection", remedy="put it there"))
    )
    assert panel.status._title.text() == "No connection"
    assert panel.status._text.text() == "put it there"
    assert FOUND.status.phase is Phase.PREVIEW
