"""The training of each viewer, from the copy of the labels to the new model.

It goes on while the dock is closed, and ends with the window.
"""

from __future__ import annotations

import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from napari.utils import notifications
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QApplication

from napari_segmate.core.context import Context
from napari_segmate.core.errors import Cancelled, SegmateError
from napari_segmate.core.training_events import Command, Event, Failure, Result, Start
from napari_segmate.core.types import IntBoxYX
from napari_segmate.plugin.docks.model_lists import announce_model
from napari_segmate.plugin.train.cost import save_cost
from napari_segmate.plugin.train.model_names import forget_unfinished
from napari_segmate.plugin.train.pairs import Pair, pair_from_files
from napari_segmate.plugin.train.process import TrainingProcess
from napari_segmate.plugin.train.run_folder import Order, TrainingFolder
from napari_segmate.plugin.worker.runner import Job, Runner
from napari_segmate.sessions.state import Progress
from napari_segmate.sessions.training import Stage, TrainingState, follow, is_better
from napari_segmate.training.data import Annotation, Sample

__all__ = ["Source", "TrainingRun", "command_of", "end_training", "training_of"]

SHOW_MS = 200
"""Steps may take milliseconds: the panel need not be drawn for each."""
CommandOf = Callable[[TrainingFolder], Sequence[str]]
Write = Callable[[Path, Sequence[Sample]], Any]


@dataclass(frozen=True, eq=False)
class Source:
    """What to learn from one pair.

    Parameters
    ----------
    pair : Pair or (Path, Path)
        Layers as they are now, or files.
    annotation : Annotation
        What of the planes was annotated.
    planes : tuple of int, optional
        Which planes; all with labels by default.
    rectangle : (y0, x0, y1, x1), optional
        The annotated part.
    """

    pair: Pair | tuple[Path, Path]
    annotation: Annotation = Annotation.PLANES
    planes: tuple[int, ...] | None = None
    rectangle: IntBoxYX | None = None

    def samples(self, context: Context) -> Iterator[Sample]:
        """Yield the planes to learn from; for the worker thread."""
        pair = self.pair if isinstance(self.pair, Pair) else pair_from_files(*self.pair)
        yield from pair.samples(self.annotation, self.planes, self.rectangle, context)


def command_of(folder: TrainingFolder) -> list[str]:
    """Return the command line of a training: the same one that a person would type."""
    order = folder.order
    return [
        *(sys.executable, "-m", "napari_segmate", "train"),
        *("--data", str(folder.data), "--model", order.model, "--preset", order.preset.value),
        *("-o", order.name, "--device", order.device, "--events"),
        *(["--polarity"] if order.polarity else []),
    ]


def write_data(folder: Path, samples: Sequence[Sample]) -> None:
    """Write what a training reads."""
    from napari_segmate.training.snapshot import write_snapshot

    write_snapshot(folder, samples)


