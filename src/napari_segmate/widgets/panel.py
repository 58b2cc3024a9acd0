"""What the panels of all docks with jobs have in common: models, status, buttons, keys, options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QPushButton, QWidget

from napari_segmate.sessions.panel_state import PanelState
from napari_segmate.widgets.actions import PanelAction, with_key
from napari_segmate.widgets.layout import action_button, choose, form, narrow, offered, refill
from napari_segmate.widgets.options_view import OptionsView
from napari_segmate.widgets.planes_view import PlanesView
from napari_segmate.widgets.status_view import StatusView

__all__ = ["REGIONS", "Panel", "SearchPanel"]

State = TypeVar("State")
REGIONS: Mapping[str, str] = {
    "plane": "the whole plane",
    "visible": "what is on the screen",
    "rectangle": "a rectangle that I draw",
}


class Panel(QWidget, Generic[State]):
    """A panel that shows a state and tells what was pressed.

    Parameters
    ----------
    actions : type of PanelAction
        What can be triggered; has a member CANCEL and a member RETRY.
    options : OptionsView
        What most users never change.

    Attributes
    ----------
    triggered : Signal
        Emitted with the action of a button.
    model_chosen : Signal
        Emitted with the name of a model.
    """

    triggered = Signal(object)
    model_chosen = Signal(str)

    def __init__(self, actions: Any, options: OptionsView, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.status = StatusView()
        self.options = options
        self._model = narrow(QComboBox())
        self._model.currentIndexChanged.connect(lambda: self.model_chosen.emit(self.model))
        self._buttons: dict[Any, QPushButton] = {}
        self.status.cancel_clicked.connect(lambda: self.triggered.emit(actions.CANCEL))
        self.status.retry_clicked.connect(lambda: self.triggered.emit(actions.RETRY))

    def add_button(self, action: PanelAction, *, main: bool = False) -> QPushButton:
        """Return a new button that triggers an action."""
        button = action_button(
            action.title, action.help, lambda: self.triggered.emit(action), main=main
        )
        self._buttons[action] = button
        return button

    def button(self, action: PanelAction) -> QPushButton:
        """Return the button of an action."""
        return self._buttons[action]

    # State and keys

    def show_state(self, state: State) -> None:
        """Show how things stand."""
        raise NotImplementedError

    def show_status(self, state: PanelState) -> None:
        """Show hint, error and progress, and which buttons do something now."""
        self.status.show_state(state.status)
        for action, button in self._buttons.items():
            button.setEnabled(action.value in state.actions)

    def show_keys(self, keys: Mapping[Any, str]) -> None:
        """Name the keys on the buttons."""
        for action, button in self._buttons.items():
            key = keys.get(action, "")
            button.setText(with_key(action.title, key))
            button.setToolTip(f"{action.help}. Key: {key}" if key else action.help)

    # Models

    @property
    def model(self) -> str:
        """Name of the model that is chosen, empty without one."""
        return self._model.currentData() or ""

    def models(self) -> Sequence[str]:
        """Return the names of the models on offer."""
        return offered(self._model)

    def show_models(self, titles: Mapping[str, str], tips: Mapping[str, str]) -> None:
        """Offer models by name; the choice stays if it can."""
        refill(self._model, titles, tips)

    def show_model(self, name: str) -> None:
        """Show which model is chosen; emits nothing."""
        choose(self._model, name)


class SearchPanel(Panel[State]):
    """A panel whose job searches a region on planes of a stack.

    Parameters
    ----------
    actions, options
        As in `Panel`.
    regions : mapping of str to str
        Titles of the regions on offer, by name.

    Attributes
    ----------
    region_chosen : Signal
        Emitted with the name of a region.
    search : QFormLayout
        What is searched, a row each; the panel adds region and planes where it wants them.
    """

    region_chosen = Signal(str)

    def __init__(
        self,
        actions: Any,
        options: OptionsView,
        regions: Mapping[str, str] = REGIONS,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(actions, options, parent)
        self.planes = PlanesView()
        self.search = form()
        self._region = narrow(QComboBox())
        refill(self._region, regions)
        self._region.currentIndexChanged.connect(self._on_region)

    @property
    def region(self) -> str:
        """Which part is searched."""
        return str(self._region.currentData())

    def show_region(self, name: str) -> None:
        """Show which part is searched; emits nothing."""
        choose(self._region, name)

    def show_planes(self, count: int) -> None:
        """Offer ranges of a stack; a single plane has none."""
        self.planes.show_count(count)
        self.search.setRowVisible(self.planes, count > 1)

    def _on_region(self) -> None:
        self.region_chosen.emit(self.region)
