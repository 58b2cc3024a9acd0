"""One training, with a program that speaks as one."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from blob_images import blob_image, blob_labels
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_segmate.core.errors import CacheError
from napari_segmate.core.training_events import Command, Result
from napari_segmate.plugin.docks.model_lists import follow_models
from napari_segmate.plugin.train.cost import measured_cost
from napari_segmate.plugin.train.pairs import pair_from_layers
from napari_segmate.plugin.train.run import Source, TrainingRun
from napari_segmate.plugin.train.run_folder import Order, interrupted_trainings
from napari_segmate.sessions.training import Stage

pytestmark = pytest.mark.gui

FAKE = [sys.executable, str(Path(__file__).parents[2] / "fake_training.py")]
ORDER = Order("mine", "tiny")
LONG = ("--steps", "100000")


class Bench:
    """A run and what it tells."""

    def __init__(self, qtbot, root: Path, options: tuple[str, ...]) -> None:
        self.qtbot = qtbot
        self.root = root
        self.options = options
        self.written: list = []
        self.gate = threading.Event()
        self.gate.set()
        self.write_error: Exception | None = None
        self.viewer = ViewerModel()
        image = self.viewer.add_layer(Image(blob_image(), name="cells"))
        labels = self.viewer.add_layer(Labels(blob_labels()))
        self.source = Source(pair_from_layers(image, labels, self.viewer.dims))
        self.run = TrainingRun(root, self.viewer, lambda _: [*FAKE, *self.options], self._write)
        self.stages: list[Stage] = []
        self.results: list[Result] = []
        self.run.changed.connect(lambda state: self.stages.append(state.stage))
        self.run.finished.connect(self.results.append)

    def _write(self, folder: Path, samples) -> None:
        self.gate.wait(10)
        if self.write_error is not None:
            raise self.write_error
        folder.mkdir()
        (folder / "manifest.json").write_text("{}")
        self.written = list(samples)

    @property
    def stage(self) -> Stage:
        return self.run.state.stage

    def begin(self, until: Stage = Stage.DONE) -> None:
        self.run.begin(ORDER, [self.source])
        self.until(until)

    def until(self, stage: Stage) -> None:
        self.qtbot.waitUntil(lambda: self.stage is stage, timeout=20_000)

    @property
    def folders(self) -> list[Path]:
        return [path for path in self.root.glob("*") if path.is_dir()]

    @property
    def pid(self) -> int:
        return self.run._process.pid


@pytest.fixture
def bench(qtbot, tmp_path) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(*options: str) -> Bench:
        made.append(Bench(qtbot, tmp_path / "trainings", options))
        return made[-1]

    yield make
    for one in made:
        one.gate.set()
        one.run.leave()
        one.run.deleteLater()
    qtbot.wait(20)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_labels_become_a_model(bench) -> None:
    one = bench()
    told = []
    stop = follow_models(one.viewer, lambda: None, told.append)
    one.begin()
    stop()
    assert [sample.objects for sample in one.written] == [3]
    assert one.results[0].model == "mine"
    assert told == ["mine"]
    assert list(dict.fromkeys(one.stages)) == [
        Stage.COPYING, Stage.STARTING, Stage.RUNNING, Stage.DONE,
    ]  # fmt: skip
    assert len(one.run.state.validations) == 4
    assert not one.folders
    assert measured_cost(one.root, ORDER)[1] == 9


def test_model_that_is_worse_is_not_chosen(bench) -> None:
    one = bench("--worse")
    told = []
    stop = follow_models(one.viewer, lambda: told.append("refreshed"), told.append)
    one.begin()
    stop()
    assert told == ["refreshed"]


def test_pause_resume_and_stop(bench) -> None:
    one = bench(*LONG)
    one.begin(Stage.RUNNING)
    one.run.tell(Command.PAUSE)
    assert one.stage is Stage.PAUSED
    one.run.tell(Command.RESUME)
    assert one.stage is Stage.RUNNING
    one.run.tell(Command.STOP)
    one.until(Stage.DONE)
    assert one.results


@pytest.mark.parametrize("options", [(), ("--deaf",)], ids=["listening", "deaf"])
def test_cancel_leaves_nothing_behind_within_two_seconds(bench, options) -> None:
    one = bench(*LONG, *options)
    one.begin(Stage.RUNNING)
    pid = one.pid
    began = time.monotonic()
    one.run.tell(Command.CANCEL)
    one.until(Stage.SETUP)
    assert time.monotonic() - began < 2
    assert not alive(pid)
    assert not one.folders
    assert not one.results


def test_cancel_while_labels_are_copied(bench) -> None:
    one = bench(*LONG)
    one.gate.clear()
    one.begin(Stage.COPYING)
    one.run.tell(Command.CANCEL)
    assert one.stage is Stage.CANCELLING
    one.gate.set()
    one.until(Stage.SETUP)
    assert not one.folders


def test_cancelled_run_can_begin_again(bench) -> None:
    one = bench(*LONG)
    one.begin(Stage.RUNNING)
    one.run.tell(Command.CANCEL)
    one.until(Stage.SETUP)
    one.options = ()
    one.begin()
    assert one.results


def test_error_of_the_training_is_shown_and_nothing_kept(bench) -> None:
    one = bench("--fail", "no labels")
    one.begin(Stage.FAILED)
    assert one.run.state.error == "no labels"
    one.qtbot.waitUntil(lambda: not one.folders)
    assert not one.run.can_go_on


def test_error_while_copying_is_shown(bench) -> None:
    one = bench()
    one.write_error = CacheError("the disk is full")
    one.begin(Stage.FAILED)
    assert one.run.state.error == "the disk is full"
    assert not one.folders


def test_crash_is_told_and_the_training_can_go_on(bench) -> None:
    one = bench("--crash", "7")
    one.begin(Stage.FAILED)
    assert "exit status 139" in one.run.state.error
    assert "Segmentation fault (as if)" in one.run.state.error
    assert one.run.can_go_on
    one.options = ()
    one.run.again()
    one.until(Stage.DONE)
    assert one.results
    assert not one.folders


def test_training_left_by_a_window_can_be_gone_on_with_by_the_next(bench) -> None:
    first = bench(*LONG)
    first.begin(Stage.RUNNING)
    pid = first.pid
    assert interrupted_trainings(first.root) == [], "it is being looked after"
    first.run.leave()
    first.qtbot.waitUntil(lambda: not alive(pid))
    (folder,) = interrupted_trainings(first.root)
    assert folder.order == ORDER
    second = bench()
    second.run.again(folder)
    second.until(Stage.DONE)
    assert second.results
    assert not second.folders


def test_left_while_labels_are_copied(bench) -> None:
    one = bench(*LONG)
    one.gate.clear()
    one.begin(Stage.COPYING)
    one.run.leave()
    one.gate.set()
    one.qtbot.waitUntil(
        lambda: not any(one.name == "napari-segmate" for one in threading.enumerate())
    )
    one.qtbot.wait(50)
    assert not one.stages[1:]
