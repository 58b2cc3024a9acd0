from __future__ import annotations

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QComboBox

from napari_segmate.core.images.contrast import ContrastMode
from napari_segmate.core.labels.commit import CommitPolicy
from napari_segmate.sessions.prompt_set import PointMode
from napari_segmate.sessions.state import Phase, Progress, SessionState
from napari_segmate.widgets.actions import SegmentAction, default_keys
from napari_segmate.widgets.options_view import OptionsView, OptionValues
from napari_segmate.widgets.recovery_banner import RecoveryBanner
from napari_segmate.widgets.segment_panel import SegmentPanel
from napari_segmate.widgets.status_view import StatusView
from napari_segmate.widgets.tool_row import TOOL_HELP, ToolRow

pytestmark = pytest.mark.gui

READY = SessionState(
    phase=Phase.PREVIEW,
    hint="Press K",
    n_objects=1,
    candidate=1,
    n_candidates=3,
    score=0.873,
    object_area=1234,
    can_commit=True,
    can_undo=True,
)


@pytest.fixture
def panel(qtbot) -> SegmentPanel:
    made = SegmentPanel(QComboBox(), QComboBox())
    qtbot.addWidget(made)
    return made


def test_state_is_shown_in_words_and_buttons(panel) -> None:
    panel.show_state(READY)
    assert panel._mask.text() == "Mask 2 of 3  ·  Score 0.87  ·  1,234 px"
    assert panel.button(SegmentAction.COMMIT).isEnabled()
    assert panel.button(SegmentAction.UNDO).isEnabled()
    assert not panel.button(SegmentAction.REDO).isEnabled()
    panel.show_state(SessionState())
    assert panel._mask.text() == "No mask yet"
    assert not panel.button(SegmentAction.COMMIT).isEnabled()


def test_commit_button_counts_the_objects(panel) -> None:
    panel.show_state(SessionState(n_objects=4))
    assert panel.button(SegmentAction.COMMIT).text() == "Commit 4 objects (K)"


@pytest.mark.parametrize(
    "action", [SegmentAction.CLEAR, SegmentAction.EDIT_OBJECT, SegmentAction.TAKE_BACK]
)
def test_buttons_trigger_their_action(panel, qtbot, action) -> None:
    panel.button(action).setEnabled(True)
    with qtbot.waitSignal(panel.triggered) as signal:
        qtbot.mouseClick(panel.button(action), Qt.MouseButton.LeftButton)
    assert signal.args == [action]


def test_keys_are_named_on_buttons_and_in_tooltips(panel) -> None:
    panel.show_keys({**default_keys(SegmentAction), SegmentAction.CLEAR: "Control-J"})
    assert panel.button(SegmentAction.CLEAR).text() == "Clear (Ctrl+J)"
    assert panel.button(SegmentAction.REDO).text() == "Redo (⇧U)"
    panel.show_keys({})
    assert panel.button(SegmentAction.CLEAR).text() == "Clear"


def test_models_are_offered_by_title_and_told_by_name(panel, qtbot) -> None:
    panel.show_models({"tiny": "Tiny", "vit_b": "SAM ViT-B"}, {"tiny": "fast"})
    panel.show_model("vit_b")
    with qtbot.waitSignal(panel.model_chosen) as signal:
        panel._model.setCurrentIndex(0)
    assert signal.args == ["tiny"]
    assert list(panel.models()) == ["tiny", "vit_b"]


def test_every_action_has_words() -> None:
    for action in SegmentAction:
        assert action.title
        assert action.help


def test_status_keeps_its_height_whatever_it_shows(qtbot) -> None:
    status = StatusView()
    qtbot.addWidget(status)
    status.resize(300, status.sizeHint().height())
    usual = ("Left-click on an object; right-click to exclude", "Object 3 written to 'cells'")
    heights = set()
    for phase in Phase:
        hint, note = usual
        state = SessionState(phase=phase, hint=hint, note=note, progress=Progress(1, 2))
        status.show_state(state)
        heights.add(max(status.layout().totalHeightForWidth(300), status.minimumHeight()))
    assert heights == {status.minimumHeight()}


def test_status_keeps_no_room_for_more_than_is_usually_said(qtbot) -> None:
    status, short = StatusView(), StatusView(lines=2)
    for one in (status, short):
        qtbot.addWidget(one)
        one.show_state(SessionState(phase=Phase.NEEDS_PROMPT, hint="Choose an image"))
    line = status.fontMetrics().lineSpacing()
    assert status.minimumHeight() < 6 * line
    assert short.minimumHeight() < 4 * line
    assert status._strip.isHidden()


def test_a_note_is_said_below_the_hint_and_an_error_in_its_place(qtbot) -> None:
    status = StatusView()
    qtbot.addWidget(status)
    status.show_state(SessionState(hint="Click", note="Object 3 written"))
    assert (status._title.text(), status._text.text()) == ("Click", "Object 3 written")
    status.show_state(SessionState(Phase.ERROR, "Click", "full", note="Object 3 written"))
    assert (status._title.text(), status._text.text()) == ("Full", "Click")


