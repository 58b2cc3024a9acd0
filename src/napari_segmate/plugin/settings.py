"""The user's settings, from napari's Preferences > SegMate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from napari.settings import get_plugin_settings

from napari_segmate.widgets.actions import AutoAction, PanelAction, SegmentAction, default_keys

__all__ = ["PLUGIN", "General", "follow_keys", "read_general", "read_keys"]

PLUGIN = "napari-segmate"
Kind = TypeVar("Kind", bound=PanelAction)
SECTIONS: Mapping[type[PanelAction], str] = {SegmentAction: "keys", AutoAction: "automask_keys"}
"""Sections of the settings, see napari.yaml."""


@dataclass(frozen=True)
class General:
    """What holds for every dock.

    Parameters
    ----------
    model, device : str
        What is chosen at start.
    memory_mb, disk_mb : int
        How much of memory and disk embeddings may fill.
    half_precision : bool
        Keep embeddings in float16.
    prefetch : bool
        Prepare the neighbouring planes of a stack while nothing else is to do.
    """

    model: str = "tiny"
    device: str = "auto"
    memory_mb: int = 1024
    disk_mb: int = 4096
    half_precision: bool = False
    prefetch: bool = True


def _section(name: str) -> Any:
    """Return a section of the settings, None when napari does not know the plugin."""
    try:
        return getattr(get_plugin_settings(PLUGIN), name)
    except (KeyError, AttributeError):
        return None


def read_general() -> General:
    """Return the general settings; defaults where napari has none."""
    section = _section("general")
    if section is None:
        return General()
    default = General()
    return General(
        **{name: getattr(section, name, getattr(default, name)) for name in vars(default)}
    )


def read_keys(actions: type[Kind]) -> Mapping[Kind, str]:
    """Return the key of every action that has one; an empty setting takes the key away."""
    section = _section(SECTIONS[actions])
    keys = {
        action: str(getattr(section, action.value, default)).strip()
        for action, default in default_keys(actions).items()
    }
    return {action: key for action, key in keys.items() if key}


def follow_keys(actions: type[PanelAction], changed: Callable[[], None]) -> Callable[[], None]:
    """Call `changed` when the user edits a key of some actions; returns how to stop that."""
    section = _section(SECTIONS[actions])
    if section is None:
        return lambda: None
    signals = [getattr(section.events, action.value) for action in default_keys(actions)]

    def on_change(event: Any = None) -> None:
        changed()

    for signal in signals:
        signal.connect(on_change)

    def stop() -> None:
        for signal in signals:
            signal.disconnect(on_change)

    return stop
