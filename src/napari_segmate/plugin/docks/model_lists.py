"""Models that come and go while docks are open: every list of models learns of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from psygnal import Signal

from napari_segmate.core.files.weights import locate
from napari_segmate.models.base import ModelInfo
from napari_segmate.plugin.worker.engine import SHARED_MODELS

__all__ = ["announce_model", "follow_models", "model_tips"]


class _ModelLists:
    """What all docks of a process listen to."""

    changed = Signal()
    chosen = Signal(object, str)


_LISTS = _ModelLists()


def announce_model(name: str, viewer: Any = None) -> None:
    """Tell every dock that a model is new, is another one, or is gone.

    Parameters
    ----------
    name : str
        The model; docks that use it load it again.
    viewer : ViewerModel, optional
        In whose docks it is to be chosen.
    """
    SHARED_MODELS.forget(name)
    _LISTS.changed.emit()
    if viewer is not None:
        _LISTS.chosen.emit(viewer, name)


def follow_models(
    viewer: Any, refresh: Callable[[], None], choose: Callable[[str], None]
) -> Callable[[], None]:
    """Call `refresh` when models come or go, `choose` when one is to be taken in this viewer.

    Returns how to stop that. For the GUI thread.
    """

    def on_changed() -> None:
        refresh()

    def on_chosen(where: Any, name: str) -> None:
        if where is viewer:
            choose(name)

    _LISTS.changed.connect(on_changed)
    _LISTS.chosen.connect(on_chosen)

    def stop() -> None:
        _LISTS.changed.disconnect(on_changed, missing_ok=True)
        _LISTS.chosen.disconnect(on_chosen, missing_ok=True)

    return stop


def model_tips(models: Iterable[ModelInfo]) -> dict[str, str]:
    """Return what the list says about each model, by name; also what using it would download."""
    return {info.name: info.description + _download(info) for info in models}


def _download(info: ModelInfo) -> str:
    if info.weights is None or locate(info.weights) is not None:
        return ""
    size = f": {info.download_size}" if info.download_size else ""
    return f"\nIt is downloaded when it is first chosen{size}"
