"""The process that trains: started, told what to do, listened to, and never left behind."""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, Qt, QTimer, Signal

from napari_segmate.core.training_events import Command, from_line

__all__ = ["TrainingProcess"]

CANCEL_S = 1.2
"""How long a training may take to end by itself once it is cancelled."""
LAST_LINES = 4
NICENESS = 5
"""The viewer comes first where both want the processor."""


class TrainingProcess(QObject):
    """One training in a process of its own.

    `start` may be called from any thread, everything else belongs to the GUI thread.

    """

    arrived = Signal(object)
    """An event."""
    ended = Signal(int)
    """Its exit status, after all of its events; negative when it was killed."""

    _line = Signal(str)
    _exit = Signal(int)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._log: Path | None = None
        self._process: subprocess.Popen[str] | None = None
        self._dropped = False
        self._line.connect(self._on_line, Qt.ConnectionType.QueuedConnection)
        self._exit.connect(self._on_exit, Qt.ConnectionType.QueuedConnection)
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.timeout.connect(self.kill)

    def start(self, command: Sequence[str], log: Path) -> None:
        """Start it.

        Parameters
        ----------
        command : sequence of str
            Program and arguments.
        log : Path
            Where what it says besides events goes.

        Raises
        ------
        OSError
            The program cannot be started, or the log not be written.
        """
        self._log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w", encoding="utf-8") as stream:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                text=True,
                encoding="utf-8",
                errors="replace",
                env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"},
                **_detached(),
            )
        if self._dropped:
            # Left while it was being started.
            _kill(self._process)
        _lower_priority(self._process.pid)
        atexit.register(_kill_at_exit, weakref.ref(self))
        reader = threading.Thread(
            target=self._read, args=(self._process,), name="napari-segmate-training", daemon=True
        )
        reader.start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with suppress(RuntimeError):  # the Qt object is gone: the viewer was closed meanwhile
            for line in process.stdout:
                self._line.emit(line)
        process.stdout.close()
        code = process.wait()
        with suppress(RuntimeError):
            self._exit.emit(code)

    # On the GUI thread

    def _on_line(self, line: str) -> None:
        event = from_line(line)
        if event is not None and not self._dropped:
            self.arrived.emit(event)

    def _on_exit(self, code: int) -> None:
        self._patience.stop()
        self._close_input()
        if not self._dropped:
            self.ended.emit(code)

    @property
    def running(self) -> bool:
        """True until it has ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """Number of the process."""
        return None if self._process is None else self._process.pid

    def tell(self, command: Command) -> None:
        """Tell it something; a cancelled one that does not end soon is killed."""
        if not self.running:
            return
        self._write(command.value)
        if command is Command.CANCEL:
            self._patience.start(int(CANCEL_S * 1000))

    def kill(self) -> None:
        """End it now, with everything it has started."""
        if self._process is not None and self._process.poll() is None:
            _kill(self._process)

    def leave(self) -> None:
        """End it and emit nothing more: its listeners are about to be deleted."""
        self._dropped = True
        self._patience.stop()
        self.kill()
        self._close_input()

    def log_end(self) -> str:
        """Return the end of what it said besides events, for an error message."""
        if self._log is None:
            return ""
        try:
            lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        said = [line.strip() for line in lines if line.strip()]
        return "\n".join(said[-LAST_LINES:])

    def _write(self, line: str) -> None:
        process = self._process
        if process is None or process.stdin is None or process.stdin.closed:
            return
        with suppress(OSError, ValueError):  # it has just ended
            process.stdin.write(f"{line}\n")
            process.stdin.flush()

    def _close_input(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()


def _detached() -> dict[str, Any]:
    """Return what keeps a signal to napari, such as Ctrl+C, and a console away from it."""
    if sys.platform == "win32":
        flags = subprocess.CREATE_NO_WINDOW | subprocess.BELOW_NORMAL_PRIORITY_CLASS
        return {"creationflags": flags}
    return {"start_new_session": True}


def _lower_priority(pid: int) -> None:
    if sys.platform != "win32":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, pid, NICENESS)


def _kill(process: subprocess.Popen[str]) -> None:
    with suppress(OSError):
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)


def _kill_at_exit(found: weakref.ref[TrainingProcess]) -> None:
    process = found()
    if process is not None:
        process.kill()
