"""What the automask panel can do, and what its form says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

__all__ = ["DEFAULT_AUTO_KEYS", "AutoAction", "AutoValues"]


class AutoAction(Enum):
    """What the buttons of the panel trigger."""

    RUN = "run"
    ACCEPT = "accept"
    ACCEPT_ONE = "accept_one"
    DELETE_ONE = "delete_one"
    DISCARD = "discard"
    TAKE_BACK = "take_back"
    CANCEL = "cancel"
    RETRY = "retry"

    @property
    def title(self) -> str:
        """What a button says."""
        return TITLES[self]

    @property
    def help(self) -> str:
        """What a tooltip says."""
        return HELP[self]


TITLES: Mapping[AutoAction, str] = {
    AutoAction.RUN: "Find all objects",
    AutoAction.ACCEPT: "Accept all",
    AutoAction.ACCEPT_ONE: "Accept one",
    AutoAction.DELETE_ONE: "Delete one",
    AutoAction.DISCARD: "Discard",
    AutoAction.TAKE_BACK: "Take back",
    AutoAction.CANCEL: "Cancel",
    AutoAction.RETRY: "Try again",
}
HELP: Mapping[AutoAction, str] = {
    AutoAction.RUN: "Propose an outline for every object; nothing is written to your labels yet",
    AutoAction.ACCEPT: "Write all proposals into the output labels, as one step of undo",
    AutoAction.ACCEPT_ONE: "Write the proposal under the cursor into the output labels",
    AutoAction.DELETE_ONE: "Take the proposal under the cursor away",
    AutoAction.DISCARD: "Take all proposals away; your labels stay as they are",
    AutoAction.TAKE_BACK: "Remove the objects accepted last (Ctrl+Z on the labels layer)",
    AutoAction.CANCEL: "Stop; proposals that are there stay",
    AutoAction.RETRY: "Find the objects again",
}
DEFAULT_AUTO_KEYS: Mapping[AutoAction, str] = {
    AutoAction.ACCEPT: "Shift-G",
    AutoAction.ACCEPT_ONE: "Shift-K",
    AutoAction.DELETE_ONE: "Shift-J",
}
"""Keys that neither napari's viewer and layers nor the other docks use."""


@dataclass(frozen=True)
class AutoValues:
    """What the form says.

    Parameters
    ----------
    mode : str
        ``"objects"``, ``"refined"``, ``"grid"``; empty for what suits the model.
    diameter : float
        Typical object in pixels; 0 has it estimated.
    foreground, seed, score, stability : float
        Thresholds, 0 to 1.
    smallest, largest : float
        Pixels of an object; infinite for no limit.
    border : bool
        Keep objects that the border of the image cuts.
    """

    mode: str = ""
    diameter: float = 0.0
    foreground: float = 0.5
    seed: float = 0.55
    score: float = 0.0
    stability: float = 0.0
    smallest: float = 20.0
    largest: float = math.inf
    border: bool = True
