"""The state of a running training in a file, so that it survives the end of its process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from napari_segmate.core.errors import CacheError
from napari_segmate.core.files.atomic import replacing
from napari_segmate.training.judge import Judgement

__all__ = ["Progress", "load_state", "save_state"]

VERSION = 2


@dataclass
class Progress:
    """How far a training is.

    Parameters
    ----------
    epoch, step : int
        The last ones that are done.
    best_epoch : int
        After which the best weights were found.
    history : list of Judgement
        One per epoch, the first one before training.
    prompted : float, optional
        The usual loss of answers to prompts.
    """

    epoch: int = 0
    step: int = 0
    best_epoch: int = 0
    history: list[Judgement] = field(default_factory=list)
    prompted: float | None = None

    def state(self) -> dict[str, Any]:
        """Return it as plain values."""
        history = [(one.loss, one.iou, one.ap50) for one in self.history]
        return {**vars(self), "history": history}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Progress:
        """Return it from plain values."""
        values = {one.name: state[one.name] for one in fields(cls)}
        return cls(**{**values, "history": [Judgement(*each) for each in state["history"]]})


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write a state, at once or not at all.

    Raises
    ------
    CacheError
        The disk is full or cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part, part.open("wb") as file:
            torch.save({**state, "version": VERSION}, file)
    except (OSError, RuntimeError) as error:
        raise CacheError(
            f"the training cannot be saved in {path.parent} ({error}); free some space"
        ) from error


def load_state(path: Path, fingerprint: str) -> dict[str, Any] | None:
    """Return a state that belongs to the same data and settings, None if there is none.

    Nothing in the file is ever run; one that is damaged or of another version counts as none.
    """
    if not path.is_file():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:
        # Whatever a damaged file makes the reader raise: the training begins anew.
        return None
    known = isinstance(state, dict) and state.get("version") == VERSION
    return state if known and state.get("fingerprint") == fingerprint else None