class TrainingRun(QObject):
    """One training after the other, in a process of their own.

    Parameters
    ----------
    root : Path
        Where folders of trainings lie.
    viewer : ViewerModel
        In whose docks a new model is chosen.
    command : callable
        Returns the command line of a training.
    write : callable
        ``write(folder, samples)`` writes what it reads.
    """

    changed = Signal(object)
    """A `TrainingState`, at most every 200 ms."""
    finished = Signal(object)
    """The `Result`."""

    def __init__(
        self,
        root: Path,
        viewer: Any,
        command: CommandOf = command_of,
        write: Write = write_data,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._root = root
        self._viewer = weakref.ref(viewer)
        self._command_of = command
        self._write = write
        self._runner: Runner | None = None
        self._job: Job | None = None
        self._process: TrainingProcess | None = None
        self._folder: TrainingFolder | None = None
        self._began = 0.0
        self._measures = False
        self._cancelled = threading.Event()
        self._early: list[Callable[[], None]] = []
        self.state = TrainingState()
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(SHOW_MS)
        self._later.timeout.connect(self._show)

    # Begin

    def begin(self, order: Order, sources: Sequence[Source], *, measure: bool = False) -> None:
        """Copy labels and images as they are now, and train on them.

        Parameters
        ----------
        order : Order
            What is trained.
        sources : sequence of Source
            What is learnt from.
        measure : bool
            Only find out how long that would take.
        """
        if self.state.stage.busy:
            return
        self._remove_folder()
        self._measures = measure
        options = ["--estimate"] if measure else []

        def work(context: Context) -> TrainingFolder:
            samples = [sample for source in sources for sample in source.samples(context)]
            folder = TrainingFolder.create(self._root, order)
            try:
                self._write(folder.data, samples)
                context.check()
                process.start([*self._command_of(folder), *options], folder.log)
            except BaseException:
                folder.remove()
                raise
            return folder

        process = self._new_process(order)
        self._launch(order, Stage.COPYING, work, process)

    def again(self, folder: TrainingFolder | None = None) -> None:
        """Go on with a training that ended before its time."""
        folder = folder or self._folder
        if folder is None or self.state.stage.busy:
            return

        def work(context: Context) -> TrainingFolder:
            process.start(self._command_of(folder), folder.log)
            return folder

        folder.lock()
        self._measures = False
        process = self._new_process(folder.order)
        self._launch(folder.order, Stage.STARTING, work, process)

    @property
    def can_go_on(self) -> bool:
        """True when the last training ended before its time."""
        return self._folder is not None and not self.state.stage.busy

    def _new_process(self, order: Order) -> TrainingProcess:
        process = TrainingProcess(parent=self)
        process.arrived.connect(self._on_event)
        process.ended.connect(self._on_ended)
        return process

    def _launch(
        self,
        order: Order,
        stage: Stage,
        work: Callable[[Context], TrainingFolder],
        process: TrainingProcess,
    ) -> None:
        self._order, self._began = order, time.monotonic()
        self._process = process
        self._cancelled = cancelled = threading.Event()
        self._early = []
        self._set(TrainingState(stage, model=order.name))
        self._runner = Runner(self)

        def unless_cancelled(context: Context) -> TrainingFolder:
            return work(Context(context.progress, cancelled.is_set))

        self._job = Job(unless_cancelled, self._on_launched, self._on_failed, self._on_progress)
        self._runner.submit(self._job)

    def _on_progress(self, done: int, total: int, text: str) -> None:
        if self.state.stage is Stage.COPYING:
            self._set(replace(self.state, progress=Progress(done, total, text)), soon=True)

    def _on_launched(self, folder: TrainingFolder) -> None:
        self._folder = folder
        self._end_job()
        if self.state.stage is Stage.CANCELLING:
            self._tell(Command.CANCEL)
        elif self.state.stage is Stage.COPYING:
            stage = Stage.MEASURING if self._measures else Stage.STARTING
            self._set(replace(self.state, stage=stage, progress=None))
        # The process may be faster than the news of its start.
        early, self._early = self._early, []
        for call in early:
            call()

    def _on_failed(self, error: BaseException) -> None:
        self._end_job()
        self._end_process()
        if isinstance(error, Cancelled):
            self._set(TrainingState(model=self._order.name))
            return
        known = isinstance(error, SegmateError | OSError)
        text = str(error) if known else f"{type(error).__name__}: {error}"
        self._set(replace(self.state, stage=Stage.FAILED, error=text, progress=None))

    def _end_job(self) -> None:
        if self._runner is not None:
            self._runner.close()
            self._runner.deleteLater()
        self._runner = self._job = None

    # While it runs

    def tell(self, command: Command) -> None:
        """Pause, resume, stop or cancel it."""
        stage = self.state.stage
        if not stage.busy or stage is Stage.CANCELLING:
            return
        if command is Command.CANCEL:
            self._set(replace(self.state, stage=Stage.CANCELLING, progress=None))
            self._cancelled.set()
        elif not self.state.pausable:
            return
        else:
            stages = {Command.PAUSE: Stage.PAUSED, Command.RESUME: Stage.RUNNING}
            self._set(replace(self.state, stage=stages.get(command, Stage.STOPPING)))
        self._tell(command)

    def _tell(self, command: Command) -> None:
        if self._process is not None:
            self._process.tell(command)

    def _on_event(self, event: Event) -> None:
        if self._job is not None:
            self._early.append(lambda: self._on_event(event))
            return
        if self.state.stage is Stage.CANCELLING:
            return
        self._set(follow(self.state, event), soon=not isinstance(event, Start | Result | Failure))
        if isinstance(event, Start):
            save_cost(self._root, self._order, event.estimate_s, event.memory_mb)
        elif isinstance(event, Failure):
            self._remove_folder()
        elif isinstance(event, Result):
            self._on_result(event)

    def _on_result(self, result: Result) -> None:
        if self.state.start is not None:
            took = time.monotonic() - self._began
            save_cost(self._root, self._order, took, self.state.start.memory_mb)
        self._remove_folder()
        announce_model(result.model, None if result.worse else self._viewer())
        self.finished.emit(result)

    def _on_ended(self, code: int) -> None:
        if self._job is not None:
            self._early.append(lambda: self._on_ended(code))
            return
        stage = self.state.stage
        if self._measures:
            self._remove_folder()
        log_end = self._process.log_end() if self._process is not None else ""
        self._end_process()
        if stage is Stage.CANCELLING:
            self._remove_folder()
            forget_unfinished(self._order.name)
            self._set(TrainingState(model=self._order.name))
        elif stage is Stage.MEASURING and code == 0:
            self._set(TrainingState())
        elif stage.busy:
            self._set(replace(self.state, stage=Stage.FAILED, error=_crash(code, log_end)))

    def forget_result(self) -> None:
        """Show no result any more: the model is discarded."""
        self._set(TrainingState())

    # End

    def leave(self) -> None:
        """End what runs; it can be continued later. Its listeners are about to be deleted."""
        self._cancelled.set()
        self._end_job()
        self._end_process()
        if self._folder is not None:
            self._folder.release()

    def _end_process(self) -> None:
        if self._process is not None:
            self._process.leave()
            self._process.deleteLater()
        self._process = None

    def _remove_folder(self) -> None:
        if self._folder is not None:
            self._folder.remove()
        self._folder = None

    # Out

    def _set(self, state: TrainingState, *, soon: bool = False) -> None:
        self.state = state
        if not soon:
            self._show()
        elif not self._later.isActive():
            self._later.start()

    def _show(self) -> None:
        self._later.stop()
        self.changed.emit(self.state)


def _crash(code: int, words: str) -> str:
    reason = f"exit status {code}"
    if code < 0:
        reason = f"it was killed by signal {-code}; did the memory run out?"
    said = f"\n{words}" if words else ""
    return f"the training ended unexpectedly ({reason}).{said}"


# One training for each viewer

_RUNS: dict[int, TrainingRun] = {}


def training_of(viewer: Any, root: Path) -> TrainingRun:
    """Return the training of a viewer, which may be under way.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    root : Path
        Where folders of trainings lie.
    """
    key = id(viewer)
    if key not in _RUNS:
        run = TrainingRun(root, viewer)
        run.finished.connect(_notify)
        weakref.finalize(viewer, _forget, key)
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(run.leave)
        _RUNS[key] = run
    return _RUNS[key]


def end_training(viewer_id: int) -> None:
    """End what is trained for a viewer, whose window is closed; it can be gone on with later."""
    run = _RUNS.pop(viewer_id, None)
    if run is not None and _exists(run):
        run.leave()
        run.deleteLater()


def _forget(key: int) -> None:
    run = _RUNS.pop(key, None)
    if run is not None and _exists(run):
        run.leave()


def _exists(run: TrainingRun) -> bool:
    """Tell whether Qt has not deleted it yet, as it does when Python ends before the window."""
    try:
        run.objectName()
    except RuntimeError:
        return False
    return True


def _notify(result: Result) -> None:
    if result.worse:
        notifications.show_warning(
            f"The training of '{result.model}' made it worse; see the Train panel"
        )
    elif is_better(result):
        notifications.show_info(f"The model '{result.model}' is trained")
    else:
        notifications.show_info(
            f"The model '{result.model}' is trained; it is no better than the one it began with"
        )
