"""Everything a user can trigger by button or key: one vocabulary for panel, keys and settings."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

__all__ = ["DEFAULT_KEYS", "Action", "with_key"]


class Action(Enum):
    """What can be triggered; the values name the settings of the keys."""

    COMMIT = "commit"
    CLEAR = "clear"
    NEXT_MASK = "next_mask"
    UNDO = "undo"
    REDO = "redo"
    EDIT_OBJECT = "edit_object"
    TAKE_BACK = "take_back"
    SWITCH_POLARITY = "switch_polarity"
    SWITCH_TOOL = "switch_tool"
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


TITLES: Mapping[Action, str] = {
    Action.COMMIT: "Commit object",
    Action.CLEAR: "Clear",
    Action.NEXT_MASK: "Next mask",
    Action.UNDO: "Undo",
    Action.REDO: "Redo",
    Action.EDIT_OBJECT: "Edit object",
    Action.TAKE_BACK: "Take back",
    Action.SWITCH_POLARITY: "Include / exclude",
    Action.SWITCH_TOOL: "Next tool",
    Action.CANCEL: "Cancel",
    Action.RETRY: "Try again",
}

HELP: Mapping[Action, str] = {
    Action.COMMIT: "Write the previewed objects into the output labels and go on with the next",
    Action.CLEAR: "Remove all prompts of this plane",
    Action.NEXT_MASK: "Show another of the masks that fit your prompts",
    Action.UNDO: "Take your last click or drawing back",
    Action.REDO: "Bring back what you have undone",
    Action.EDIT_OBJECT: "Pick up the labelled object under the cursor and correct it with prompts",
    Action.TAKE_BACK: "Remove the last committed object again (Ctrl+Z on the labels layer)",
    Action.SWITCH_POLARITY: "Let the left button exclude instead of include, and back",
    Action.SWITCH_TOOL: "Take the next tool: point, box, outline, scribble",
    Action.CANCEL: "Stop the running computation; your prompts stay",
    Action.RETRY: "Compute the mask again",
}

DEFAULT_KEYS: Mapping[Action, str] = {
    Action.COMMIT: "K",
    Action.CLEAR: "J",
    Action.NEXT_MASK: "N",
    Action.UNDO: "U",
    Action.REDO: "Shift-U",
    Action.EDIT_OBJECT: "W",
    Action.TAKE_BACK: "Q",
    Action.SWITCH_POLARITY: "G",
    Action.SWITCH_TOOL: "H",
}
"""Keys that neither napari's viewer nor its layers use."""


def with_key(text: str, key: str) -> str:
    """Return a button text that names its key.

    Examples
    --------
    >>> with_key("Commit", "K"), with_key("Redo", "Shift-U"), with_key("Clear", "")
    ('Commit (K)', 'Redo (⇧U)', 'Clear')
    """
    if not key:
        return text
    short = key.replace("Shift-", "⇧").replace("Control-", "Ctrl+").replace("Alt-", "Alt+")
    return f"{text} ({short})"
