from __future__ import annotations

import threading

import pytest

from napari_segmate.core.context import Context
from napari_segmate.core.errors import Cancelled
from napari_segmate.core.training_events import Command
from napari_segmate.training.control import Control


def test_pause_holds_until_resume() -> None:
    control = Control()
    control.tell(Command.PAUSE)
    timer = threading.Timer(0.1, control.tell, [Command.RESUME])
    timer.start()
    assert control.check() >= 0.09
    timer.join()


def test_words_are_understood_and_noise_is_not() -> None:
    control = Control()
    lines = iter(["hello\n", " STOP \n"])
    thread = threading.Thread(target=control.listen, args=(lines,))
    thread.start()
    thread.join()
    assert control.stopped


def test_the_end_of_the_input_cancels() -> None:
    control = Control()
    control.listen([])
    with pytest.raises(Cancelled):
        control.check()


def test_a_cancelled_context_counts() -> None:
    with pytest.raises(Cancelled):
        Control(Context(cancelled=lambda: True)).check()


def test_cancel_ends_a_pause() -> None:
    control = Control()
    control.tell(Command.PAUSE)
    timer = threading.Timer(0.05, control.tell, [Command.CANCEL])
    timer.start()
    with pytest.raises(Cancelled):
        control.check()
    timer.join()
