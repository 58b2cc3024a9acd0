"""How many files of the package someone reads to follow a click, or a commit."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from architecture_page import stations
from blob_images import blob_image, centre

import napari_segmate
from napari_segmate.models import load_model
from napari_segmate.sessions.state import Phase, SessionState

pytestmark = [pytest.mark.gui, pytest.mark.viewer]

PACKAGE = Path(napari_segmate.__file__).parent
MOST_FILES = 25
BEHIND_SEGMENTER = ("models/", "_torch.py")
"""One of several families answers behind the `Segmenter` protocol: not counted."""
COPY_ON_DISK = "napari-segmate-recovery"
"""The thread that keeps a copy of the labels meanwhile: not counted."""


class CallRecorder:
    """Names the functions of the package that any thread calls, by file, in order."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, None]] = {}
        self.recording = False

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        """Take note of a call; Python calls this as a profile function."""
        if not self.recording or event != "call":
            return
        code = frame.f_code
        if code.co_filename.startswith(str(PACKAGE)):
            name = Path(code.co_filename).relative_to(PACKAGE).as_posix()
            outside = name.startswith(BEHIND_SEGMENTER)
            if not outside and threading.current_thread().name != COPY_ON_DISK:
                self.files.setdefault(name, {})[code.co_qualname] = None

    def start(self) -> None:
        """Forget what was recorded and record from now on."""
        self.files.clear()
        self.recording = True

    def missed(self, walk: str) -> list[str]:
        """Return the stations of a walk in the page about the architecture that nobody called."""
        return [
            str(one)
            for one in stations(walk)
            if not any(f"{name}.".startswith(f"{one.name}.") for name in self._called(one.path))
        ]

    def _called(self, path: str) -> dict[str, None]:
        return self.files.get(path, {})

    def report(self) -> str:
        """Return one line per file, in the order in which they were reached."""
        count = sum(map(len, self.files.values()))
        lines = [f"{name}: {', '.join(called)}" for name, called in self.files.items()]
        return "\n".join([f"{len(lines)} files, {count} functions", *lines])


@pytest.fixture
def recorder() -> Iterator[CallRecorder]:
    """A recorder for this thread and for all that start during the test."""
    found = CallRecorder()
    before = sys.getprofile()
    threading.setprofile(found)
    sys.setprofile(found)
    yield found
    sys.setprofile(before)
    threading.setprofile(None)  # type: ignore[arg-type]


@pytest.fixture
def hands(make_hands: Callable[..., Any], recorder: CallRecorder) -> Any:
    """A dock with the embedded model that has labelled one object, as every click but the first.

    The recorder stops when the panel has been told what came of a click or a commit.
    """
    hands = make_hands(blob_image(), model=load_model("tiny", device="cpu"))
    hands.click(hands.viewer.layers[0], centre(0))
    hands.key("K")
    assert hands.output.data.max() == 1

    def stop(state: SessionState) -> None:
        if state.phase is Phase.PREVIEW or "written to" in state.note:
            recorder.recording = False

    # Connected last: the layers and the panel have been told before.
    hands.session.state_changed.connect(stop)
    hands.qtbot.wait(1000)
    return hands


def test_a_click_passes_few_files_until_its_outline_is_drawn(
    hands: Any, recorder: CallRecorder
) -> None:
    recorder.start()
    hands.click(hands.viewer.layers[0], centre(1))
    hands.preview()
    assert not recorder.recording
    assert len(recorder.files) <= MOST_FILES, recorder.report()
    assert recorder.missed("a click") == []


def test_a_commit_passes_few_files_until_it_is_written(hands: Any, recorder: CallRecorder) -> None:
    hands.click(hands.viewer.layers[0], centre(1))
    hands.qtbot.wait(1000)
    recorder.start()
    hands.key("K")
    assert not recorder.recording
    assert hands.output.data.max() == 2
    assert len(recorder.files) <= MOST_FILES, recorder.report()
    assert recorder.missed("a commit") == []
