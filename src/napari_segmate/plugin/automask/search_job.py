"""What the worker does for automask: look at a plane, and show what is there meanwhile."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace

from napari_segmate.core.context import Context
from napari_segmate.core.types import IntBoxYX
from napari_segmate.models.base import ModelInfo
from napari_segmate.plugin.automask.proposals import PlaneProposal
from napari_segmate.plugin.planes.geometry import DisplayedPlane
from napari_segmate.plugin.planes.image_view import ViewedPlane
from napari_segmate.plugin.worker.engine import ModelChoice, ModelEngine
from napari_segmate.tasks.automask.prepare import LEAST_SCORE, LEAST_STABILITY
from napari_segmate.tasks.automask.run import (
    Mode,
    Params,
    Prepared,
    Region,
    generate,
    prepare,
    suited,
)
from napari_segmate.widgets.auto_panel import AutoValues

__all__ = ["Search", "least_limits", "params_of", "tuned", "usual"]

LIVE_S = 0.5
"""How often proposals of the tiles that are done are shown, at most."""
LEAST = 1e-3
"""A slider at 0 lets everything pass; the task takes 0 for "as usual"."""


def params_of(
    values: AutoValues,
    mode: Mode | None,
    *,
    fill_holes: bool = True,
    info: ModelInfo | None = None,
) -> Params:
    """Return what the form says in the words of the task; `mode` is what its choice means.

    A form has no field for all that suits a model, `info`.
    """
    smallest = int(values.smallest)
    largest = None if math.isinf(values.largest) else max(int(values.largest), smallest, 1)
    return Params(
        mode=mode,
        diameter=values.diameter or None,
        foreground=values.foreground,
        seed=values.seed,
        smoothing=Params().smoothing if info is None else _best(info, mode).smoothing,
        least_centre=None if info is None else _best(info, mode).least_centre,
        score=max(values.score, LEAST),
        stability=max(values.stability, LEAST),
        min_area=smallest,
        max_area=largest,
        border=values.border,
        fill_holes=fill_holes,
    )


def usual(values: AutoValues, mode: Mode, info: ModelInfo | None = None) -> AutoValues:
    """Return the same form with the limits that a mode usually asks for, and that suit a model."""
    best = Params() if info is None else _best(info, mode)
    limits = replace(values, score=best.least_score(mode), stability=best.least_stability(mode))
    if info is None or not info.suggested:
        return limits
    return replace(limits, seed=best.seed, smallest=best.min_area)


def _best(info: ModelInfo, mode: Mode | None) -> Params:
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


@dataclass(frozen=True, eq=False)
class Search:
    """One look at one plane.

    Parameters
    ----------
    shown : DisplayedPlane
        Which plane of the image.
    plane : ViewedPlane
        Its pixels.
    model : ModelChoice
        Who looks.
    params : Params
        What to look for.
    key : hashable
        What the slow step depends on.
    visible_yx : (y0, x0, y1, x1), optional
        Part on the screen: is looked at first.
    region : MaskPrompt or (y0, x0, y1, x1), optional
        Only objects in it are wanted.
    """

    shown: DisplayedPlane
    plane: ViewedPlane
    model: ModelChoice
    params: Params
    key: Hashable
    visible_yx: IntBoxYX | None
    region: Region | None

    def sized(self, diameter: float) -> Search:
        """Return the same with a size of objects, unless the user has given one; 0 is not known."""
        if self.params.diameter is not None or not diameter:
            return self
        return replace(self, params=replace(self.params, diameter=diameter))

    def run(
        self,
        engine: ModelEngine,
        newest: Callable[[], Params],
        live: Callable[[PlaneProposal], None],
        context: Context,
    ) -> PlaneProposal:
        """Return what is proposed; for the worker thread.

        Parameters
        ----------
        engine : ModelEngine
            Keeps the model.
        newest : callable
            Returns what the sliders say now.
        live : callable
            Called in the worker thread with what is there so far.
        context : Context
            Progress and cancellation.
        """
        next_s = [0.0]

        def propose(prepared: Prepared) -> PlaneProposal:
            params = tuned(self.params, newest())
            proposal = generate(prepared, params, context=context)
            return PlaneProposal(self.shown.index, self.shown, prepared, params, proposal, self.key)

        def on_progress(prepared: Prepared) -> None:
            before = time.monotonic()
            if before >= next_s[0]:
                live(propose(prepared))
                # Where labelling takes long, most of the time goes on to the search itself.
                now = time.monotonic()
                next_s[0] = now + max(LIVE_S, 4 * (now - before))

        model = engine.model(self.model, context)
        prepared = prepare(
            self.plane,
            model,
            self.params,
            store=engine.store,
            context=context,
            visible_yx=self.visible_yx,
            region=self.region,
            on_progress=on_progress,
        )
        return propose(prepared)
