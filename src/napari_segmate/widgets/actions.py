"""Everything a user can trigger by button or key: one vocabulary for panels, keys and settings."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Self, TypeVar

__all__ = ["AutoAction", "PanelAction", "SegmentAction", "TextAction", "default_keys", "with_key"]


class PanelAction(Enum):
    """What the buttons and keys of a panel trigger.

    A member is written as ``NAME = (setting, title, help, key)``; its value is the setting.

    Attributes
    ----------
    title : str
        What a button says.
    help : str
        What a tooltip says.
    key : str
        The key it has by default, empty for none.
    """

    title: str
    help: str
    key: str

    def __new__(cls, setting: str, title: str = "", help: str = "", key: str = "") -> Self:  # noqa: A002 - as tooltips say
        """Make a member whose value names the setting of its key."""
        action = object.__new__(cls)
        action._value_ = setting
        action.title, action.help, action.key = title, help, key
        return action


Kind = TypeVar("Kind", bound=PanelAction)


class SegmentAction(PanelAction):
    """Actions of the Segment panel; keys are ones that neither napari nor its layers use."""

    COMMIT = (
        "commit",
        "Commit object",
        "Write the previewed objects into the output labels and go on with the next",
        "K",
    )
    CLEAR = ("clear", "Clear", "Remove all prompts of this plane", "J")
    NEXT_MASK = ("next_mask", "Next mask", "Show another of the masks that fit your prompts", "N")
    UNDO = ("undo", "Undo", "Take your last click or drawing back", "U")
    REDO = ("redo", "Redo", "Bring back what you have undone", "Shift-U")
    EDIT_OBJECT = (
        "edit_object",
        "Edit object",
        "Pick up the labelled object under the cursor and correct it with prompts",
        "W",
    )
    TAKE_BACK = (
        "take_back",
        "Take back",
        "Remove the last committed object again (Ctrl+Z on the labels layer)",
        "Q",
    )
    SWITCH_POLARITY = (
        "switch_polarity",
        "Include / exclude",
        "Let the left button exclude instead of include, and back",
        "G",
    )
    SWITCH_TOOL = (
        "switch_tool",
        "Next tool",
        "Take the next tool: point, box, outline, scribble",
        "H",
    )
    CANCEL = ("cancel", "Cancel", "Stop the running computation; your prompts stay")
    RETRY = ("retry", "Try again", "Compute the mask again")


class AutoAction(PanelAction):
    """Actions of the Automask panel; keys are ones that the other docks do not use either."""

    RUN = (
        "run",
        "Find all objects",
        "Propose an outline for every object; nothing is written to your labels yet",
    )
    ACCEPT = (
        "accept",
        "Accept all",
        "Write all proposals into the output labels, as one step of undo",
        "Shift-G",
    )
    ACCEPT_ONE = (
        "accept_one",
        "Accept one",
        "Write the proposal under the cursor into the output labels",
        "Shift-K",
    )
    DELETE_ONE = (
        "delete_one",
        "Delete one",
        "Take the proposal under the cursor away",
        "Shift-J",
    )
    DISCARD = ("discard", "Discard", "Take all proposals away; your labels stay as they are")
    TAKE_BACK = (
        "take_back",
        "Take back",
        "Remove the objects accepted last (Ctrl+Z on the labels layer)",
    )
    CANCEL = ("cancel", "Cancel", "Stop; proposals that are there stay")
    RETRY = ("retry", "Try again", "Find the objects again")


class TextAction(PanelAction):
    """Actions of the Find by text panel."""

    FIND = ("find", "Find", "Look for the concepts in the image (Enter in the text)")
    DRAW = (
        "draw",
        "Draw box",
        "Drag a box round something that was missed; it gets the concept chosen above",
    )
    EDIT = ("edit", "Edit boxes", "Click a box to move, resize or delete it (Delete key)")
    FIND_SIMILAR = (
        "find_similar",
        "More like this",
        "Look for whatever resembles the content of the selected or last drawn box",
    )
    SEGMENT = ("segment", "Segment", "Turn every box into an object of the labels layer")
    CLEAR = ("clear", "Clear boxes", "Remove all boxes, those that you drew, too")
    TAKE_BACK = (
        "take_back",
        "Take back",
        "Remove the objects of the last Segment (Ctrl+Z on the labels layer)",
    )
    CANCEL = ("cancel",)
    RETRY = ("retry",)
    DOWNLOAD = ("download",)
    DECLINE_DOWNLOAD = ("decline_download",)
    CHOOSE_CHECKPOINT = ("choose_checkpoint",)


def default_keys(actions: type[Kind]) -> Mapping[Kind, str]:
    """Return the keys that actions have before the user changes any.

    Examples
    --------
    >>> {action.title: key for action, key in default_keys(AutoAction).items()}
    {'Accept all': 'Shift-G', 'Accept one': 'Shift-K', 'Delete one': 'Shift-J'}
    """
    return {action: action.key for action in actions if action.key}


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
