"""The detectors that the text dock offers: those with a name, and the user's own checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from napari_segmate.core.errors import SegmateError
from napari_segmate.plugin.text.detector_engine import DetectorEngine, DetectorEntry
from napari_segmate.plugin.text.prompt_history import PromptHistory
from napari_segmate.plugin.worker.runner import Job, Runner
from napari_segmate.widgets.checkpoint_dialog import CheckpointDialog
from napari_segmate.widgets.text_panel import TextPanel

__all__ = ["DetectorList"]


class DetectorList:
    """Fills the list of detectors, and asks for own checkpoints.

    Parameters
    ----------
    panel : TextPanel
        Where the list is.
    detector_engine : DetectorEngine
        Knows the detectors.
    runner : Runner
        Reads and writes the file.
    path : Path
        File that remembers own checkpoints from one start of napari to the next.
    """

    def __init__(
        self, panel: TextPanel, detector_engine: DetectorEngine, runner: Runner, path: Path
    ) -> None:
        self._panel = panel
        self._detector_engine = detector_engine
        self._runner = runner
        self._remembered = PromptHistory(path)
        self._own: dict[str, DetectorEntry] = {}
        self._entries: Mapping[str, DetectorEntry] = {}
        self._fill()

    def load(self) -> None:
        """Offer the own checkpoints of former times that are still there."""
        self._runner.submit(Job(lambda context: self._known(self._remembered.load()), self._add))

    @property
    def chosen(self) -> DetectorEntry | None:
        """The detector that is chosen."""
        return self._entries.get(self._panel.detector)

    def ask_for_own(self, chosen: Callable[[], None]) -> None:
        """Open a dialog for an own checkpoint; `chosen` is called when one is chosen."""
        dialog = CheckpointDialog(self._panel)

        def take(name: str) -> None:
            try:
                entry = self._detector_engine.own(name)
            except (SegmateError, OSError) as error:
                dialog.show_error(str(error))
                return
            dialog.accept()
            self._remembered.add(name)
            self._runner.submit(Job(lambda context: self._remembered.save()))
            self._add({name: entry})
            self._panel.show_detector(name)
            chosen()

        dialog.chosen.connect(take)
        dialog.open()

    def _known(self, names: Sequence[str]) -> Mapping[str, DetectorEntry]:
        found = {}
        for name in names:
            with suppress(SegmateError, OSError):
                found[name] = self._detector_engine.own(name)
        return found

    def _add(self, entries: Mapping[str, DetectorEntry]) -> None:
        self._own.update(entries)
        self._fill()

    def _fill(self) -> None:
        entries = [*self._detector_engine.detectors(), *self._own.values()]
        self._entries = {one.name: one for one in entries}
        self._panel.show_detectors(
            {one.name: one.title for one in entries},
            {one.name: one.description for one in entries},
        )
