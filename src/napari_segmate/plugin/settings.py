"""The user's settings, from napari's Preferences > SegMate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from napari.settings import get_plugin_settings

from napari_segmate.widgets.actions import DEFAULT_KEYS, Action
from napari_segmate.widgets.auto_actions import DEFAULT_AUTO_KEYS, AutoAction

__all__ = [
    "PLUGIN",
    "General",
    "follow_auto_keys",
    "follow_keys",
    "read_auto_keys",
    "read_general",
    "read_keys",
]

PLUGIN = "napari-segmate"
Kind = TypeVar("Kind", Action, AutoAction)


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


def read_keys() -> Mapping[Action, str]:
    """Return the key of every action that has one; an empty setting takes the key away."""
    return _read("keys", DEFAULT_KEYS)


def read_auto_keys() -> Mapping[AutoAction, str]:
    """Return the same for automask."""
    return _read("automask_keys", DEFAULT_AUTO_KEYS)


def _read(name: str, defaults: Mapping[Kind, str]) -> Mapping[Kind, str]:
    section = _section(name)
    keys = {
        action: str(getattr(section, action.value, default)).strip()
        for action, default in defaults.items()
    }
    return {action: key for action, key in keys.items() if key}


def follow_keys(changed: Callable[[], None]) -> Callable[[], None]:
    """Call `changed` when the user edits a key; returns how to stop that."""
    return _follow("keys", DEFAULT_KEYS, changed)


def follow_auto_keys(changed: Callable[[], None]) -> Callable[[], None]:
    """Call `changed` when the user edits a key of automask; returns how to stop that."""
    return _follow("automask_keys", DEFAULT_AUTO_KEYS, changed)


def _follow(
    name: str, actions: Iterable[Action | AutoAction], changed: Callable[[], None]
) -> Callable[[], None]:
    section = _section(name)
    if section is None:
        return lambda: None
    signals = [getattr(section.events, action.value) for action in actions]

    def on_change(event: Any = None) -> None:
        changed()

    for signal in signals:
        signal.connect(on_change)

    def stop() -> None:
        for signal in signals:
            signal.disconnect(on_change)

    return stop
