"""What the Automask panel says, and what that means for the task."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, field, replace

from napari_segmate.core.types import IntBoxYX
from napari_segmate.models.base import ModelInfo
from napari_segmate.plugin.docks.controller import DockRequest
from napari_segmate.tasks.automask.prepare import LEAST_SCORE, LEAST_STABILITY
from napari_segmate.tasks.automask.run import Mode, Params, suited
from napari_segmate.widgets.auto_panel import AutoValues

__all__ = ["AutoRequest", "SearchKey", "least_limits", "task_params", "tuned", "usual_values"]

LEAST = 1e-3
"""A slider at 0 lets everything pass; the task takes 0 for "as usual"."""


@dataclass(frozen=True)
class SearchKey:
    """What a search depends on; with anything else another one is needed.

    Parameters
    ----------
    model : str
        Which model searches.
    slow : hashable
        Settings of the slow step.
    where : hashable
        Which part is searched.
    """

    model: str
    slow: Hashable
    where: Hashable = None


@dataclass(frozen=True)
class AutoRequest(DockRequest):
    """What the panel says.

    Parameters
    ----------
    model, region, planes, options
        As in `DockRequest`; the region may be ``"shapes"``, too.
    values : AutoValues
        Mode, size and sliders.
    has_head : bool
        Whether the model finds objects without clicks.
    info : ModelInfo, optional
        What is known of the model.
    """

    values: AutoValues = field(default_factory=AutoValues)
    has_head: bool = True
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
    def linked(self) -> bool:
        """True when objects that go on from plane to plane are one."""
        return self.planes.is_range and self.planes.linked

    @property
    def params(self) -> Params:
        """The same for the task."""
        return task_params(
            self.values, self.mode, fill_holes=self.options.fill_holes, info=self.info
        )

    def key(self, rectangle: IntBoxYX | None = None) -> SearchKey:
        """Return what a search depends on now; `rectangle` counts where one is searched."""
        where = (self.region, rectangle if self.region == "rectangle" else None)
        return SearchKey(self.model, self.params.prepare_key(), where)


def task_params(
    values: AutoValues,
    mode: Mode | None,
    *,
    fill_holes: bool = True,
    info: ModelInfo | None = None,
) -> Params:
    """Return what the form says as parameters of the task; `mode` is what its choice means.

    A form has no field for all that suits a model, `info`.
    """
    smallest = int(values.smallest)
    largest = None if math.isinf(values.largest) else max(int(values.largest), smallest, 1)
    return Params(
        mode=mode,
        diameter=values.diameter or None,
        foreground=values.foreground,
        seed=values.seed,
        smoothing=Params().smoothing if info is None else _suited_params(info, mode).smoothing,
        least_centre=None if info is None else _suited_params(info, mode).least_centre,
        score=max(values.score, LEAST),
        stability=max(values.stability, LEAST),
        min_area=smallest,
        max_area=largest,
        border=values.border,
        fill_holes=fill_holes,
    )


def usual_values(values: AutoValues, mode: Mode, info: ModelInfo | None = None) -> AutoValues:
    """Return the same form with the limits that a mode usually asks for, and that suit a model."""
    best = Params() if info is None else _suited_params(info, mode)
    limits = replace(values, score=best.least_score(mode), stability=best.least_stability(mode))
    if info is None or not info.suggested:
        return limits
    return replace(limits, seed=best.seed, smallest=best.min_area)


def _suited_params(info: ModelInfo, mode: Mode | None) -> Params:
    return Params() if mode is None else suited(Params(), info, mode)


def least_limits(mode: Mode) -> dict[str, float]:
    """Return the limits below which the slow step keeps nothing, by name of the slider."""
    return {"score": LEAST_SCORE, "stability": LEAST_STABILITY} if mode is Mode.GRID else {}


def tuned(before: Params, now: Params) -> Params:
    """Return other settings of the fast step with those of the slow step as they were.

    Limits of another mode mean something else: what was found in this one stays as it is.
    """
    if now.mode is not before.mode:
        return before
    return replace(
        now,
        diameter=before.diameter,
        tile=before.tile,
        halo=before.halo,
        grid=before.grid,
    )
