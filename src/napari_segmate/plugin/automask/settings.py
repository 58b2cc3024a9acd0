"""What the Automask panel says, and what that means for the task."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from napari_segmate.core.types import IntBoxYX
from napari_segmate.models.base import ModelInfo
from napari_segmate.plugin.automask.search_job import params_of
from napari_segmate.tasks.automask.run import Mode, Params
from napari_segmate.widgets.auto_panel import AutoValues
from napari_segmate.widgets.options_view import OptionValues
from napari_segmate.widgets.planes_view import PlaneChoice

__all__ = ["Asked", "Sought"]


@dataclass(frozen=True)
class Sought:
    """What a search depends on; with anything else another one is needed.

    Parameters
    ----------
    model : str
        Who looks.
    slow : hashable
        Settings of the slow step.
    where : hashable
        Which part is searched.
    """

    model: str
    slow: Hashable
    where: Hashable = None


@dataclass(frozen=True)
class Asked:
    """What the panel says.

    Parameters
    ----------
    values : AutoValues
        Mode, size and sliders.
    model : str
        Who looks.
    has_head : bool
        Whether that model finds objects without clicks.
    region : str
        ``"plane"``, ``"visible"``, ``"rectangle"`` or ``"shapes"``.
    planes : PlaneChoice
        Which planes of a stack.
    options : OptionValues
        Contrast, device, what happens to other labels.
    info : ModelInfo, optional
        What is known of the model.
    """

    values: AutoValues = field(default_factory=AutoValues)
    model: str = "tiny"
    has_head: bool = True
    region: str = "plane"
    planes: PlaneChoice = field(default_factory=PlaneChoice)
    options: OptionValues = field(default_factory=OptionValues)
    info: ModelInfo | None = None

    @property
    def mode(self) -> Mode:
        """How objects are found."""
        if self.values.mode:
            return Mode(self.values.mode)
        return Mode.OBJECTS if self.has_head else Mode.GRID

    @property
    def suggested(self) -> tuple[tuple[str, float], ...]:
        """Settings that suit the model."""
        return () if self.info is None else self.info.suggested

    @property
    def params(self) -> Params:
        """The same for the task."""
        return params_of(self.values, self.mode, fill_holes=self.options.fill_holes, info=self.info)

    def sought(self, rectangle: IntBoxYX | None = None) -> Sought:
        """Return what a search depends on now; `rectangle` counts where one is searched."""
        where = (self.region, rectangle if self.region == "rectangle" else None)
        return Sought(self.model, self.params.prepare_key(), where)
