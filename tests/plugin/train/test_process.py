"""The training's process, with a program that speaks as one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from napari_segmate.core.training_events import Command, Failure, Result, Start, Step, Validation
from napari_segmate.plugin.train.process import TrainingProcess

pytestmark = pytest.mark.gui

FAKE = [sys.executable, str(Path(__file__).parents[2] / "fake_training.py")]


class Listener:
    """Collects what a process tells."""

    def __init__(self, qtbot, command: list[str], log: Path) -> None:
        self.qtbot = qtbot
        self.process = process = TrainingProcess()
        self.events: list = []
        self.codes: list[int] = []
        process.arrived.connect(self.events.append)
        process.ended.connect(self.codes.append)
        process.start(command, log)

    def of(self, kind) -> list:
        return [event for event in self.events if isinstance(event, kind)]

    def until(self, condition: Callable[[], bool]) -> None:
        self.qtbot.waitUntil(condition, timeout=20_000)

    def until_ended(self) -> int:
        self.until(lambda: bool(self.codes))
        return self.codes[0]


@pytest.fixture
def listen(qtbot, tmp_path) -> Iterator[Callable[..., Listener]]:
    made: list[Listener] = []

    def start(*options: str) -> Listener:
        listener = Listener(qtbot, [*FAKE, *options], tmp_path / "log.txt")
        made.append(listener)
        return listener

    yield start
    for listener in made:
        listener.process.leave()
        listener.process.deleteLater()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_events_arrive_in_order_and_other_lines_do_not(listen) -> None:
    listener = listen()
    assert listener.until_ended() == 0
    assert isinstance(listener.events[0], Start)
    assert [event.step for event in listener.of(Step)] == list(range(1, 21))
    assert len(listener.of(Validation)) == 4
    assert isinstance(listener.events[-1], Result)
    assert not listener.process.running


def test_error_of_the_training_arrives(listen) -> None:
    listener = listen("--fail", "no labels")
    assert listener.until_ended() == 1
    assert listener.events == [Failure("no labels")]


def test_crash_is_told_with_the_last_words(listen) -> None:
    listener = listen("--crash", "3")
    assert listener.until_ended() == 139
    assert "Segmentation fault (as if)" in listener.process.log_end()


def test_pause_and_resume(listen) -> None:
    listener = listen("--steps", "1000")
    listener.until(lambda: len(listener.of(Step)) > 2)
    listener.process.tell(Command.PAUSE)
    listener.qtbot.wait(100)
    count = len(listener.events)
    listener.qtbot.wait(100)
    assert len(listener.events) == count
    listener.process.tell(Command.RESUME)
    listener.until(lambda: len(listener.events) > count)


def test_stop_ends_with_a_result(listen) -> None:
    listener = listen("--steps", "100000")
    listener.until(lambda: bool(listener.of(Step)))
    listener.process.tell(Command.STOP)
    assert listener.until_ended() == 0
    assert len(listener.of(Result)) == 1


@pytest.mark.parametrize("options", [(), ("--deaf",)], ids=["listening", "deaf"])
def test_cancelled_training_is_gone_within_two_seconds(listen, options) -> None:
    listener = listen("--steps", "100000", *options)
    listener.until(lambda: bool(listener.of(Step)))
    pid = listener.process.pid
    began = time.monotonic()
    listener.process.tell(Command.CANCEL)
    listener.until_ended()
    assert time.monotonic() - began < 2
    assert not alive(pid)


def test_nothing_is_told_after_leaving(listen) -> None:
    listener = listen("--steps", "100000")
    listener.until(lambda: bool(listener.of(Step)))
    pid = listener.process.pid
    listener.process.leave()
    count = len(listener.events)
    listener.until(lambda: not alive(pid))
    listener.qtbot.wait(50)
    assert len(listener.events) == count
    assert not listener.codes


def test_program_that_does_not_exist_is_an_error(qtbot, tmp_path) -> None:
    process = TrainingProcess()
    with pytest.raises(OSError, match="nothing"):
        process.start([str(tmp_path / "nothing")], tmp_path / "log.txt")
    process.deleteLater()


def test_training_does_not_outlive_a_program_that_is_killed(tmp_path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from qtpy.QtCore import QCoreApplication\n"
        "from napari_segmate.plugin.train.process import TrainingProcess\n"
        "application = QCoreApplication([])\n"
        f"log = Path({str(tmp_path)!r}) / 'log.txt'\n"
        "process = TrainingProcess()\n"
        f"process.start({[*FAKE, '--steps', '100000']!r}, log)\n"
        "print(process.pid, flush=True)\n"
        "application.exec()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline())
    assert alive(pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    end = time.monotonic() + 10
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.02)
    assert not alive(pid)