def test_cancel_and_retry_of_the_status_are_actions_of_the_panel(panel, qtbot) -> None:
    for button, action in (("_cancel", SegmentAction.CANCEL), ("_retry", SegmentAction.RETRY)):
        with qtbot.waitSignal(panel.triggered) as signal:
            getattr(panel.status, button).click()
        assert signal.args == [action]


def test_status_offers_cancel_while_busy_and_retry_after_an_error(qtbot) -> None:
    status = StatusView()
    qtbot.addWidget(status)
    busy = SessionState(phase=Phase.ENCODING, progress=Progress(3, 10, "Downloading"))
    status.show_state(busy)
    assert status._cancel.isVisibleTo(status)
    assert (status._bar.value(), status._bar.maximum()) == (3, 10)
    assert "Downloading" in (status._title.text() + status._text.text())
    with qtbot.waitSignal(status.cancel_clicked):
        qtbot.mouseClick(status._cancel, Qt.MouseButton.LeftButton)
    status.show_state(SessionState(phase=Phase.ERROR, error="no memory"))
    assert not status._cancel.isVisibleTo(status)
    assert status._retry.isVisibleTo(status)
    assert status._title.text() == "No memory"


def test_long_words_of_a_status_wrap_and_are_copied_whole(qtbot) -> None:
    status = StatusView()
    qtbot.addWidget(status)
    text = f"Put it from https://example.org/{'0a1b' * 40}/tree into /home/{'me' * 60}"
    status.show_state(SessionState(phase=Phase.ERROR, error=text, hint="x" * 200))
    assert status.minimumSizeHint().width() < 300
    title = status._title
    title.setSelection(0, 1000)
    qtbot.keyClick(title, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    clipboard = QApplication.clipboard()
    assert clipboard is not None
    assert clipboard.text() == text


def test_retry_is_not_offered_where_it_cannot_help(qtbot) -> None:
    status = StatusView()
    qtbot.addWidget(status)
    status.show_state(SessionState(phase=Phase.ERROR, error="no", can_retry=False))
    assert not status._retry.isVisibleTo(status)


def test_tools_and_polarity_are_told_and_shown(qtbot) -> None:
    row = ToolRow()
    qtbot.addWidget(row)
    for name in TOOL_HELP:
        with qtbot.waitSignal(row.tool_chosen) as signal:
            qtbot.mouseClick(row._tools[name], Qt.MouseButton.LeftButton)
        assert signal.args == [name]
        row.show_tool(name)
        assert [other for other, one in row._tools.items() if one.isChecked()] == [name]
    row.show_tool(None)
    assert not any(one.isChecked() for one in row._tools.values())
    with qtbot.waitSignal(row.polarity_chosen) as signal:
        qtbot.mouseClick(row._polarity[False], Qt.MouseButton.LeftButton)
    assert signal.args == [False]
    row.show_polarity(True)
    assert row._polarity[True].isChecked()


def test_options_return_what_they_were_given(qtbot) -> None:
    view = OptionsView()
    qtbot.addWidget(view)
    view.show_devices(["cpu", "cuda"])
    view.show_channel_axes({0: "axis 0 (4)"}, {0: 4})
    values = OptionValues(
        device="cuda",
        contrast=ContrastMode.LAYER,
        channel_axis=0,
        channels=(3, None, 1),
        points=PointMode.EACH_POINT,
        policy=CommitPolicy.OVERWRITE,
        fill_holes=False,
        min_size=12,
    )
    view.show_values(values)
    assert view.values == values


def test_options_offer_channels_only_where_there_are_some(qtbot) -> None:
    view = OptionsView()
    qtbot.addWidget(view)
    view.show()
    assert not view._form.isRowVisible(view._channel_axis)
    view.show_channel_axes({0: "axis 0 (2)", 1: "axis 1 (9)"}, {0: 2, 1: 9})
    assert view._form.isRowVisible(view._channel_axis)
    assert not view._form.isRowVisible(view._colours[0])
    with qtbot.waitSignal(view.changed) as signal:
        view._channel_axis.setCurrentIndex(1)
    assert signal.args[0].channel_axis == 0
    assert signal.args[0].channels == (0, 1, None)


def test_every_policy_and_mode_has_words(qtbot) -> None:
    view = OptionsView()
    qtbot.addWidget(view)
    for combo, kind in (
        (view._policy, CommitPolicy),
        (view._points, PointMode),
        (view._contrast, ContrastMode),
    ):
        assert {combo.itemData(at) for at in range(combo.count())} == set(kind)


def test_banner_shows_only_what_there_is(qtbot) -> None:
    banner = RecoveryBanner()
    qtbot.addWidget(banner)
    assert banner.isHidden()
    banner.offer("3 objects")
    assert not banner.isHidden()
    banner.offer("")
    assert banner.isHidden()
