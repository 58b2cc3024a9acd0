"""Keys of the viewer: bound while the dock is there, given back afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from napari.components import ViewerModel
from napari.settings import get_settings
from napari.utils.key_bindings import coerce_keybinding

from napari_segmate.widgets.actions import PanelAction

__all__ = ["KeyBindings"]

Kind = TypeVar("Kind", bound=PanelAction)


class KeyBindings(Generic[Kind]):
    """The keys of one viewer.

    Parameters
    ----------
    viewer : ViewerModel
        Where the keys are bound, so that they work whichever layer is active.
    triggered : callable
        Called with the action of a key that was pressed.
    """

    def __init__(self, viewer: ViewerModel, triggered: Callable[[Kind], None]) -> None:
        self._viewer = viewer
        self._triggered: Callable[[Kind], None] = triggered
        self._bound: dict[Kind, Any] = {}

    def bind(self, keys: Mapping[Kind, str]) -> dict[Kind, str]:
        """Bind keys instead of those bound before.

        Returns
        -------
        dict of action to str
            What is wrong with the keys that could not be bound.
        """
        self.unbind()
        problems: dict[Kind, str] = {}
        for action, key in keys.items():
            try:
                binding = _checked(key)
                self._viewer.bind_key(key, self._callback(action))
            except ValueError as error:
                problems[action] = f"The key '{key}' for '{action.title}' cannot be used: {error}"
            else:
                self._bound[action] = binding
        return problems

    def unbind(self) -> None:
        """Give all keys back."""
        for binding in self._bound.values():
            self._viewer.keymap.pop(binding, None)
        self._bound.clear()

    def _callback(self, action: Kind) -> Callable[[Any], None]:
        def pressed(_: Any) -> None:
            self._triggered(action)

        pressed.__doc__ = f"SegMate: {action.help}"
        return pressed


def _checked(key: str) -> Any:
    """Return the binding of one key.

    Raises
    ------
    ValueError
        It is no key, or napari uses it.
    """
    binding = coerce_keybinding(key)
    if len(binding.parts) != 1 or not int(binding.part0.key):
        raise ValueError("it is not a key such as K, Shift-K or Control-K")
    used = get_settings().shortcuts.shortcuts
    for command, bindings in used.items():
        if str(binding) in {str(coerce_keybinding(one)) for one in bindings}:
            what = command.partition(":")[2].replace("_", " ")
            raise ValueError(f"napari uses it to {what}")
    return binding
