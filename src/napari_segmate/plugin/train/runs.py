"""The training of each viewer: it goes on while the dock is closed, and ends with the window."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

from napari.utils import notifications
from qtpy.QtWidgets import QApplication

from napari_segmate.core.training_events import Result
from napari_segmate.plugin.train.run import TrainingRun
from napari_segmate.sessions.training import is_better

__all__ = ["end_training", "training_of"]

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
        run.finished.connect(_tell)
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


def _tell(result: Result) -> None:
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
